\set id random(0, :keys - 1)
SELECT value FROM bench.plain WHERE key = bench.key(:id);
