--
-- Ranges: bounds, order, limits, pages.
--
SET client_min_messages = warning;
SELECT tikv_batch_delete(array_agg(key)) FROM tikv_scan('scan/', 'scan0');
SELECT tikv_batch_put(array_agg(convert_to('scan/' || to_char(i, 'FM0000'), 'UTF8') ORDER BY i),
					  array_agg(convert_to(i::text, 'UTF8') ORDER BY i))
	FROM generate_series(1, 1000) AS i;

CREATE FUNCTION pg_temp.names(keys bytea[]) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(substr(convert_from(k, 'UTF8'), 6), ' ' ORDER BY n)
	FROM unnest(keys) WITH ORDINALITY AS u(k, n) $$;

-- the start is in the range, the end is not; reverse only turns the order
SELECT pg_temp.names(array_agg(key)) FROM tikv_scan('scan/0003', 'scan/0007');
SELECT pg_temp.names(array_agg(key)) FROM tikv_scan('scan/0003', 'scan/0007', reverse => true);
SELECT pg_temp.names(array_agg(key)) FROM tikv_scan('scan/0003', 'scan/0007', 2);
SELECT pg_temp.names(array_agg(key)) FROM tikv_scan('scan/0003', 'scan/0007', 2, true);
SELECT convert_from(key, 'UTF8') AS key, convert_from(value, 'UTF8') AS value
	FROM tikv_scan('scan/0999', 'scan0');
SELECT convert_from(key, 'UTF8') AS key, value IS NULL AS no_value
	FROM tikv_scan('scan/0999', 'scan0', key_only => true);

-- nothing there
SELECT count(*) FROM tikv_scan('scan/0007', 'scan/0003');
SELECT count(*) FROM tikv_scan('scan/0007', 'scan/0007');
SELECT count(*) FROM tikv_scan('scan/0007', 'scan/0003', reverse => true);
SELECT count(*) FROM tikv_scan('scan/', 'scan0', 0);

-- open ends: NULL and the empty key are the ends of everything
SELECT count(*) >= 1000 AS all_of_them FROM tikv_scan();
SELECT (SELECT count(*) FROM tikv_scan('', '')) = (SELECT count(*) FROM tikv_scan(NULL, NULL)) AS same,
	(SELECT count(*) FROM tikv_scan()) = (SELECT count(*) FROM tikv_scan(reverse => true)) AS both_ways;
SELECT pg_temp.names(array_agg(key)) FROM tikv_scan(end_key => 'scan0', lim => 3, reverse => true);

-- over many pages, both ways, whole and cut at a page's edge
SELECT lim, reverse, count(*), bool_and(after) AS in_order
	FROM (VALUES (NULL::int8), (255), (256), (257), (511), (512), (513), (999), (5000)) AS l(lim),
		(VALUES (false), (true)) AS r(reverse),
		LATERAL (SELECT coalesce(CASE WHEN r.reverse THEN key < lag(key) OVER w ELSE key > lag(key) OVER w END, true) AS after
			FROM tikv_scan('scan/', 'scan0', l.lim, r.reverse) WITH ORDINALITY AS s(key, value, n)
			WINDOW w AS (ORDER BY n)) AS s
	GROUP BY 1, 2 ORDER BY 1, 2;

-- in the select list pages come as they are asked for: a LIMIT ends the scan,
-- and a later page sees what was written after the first
BEGIN;
DECLARE c CURSOR FOR SELECT pg_temp.names(array[(r).key]) FROM (SELECT tikv_scan('scan/', 'scan0') AS r) AS s;
FETCH 2 FROM c;
SELECT tikv_delete('scan/0300');
MOVE 297 FROM c;
FETCH 2 FROM c;
COMMIT;
SELECT pg_temp.names(array[(tikv_scan('scan/', 'scan0')).key]) LIMIT 2;

-- values that fill a page before the keys do
SELECT tikv_put(convert_to('scan/big' || i, 'UTF8'), convert_to(repeat('v', 400000), 'UTF8'))
	FROM generate_series(1, 6) AS i;
SELECT count(*), sum(length(value)) FROM tikv_scan('scan/big', 'scan/bih');
SELECT count(*), sum(length(value)) FROM tikv_scan('scan/big', 'scan/bih', reverse => true);

-- keys that differ after the prefix that the index holds
SELECT tikv_put(('scan/' || repeat('x', 3000) || i)::bytea, i::text::bytea) FROM generate_series(1, 5) AS i;
SELECT convert_from(value, 'UTF8')
	FROM tikv_scan(('scan/' || repeat('x', 3000) || '2')::bytea, ('scan/' || repeat('x', 3000) || '5')::bytea, reverse => true);

SELECT count(*) FROM tikv_scan('scan/', 'scan0', -1);

SELECT tikv_batch_delete(array_agg(key)) FROM tikv_scan('scan/', 'scan0');
