/*
 * sim.h
 *	  A simulated store with clients that run whole transactions, all of it
 *	  from one seed.
 *
 * The commands are core/txn's own, the reads core/mvcc's, the waiting core's
 * lock_wait; around them is a driver that does what a store does: commands are
 * evaluated into turns that commit or abort as one, guards and locks appear
 * and vanish in the order of DESIGN 5, in-memory locks get lost.  Clients are
 * coroutines that do what client-go does, and may die at every step.  Every
 * choice comes from the seed, so that it replays a run exactly.
 */
#ifndef TIKV_SIM_TXN_H
#define TIKV_SIM_TXN_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "core/mvcc/read.h"
#include "core/txn/lock_wait.h"
#include "core/txn/status_cache.h"
#include "mvcc_memory.h"

#define MS 1000 /* time is in microseconds */

#define SIM_CLIENTS 6
#define SIM_KEYS 18
#define SIM_ACCOUNTS 6
#define SIM_INDEX 6	 /* first of the keys that account i has beside it */
#define SIM_LISTS 12 /* two of them */
#define SIM_BLIND 14 /* four of them */
#define SIM_REGION_1 "m"
#define SIM_MAX_WRITES 8
#define SIM_BALANCE 100

/* Scaled down, so that much happens in little time. */
#define RPC_TIMEOUT_US (15 * MS)
#define RPC_LIFE_US (80 * MS) /* no request is under way for longer */
#define WAIT_CEILING_US (50 * MS)

/* ------------------------------------------------------------ the model */

typedef enum Outcome
{
	OUTCOME_UNKNOWN, /* never told: died, or gave up waiting */
	OUTCOME_COMMITTED,
	OUTCOME_FAILED
} Outcome;

/* One key that a transaction writes or locks. */
typedef struct SimWrite
{
	int key;
	MutationOp op;
	Bytes value;
	bool is_rmw;	   /* the value was made from what was read */
	uint64_t based_on; /* the writer of what was read; 0 nobody */
	uint64_t number;   /* what was read */
	Bytes list;
	PessimisticAction action;
	bool locked;
	bool has_expected;
	uint64_t locked_fu; /* the for_update_ts in its lock */
} SimWrite;

typedef struct SimTxn
{
	uint64_t start_ts;
	bool pessimistic;
	bool use_async;
	bool try_one_pc;
	bool causal; /* does not ask for external consistency */
	SimWrite writes[SIM_MAX_WRITES];
	int n_writes;
	int primary; /* place in writes */
	uint64_t for_update_ts;
	uint64_t max_commit_ts;
	bool prewriting;	   /* may have left prewritten locks */
	uint64_t commit_floor; /* acknowledged when the commit began */
	Outcome outcome;
	uint64_t commit_ts;
	int64_t begun_us;
	bool active;
	int64_t ended_us;
} SimTxn;

/* A commit record, as it became visible. */
typedef struct Version
{
	int key;
	uint64_t start_ts;
	uint64_t commit_ts;
	WriteType type;
} Version;

/* What somebody read. */
typedef struct SimRead
{
	int key;
	uint64_t ts;
	uint64_t writer; /* start_ts of who wrote it; 0: nothing there */
	uint64_t floor;	 /* at MAX: acknowledged on the key before it began */
} SimRead;

/* --------------------------------------------------------------- requests */

typedef struct Client Client;

typedef enum ReplyKind
{
	REPLY_NONE,
	REPLY_ANSWER,
	REPLY_BUSY, /* nothing happened */
	REPLY_TIMEOUT
} ReplyKind;

typedef struct Rpc
{
	TxnCommand command;
	bool is_retry;
	int region;
	Client *client;
	uint64_t call; /* the client's count of calls */
	int64_t due_us;
	int64_t expires_us;
	uint64_t generation; /* of the leadership it was sent to */
	TxnAnswer answer;
	TxnEffects effects;
	bool answered; /* before its turn was durable */
	bool parked;
	int64_t deadline_us; /* of a wait that goes on */
} Rpc;

struct Client
{
	ucontext_t context;
	char *stack;
	int slot;
	bool dead;
	bool sleeping; /* until wake_us, or a reply */
	int64_t wake_us;
	uint64_t call;
	ReplyKind reply;
	const TxnAnswer *answer;
	bool is_cleaner;
	bool done;
	SimTxn *txn;
};

typedef enum TurnStage
{
	TURN_OPEN,
	TURN_ROWS_VISIBLE /* locks and guards not yet changed */
} TurnStage;

typedef struct Sim
{
	uint64_t seed;
	uint64_t rng;
	uint64_t step;
	uint64_t steps_max;
	bool trace;
	bool healing;
	Arena arena; /* everything of the run */

	/* clocks */
	int64_t now;
	uint64_t tso;
	int64_t tso_leap_us;

	/* the store */
	MvccMemory visible;
	MvccMemory work;	   /* with what the open turn did */
	ConcurrencyManager cm; /* in front of work's */
	TxnCommandKind running;
	TxnStatusCache *status_cache;
	LockWait *waits;
	uint64_t generation; /* of leadership */
	bool max_ts_synced;
	bool memory_locks;
	bool pipelined;
	uint64_t safe_point;
	uint64_t deleted_up_to; /* by collectors; not above it */
	Rpc *turn[8];
	size_t n_turn;
	size_t turn_size;
	TurnStage stage;
	bool turn_is_dirty; /* has changed something */
	Arena turn_arena;
	Rpc **queue;
	size_t n_queue;
	size_t queue_room;

	/* clients */
	Client clients[SIM_CLIENTS + 1];
	ucontext_t context;
	Client *current;
	double death;
	double loss;
	double abort_rate;
	double turn_hunger; /* for more requests before it ends */
	double election_rate;
	double collect_rate;
	uint64_t ttl_ms; /* of locks */
	int64_t idle_us; /* between transactions, at most */
	int n_accounts;	 /* few: hot ones */
	bool stormy;
	bool one_list; /* mostly appends to one key */
	int n_clients;
	Bytes keys[SIM_KEYS];

	/* the model */
	SimTxn **txns;
	size_t n_txns;
	size_t txns_room;
	Version *versions;
	size_t n_versions;
	size_t versions_room;
	SimRead *reads;
	size_t n_reads;
	size_t reads_room;
	uint64_t acked; /* greatest commit_ts that was acknowledged */
	uint64_t acked_key[SIM_KEYS];

	/* for the summary */
	uint64_t n_committed;
	uint64_t n_failed;
	uint64_t n_unknown;
	uint64_t n_async;
	uint64_t n_one_pc;
	uint64_t n_pipelined;
	uint64_t n_resolved;
	uint64_t n_deadlocks;
	uint64_t n_conflict_locks;
	uint64_t n_aborted_turns;
	uint64_t n_elections;
	uint64_t n_collections;
} Sim;

extern Sim *sim;

/* Bugs put in on purpose: MUTATION= names one; see mutations.sh. */
extern bool sim_mutation(const char *name);

/* ----------------------------------------------------------------- main.c */

extern void sim_fail(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));
extern void sim_trace(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
extern uint64_t sim_rand(uint64_t n); /* below n */
extern bool sim_chance(double p);
extern uint64_t sim_tso(void);
extern void *sim_alloc(size_t size);

/* Room for one more in an array that lives in the run's arena. */
#define SIM_GROW(array, n, room) \
	sim_grow((void **) &(array), (n), &(room), sizeof((array)[0]))
extern void sim_grow(void **array, size_t n, size_t *room, size_t size);

/* ---------------------------------------------------------------- store.c */

extern void store_init(void);
extern void store_free(void);
extern void store_queue(Rpc *rpc);

/* One thing that the store can do now; false if there is none. */
extern bool store_step(void);
extern int64_t store_next_due(void);
extern void store_lose_leadership(void);
extern void store_sync_max_ts(void);
extern int region_of(Bytes key);
extern KeyRange region_range(int region);

/* ---------------------------------------------------------------- reads.c */

/* What a read of a key found. */
typedef struct Found
{
	bool exists;
	uint64_t writer;
	uint64_t number; /* of an account */
	Bytes list;		 /* of a list: the writers, 8 bytes each */
} Found;

/*
 * Read keys at ts, resolving what is in the way.  False: given up, or too old
 * to be read.
 */
extern bool read_keys(Client *c, uint64_t ts, const int *keys, int n,
					  Found *found);
extern Bytes value_make(uint64_t writer, uint64_t number, Bytes list);
extern void value_parse(Bytes value, Found *found);
extern int key_index(Bytes key);

/* -------------------------------------------------------------- clients.c */

extern void clients_init(void);
extern void clients_free(void);
extern bool clients_step(void);
extern int64_t clients_next_due(void);
extern bool clients_are_done(void);
extern void client_start_cleaner(void);

/* Inside of a coroutine. */
extern void client_pause(Client *c);
extern void client_sleep(Client *c, int64_t us);
extern void client_may_die(Client *c);
extern ReplyKind client_call(Client *c, const TxnCommand *command, int region,
							 bool is_retry);

/*
 * The same until there is an answer; NULL if there is none after a while, and
 * then nobody knows whether it was carried out.
 */
extern const TxnAnswer *client_must_call(Client *c, const TxnCommand *command,
										 int region);

/* ----------------------------------------------------------------- txn.c */

extern void run_transaction(Client *c);

/* ------------------------------------------------------------- commit.c */

/* Prewrite and commit, or fail; the outcome is the transaction's. */
extern void commit_transaction(Client *c, SimTxn *txn);
extern void roll_back(Client *c, SimTxn *txn);

/* Once everything is prewritten; the outcome tells whether it did commit. */
extern void commit_primary(Client *c, SimTxn *txn);
extern void commit_is_known(SimTxn *txn, uint64_t commit_ts);

/* ---------------------------------------------------------------- flush.c */

extern void run_pipelined(Client *c, SimTxn *txn);

/* -------------------------------------------------------------- resolve.c */

/* Start_ts of transactions whose locks a read may pass or read through. */
typedef struct LockLists
{
	uint64_t resolved[64];
	size_t n_resolved;
	uint64_t committed[64];
	size_t n_committed;
} LockLists;

/*
 * End the lock of another transaction if that can be; false if it lives.
 * With lists, for a read at `caller_ts`: true if the lock needs not be waited
 * for.
 */
extern bool resolve_lock(Client *c, const LockInfo *info, uint64_t caller_ts,
						 LockLists *lists);
extern void resolve_everything(Client *c);

/* Commit all locks of a committed transaction, wherever they are. */
extern void resolve_regions(Client *c, const SimTxn *txn);

/* ------------------------------------------------------------ collector.c */

extern void collect_garbage(Client *c);

/* ---------------------------------------------------------------- model.c */

extern void model_commit(Bytes key, uint64_t commit_ts,
						 const WriteRecord *write);
extern SimTxn *model_txn(uint64_t start_ts);
extern void model_read(int key, uint64_t ts, uint64_t writer, uint64_t floor);
extern void model_check(void);

#endif /* TIKV_SIM_TXN_H */
