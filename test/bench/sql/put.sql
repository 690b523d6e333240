\set id random(0, :keys - 1)
SELECT tikv_put(bench.key(:id), :value::bytea);
