--
-- What the node counts.
--
SET client_min_messages = warning;

-- each row is a number with a name and labels
SELECT count(*) > 100 AS many, bool_and(name ~ '^(tikv|process)_[a-z_]+$') AS names,
	bool_and(jsonb_typeof(labels) = 'object') AS labels,
	count(*) = count(DISTINCT (name, labels)) AS distinct
	FROM tikv.metrics WHERE value IS NOT NULL;

-- who serves
SELECT labels->>'worker' AS worker, value FROM tikv.metrics
	WHERE name = 'tikv_fdw_worker_serving' AND labels->>'worker' IN ('store', 'pd', 'status') ORDER BY 1;

-- what the other views say
SELECT labels, value FROM tikv.metrics WHERE name = 'tikv_raftstore_region_count' ORDER BY labels;
SELECT count(*) AS tasks, bool_and(value >= 0) AS known FROM tikv.metrics WHERE name = 'tikv_fdw_task_removed_total';

-- what happens is counted: a read of SQL, a write over the bus, a turn
CREATE TEMP TABLE before AS SELECT * FROM tikv.metrics;
SELECT tikv_put('metrics', 'v');
SELECT convert_from(tikv_get('metrics'), 'UTF8');
SELECT tikv_insert('metrics', 'v') IS NULL AS inserted; -- an error
SELECT m.name, m.labels, m.value - coalesce(b.value, 0) AS grown
	FROM tikv.metrics AS m LEFT JOIN before AS b USING (name, labels)
	WHERE m.name IN ('tikv_fdw_sql_reads_total', 'tikv_fdw_bus_requests_total')
	AND coalesce(m.labels->>'worker', 'store') = 'store'
	AND m.value <> coalesce(b.value, 0)
	ORDER BY m.name, m.labels;
SELECT m.value > b.value AS turns FROM tikv.metrics AS m JOIN before AS b USING (name, labels)
	WHERE m.name = 'tikv_fdw_turns_total' AND m.labels->>'worker' = 'store';
SELECT tikv_delete('metrics');

-- a histogram adds up
SELECT max(value) FILTER (WHERE labels->>'le' = '+Inf') = max(value) FILTER (WHERE name LIKE '%\_count') AS whole,
	count(*) FILTER (WHERE name LIKE '%\_bucket') AS buckets
	FROM tikv.metrics WHERE name LIKE 'tikv\_fdw\_turn\_duration\_seconds\_%';

-- readers of the store may look, others may not
CREATE ROLE regress_tikv_metrics_reader IN ROLE tikv_read;
CREATE ROLE regress_tikv_metrics_nobody;
SET ROLE regress_tikv_metrics_reader;
SELECT count(*) > 0 AS rows FROM tikv.metrics;
SET ROLE regress_tikv_metrics_nobody;
SELECT count(*) > 0 AS rows FROM tikv.metrics;
RESET ROLE;
DROP ROLE regress_tikv_metrics_reader, regress_tikv_metrics_nobody;
