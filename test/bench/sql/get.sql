\set id random(0, :keys - 1)
SELECT tikv_get(bench.key(:id));
