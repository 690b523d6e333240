/*
 * client_kit.h
 *	  A store in memory behind ClientIo: regions that split, answers that get
 *	  lost, a clock that moves when somebody sleeps.
 *
 * A test plans what happens to the next requests and compares what was sent:
 *
 *		prewrite(a,b)@1 commit(a)@1
 */
#ifndef TIKV_TEST_CLIENT_KIT_H
#define TIKV_TEST_CLIENT_KIT_H

#include "core/client/client.h"
#include "core/codec/memcomparable.h"
#include "txn_kit.h"

#define MAX_REGIONS 8
#define MAX_PLANS 64

typedef enum Fault
{
	FAULT_NONE,
	FAULT_UNSENT,		/* nothing happens */
	FAULT_LOST,			/* nothing happens, and nobody knows */
	FAULT_ANSWER_LOST,	/* it is carried out, and nobody knows */
	FAULT_REGION_ERROR, /* `error` */
	FAULT_STALE_DONE	/* carried out, answered with StaleCommand */
} Fault;

typedef struct Plan
{
	Fault fault;
	RegionErrorKind error;
	uint64_t backoff_ms;
	void (*before)(void); /* something else happens first */
} Plan;

static Kit kit;
static ClientIo world_io;
static Client client;
static Arena world; /* of the test: what outlives calls */
static Region regions[MAX_REGIONS];
static size_t n_regions;
static uint64_t world_ms;
static uint64_t world_left_ms; /* patience */
static uint64_t world_slept_ms;
static uint64_t leader_of[MAX_REGIONS]; /* peer id */
static Plan plans[MAX_PLANS];
static size_t n_plans;
static size_t next_plan;
static char sent[KIT_TEXT];
static bool locate_fails;
static bool tso_fails;
static size_t n_locates;

static inline uint64_t
world_ts(void)
{
	return MS(++world_ms);
}

static inline void
world_split(const char *at)
{
	Bytes bound = memcomparable_encode(K(at), &world);
	Region *last;
	size_t i = 0;

	while (i + 1 < n_regions && bytes_cmp(regions[i].end_key, bound) <= 0)
		i++;
	memmove(&regions[i + 1], &regions[i], (n_regions - i) * sizeof(Region));
	n_regions++;
	last = &regions[i + 1];
	regions[i].end_key = bound;
	last->start_key = bound;
	last->id = n_regions;
	last->peers[0].id = 100 + n_regions;
	regions[i].epoch.version++;
	last->epoch = regions[i].epoch;
	for (size_t j = 0; j < n_regions; j++)
		leader_of[j] = regions[j].peers[0].id;
}

static inline Region *
world_region(Bytes key)
{
	for (size_t i = 0; i < n_regions; i++)
		if (region_cache_holds(&regions[i], key))
			return &regions[i];
	return NULL;
}

static inline bool
world_locate(ClientIo *io, Bytes key, Arena *arena, Region *region,
			 RegionPeer *leader)
{
	(void) io;
	(void) arena;
	n_locates++;
	if (locate_fails)
		return false;
	*region = *world_region(key);
	*leader = region->peers[0];
	return true;
}

static inline bool
world_timestamp(ClientIo *io, uint64_t *ts)
{
	(void) io;
	*ts = world_ts();
	return !tso_fails;
}

static inline bool
world_sleep(ClientIo *io, int64_t ms)
{
	(void) io;
	world_ms += (uint64_t) ms;
	world_slept_ms += (uint64_t) ms;
	world_left_ms -=
		world_left_ms < (uint64_t) ms ? world_left_ms : (uint64_t) ms;
	return world_left_ms > 0;
}

static inline void
note_sent(const CachedRegion *region, const TxnCommand *command)
{
	static const char *const names[] = {[TXN_CMD_PREWRITE] = "prewrite",
										[TXN_CMD_COMMIT] = "commit",
										[TXN_CMD_BATCH_ROLLBACK] = "rollback",
										[TXN_CMD_CHECK_TXN_STATUS] = "status",
										[TXN_CMD_CHECK_SECONDARY_LOCKS] =
											"secondaries",
										[TXN_CMD_RESOLVE_LOCK] = "resolve",
										[TXN_CMD_TXN_HEART_BEAT] = "beat",
										[TXN_CMD_PESSIMISTIC_LOCK] = "lock",
										[TXN_CMD_PESSIMISTIC_ROLLBACK] =
											"unlock"};
	size_t len = strlen(sent);

	len += (size_t) snprintf(sent + len, sizeof(sent) - len, "%s%s(",
							 len > 0 ? " " : "", names[command->kind]);
	for (size_t i = 0; i < client_n_keys(command); i++)
	{
		Bytes key = client_key(command, i);

		len += (size_t) snprintf(sent + len, sizeof(sent) - len, "%s%.*s",
								 i > 0 ? "," : "", (int) key.len,
								 (const char *) key.data);
	}
	(void) snprintf(sent + len, sizeof(sent) - len, ")@%d",
					(int) region->region.id);
}

static inline void
carry_out(const TxnCommand *command, bool is_retry, Arena *arena,
		  ClientReply *reply)
{
	TxnCommand copy = *command;

	effects_init(&kit.effects, arena);
	kit.env.arena = arena;
	kit.env.is_retry_request = is_retry;
	memset(&kit.answer, 0, sizeof(kit.answer));
	txn_execute(&kit.env, &copy, &kit.answer);
	kit_apply(&kit);
	for (size_t i = 0; i < kit.effects.n_guards; i++)
		kit.m.cm.retract(&kit.m.cm, kit.effects.guards[i].key,
						 kit.effects.guards[i].start_ts);
	reply->answer = kit.answer;
}

/* What a real store checks of its own accord. */
static inline bool
check_region(const CachedRegion *asked, const TxnCommand *command,
			 ClientReply *reply)
{
	const Region *now = world_region(client_key(command, 0));

	if (now->id != asked->region.id ||
		!region_epoch_matches(asked->region.epoch, now->epoch, EPOCH_DATA))
	{
		reply->region_error = REGION_EPOCH_NOT_MATCH;
		reply->current = regions;
		reply->n_current = n_regions;
		return false;
	}
	if (leader_of[now - regions] != asked->leader.id)
	{
		reply->region_error = REGION_NOT_LEADER;
		reply->leader.id = leader_of[now - regions];
		return false;
	}
	for (size_t i = 0; i < client_n_keys(command); i++)
		CHECK(region_cache_holds(now, client_key(command, i)));
	return true;
}

static inline SubmitOutcome
world_submit(ClientIo *io, const CachedRegion *region,
			 const TxnCommand *command, bool is_retry, Arena *arena,
			 ClientReply *reply)
{
	Plan plan = {0};

	(void) io;
	if (next_plan < n_plans)
		plan = plans[next_plan++];
	if (plan.before != NULL)
		plan.before();
	note_sent(region, command);
	memset(reply, 0, sizeof(*reply));
	switch (plan.fault)
	{
		case FAULT_UNSENT:
			return SUBMIT_UNSENT;
		case FAULT_LOST:
			return SUBMIT_UNKNOWN;
		case FAULT_REGION_ERROR:
			reply->region_error = plan.error;
			reply->backoff_ms = plan.backoff_ms;
			return SUBMIT_ANSWERED;
		default:
			break;
	}
	if (check_region(region, command, reply))
		carry_out(command, is_retry, arena, reply);
	if (plan.fault == FAULT_STALE_DONE)
	{
		memset(reply, 0, sizeof(*reply));
		reply->region_error = REGION_STALE_COMMAND;
	}
	return plan.fault == FAULT_ANSWER_LOST ? SUBMIT_UNKNOWN : SUBMIT_ANSWERED;
}

static inline void
world_init(void)
{
	kit_init(&kit);
	arena_init(&world);
	world_io.locate = world_locate;
	world_io.timestamp = world_timestamp;
	world_io.submit = world_submit;
	world_io.sleep = world_sleep;
	client_init(&client, &world_io, 1);
	memset(regions, 0, sizeof(regions));
	n_regions = 1;
	regions[0].id = 1;
	regions[0].epoch.version = 1;
	regions[0].n_peers = 1;
	regions[0].peers[0].id = 101;
	leader_of[0] = 101;
	world_ms = 1000;
	world_left_ms = 1000000;
	world_slept_ms = 0;
	n_plans = next_plan = n_locates = 0;
	locate_fails = tso_fails = false;
	sent[0] = '\0';
}

static inline void
world_free(void)
{
	client_free(&client);
	arena_free(&world);
	kit.env.arena = &kit.arena;
	kit_free(&kit);
}

static inline void
plan_fault(Fault fault)
{
	plans[n_plans++] = (Plan){.fault = fault};
}

static inline void
plan_error(RegionErrorKind error)
{
	plans[n_plans++] = (Plan){.fault = FAULT_REGION_ERROR, .error = error};
}

static inline void
plan_before(void (*before)(void))
{
	plans[n_plans++] = (Plan){.before = before};
}

#define SENT_IS(want, what)       \
	do                            \
	{                             \
		EQ_STR(sent, want, what); \
		sent[0] = '\0';           \
	} while (0)

#endif /* TIKV_TEST_CLIENT_KIT_H */
