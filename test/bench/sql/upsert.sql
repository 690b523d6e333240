\set id random(0, :keys - 1)
INSERT INTO bench.plain VALUES (bench.key(:id), :value::bytea)
	ON CONFLICT (key) DO UPDATE SET value = excluded.value;
