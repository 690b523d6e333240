/*
 * task.h
 *	  One raw command, or a whole transaction on one key with all its RPCs,
 *	  one after the other: what is counted.
 */
#ifndef TIKV_BENCH_LOAD_TASK_H
#define TIKV_BENCH_LOAD_TASK_H

#include "core/base/bytes.h"

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

extern const Mode *mode;	  /* of what is measured */
extern const Mode *fill_mode; /* of --fill */
extern bool streaming;
extern bool filling;	   /* every key once, in order */
extern uint64_t fill_next; /* the key that is next then */

/* NULL: there is no such mode. */
extern const Mode *find_mode(const char *name);

/* Does it ask etcd, which knows neither context nor region? */
extern bool is_etcd(const Mode *of);

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

static inline Step
task_step(const Task *t)
{
	return t->mode->steps[t->at];
}

extern void task_begin(Task *t, const Mode *of);

/* Timestamps, which PD gave before the load began. */
typedef struct TsRange
{
	uint64_t next;
	uint64_t end;
} TsRange;

extern TsRange *ts_ranges;
extern size_t n_ts_ranges;

extern uint64_t take_ts(void);

#endif /* TIKV_BENCH_LOAD_TASK_H */
