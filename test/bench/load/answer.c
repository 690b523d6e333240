/*
 * answer.c
 *	  The answers that rpc_load gets, taken apart by hand, so that the generator
 *	  is cheaper than the server.
 */
#include <stdio.h>

#include "answer.h"
#include "measure.h"
#include "service/wire.h"

uint64_t lock_retries;
uint64_t pairs_read;
uint64_t bytes_read;

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
bool
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
