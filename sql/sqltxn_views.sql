-- What there is to see of transactions, versions, locks and their collection.
SET client_min_messages = warning;
SELECT count(tikv_txn_delete(key)) >= 0 AS cleaned FROM tikv_txn_scan('vw/', 'vw0');

-- Versions, and the past.
SELECT clock_timestamp() AS begun \gset
SELECT pg_sleep(0.01);
SELECT tikv_txn_put('vw/a', 'one');
SELECT pg_sleep(0.01);
SELECT clock_timestamp() AS then \gset
SELECT pg_sleep(0.01);
SELECT tikv_txn_put('vw/a', 'two');
SELECT tikv_txn_delete('vw/a'), tikv_txn_put('vw/b', convert_to(repeat('x', 300), 'UTF8'));
SELECT convert_from(key, 'UTF8') AS key, kind, op, commit_ts > start_ts AS later,
	committed BETWEEN now() - interval '1 minute' AND now() + interval '1 second' AS just_now,
	length(value), CASE WHEN length(value) < 9 THEN convert_from(value, 'UTF8') END AS value
FROM tikv_mvcc('vw/', 'vw/c') WHERE committed >= :'begun';
SELECT kind, op FROM tikv_mvcc('vw/b') LIMIT 1;
SELECT count(*) FROM tikv_mvcc('vw/none');
SELECT count(*) FROM tikv_mvcc('vw/b', 'vw/a');
SELECT count(*) > 3 AS all_of_them FROM tikv.mvcc;
SELECT tikv_txn_get('vw/a') IS NULL AS now, convert_from(tikv_txn_get('vw/a', as_of => :'then'), 'UTF8') AS then;
SELECT tikv_txn_get('vw/a', as_of => 'infinity');
SELECT tikv_txn_get('vw/a', as_of => '1900-01-01');
SELECT tikv_txn_get('vw/a', as_of => clock_timestamp() + interval '1 hour');

-- Many keys: page by page.
SELECT count(tikv_txn_put(('vw/m' || i)::bytea, 'v')) FROM generate_series(1, 500) i;
SELECT count(DISTINCT key), count(*) >= 500 AS versions FROM tikv_mvcc('vw/m', 'vw/n');

-- Locks and transactions.
BEGIN;
SELECT tikv_txn_put('vw/l', '1');
SELECT tikv_txn_lock('vw/k') IS NULL AS nothing;
SELECT convert_from(key, 'UTF8') AS key, type, convert_from(primary_key, 'UTF8') AS primary_key,
	ttl_ms >= 20000 AS ttl, async_commit, secondaries, pid = pg_backend_pid() AS mine
FROM tikv.locks WHERE key >= 'vw/' AND key < 'vw0';
SELECT phase, mode, isolation, convert_from(primary_key, 'UTF8') AS primary_key, keys, locks
FROM tikv.transactions WHERE pid = pg_backend_pid();
SELECT kind, op FROM tikv_mvcc('vw/l') LIMIT 1;
SELECT tikv_resolve_lock('vw/l'), tikv_resolve_lock('vw/none');
SELECT (SELECT start_ts FROM tikv.transactions WHERE pid = pg_backend_pid()) = oldest_transaction AS holds_back FROM tikv.gc;
COMMIT;
SELECT count(*) FROM tikv.locks WHERE key >= 'vw/' AND key < 'vw0';
SELECT count(*) FROM tikv.lock_waits;

-- By force: the transaction finds out when it commits.
BEGIN;
SELECT tikv_txn_put('vw/f', '1');
SELECT tikv_resolve_lock('vw/f', force => true);
SELECT count(*) FROM tikv.locks WHERE key = 'vw/f';
ROLLBACK;
SELECT tikv_txn_get('vw/f') IS NULL AS not_written;

-- Collection.
SELECT step IS NOT NULL AS known, versions_removed >= 0 AS counted FROM tikv.gc;
SELECT clock_timestamp() AS asked \gset
SELECT tikv_gc_barrier('regress', now(), interval '1 day') > 0 AS set;
SELECT name, ttl_seconds BETWEEN 86399 - extract(epoch FROM clock_timestamp() - :'asked') AND 86400 AS ttl, at <= now() + interval '1 second' AS at FROM tikv.gc_barriers WHERE name NOT LIKE 'tikv_fdw/%';
SELECT tikv_gc_barrier('regress', now(), NULL) > 0 AS moved;
SELECT name, ttl_seconds FROM tikv.gc_barriers WHERE name NOT LIKE 'tikv_fdw/%';
SELECT tikv_gc_barrier_delete('regress'), tikv_gc_barrier_delete('regress');
SELECT tikv_gc_barrier('regress', now(), interval '0');
SELECT tikv_gc_barrier(NULL);
SELECT count(*) FROM tikv.gc_barriers WHERE name NOT LIKE 'tikv_fdw/%';

-- Settings.
SELECT name, setting, unit, context FROM tikv.settings WHERE name IN ('tikv.txn_mode', 'tikv.lock_wait_timeout') ORDER BY name;

-- Who may.
CREATE ROLE regress_views_reader IN ROLE tikv_read;
CREATE ROLE regress_views_monitor IN ROLE pg_monitor;
SET ROLE regress_views_reader;
SELECT count(*) >= 0 AS may FROM tikv.locks;
SELECT tikv_resolve_lock('vw/a');
SELECT tikv_gc_barrier('no');
SET ROLE regress_views_monitor;
SELECT count(*) FROM tikv.gc;
SELECT count(*) FROM tikv.locks;
SELECT count(*) FROM tikv.mvcc;
RESET ROLE;
DROP ROLE regress_views_reader, regress_views_monitor;
SELECT count(tikv_txn_delete(key)) > 500 AS cleaned FROM tikv_txn_scan('vw/', 'vw0');
