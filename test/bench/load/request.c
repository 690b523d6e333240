/*
 * request.c
 *	  The requests that rpc_load sends, put together by hand, so that the
 *	  generator is cheaper than the server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "request.h"
#include "service/wire.h"

static uint8_t context[256]; /* a packed kvrpcpb.Context */
static size_t context_len;
static uint8_t *value;

uint8_t *scratch;

uint8_t *
put_bytes(uint8_t *p, uint32_t field, const uint8_t *data, size_t len)
{
	p = wire_write_varint(p, wire_key(field, WIRE_BYTES));
	p = wire_write_varint(p, len);
	memcpy(p, data, len);
	return p + len;
}

static uint8_t *
put_number(uint8_t *p, uint32_t field, uint64_t number)
{
	p = wire_write_varint(p, wire_key(field, WIRE_VARINT));
	return wire_write_varint(p, number);
}

size_t
bytes_size(size_t len)
{
	return 1 + wire_varint_len(len) + len;
}

void
write_key(uint8_t *key, uint64_t n)
{
	char digits[32];
	size_t len = (size_t) snprintf(digits, sizeof(digits), "%llu",
								   (unsigned long long) n);

	memset(key, '0', (size_t) opt.key_size);
	memcpy(key, "key", 3);
	memcpy(key + opt.key_size - (long) len, digits, len);
}

void
set_context(const ProtobufCMessage *message)
{
	context_len = protobuf_c_message_get_packed_size(message);
	if (context_len > sizeof(context))
		abort();
	protobuf_c_message_pack(message, context);
}

void
make_room(void)
{
	scratch = malloc(sizeof(context) + 4 * (size_t) opt.key_size +
					 (size_t) opt.value_size + 256);
	value = malloc((size_t) opt.value_size + 1);
	memset(value, 'v', (size_t) opt.value_size + 1);
}

#define RAW_PUT_TTL 5 /* a field of RawPutRequest */
#define LOCK_TTL_MS 20000
#define LOCK_WAIT_MS 10000
#define OP_PUT 0
#define OP_PESSIMISTIC_LOCK 5
#define DO_PESSIMISTIC_CHECK 1

/* Field 2 of PrewriteRequest and PessimisticLockRequest. */
static uint8_t *
put_mutation(uint8_t *p, uint64_t op, const uint8_t *key)
{
	size_t key_len = (size_t) opt.key_size;
	size_t value_len = op == OP_PUT ? (size_t) opt.value_size : 0;

	p = wire_write_varint(p, wire_key(2, WIRE_BYTES));
	p = wire_write_varint(p,
						  2 + bytes_size(key_len) +
							  (value_len > 0 ? bytes_size(value_len) : 0));
	p = put_number(p, 1, op);
	p = put_bytes(p, 2, key, key_len);
	return value_len > 0 ? put_bytes(p, 3, value, value_len) : p;
}

static uint8_t *
write_prewrite(uint8_t *p, const Task *t, Step step, const uint8_t *key)
{
	const uint8_t check = DO_PESSIMISTIC_CHECK;

	p = put_mutation(p, OP_PUT, key);
	p = put_bytes(p, 3, key, (size_t) opt.key_size);
	p = put_number(p, 4, t->start_ts);
	p = put_number(p, 5, LOCK_TTL_MS);
	if (step == STEP_PREWRITE_LOCKED)
		p = put_bytes(p, 7, &check, 1);
	p = put_number(p, 8, 1);
	if (step == STEP_PREWRITE_LOCKED)
		p = put_number(p, 9, t->for_update_ts);
	p = put_number(p, 10,
				   (t->for_update_ts > 0 ? t->for_update_ts : t->start_ts) + 1);
	if (step == STEP_PREWRITE_ASYNC)
		p = put_number(p, 11, 1);
	return step == STEP_ONE_PC ? put_number(p, 13, 1) : p;
}

static uint8_t *
write_lock(uint8_t *p, const Task *t, const uint8_t *key)
{
	p = put_mutation(p, OP_PESSIMISTIC_LOCK, key);
	p = put_bytes(p, 3, key, (size_t) opt.key_size);
	p = put_number(p, 4, t->start_ts);
	p = put_number(p, 5, LOCK_TTL_MS);
	p = put_number(p, 6, t->for_update_ts);
	p = put_number(p, 7, 1);
	p = put_number(p, 8, LOCK_WAIT_MS);
	p = put_number(p, 10, 1);
	return put_number(p, 11, t->for_update_ts + 1);
}

static uint8_t *
write_commit(uint8_t *p, Task *t, const uint8_t *key)
{
	if (t->commit_ts == 0)
		t->commit_ts = take_ts();
	p = put_number(p, 2, t->start_ts);
	p = put_bytes(p, 3, key, (size_t) opt.key_size);
	return put_number(p, 4, t->commit_ts);
}

/* etcdserverpb.RangeRequest of one key, or PutRequest. */
static uint8_t *
write_etcd(uint8_t *p, Step step, const uint8_t *key)
{
	p = put_bytes(p, 1, key, (size_t) opt.key_size);
	return step == STEP_ETCD_PUT ?
		put_bytes(p, 2, value, (size_t) opt.value_size) :
		p;
}

size_t
task_write(Task *t)
{
	uint8_t key[4096];
	uint8_t *p = scratch;

	if (task_step(t) == STEP_EMPTY)
		return 0;
	write_key(key, t->key);
	if (is_etcd(t->mode))
		return (size_t) (write_etcd(p, task_step(t), key) - scratch);
	p = put_bytes(p, 1, context, context_len);
	switch (task_step(t))
	{
		case STEP_RAW_GET:
		case STEP_RAW_PUT:
		case STEP_GET:
			p = put_bytes(p, 2, key, (size_t) opt.key_size);
			if (task_step(t) == STEP_RAW_PUT)
				p = put_bytes(p, 3, value, (size_t) opt.value_size);
			if (task_step(t) == STEP_RAW_PUT && opt.ttl > 0)
				p = put_number(p, RAW_PUT_TTL, (uint64_t) opt.ttl);
			if (task_step(t) == STEP_GET)
				p = put_number(p, 3, t->start_ts);
			break;
		case STEP_RAW_SCAN:
			p = put_bytes(p, 2, key, (size_t) opt.key_size);
			p = put_number(p, 3, (uint64_t) opt.limit);
			break;
		case STEP_SCAN:
			p = put_bytes(p, 2, key, (size_t) opt.key_size);
			p = put_number(p, 3, (uint64_t) opt.limit);
			p = put_number(p, 4, t->start_ts);
			break;
		case STEP_LOCK:
			p = write_lock(p, t, key);
			break;
		case STEP_COMMIT:
			p = write_commit(p, t, key);
			break;
		default:
			p = write_prewrite(p, t, task_step(t), key);
			break;
	}
	return (size_t) (p - scratch);
}

MethodId
step_method(Step step)
{
	switch (step)
	{
		case STEP_RAW_GET:
			return METHOD_RAW_GET;
		case STEP_RAW_PUT:
			return METHOD_RAW_PUT;
		case STEP_RAW_SCAN:
			return METHOD_RAW_SCAN;
		case STEP_GET:
			return METHOD_KV_GET;
		case STEP_SCAN:
			return METHOD_KV_SCAN;
		case STEP_LOCK:
			return METHOD_KV_PESSIMISTIC_LOCK;
		case STEP_COMMIT:
			return METHOD_KV_COMMIT;
		default:
			return METHOD_KV_PREWRITE;
	}
}

const char *
step_path(Step step)
{
	switch (step)
	{
		case STEP_EMPTY:
			return opt.method;
		case STEP_RAW_GET:
			return "/tikvpb.Tikv/RawGet";
		case STEP_RAW_PUT:
			return "/tikvpb.Tikv/RawPut";
		case STEP_RAW_SCAN:
			return "/tikvpb.Tikv/RawScan";
		case STEP_GET:
			return "/tikvpb.Tikv/KvGet";
		case STEP_SCAN:
			return "/tikvpb.Tikv/KvScan";
		case STEP_LOCK:
			return "/tikvpb.Tikv/KvPessimisticLock";
		case STEP_COMMIT:
			return "/tikvpb.Tikv/KvCommit";
		case STEP_ETCD_GET:
			return "/etcdserverpb.KV/Range";
		case STEP_ETCD_PUT:
			return "/etcdserverpb.KV/Put";
		default:
			return "/tikvpb.Tikv/KvPrewrite";
	}
}
