--
-- What the node says about itself.
--
SET client_min_messages = warning;

-- both workers serve, each with its process and address
SELECT worker, pid IS NOT NULL AS process, state, reason, address IS NOT NULL AS address,
	since <= clock_timestamp() AS since
	FROM tikv_status() WHERE worker IN ('store', 'pd') ORDER BY worker;
SELECT count(*) AS processes FROM tikv_status() AS s JOIN pg_stat_activity AS a USING (pid)
	WHERE s.worker IN ('store', 'pd') AND a.backend_type = 'tikv ' || s.worker;

-- one region holds everything, and this store leads it
SELECT start_key, end_key, conf_ver, version, cardinality(store_ids) AS peers,
	leader_peer_id = peer_id AS led_here, is_leader, term > 0 AS term, applied_index > 0 AS applied
	FROM tikv.regions;

-- its applied index grows with the writes
CREATE TEMP TABLE before AS SELECT region_id, applied_index FROM tikv.regions;
SELECT tikv_put('views', 'v');
SELECT r.applied_index > b.applied_index AS grown FROM tikv.regions AS r JOIN before AS b USING (region_id);
SELECT tikv_delete('views');

-- the store as PD knows it is the one that serves the region
SELECT s.store_id = ANY (r.store_ids) AS same_store, s.address = a.address AS same_address,
	s.version LIKE '8.5.%' AS version, s.state
	FROM tikv.stores AS s, tikv.regions AS r, tikv_status() AS a WHERE a.worker = 'store';
SELECT name <> '' AS name, member_id > 0 AS id, cardinality(client_urls) AS client_urls,
	client_urls[1] LIKE 'http://%:%' AS url, is_leader FROM tikv.members;

-- no long work is on its way
SELECT task, waiting >= 0 AS waiting, removed >= 0 AS removed FROM tikv.tasks ORDER BY task;

SELECT step IS NOT NULL AS step, coalesce(gc_safe_point <= txn_safe_point, true) AS ordered,
	locks_resolved >= 0 AS ended, versions_removed >= 0 AS removed, gave_up_on FROM tikv.gc;

-- keyspaces: DEFAULT is always there, others are made once
SELECT tikv_create_keyspace('regress-1') > 0 AS id;
SELECT tikv_create_keyspace('regress-1');
SELECT tikv_create_keyspace('not a name');
SELECT tikv_create_keyspace('');
SELECT tikv_create_keyspace('a_name_that_is_too_long');
SELECT tikv_create_keyspace(NULL) IS NULL AS strict;
BEGIN;
SELECT tikv_create_keyspace('regress-2') > 0 AS id;
ROLLBACK;
SELECT keyspace_id = 0 AS zero, name, state, created <= clock_timestamp() AS created,
	state_changed = created AS unchanged, settings
	FROM tikv.keyspaces WHERE name = 'DEFAULT' OR name LIKE 'regress-%' ORDER BY keyspace_id;

-- nothing is wrong with the tables
SELECT * FROM tikv_check();
