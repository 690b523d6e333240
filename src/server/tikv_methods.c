/*
 * tikv_methods.c
 *	  Every RPC of a storage node, for ServerConfig.methods.
 *
 * One without a handler answers UNIMPLEMENTED by intent; docs/compatibility.md
 * says why.  Source of the names: pingcap/kvproto proto/tikvpb.proto.
 */
#include "server/tikv_methods.h"

#include "server/batch.h"

#define SERVED(name, id)                                    \
	{                                                       \
		"/tikvpb.Tikv/" name, RPC_UNARY, id, &unary_handler \
	}
#define LEFT_OUT(name)                           \
	{                                            \
		"/tikvpb.Tikv/" name, RPC_UNARY, 0, NULL \
	}
#define LEFT_OUT_STREAM(name)                     \
	{                                             \
		"/tikvpb.Tikv/" name, RPC_STREAM, 0, NULL \
	}

/* src/transport has the handler, which the store alone gives to its server. */
#define AMONG_STORES(name) LEFT_OUT_STREAM(name)

const RpcMethod tikv_methods[] = {
	/* transactions */
	SERVED("KvGet", METHOD_KV_GET),
	SERVED("KvScan", METHOD_KV_SCAN),
	SERVED("KvPrewrite", METHOD_KV_PREWRITE),
	SERVED("KvPessimisticLock", METHOD_KV_PESSIMISTIC_LOCK),
	SERVED("KVPessimisticRollback", METHOD_KV_PESSIMISTIC_ROLLBACK),
	SERVED("KvTxnHeartBeat", METHOD_KV_TXN_HEART_BEAT),
	SERVED("KvCheckTxnStatus", METHOD_KV_CHECK_TXN_STATUS),
	SERVED("KvCheckSecondaryLocks", METHOD_KV_CHECK_SECONDARY_LOCKS),
	SERVED("KvCommit", METHOD_KV_COMMIT),
	LEFT_OUT("KvImport"),
	SERVED("KvCleanup", METHOD_KV_CLEANUP),
	SERVED("KvBatchGet", METHOD_KV_BATCH_GET),
	SERVED("KvBatchRollback", METHOD_KV_BATCH_ROLLBACK),
	SERVED("KvScanLock", METHOD_KV_SCAN_LOCK),
	SERVED("KvResolveLock", METHOD_KV_RESOLVE_LOCK),
	LEFT_OUT("KvGC"),
	SERVED("KvDeleteRange", METHOD_KV_DELETE_RANGE),
	SERVED("KvFlush", METHOD_KV_FLUSH),
	SERVED("KvBufferBatchGet", METHOD_KV_BUFFER_BATCH_GET),
	SERVED("BroadcastTxnStatus", METHOD_BROADCAST_TXN_STATUS),
	SERVED("KvPrepareFlashbackToVersion", METHOD_KV_PREPARE_FLASHBACK),
	SERVED("KvFlashbackToVersion", METHOD_KV_FLASHBACK_TO_VERSION),

	/* raw keys */
	SERVED("RawGet", METHOD_RAW_GET),
	SERVED("RawBatchGet", METHOD_RAW_BATCH_GET),
	SERVED("RawPut", METHOD_RAW_PUT),
	SERVED("RawBatchPut", METHOD_RAW_BATCH_PUT),
	SERVED("RawDelete", METHOD_RAW_DELETE),
	SERVED("RawBatchDelete", METHOD_RAW_BATCH_DELETE),
	SERVED("RawScan", METHOD_RAW_SCAN),
	SERVED("RawDeleteRange", METHOD_RAW_DELETE_RANGE),
	SERVED("RawBatchScan", METHOD_RAW_BATCH_SCAN),
	SERVED("RawGetKeyTTL", METHOD_RAW_GET_KEY_TTL),
	SERVED("RawCompareAndSwap", METHOD_RAW_CAS),
	SERVED("RawChecksum", METHOD_RAW_CHECKSUM),
	SERVED("RawCoprocessor", METHOD_RAW_COPROCESSOR),

	/* the whole store */
	{"/tikvpb.Tikv/BatchCommands", RPC_STREAM, METHOD_BATCH_COMMANDS,
	 &batch_handler},
	SERVED("GetHealthFeedback", METHOD_GET_HEALTH_FEEDBACK),
	SERVED("GetStoreSafeTS", METHOD_GET_STORE_SAFE_TS),
	SERVED("UnsafeDestroyRange", METHOD_UNSAFE_DESTROY_RANGE),
	SERVED("SplitRegion", METHOD_SPLIT_REGION),
	LEFT_OUT("ReadIndex"),
	LEFT_OUT("CheckLeader"),
	LEFT_OUT("RegisterLockObserver"),
	LEFT_OUT("CheckLockObserver"),
	LEFT_OUT("RemoveLockObserver"),
	LEFT_OUT("PhysicalScanLock"),
	SERVED("MvccGetByKey", METHOD_MVCC_GET_BY_KEY),
	SERVED("MvccGetByStartTs", METHOD_MVCC_GET_BY_START_TS),
	SERVED("GetLockWaitInfo", METHOD_GET_LOCK_WAIT_INFO),
	LEFT_OUT("GetLockWaitHistory"),
	LEFT_OUT("Compact"),

	/* coprocessor */
	LEFT_OUT("Coprocessor"),
	LEFT_OUT_STREAM("CoprocessorStream"),
	LEFT_OUT_STREAM("BatchCoprocessor"),
	LEFT_OUT("DelegateCoprocessor"),

	/* for SQL on nodes that do not lead the region */
	{"/tikv_fdw.Store/Order", RPC_UNARY, METHOD_STORE_ADMIN, &unary_handler},
	{"/tikv_fdw.Store/Locks", RPC_UNARY, METHOD_STORE_LOCKS, &unary_handler},
	{"/tikv_fdw.Store/Versions", RPC_UNARY, METHOD_STORE_VERSIONS,
	 &unary_handler},

	AMONG_STORES("Raft"),
	AMONG_STORES("BatchRaft"),
	AMONG_STORES("Snapshot"),
	LEFT_OUT_STREAM("TabletSnapshot"),

	/* TiFlash */
	LEFT_OUT("DispatchMPPTask"),
	LEFT_OUT("CancelMPPTask"),
	LEFT_OUT_STREAM("EstablishMPPConnection"),
	LEFT_OUT("IsAlive"),
	LEFT_OUT("ReportMPPTaskStatus"),
	LEFT_OUT("GetTiFlashSystemTable"),
	LEFT_OUT("GetEstimateTiCICount"),
	LEFT_OUT("tryAddLock"),
	LEFT_OUT("tryMarkDelete"),
	LEFT_OUT("EstablishDisaggTask"),
	LEFT_OUT("CancelDisaggTask"),
	LEFT_OUT_STREAM("FetchDisaggPages"),
	LEFT_OUT("GetDisaggConfig"),

	{"/tikvpb.VersionedKv/VersionedCoprocessor", RPC_UNARY, 0, NULL},
};
const int tikv_n_methods = sizeof(tikv_methods) / sizeof(tikv_methods[0]);
