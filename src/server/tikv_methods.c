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

const RpcMethod tikv_methods[] = {
	/* transactions */
	LEFT_OUT("KvGet"),
	LEFT_OUT("KvScan"),
	LEFT_OUT("KvPrewrite"),
	LEFT_OUT("KvPessimisticLock"),
	LEFT_OUT("KVPessimisticRollback"),
	LEFT_OUT("KvTxnHeartBeat"),
	LEFT_OUT("KvCheckTxnStatus"),
	LEFT_OUT("KvCheckSecondaryLocks"),
	LEFT_OUT("KvCommit"),
	LEFT_OUT("KvImport"),
	LEFT_OUT("KvCleanup"),
	LEFT_OUT("KvBatchGet"),
	LEFT_OUT("KvBatchRollback"),
	LEFT_OUT("KvScanLock"),
	LEFT_OUT("KvResolveLock"),
	LEFT_OUT("KvGC"),
	LEFT_OUT("KvDeleteRange"),
	LEFT_OUT("KvFlush"),
	LEFT_OUT("KvBufferBatchGet"),
	LEFT_OUT("BroadcastTxnStatus"),
	LEFT_OUT("KvPrepareFlashbackToVersion"),
	LEFT_OUT("KvFlashbackToVersion"),

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
	LEFT_OUT("UnsafeDestroyRange"),
	LEFT_OUT("SplitRegion"),
	LEFT_OUT("ReadIndex"),
	LEFT_OUT("CheckLeader"),
	LEFT_OUT("RegisterLockObserver"),
	LEFT_OUT("CheckLockObserver"),
	LEFT_OUT("RemoveLockObserver"),
	LEFT_OUT("PhysicalScanLock"),
	LEFT_OUT("MvccGetByKey"),
	LEFT_OUT("MvccGetByStartTs"),
	LEFT_OUT("GetLockWaitInfo"),
	LEFT_OUT("GetLockWaitHistory"),
	LEFT_OUT("Compact"),

	/* coprocessor */
	LEFT_OUT("Coprocessor"),
	LEFT_OUT_STREAM("CoprocessorStream"),
	LEFT_OUT_STREAM("BatchCoprocessor"),
	LEFT_OUT("DelegateCoprocessor"),

	/* between stores: served on the peer address */
	LEFT_OUT_STREAM("Raft"),
	LEFT_OUT_STREAM("BatchRaft"),
	LEFT_OUT_STREAM("Snapshot"),
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
