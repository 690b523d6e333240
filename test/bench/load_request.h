/*
 * load_request.h
 *	  The requests that rpc_load sends and the answers that it gets, by hand.
 *
 * What is counted is a Task: one raw command, or a whole transaction on one
 * key with all its RPCs, one after the other.
 */
#ifndef TIKV_BENCH_LOAD_REQUEST_H
#define TIKV_BENCH_LOAD_REQUEST_H

#include "load_measure.h"
#include "service/service.h"
#include "service/wire.h"

typedef struct Options
{
	const char *addr;
	const char *mode;
	const char *method;
	const char *pd;
	const char *tls;
	long inflight;
	long batch;
	long connections;
	long seconds;
	long warmup;
	long keys;
	long first;
	long key_size;
	long value_size;
	long hot;
	long fill;
	long limit;
	long ttl;
} Options;

static Options opt = {.addr = "127.0.0.1:20160",
					  .mode = "rawget",
					  .method = "/bench.Echo/Empty",
					  .inflight = 64,
					  .batch = 16,
					  .connections = 1,
					  .seconds = 5,
					  .warmup = 1,
					  .keys = 100000,
					  .key_size = 16,
					  .value_size = 100,
					  .limit = 10000};

static uint8_t context[256]; /* a packed kvrpcpb.Context */
static size_t context_len;
static uint8_t *value;
static uint8_t *scratch; /* room for any request */

/* ---- what there is to do ---- */

typedef enum Step
{
	STEP_END,
	STEP_EMPTY,
	STEP_RAW_GET,
	STEP_RAW_PUT,
	STEP_RAW_SCAN,
	STEP_GET,
	STEP_SCAN,
	STEP_ONE_PC,
	STEP_LOCK,
	STEP_PREWRITE,
	STEP_PREWRITE_ASYNC,
	STEP_PREWRITE_LOCKED,
	STEP_COMMIT,
	STEP_ETCD_GET,
	STEP_ETCD_PUT,
	STEP_SPLIT, /* by itself: split_all() */
	N_STEPS
} Step;

#define MAX_STEPS 4

typedef struct Mode
{
	const char *name;
	bool transactional;
	Step steps[MAX_STEPS]; /* up to STEP_END */
} Mode;

static const Mode modes[] = {
	{"empty", false, {STEP_EMPTY}},
	{"rawget", false, {STEP_RAW_GET}},
	{"rawput", false, {STEP_RAW_PUT}},
	{"rawscan", false, {STEP_RAW_SCAN}},
	{"get", true, {STEP_GET}},
	{"scan", true, {STEP_SCAN}},
	{"1pc", true, {STEP_ONE_PC}},
	{"2pc", true, {STEP_PREWRITE, STEP_COMMIT}},
	{"async", true, {STEP_PREWRITE_ASYNC, STEP_COMMIT}},
	{"pessimistic", true, {STEP_LOCK, STEP_PREWRITE_LOCKED, STEP_COMMIT}},
	{"etcdget", false, {STEP_ETCD_GET}},
	{"etcdput", false, {STEP_ETCD_PUT}},
	{"split", false, {STEP_SPLIT}},
};

static const Mode *mode;	  /* of what is measured */
static const Mode *fill_mode; /* of --fill */
static bool streaming;
static bool filling;	   /* every key once, in order */
static uint64_t fill_next; /* the key that is next then */

static const Mode *
find_mode(const char *name)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	return NULL;
}

typedef struct Task
{
	const Mode *mode;
	long number; /* among those in flight at the same time */
	int at;		 /* of the mode's steps */
	uint64_t key;
	uint64_t start_ts;
	uint64_t for_update_ts;
	uint64_t commit_ts; /* known of an async commit before it is sent */
	int64_t begin_us;
} Task;

/* ---- timestamps, which PD gave before the load began ---- */

typedef struct TsRange
{
	uint64_t next;
	uint64_t end;
} TsRange;

static TsRange *ts_ranges;
static size_t n_ts_ranges;

static uint64_t
take_ts(void)
{
	while (n_ts_ranges > 0 && ts_ranges->next == ts_ranges->end)
	{
		ts_ranges++;
		n_ts_ranges--;
	}
	if (n_ts_ranges == 0)
	{
		fprintf(stderr, "the timestamps fetched beforehand are used up\n");
		exit(1);
	}
	return ts_ranges->next++;
}

/* ---- writing ---- */

static uint8_t *
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

static size_t
bytes_size(size_t len)
{
	return 1 + wire_varint_len(len) + len;
}

static void
write_key(uint8_t *key, uint64_t n)
{
	char digits[32];
	size_t len = (size_t) snprintf(digits, sizeof(digits), "%llu",
								   (unsigned long long) n);

	memset(key, '0', (size_t) opt.key_size);
	memcpy(key, "key", 3);
	memcpy(key + opt.key_size - (long) len, digits, len);
}

static size_t
scratch_size(void)
{
	return sizeof(context) + 4 * (size_t) opt.key_size +
		(size_t) opt.value_size + 256;
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

/* Does it ask etcd, which knows neither context nor region? */
static bool
is_etcd(const Mode *of)
{
	return of->steps[0] == STEP_ETCD_GET || of->steps[0] == STEP_ETCD_PUT;
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

static Step
task_step(const Task *t)
{
	return t->mode->steps[t->at];
}

/* The task's next request, in `scratch`; its length. */
static size_t
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

/* The number of its method, which is its member of BatchCommands, too. */
static MethodId
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

static const char *
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

/* ---- tasks ---- */

/*
 * A key for the task.  Those of transactions in flight at the same time
 * differ, unless there is to be one key only.
 */
static uint64_t
pick_key(const Task *t)
{
	uint64_t keys = (uint64_t) opt.keys;
	uint64_t tasks = (uint64_t) opt.inflight;

	if (filling)
		return fill_next++;
	if (opt.hot)
		return 0;
	if (t->mode->steps[0] == STEP_RAW_SCAN || t->mode->steps[0] == STEP_SCAN)
		return next_random() %
			(keys > (uint64_t) opt.limit ? keys - (uint64_t) opt.limit : 1);
	if (!t->mode->transactional || keys < 2 * tasks)
		return next_random() % keys;
	return next_random() % (keys / tasks) * tasks + (uint64_t) t->number;
}

static void
task_begin(Task *t, const Mode *of)
{
	t->mode = of;
	t->at = 0;
	t->key = pick_key(t);
	t->start_ts = of->transactional ? take_ts() : 0;
	t->for_update_ts = of->steps[0] == STEP_LOCK ? t->start_ts : 0;
	t->commit_ts = 0;
	t->begin_us = now_us();
}

static uint64_t lock_retries;

/* KeyError: 1 locked, after the longest wait that the store allows; 4 conflict. */
static bool
may_lock_later(Bytes key_error)
{
	WireReader r = wire_reader(key_error);
	WireField f;

	while (wire_read_field(&r, &f))
		if (f.number == 1 || f.number == 4)
			return true;
	return false;
}

static void
report_error(const WireField *f)
{
	char text[200];
	int len = f->bytes.len > 150 ? 150 : (int) f->bytes.len;

	snprintf(text, sizeof(text), "%s: %.*s",
			 f->number == 1 ? "region error" : "error", len,
			 (const char *) f->bytes.data);
	count_error(text);
}

static uint64_t pairs_read;
static uint64_t bytes_read;

/* A scan's answer: 1 a region error, 2 the pairs, of which 1 is an error. */
static void
scan_answer(Bytes answer)
{
	WireReader r = wire_reader(answer);
	WireField f;

	while (wire_read_field(&r, &f))
		if (f.number == 1 && f.type == WIRE_BYTES)
			report_error(&f);
		else if (f.number == 2)
		{
			WireReader pair = wire_reader(f.bytes);
			WireField member;

			pairs_read++;
			bytes_read += f.bytes.len;
			if (wire_read_field(&pair, &member) && member.number == 1)
				report_error(&member);
		}
	if (r.bad)
		count_error("malformed answer");
}

/* etcd's answer: field 4 of a RangeResponse counts what was found. */
static void
etcd_answer(const Task *t, Bytes answer)
{
	WireReader r = wire_reader(answer);
	WireField f;
	uint64_t found = 0;

	while (wire_read_field(&r, &f))
		if (f.number == 4 && f.type == WIRE_VARINT)
			found = f.value;
	if (r.bad)
		count_error("malformed answer");
	else if (task_step(t) == STEP_ETCD_GET && found != 1)
		count_error("the key is not there");
}

/*
 * An answer.  In all of TiKV's field 1 is a region error and field 2 an error;
 * of a get 4 says that there is nothing, of a prewrite 3 and 4 are the commit
 * timestamps that the store chose for async commit and 1PC.
 */
static bool
task_answer(Task *t, Bytes answer)
{
	WireReader r = wire_reader(answer);
	WireField f;
	Step step = task_step(t);
	uint64_t chosen = 0;

	if (step == STEP_RAW_SCAN || step == STEP_SCAN)
	{
		scan_answer(answer);
		return true;
	}
	if (is_etcd(t->mode))
	{
		etcd_answer(t, answer);
		return true;
	}
	while (wire_read_field(&r, &f))
	{
		if (f.number <= 2 && f.type == WIRE_BYTES)
		{
			/* Too late for its timestamp: again with a new one, as clients do. */
			if (step == STEP_LOCK && f.number == 2 && may_lock_later(f.bytes))
			{
				lock_retries++;
				t->for_update_ts = take_ts();
				return false;
			}
			report_error(&f);
			return true;
		}
		if (f.type == WIRE_VARINT && f.value != 0 &&
			((step == STEP_ONE_PC && f.number == 4) ||
			 (step == STEP_PREWRITE_ASYNC && f.number == 3)))
			chosen = f.value;
		else if (step == STEP_GET && f.number == 4 && f.value != 0)
			count_error("the key is not there");
	}
	if (r.bad)
		count_error("malformed answer");
	if (chosen == 0 && (step == STEP_ONE_PC || step == STEP_PREWRITE_ASYNC))
		count_error("fell back from 1PC or async commit");
	t->commit_ts = chosen;
	t->at++;
	return t->at == MAX_STEPS || task_step(t) == STEP_END;
}

#endif /* TIKV_BENCH_LOAD_REQUEST_H */
