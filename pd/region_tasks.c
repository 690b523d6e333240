/*
 * region_tasks.c
 *	  What takes longer than a round: regions that somebody wants split at
 *	  given keys, and scattered.
 *
 * Leaders are told to split and do not answer; their heartbeats show what
 * came of it, so a task looks at the regions until all keys are bounds or its
 * time is over, as tikv/pd does (pkg/schedule/splitter/region_splitter.go: a
 * look each 100 ms, a minute for each try).  What is not done then is told by
 * a percentage.  Tasks live in memory of the leader alone.
 *
 * A client that leaves takes its task along, so that none waits for nobody: one
 * of gRPC is heard of, one of HTTP is looked at each second.
 */
#include "postgres.h"

#include <stdlib.h>

#include "bus/board.h"
#include "core/base/check.h"
#include "pd/convert.h"
#include "pd/core/cut.h"
#include "pd/core/scatter.h"
#include "pd/http_ask.h"

#define MAX_TASKS 1024

/* Over HTTP, where each keeps one of the few connections. */
#define MAX_HTTP_TASKS 128

/* Of all of them: keys and regions are gone through while others wait. */
#define MAX_TASK_BYTES ((size_t) 64 << 20)
#define MAX_TASK_ITEMS ((size_t) 1 << 17)

/* A connection, or all of HTTP, has no more than this part of each. */
#define PART_OF_ONE 2

/* What does not come from a connection of gRPC: those count from 1. */
#define SOURCE_HTTP UINT64_MAX
#define SOURCE_BUS (UINT64_MAX - 1)

#define LOOK_FOR_CLIENT_US INT64CONST(1000000)
#define LOOK_US INT64CONST(100000)

/* After a look: how many times as long as it took, at least. */
#define LOOK_REST 9
#define TRY_US INT64CONST(60000000)
#define RETELL_US INT64CONST(2000000)

/* As tikv/pd pkg/schedule/scatter/region_scatterer.go. */
#define MAX_RETRIES 30
#define LONGEST_PAUSE_US INT64CONST(60000000)
#define SCATTERED_AT_ONCE 256

typedef struct RegionTask
{
	struct RegionTask *next;
	ReplyTo to;
	uint64 source; /* who has its share of what may be done */
	Arena arena;
	size_t bytes;
	size_t items;	/* keys and regions */
	bool splitting; /* still */
	bool scatter;
	bool single;
	bool skip_store_limit;
	const char *group;
	const char *why; /* of the last refusal */
	Bytes *keys;	 /* NULL: ids were given */
	size_t n_keys;
	uint64_t *ids; /* split or to be scattered */
	size_t n_ids;
	uint64_t *left; /* of ids: not scattered yet */
	size_t n_left;
	size_t at;	  /* of left: who is next in this try, */
	size_t kept;  /* and how many could not be, */
	size_t known; /* of these, regions that there are */
	int split_percent;
	int tries;
	int tried;
	int64 next_us;
	int64 told_us;
	int64 until_us;
} RegionTask;

/* ---- the list ---- */

static size_t
size_of(const RegionTaskWish *wish)
{
	size_t bytes = wish->n_keys * (sizeof(Bytes) + 2 * sizeof(uint64_t)) +
		wish->n_ids * 2 * sizeof(uint64_t) +
		(wish->group == NULL ? 0 : strlen(wish->group));

	for (size_t i = 0; i < wish->n_keys; i++)
		bytes += wish->keys[i].len;
	return bytes;
}

static uint64
source_of(const ReplyTo *to)
{
	if (to->http != NULL)
		return SOURCE_HTTP;
	return to->call == NULL ? SOURCE_BUS : call_source(to->call);
}

typedef struct Burden
{
	size_t n;
	size_t bytes;
	size_t items;
} Burden;

static void
add_burden(Burden *to, size_t bytes, size_t items)
{
	to->n++;
	to->bytes += bytes;
	to->items += items;
}

static bool
is_borne(const Burden *burden, size_t part)
{
	return burden->n <= MAX_TASKS / part &&
		burden->bytes <= MAX_TASK_BYTES / part &&
		burden->items <= MAX_TASK_ITEMS / part;
}

static bool
has_room(const Pd *pd, const ReplyTo *to, size_t bytes, size_t items)
{
	Burden all = {0};
	Burden own = {0};

	add_burden(&all, bytes, items);
	add_burden(&own, bytes, items);
	for (const RegionTask *task = pd->tasks; task != NULL; task = task->next)
	{
		add_burden(&all, task->bytes, task->items);
		if (task->source == source_of(to))
			add_burden(&own, task->bytes, task->items);
	}
	return is_borne(&all, 1) && is_borne(&own, PART_OF_ONE) &&
		(to->http == NULL || own.n <= MAX_HTTP_TASKS);
}

static void
copy_wish(RegionTask *task, const RegionTaskWish *wish)
{
	Arena *arena = &task->arena;
	size_t n = Max(wish->n_keys, wish->n_ids);

	task->scatter = wish->scatter;
	task->single = wish->single;
	task->skip_store_limit = wish->skip_store_limit;
	task->group = arena_strdup(arena, wish->group == NULL ? "" : wish->group);
	task->ids = arena_alloc(arena, n * sizeof(uint64_t));
	task->left = arena_alloc(arena, n * sizeof(uint64_t));
	task->n_left = task->n_ids = wish->n_ids;
	if (wish->n_ids > 0)
	{
		memcpy(task->ids, wish->ids, wish->n_ids * sizeof(uint64_t));
		memcpy(task->left, wish->ids, wish->n_ids * sizeof(uint64_t));
	}
	if (wish->n_keys == 0)
		return;
	task->splitting = true;
	task->keys = arena_alloc(arena, wish->n_keys * sizeof(Bytes));
	for (size_t i = 0; i < wish->n_keys; i++)
		task->keys[i] = arena_copy(arena, wish->keys[i]);
	task->n_keys = cut_sort(task->keys, wish->n_keys);
}

bool
region_task_begin(Pd *pd, const ReplyTo *to, const RegionTaskWish *wish)
{
	size_t bytes = size_of(wish);
	size_t items = wish->n_keys + wish->n_ids;
	RegionTask *task;

	if (!has_room(pd, to, bytes, items))
		return false;
	task = calloc(1, sizeof(*task));
	CHECK(task != NULL);
	arena_init(&task->arena);
	task->to = *to;
	task->source = source_of(to);
	task->bytes = bytes;
	task->items = items;
	task->tries = 1 + (int) Min(wish->retry_limit, MAX_RETRIES);
	copy_wish(task, wish);
	task->until_us = board_now_us() + task->tries * TRY_US;
	if (to->call != NULL)
		call_hold(to->call);
	task->next = pd->tasks;
	pd->tasks = task;
	pd->next_task_us = 0;
	return true;
}

static void
drop(RegionTask **place)
{
	RegionTask *task = *place;

	*place = task->next;
	if (task->to.call != NULL)
		call_release(task->to.call);
	arena_free(&task->arena);
	free(task);
}

void
region_tasks_fail(Pd *pd, const char *text)
{
	while (pd->tasks != NULL)
	{
		pd_fail(pd, &pd->tasks->to, RPC_UNAVAILABLE, text);
		drop(&pd->tasks);
	}
}

int64
region_tasks_sleep_us(const Pd *pd)
{
	return pd->tasks == NULL ? -1 : Max(pd->next_task_us - board_now_us(), 1);
}

/* ---- answers ---- */

static int
scatter_percent(const RegionTask *task)
{
	return task->n_ids == 0 ? 100 :
							  100 - (int) (100 * task->n_left / task->n_ids);
}

static Pdpb__ResponseHeader *
new_header(Pd *pd)
{
	Pdpb__ResponseHeader *out = NEW_MESSAGE(&pd->arena, Pdpb__ResponseHeader,
											pdpb__response_header__init);

	out->cluster_id = pd->state.cluster_id;
	return out;
}

static void
answer_split(Pd *pd, RegionTask *task)
{
	Pdpb__SplitRegionsResponse out = PDPB__SPLIT_REGIONS_RESPONSE__INIT;

	out.header = new_header(pd);
	out.finished_percentage = (uint64_t) task->split_percent;
	out.regions_id = task->ids;
	out.n_regions_id = task->n_ids;
	pd_reply(pd, &task->to, &out.base);
}

static void
answer_both(Pd *pd, RegionTask *task)
{
	Pdpb__SplitAndScatterRegionsResponse out =
		PDPB__SPLIT_AND_SCATTER_REGIONS_RESPONSE__INIT;

	out.header = new_header(pd);
	out.split_finished_percentage = (uint64_t) task->split_percent;
	out.scatter_finished_percentage = (uint64_t) scatter_percent(task);
	out.regions_id = task->ids;
	out.n_regions_id = task->n_ids;
	pd_reply(pd, &task->to, &out.base);
}

static void
answer_scatter(Pd *pd, RegionTask *task)
{
	Pdpb__ScatterRegionResponse out = PDPB__SCATTER_REGION_RESPONSE__INIT;

	if (task->single && task->n_left > 0)
	{
		pd_fail(pd, &task->to, RPC_UNKNOWN,
				arena_strdup(&pd->arena, task->why));
		return;
	}
	out.header = new_header(pd);
	out.finished_percentage = (uint64_t) scatter_percent(task);
	out.failed_regions_id = task->left;
	out.n_failed_regions_id = task->n_left;
	pd_reply(pd, &task->to, &out.base);
}

/* tikv/pd's words for one operator that pd-ctl wants. */
static void
answer_http_single(Pd *pd, const RegionTask *task)
{
	JsonWriter json;
	bool done = task->n_left == 0;

	json_init(&json, &pd->arena);
	json_string(&json, NULL, done ? "The operator is created." : task->why);
	pd_reply_http(pd, &task->to, done ? HTTP_OK : HTTP_INTERNAL, HTTP_JSON,
				  json_text(&json));
}

static void
answer_http(Pd *pd, const RegionTask *task)
{
	JsonWriter json;

	json_init(&json, &pd->arena);
	json_open(&json, NULL, '{');
	json_uint(&json, "processed-percentage",
			  task->scatter ? (uint64_t) scatter_percent(task) :
							  (uint64_t) task->split_percent);
	if (!task->scatter)
	{
		json_open(&json, "regions-id", '[');
		for (size_t i = 0; i < task->n_ids; i++)
			json_uint(&json, NULL, task->ids[i]);
		json_close(&json, ']');
	}
	json_close(&json, '}');
	pd_reply_http(pd, &task->to, HTTP_OK, HTTP_JSON, json_text(&json));
}

static void
answer(Pd *pd, RegionTask *task)
{
	if (task->to.http != NULL && task->single)
		answer_http_single(pd, task);
	else if (task->to.http != NULL)
		answer_http(pd, task);
	else if (!task->scatter)
		answer_split(pd, task);
	else if (task->keys != NULL)
		answer_both(pd, task);
	else
		answer_scatter(pd, task);
}

/* ---- what is done ---- */

static void
tell_leaders(Pd *pd, RegionTask *task, int64 now_us)
{
	Order *orders;
	size_t n = cut_orders(&pd->state.cluster.regions, task->keys, task->n_keys,
						  &pd->arena, &orders);

	for (size_t i = 0; i < n; i++)
		orders_send(pd, &orders[i]);
	task->told_us = now_us;
}

/* True: as far as it could be done. */
static bool
split(Pd *pd, RegionTask *task, int64 now_us)
{
	size_t done = cut_done(&pd->state.cluster.regions, task->keys, task->n_keys,
						   task->ids);
	int64 spent_us;

	/* What one order did not hold is told as soon as that is made. */
	if (done > task->n_ids)
		task->told_us = 0;
	task->n_ids = done;
	task->split_percent =
		100 - (int) ((task->n_keys - done) * 100 / task->n_keys);
	if (done == task->n_keys || now_us >= task->until_us)
		return true;
	if (task->told_us == 0 || now_us - task->told_us >= RETELL_US)
		tell_leaders(pd, task, now_us);
	spent_us = board_now_us() - now_us;
	task->next_us = now_us + spent_us + Max(LOOK_US, spent_us * LOOK_REST);
	return false;
}

/* Ids that cannot be saved are not used. */
static bool
scatter_one(Pd *pd, RegionTask *task, uint64_t id, int64 now_us)
{
	PdChanges changes;
	const char *why = NULL;
	ScatterEnd end;

	pd_changes_init(&changes, &pd->arena);
	end = scatter_region(&pd->schedule, &pd->state, id, task->group,
						 task->skip_store_limit, now_us, &changes, &why);
	if (!pd_change(pd, &changes, &why))
	{
		if (end == SCATTER_BEGUN)
			(void) schedule_cancel(&pd->schedule, id, now_us);
		end = SCATTER_REFUSED;
	}
	if (end == SCATTER_BEGUN)
		pd->schedule.tick_us = now_us;
	if (end == SCATTER_REFUSED && task->single)
		task->why = arena_strdup(&task->arena, why);
	return end != SCATTER_REFUSED;
}

/*
 * So many in one round, since others wait for its end.  What is no region will
 * be none: as in tikv/pd (ScatterRegionsByID) it is not waited for.
 */
static bool
scatter(Pd *pd, RegionTask *task, int64 now_us)
{
	int64 pause_us = INT64CONST(100000) << Min(task->tried, 10);
	size_t end = Min(task->at + SCATTERED_AT_ONCE, task->n_left);
	bool done;

	for (; task->at < end; task->at++)
	{
		uint64_t id = task->left[task->at];

		if (scatter_one(pd, task, id, now_us))
			continue;
		task->left[task->kept++] = id;
		task->known += region_tree_get(&pd->state.cluster.regions, id) != NULL;
	}
	task->next_us = now_us;
	if (task->at < task->n_left)
		return false;
	done = task->known == 0;
	task->n_left = task->kept;
	task->at = task->kept = task->known = 0;
	task->tried++;
	task->next_us = now_us + Min(pause_us, LONGEST_PAUSE_US);
	return done || task->tried >= task->tries;
}

static bool
proceed(Pd *pd, RegionTask *task, int64 now_us)
{
	if (task->splitting)
	{
		if (!split(pd, task, now_us))
			return false;
		task->splitting = false;
		task->n_left = task->n_ids;
		if (task->n_ids > 0)
			memcpy(task->left, task->ids, task->n_ids * sizeof(uint64_t));
	}
	return !task->scatter || scatter(pd, task, now_us);
}

static bool
is_abandoned(const RegionTask *task)
{
	if (task->to.http != NULL)
		return http_has_left(task->to.http);
	return task->to.call != NULL && call_over(task->to.call);
}

/* When to look at it again. */
static int64
due_us(const RegionTask *task, int64 now_us)
{
	if (task->to.http == NULL)
		return task->next_us;
	return Min(task->next_us, now_us + LOOK_FOR_CLIENT_US);
}

void
region_tasks_tick(Pd *pd)
{
	int64 now = board_now_us();
	RegionTask **place = &pd->tasks;

	if (now < pd->next_task_us)
		return;
	pd->next_task_us = PG_INT64_MAX;
	while (*place != NULL)
	{
		RegionTask *task = *place;

		if (is_abandoned(task))
		{
			pd_fail(pd, &task->to, RPC_CANCELLED, "nobody waits for it");
			drop(place);
			continue;
		}
		if (task->next_us <= now && proceed(pd, task, now))
		{
			answer(pd, task);
			drop(place);
			continue;
		}
		pd->next_task_us = Min(pd->next_task_us, due_us(task, now));
		place = &task->next;
	}
}
