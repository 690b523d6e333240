/*
 * pd_key.c
 *	  Keys of PD's store of keys that are the stores' own: compared and put in
 *	  one transaction.
 */
#include "postgres.h"

#include "mvccpb.pb-c.h"
#include "store/pd_key.h"
#include "store/store.h"

ProtobufCBinaryData
pd_key_binary(const char *text)
{
	ProtobufCBinaryData out = {strlen(text), (uint8_t *) text};

	return out;
}

static const Etcdserverpb__TxnResponse *
ask(Arena *arena, const Etcdserverpb__TxnRequest *request, char *reason,
	Size size)
{
	return (const Etcdserverpb__TxnResponse *)
		store_pd_call(METHOD_PD_ETCD_TXN, &request->base,
					  &etcdserverpb__txn_response__descriptor, arena, reason,
					  size);
}

const Etcdserverpb__TxnResponse *
pd_key_put_if(Arena *arena, const Etcdserverpb__Compare *compare,
			  const char *value, char *reason, Size size)
{
	Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
	Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
	Etcdserverpb__RangeRequest look = ETCDSERVERPB__RANGE_REQUEST__INIT;
	Etcdserverpb__RequestOp put_op = ETCDSERVERPB__REQUEST_OP__INIT;
	Etcdserverpb__RequestOp look_op = ETCDSERVERPB__REQUEST_OP__INIT;
	Etcdserverpb__Compare *compares[] = {(Etcdserverpb__Compare *) compare};
	Etcdserverpb__RequestOp *puts[] = {&put_op};
	Etcdserverpb__RequestOp *looks[] = {&look_op};

	put.key = look.key = compare->key;
	put.value = pd_key_binary(value);
	put_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
	put_op.request_put = &put;
	look_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
	look_op.request_range = &look;
	request.n_compare = request.n_success = request.n_failure = 1;
	request.compare = compares;
	request.success = puts;
	request.failure = looks;
	return ask(arena, &request, reason, size);
}

void
pd_key_compare_none(Etcdserverpb__Compare *compare, const char *key)
{
	compare->key = pd_key_binary(key);
	compare->result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL;
	compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
	compare->target_union_case =
		ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
	compare->create_revision = 0;
}

const char *
pd_key_found(const Etcdserverpb__TxnResponse *reply, Arena *arena)
{
	const Etcdserverpb__RangeResponse *range;

	if (reply->n_responses != 1 ||
		reply->responses[0]->response_case !=
			ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE)
		return NULL;
	range = reply->responses[0]->response_range;
	if (range->n_kvs == 0)
		return NULL;
	return arena_printf(arena, "%.*s", (int) range->kvs[0]->value.len,
						(const char *) range->kvs[0]->value.data);
}

bool
pd_key_get(Arena *arena, const char *key, const char **value, char *reason,
		   Size size)
{
	Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
	Etcdserverpb__RangeRequest look = ETCDSERVERPB__RANGE_REQUEST__INIT;
	Etcdserverpb__RequestOp look_op = ETCDSERVERPB__REQUEST_OP__INIT;
	Etcdserverpb__RequestOp *looks[] = {&look_op};
	const Etcdserverpb__TxnResponse *reply;

	look.key = pd_key_binary(key);
	look_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
	look_op.request_range = &look;
	request.n_success = 1;
	request.success = looks;
	reply = ask(arena, &request, reason, size);
	if (reply == NULL)
		return false;
	*value = pd_key_found(reply, arena);
	return true;
}
