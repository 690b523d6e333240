/*
 * service_etcd.h
 *	  Between the files of etcd's handlers: single steps, which a transaction
 *	  puts together.
 */
#ifndef TIKV_PD_SERVICE_ETCD_H
#define TIKV_PD_SERVICE_ETCD_H

#include "etcdserverpb.pb-c.h"
#include "pd/pd.h"

extern KvTxn etcd_begin(PdAsk *ask);
extern KvRange etcd_range(ProtobufCBinaryData key, ProtobufCBinaryData end);

extern KvError etcd_do_range(PdAsk *ask, const KvTxn *txn,
							 const Etcdserverpb__RangeRequest *in,
							 Etcdserverpb__RangeResponse *out);
extern KvError etcd_do_put(PdAsk *ask, KvTxn *txn,
						   const Etcdserverpb__PutRequest *in,
						   Etcdserverpb__PutResponse *out);
extern KvError etcd_do_delete(PdAsk *ask, KvTxn *txn,
							  const Etcdserverpb__DeleteRangeRequest *in,
							  Etcdserverpb__DeleteRangeResponse *out);

#endif /* TIKV_PD_SERVICE_ETCD_H */
