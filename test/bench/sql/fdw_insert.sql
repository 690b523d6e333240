-- Each time behind all rows that are there.
\set first random(1, 1000000000) * 10000000
INSERT INTO TABLE SELECT :first::bigint + i, repeat('x', 100) FROM generate_series(1, :rows) AS i;
