-- Who may do what with transactional keys.
SET client_min_messages = warning;
CREATE ROLE regress_txn_nobody;
CREATE ROLE regress_txn_reader IN ROLE tikv_read;
CREATE ROLE regress_txn_writer IN ROLE tikv_write;

SET ROLE regress_txn_nobody;
SELECT tikv_txn_get('rl/a');
SET ROLE regress_txn_reader;
SELECT tikv_txn_get('rl/a') IS NULL AS absent;
SELECT tikv_txn_put('rl/a', 'v');
SELECT tikv_txn_lock('rl/a');
SET ROLE regress_txn_writer;
SELECT tikv_txn_put('rl/a', 'v');
SELECT tikv_txn_get('rl/a');
-- It would tell the value.
SELECT tikv_txn_lock('rl/a');
RESET ROLE;
GRANT tikv_read TO regress_txn_writer;
SET ROLE regress_txn_writer;
SELECT convert_from(tikv_txn_lock('rl/a'), 'UTF8') AS locked;
SELECT tikv_txn_delete('rl/a');
RESET ROLE;
DROP ROLE regress_txn_nobody, regress_txn_reader, regress_txn_writer;
