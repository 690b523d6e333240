/*
 * task.c
 *	  What there is to do, and the key and timestamps to do it with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "options.h"
#include "task.h"

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

const Mode *mode;
const Mode *fill_mode;
bool streaming;
bool filling;
uint64_t fill_next;

TsRange *ts_ranges;
size_t n_ts_ranges;

const Mode *
find_mode(const char *name)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	return NULL;
}

bool
is_etcd(const Mode *of)
{
	return of->steps[0] == STEP_ETCD_GET || of->steps[0] == STEP_ETCD_PUT;
}

uint64_t
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

void
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
