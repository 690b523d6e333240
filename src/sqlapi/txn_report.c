/*
 * txn_report.c
 *	  Which SQLSTATE an error of a transaction becomes, and what it says.
 *
 * Who reads one wants to know the key, the other transaction, and whether
 * trying again helps: 40001 and 40P01 say so to programs.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "bus/sql_txns.h"
#include "bus/versions.h"
#include "guc.h"
#include "sqlapi/txn_internal.h"

typedef unsigned long long Llu;

char *
txn_key_text(Bytes stored)
{
	return key_text(txn_user_key(stored));
}

/* "transaction 4711 (process 12)". */
static char *
txn_text(uint64 start_ts)
{
	VirtualTransactionId vxid;
	int pid;

	if (sql_txn_find(start_ts, &vxid, &pid))
		return psprintf("transaction %llu (process %d)", (Llu) start_ts, pid);
	return psprintf("transaction %llu", (Llu) start_ts);
}

void
txn_report_conflict(const TxnError *error)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
		 errmsg("could not serialize access to a key"),
		 errdetail(
			 "Key %s was written by %s, which committed at %llu, after this transaction's start at %llu.",
			 txn_key_text(error->key), txn_text(error->conflict_ts),
			 (Llu) error->conflict_commit_ts, (Llu) error->start_ts),
		 errhint("The transaction might succeed if retried.")));
}

void
txn_report_exists(Bytes key)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION), errmsg("key already exists"),
			 errdetail("Key is %s.", txn_key_text(key))));
}

void
txn_report_locked(const LockInfo *lock)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not obtain the lock on a key"),
			 errdetail("Key %s is locked by %s.", txn_key_text(lock->key),
					   txn_text(lock->lock.start_ts))));
}

void
txn_report_lock_timeout(const LockInfo *lock)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not obtain the lock on a key in time"),
			 errdetail("Key %s is locked by %s.", txn_key_text(lock->key),
					   txn_text(lock->lock.start_ts)),
			 errhint("tikv.lock_wait_timeout is the bound.")));
}

pg_attribute_noreturn() static void report_deadlock(const TxnError *error)
{
	StringInfoData chain;

	initStringInfo(&chain);
	for (size_t i = 0; i < error->n_wait_chain; i++)
	{
		const WaitForEntry *entry = &error->wait_chain[i];

		appendStringInfo(&chain, " Transaction %llu waits for %llu on key %s.",
						 (Llu) entry->txn, (Llu) entry->wait_for_txn,
						 txn_key_text(entry->key));
	}
	ereport(ERROR,
			(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
			 errmsg("deadlock detected"),
			 errdetail("Key %s is locked by %s.%s", txn_key_text(error->key),
					   txn_text(error->conflict_ts), chain.data),
			 errhint("The transaction might succeed if retried.")));
}

pg_attribute_noreturn() static void report_refused(const TxnError *error)
{
	switch (error->kind)
	{
		case TXN_WRITE_CONFLICT:
			txn_report_conflict(error);
		case TXN_ALREADY_EXIST:
			txn_report_exists(error->key);
		case TXN_DEADLOCK:
			report_deadlock(error);
		case TXN_KEY_IS_LOCKED:
			txn_report_lock_timeout(&error->lock);
		case TXN_LOCK_NOT_FOUND:
		case TXN_PESSIMISTIC_LOCK_NOT_FOUND:
		case TXN_PESSIMISTIC_LOCK_ROLLED_BACK:
		case TXN_TXN_NOT_FOUND:
			ereport(
				ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("a lock of the transaction was lost"),
				 errdetail("The lock of key %s was given up by another client.",
						   txn_key_text(error->key)),
				 errhint("The transaction might succeed if retried.")));
		default:
			break;
	}
	/* PessimisticLockNotFound comes as a text: the lock is gone, retry. */
	if (error->text != NULL &&
		strncmp(error->text, "PessimisticLock", strlen("PessimisticLock")) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("a lock of the transaction was lost"),
				 errdetail("The store said: %s.", error->text),
				 errhint("The transaction might succeed if retried.")));
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("the store refused the transaction"),
			 errdetail("It said: %s.",
					   error->text == NULL ? "(nothing)" : error->text)));
}

pg_attribute_noreturn() static void report_region(const ClientResult *result)
{
	const char *text = result->text == NULL ? "" : result->text;

	switch (result->region_error)
	{
		case REGION_DISK_FULL:
			ereport(ERROR,
					(errcode(ERRCODE_DISK_FULL), errmsg("the disk is full"),
					 errdetail("Nothing was written: %s.", text),
					 errhint("Free space; tikv.reserve_space is the bound.")));
		case REGION_ENTRY_TOO_LARGE:
			ereport(
				ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the write is too large"),
				 errdetail("A key and its value may have 8 MiB together: %s.",
						   text)));
		case REGION_SERVER_IS_BUSY:
			ereport(
				ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("the store is busy"),
				 errdetail("Nothing was written: %s.", text),
				 errhint(
					 "Try again; SELECT * FROM tikv_status() may say more.")));
		case REGION_FLASHBACK_IN_PROGRESS:
		case REGION_FLASHBACK_NOT_PREPARED:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the region is being flashed back")));
		case REGION_OK:
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_CANNOT_CONNECT_NOW),
					 errmsg("the store refused the request: %s", text),
					 hint_leader()));
	}
	report_not_serving(WORKER_STORE);
}

void
txn_report(const ClientResult *result)
{
	switch (result->outcome)
	{
		case CLIENT_REFUSED:
			report_refused(&result->error);
		case CLIENT_UNKNOWN:
			ereport(
				ERROR,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("tikv store did not answer within %d ms",
						tikv_fdw_settings.request_timeout_ms),
				 errdetail(
					 "The outcome is unknown: the request may yet be carried out."),
				 errhint("tikv.request_timeout is the bound.")));
		default:
			break;
	}
	report_region(result);
}

void
txn_report_read(TxnLookAnswer answer)
{
	ereport(ERROR,
			(errcode(answer == TXN_LOOK_TOO_MANY ?
						 ERRCODE_PROGRAM_LIMIT_EXCEEDED :
						 ERRCODE_CANNOT_CONNECT_NOW),
			 errmsg("the read is not possible: %s", txn_look_text(answer))));
}
