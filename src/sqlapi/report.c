/*
 * report.c
 *	  Which SQLSTATE an answer becomes, and what the message says.
 *
 * Two things matter to whoever reads one: did anything happen, and what can
 * be done.  So errors that leave the outcome open have a state of their own
 * (08007), and the reason of a worker that does not serve is passed on.
 */
#include "postgres.h"

#include "core/base/rpc_code.h"
#include "guc.h"
#include "sqlapi/sqlapi.h"

/* Who serves may do so for nobody while its group has no leader. */
static const char *
helpless(WorkerKind kind)
{
	return kind == WORKER_PD ? "no leader of the placement driver answers yet" :
							   "no store serves the key's region yet";
}

int
hint_leader(void)
{
	return errhint(
		"SELECT * FROM tikv_status() says if no leader is known for long; see \"When most are lost\" in docs/operations.md then. Else try again.");
}

void
report_not_serving(WorkerKind kind)
{
	WorkerView worker;

	worker_view(kind, &worker);
	if (worker.state == WORKER_SERVING)
		ereport(ERROR,
				(errcode(ERRCODE_CANNOT_CONNECT_NOW),
				 errmsg("%s", helpless(kind)), errdetail("Nothing was done."),
				 hint_leader()));
	ereport(ERROR,
			(errcode(ERRCODE_CANNOT_CONNECT_NOW),
			 errmsg("%s does not serve", worker_name(kind)),
			 errdetail("Nothing was done. It is %s%s%s.",
					   worker_state_name(worker.state),
					   worker.reason[0] == '\0' ? "" : ": ", worker.reason),
			 errhint("See SELECT * FROM tikv_status().")));
}

void
report_unless_serving(WorkerKind kind)
{
	WorkerView worker;

	worker_view(kind, &worker);
	if (worker.state != WORKER_SERVING)
		report_not_serving(kind);
}

/* A gRPC code that a worker answered instead of a reply. */
static int
sqlstate_of(int grpc_code)
{
	switch (grpc_code)
	{
		case RPC_INVALID_ARGUMENT:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case RPC_RESOURCE_EXHAUSTED:
			return ERRCODE_INSUFFICIENT_RESOURCES;
		case RPC_UNIMPLEMENTED:
			return ERRCODE_FEATURE_NOT_SUPPORTED;
		case RPC_UNAVAILABLE:
		case RPC_DEADLINE_EXCEEDED:
		case RPC_CANCELLED:
			return ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN;
		default:
			return ERRCODE_INTERNAL_ERROR;
	}
}

void
report_unanswered(const char *whose, BusCode code)
{
	if (code == BUS_TIMEOUT)
		ereport(
			ERROR,
			(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
			 errmsg("%s did not answer within %d ms", whose,
					tikv_fdw_settings.request_timeout_ms),
			 errdetail(
				 "The outcome is unknown: the request may yet be carried out."),
			 errhint(
				 "tikv.request_timeout is the bound. SELECT * FROM tikv_status() says if no leader is known for long; see \"When most are lost\" in docs/operations.md then.")));
	ereport(
		ERROR,
		(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
		 errmsg("%s went away", whose),
		 errdetail(
			 "The outcome is unknown: the request may have been carried out.")));
}

void
report_bus(WorkerKind to, const BusReply *reply)
{
	switch (reply->code)
	{
		case BUS_BUSY:
			ereport(
				ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("%s is busy", worker_name(to)),
				 errdetail(
					 "Nothing was done: too much waits for it, or it did not come to this request in time."),
				 errhint(
					 "Try again. tikv.bus_slots, tikv.bus_memory and tikv.request_timeout are the bounds.")));
		case BUS_TIMEOUT:
		case BUS_LOST:
			report_unanswered(worker_name(to), reply->code);
		case BUS_ERROR:
			ereport(ERROR,
					(errcode(sqlstate_of(reply->grpc_code)),
					 errmsg("%s refused: %.*s", worker_name(to),
							(int) reply->bytes.len,
							(const char *) reply->bytes.data),
					 to == WORKER_PD && reply->grpc_code == RPC_UNAVAILABLE ?
						 hint_leader() :
						 0));
		case BUS_DOWN:
		case BUS_OK:
			break;
	}
	report_not_serving(to);
}

/* True if the request met another region than it meant: look again. */
static bool
is_misrouted(const Errorpb__Error *error)
{
	return error->not_leader != NULL || error->region_not_found != NULL ||
		error->key_not_in_region != NULL || error->epoch_not_match != NULL ||
		error->store_not_match != NULL || error->mismatch_peer_id != NULL ||
		error->region_not_initialized != NULL ||
		error->proposal_in_merging_mode != NULL;
}

void
report_flashback(uint64 region_id)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("region " UINT64_FORMAT
				" is being set back to an older version",
				region_id),
		 errhint(
			 "Raw keys are served again when the flashback is finished; see tikv.regions.")));
}

void
report_region_error(const Errorpb__Error *error)
{
	if (is_misrouted(error))
		return;
	if (error->flashbackinprogress != NULL)
		report_flashback(error->flashbackinprogress->region_id);
	if (error->server_is_busy != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("the store is busy"),
			 errdetail("Nothing was written: %s.",
					   error->server_is_busy->reason),
			 errhint("Try again; SELECT * FROM tikv_status() may say more.")));
	if (error->disk_full != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DISK_FULL), errmsg("the disk is full"),
				 errdetail("Nothing was written: %s.",
						   error->disk_full->reason),
				 errhint("Free space; tikv.reserve_space is the bound.")));
	if (error->raft_entry_too_large != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the write is too large"),
			 errdetail(
				 "Its keys and values take %llu bytes in the log; 8 MiB is the limit.",
				 (unsigned long long)
					 error->raft_entry_too_large->entry_size)));
	if (error->undetermined_result != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("the outcome of the write is unknown"),
				 errdetail("It may yet be carried out: %s.",
						   error->undetermined_result->message)));
	if (error->stale_command != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("the region changed while the write was on its way"),
				 errdetail("The outcome is unknown: %s.", error->message)));
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("the store refused the write: %s", error->message)));
}

void
report_raw_error(const char *text, Bytes key)
{
	if (strcmp(text, "key exists") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("key already exists"),
				 errdetail("Key is %s.", key_text(key))));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the store refused the write: %s", text)));
}
