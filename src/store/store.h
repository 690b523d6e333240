/*
 * store.h
 *	  The single writer: all state of a `tikv store` process in one struct.
 *
 * The folder's own header.  One Store holds the peers of this node's regions,
 * the queue of writes, and what the turn needs; there are no globals beside
 * it, so that several stores per node can follow.
 */
#ifndef TIKV_STORE_STORE_H
#define TIKV_STORE_STORE_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "bus/board.h"
#include "core/base/fair.h"
#include "core/base/share.h"
#include "core/cmd/peer_message.h"
#include "core/kv/latches.h"
#include "core/kv/overlay.h"
#include "core/raft/raft.h"
#include "core/raft/silence.h"
#include "core/txn/lock_wait.h"
#include "core/txn/memory_locks.h"
#include "core/txn/overlay.h"
#include "core/txn/status_cache.h"
#include "kvserver/dispatch.h"
#include "server/server.h"
#include "service/messages.h"
#include "storage/bad_block.h"
#include "storage/state_table.h"
#include "storage/txn_table.h"
#include "store/background.h"
#include "store/gc.h"
#include "store/guard.h"
#include "store/hibernate.h"
#include "store/region_size.h"
#include "core/base/pacer.h"

typedef struct Store Store;
struct Write;
struct Grants;
struct GrantHold;
struct GrantWish;

/* Where a peer that is not in the region's descriptor is reached. */
#define PEER_SENDERS 8

/* Peers of a region that this store leads, and that do not answer. */
#define PEER_SILENCES 4

/* What was written since PD was told. */
typedef struct WriteFlow
{
	uint64 bytes;
	uint64 keys;
	uint64 since; /* unix seconds; 0: not told yet */
} WriteFlow;

/* What PD was told of a region last. */
typedef struct PeerTold
{
	RegionEpoch epoch;
	uint64 term;
	bool at_once;	/* it is news in any case */
	bool unsettled; /* some peer was behind, silent, or between roles */
	int64 at_us;
	RaftSilence silences[PEER_SILENCES];
	WriteFlow flow; /* since then */
} PeerTold;

/* What there is to be done for a peer (peer_list.c). */
typedef enum PeerListKind
{
	PEERS_TOUCHED, /* something for the turn of sole peers */
	PEERS_AWAKE,   /* of groups with several peers: they are ticked */
	PEERS_NEWS,	   /* PD may have to be told of it */
	PEERS_SHOWN,   /* people may have to be told of it */
	PEER_LISTS
} PeerListKind;

typedef struct PeerList
{
	Peer **peers;
	int n;
	int room;
} PeerList;

/* One region's replica on this store. */
struct Peer
{
	Store *store;
	Region region; /* without peers: it waits for its first snapshot */
	RegionPeer self;
	PeerState life;
	Raft *raft;
	GroupState state;		   /* as the running turn will store it */
	GroupState saved;		   /* as last committed */
	bool touched;			   /* has something for the turn's transaction */
	bool region_changed;	   /* its descriptor is to be stored */
	bool raw_bounds;		   /* its bounds are no encoded keys */
	uint64 saved_flashback_ts; /* of the region, as last committed */
	int n_grants;			   /* live, with keys in the region */
	int closers;			   /* writes that wait until there are none */
	bool order_waits;		   /* ... and an order does */
	uint64 unlogged_grants;	   /* committed since the last entry */
	RaftReady ready;		   /* what that is, until the turn has committed */

	/*
	 * Several peers: entries are rows of raft_log, and its turns are those of
	 * raft_turn.c.  All that follows is of such groups alone.
	 */
	bool grouped;
	uint64 life_number; /* of this Peer: ids of peers come again */
	uint64 log_last;	/* the last row of the log */
	uint64 log_first;	/* rows before the truncated index from here on */
	bool has_ready;		/* of the running turn */
	bool is_new;		/* has no rows yet */
	bool is_fresh;		/* never spoke to anybody: no restart rule */
	bool unsynced;		/* begins with a log, whoever else there is */
	bool at_once;		/* its changes are flushed before they are told */
	bool destroying;	/* it was removed from the region */
	bool replaced;		/* a split makes another in its place */
	RegionPeer senders[PEER_SENDERS];
	int next_sender;
	LatchGate gate;
	struct Write *held;		 /* waiting for latches; any order */
	struct Write *proposals; /* in the log, not applied; by index */
	struct Write **proposals_end;
	struct WriteQueue *early; /* before the own term's first entry */
	bool was_leader;
	uint64 max_ts_term;	 /* term in which max_ts was synced */
	uint64 max_ts_asked; /* ... is being synced */
	int64 max_ts_asked_us;
	int64 lease_end_us; /* as published */
	bool off_board;		/* there is no room for it, which the log says */
	uint64 split_index; /* the lease is suspended until it is applied */
	int64 unsent_us;	/* the next word that a snapshot cannot be sent */
	uint64 told_term;
	uint64 told_leader;
	int64 next_compact_us;
	int64 next_hand_over_us; /* not before */
	int64 next_snapshot_us;	 /* is read, after the disk or a row refused it */
	bool snapshot_stalled;	 /* by a row that cannot be read */
	int skipped_compacts;
	uint64 log_bytes;		  /* of the log after the truncated index, about */
	PeerTold told;			  /* to PD */
	MemoryLocks memory_locks; /* of a sole peer */
	PeerSize size;
	PeerSleep sleep;
	int places[PEER_LISTS]; /* in the lists, from 1 on; 0: in none */
};

/* A write waiting for its turn, or for the WAL flush of its turn. */
typedef struct Write
{
	Request *request;
	size_t bytes; /* keys and values */
	RawCommand command;
	Peer *peer;			 /* set when it was checked */
	const char *refused; /* the raw error it will be answered with */

	TxnRequest *txn;		 /* not NULL: a transaction command instead */
	struct Decided *decided; /* what the running turn decided for it */
	int64 wait_deadline_us;	 /* of a lock wait that was resumed, else 0 */
	int64 parked_us;		 /* when the lock wait began */
	Bytes waits_for;		 /* the key of a lock wait */
	/* Of the store's own: told of the outcome instead of the request. */
	void (*inside)(struct Store *store, struct Write *write,
				   const TxnAnswer *answer);
	struct Write *parked_before;
	struct Write *parked_after;

	/* Of sole-peer groups: grants (grants.h). */
	struct GrantWish *wish; /* not NULL: it asks for one */
	struct GrantHold *hold; /* by what it waits for those of others */
	bool was_held;			/* it has waited, and comes before newer ones */

	bool damaged;	   /* it met a row that cannot be read */
	RawCasResult *cas; /* what a compare and swap met */
	int64 era;		   /* that an accepted deletion of a range began */

	/* Of groups with several peers. */
	LatchClaim claim;
	bool claimed;	   /* it holds latches, or waits for them */
	bool granted;	   /* it holds all of them */
	bool decided_here; /* what is to be answered once it is applied */
	bool answered;	   /* its client knows; only latches are left to give */
	bool mismatch;	   /* its epoch was another one when it was applied */
	int64 proposed_us; /* monotonic */
	uint64 index;	   /* of its entry */
	uint64 term;
	uint64 life_number; /* of its peer */
	struct Write *next_proposal;
	Arena slice; /* of a command over a range: what this slice of it decided */

	struct Write *next;
	FairLink link;
} Write;

/*
 * First in, first out; with `fair` only among those of one connection or
 * process, and what is in the list itself goes before them all.
 */
typedef struct WriteQueue
{
	Write *head;
	Write **tail;
	FairQueue *fair; /* NULL: everything is in the list */
	int n;
	size_t bytes;
} WriteQueue;

/* Of more damaged blocks the log names some again. */
#define TOLD_BLOCKS 32

struct Store
{
	MemoryContext context; /* one life of the extension */
	StoreMeta meta;
	TableOids tables;
	Server *server;
	Tls *tls; /* NULL: off */
	Dispatch dispatch;

	Peer **peers; /* by region id, ascending */
	int n_peers;
	int peers_room;
	PeerList lists[PEER_LISTS];
	struct Tombstone *tombstones; /* of regions that had a peer here */
	struct Grants *grants;		  /* keys that backends are writing */
	struct Replicas *replicas;	  /* what groups with several peers need */
	struct Links *links;		  /* to other stores; NULL: not yet */
	struct Snapshots *snapshots;
	struct Leftovers *leftovers; /* of peers that are gone */
	RegionSizes *sizes;
	Sleepers *sleepers;
	struct Elsewhere *elsewhere; /* what is asked of other stores */
	struct Detector *detector;	 /* of deadlocks among them */

	WriteQueue queue;  /* not begun, by source */
	FairQueue fair;	   /* ... most of it */
	WriteQueue outbox; /* done, waits for outbox_lsn to be flushed */
	XLogRecPtr outbox_lsn;
	int64 decided_us; /* when all in it was decided, and was durable */
	int64 durable_us;

	LockPool *pool;				  /* rows of lock_slot */
	LockWait *waits;			  /* for locks */
	Write *parked;				  /* those who wait */
	size_t parked_bytes;		  /* of theirs */
	Shares parked_shares;		  /* ... and how many each client's are */
	Shares parked_bus_shares;	  /* of those that hold a slot of the bus */
	TxnStatusCache *status_cache; /* who committed lately */
	bool max_ts_synced;			  /* async commit and 1PC may begin */
	Gc gc;
	TxnOverlay txn_overlay;	  /* of the running turn */
	MemoryLocks memory_locks; /* pessimistic, in memory alone, of all regions */
	uint64 memory_turn;		  /* number of the running turn */

	Overlay overlay;			/* of the running turn */
	Arena arena;				/* of the running turn: what Raft hands out */
	MemoryContext turn_context; /* reset after each turn */
	Pacer pacer;
	Guard guard;
	BadBlock told_bad[TOLD_BLOCKS]; /* that the log names already */
	uint64 n_told_bad;				/* since the start */

	RangeDeletes ranges;
	Sweeper sweeper;
	Compactor compactor;

	uint64 turns; /* writing turns since start */
	uint64 aborted_turns;
	int64 next_abort_log_us;	 /* monotonic */
	int64 next_heartbeat_us;	 /* of the store to PD, monotonic */
	int sql_beats;				 /* of SQL transactions, on their way */
	int64 next_news_us;			 /* ... of regions that changed */
	int64 told_round_us;		 /* up to when those had turns that did not */
	WriteFlow flow;				 /* of all regions */
	int next_told;				 /* the next one in peers[] whose turn it is */
	int64 next_check_us;		 /* that the extension is still there */
	uint64 extension_generation; /* of shared memory, when it was checked */
	char blocker[256];			 /* who keeps the turn from its tables */
	char fenced[256];			 /* another start of this store has its place */
};

/* ---- bootstrap.c ---- */

/*
 * Learn who this store is (first start: get an id from PD and make region 1),
 * load its peers and register with PD.  Waits for PD.  False with a reason if
 * it cannot serve as things are.
 */
extern bool store_bootstrap(Store *store, char *reason, Size size);

/* ---- adopt.c ---- */

/*
 * Compare the data directory with the one in store->meta, and put the new one
 * there, to be saved.  False with a reason if the store must not be served,
 * or PD does not say whether there are others.
 */
extern bool store_adopt(Store *store, Arena *arena, char *reason, Size size);

/*
 * Has the cluster another store that is not gone, as this one's regions or PD
 * say?  False: PD cannot tell.
 */
extern bool store_has_others(const Store *store, Arena *arena, bool *others,
							 char *reason, Size size);

/* One request to PD; the reply is in the arena, NULL with a reason. */
extern ProtobufCMessage *store_pd_call(int method,
									   const ProtobufCMessage *request,
									   const ProtobufCMessageDescriptor
										   *reply_type,
									   Arena *arena, char *reason, Size size);

/* ---- claim.c ---- */

/*
 * Let this start be the newest that PD knows of.  False with a reason if a
 * newer one of the same store was seen, or PD cannot tell.  *claimed is what
 * stands there then.
 */
extern bool store_claim_start(const Store *store, Arena *arena,
							  const char **claimed, char *reason, Size size);

/*
 * The same word does not do for another start any more: a copy that was made
 * before this one was accepted has it, too.
 */
extern bool store_confirm_start(const Store *store, Arena *arena,
								const char *claimed, char *reason, Size size);

/* ---- heartbeat.c ---- */

/* Tell PD about the store and the regions it leads; no wait. */
extern void store_heartbeat(Store *store);

/* sql_heartbeats.c: keep the primaries of SQL transactions alive. */
extern void sql_heartbeats_send(Store *store);

/* Of regions that have changed since PD was told; now and then. */
extern void store_heartbeat_news(Store *store, int64 now_us);
extern void store_take_pd_answers(Store *store);

/* ---- peer.c ---- */

extern Peer *store_find_peer(Store *store, uint64 region_id);

/* The peer whose region holds a key in the form of bounds; NULL: none. */
extern Peer *store_find_peer_of_key(Store *store, Bytes bound);
extern Peer *store_find_peer_of_txn_key(Store *store, Bytes key);

/* Can clients of transactions decode it? */
extern bool region_bound_is_encoded(Bytes bound);

/* The peer of the next region by id; NULL: it was the last. */
extern Peer *store_next_peer(Store *store, uint64 region_id);

/* Add a peer to the list, or take it out and free it. */
extern Peer *store_add_peer(Store *store, uint64 region_id);
extern void store_remove_peer(Store *store, Peer *peer);

/*
 * A peer that was here and is not to come back: its region as it was in the
 * end, without keys.
 */
typedef struct Tombstone
{
	struct Tombstone *next;
	Region region;
	uint64 peer_id;
} Tombstone;

extern void store_add_tombstone(Store *store, const Region *region,
								uint64 peer_id);
extern Tombstone *store_find_tombstone(Store *store, uint64 region_id);

/* Keys of a region are the store's own copies. */
extern void peer_set_region(Peer *peer, const Region *region);

/*
 * Create the Raft group from peer->saved; a sole peer leads at once.  What
 * that changes (term, an empty entry) is stored by the next turn.  A group of
 * several needs open tables: raft_storage_open.
 */
extern void peer_start(Store *store, Peer *peer);

/* The turn aborted: forget what was proposed and start again. */
extern void peer_restart(Store *store, Peer *peer);

/* The turn that stored peer->state has committed. */
extern void peer_committed(Store *store, Peer *peer);
extern void peer_region_state(const Peer *peer, RegionState *out);
extern bool peer_is_leader(const Peer *peer);

/* Until when readers may read here without asking; 0: not at all. */
extern int64 peer_lease_end(const Peer *peer);

/* Put what others may know of the peer on the board. */
extern void peer_publish(Peer *peer);

/* ---- peer_list.c ---- */

extern void peer_list_add(Peer *peer, PeerListKind kind);
extern void peer_list_remove(Peer *peer, PeerListKind kind);
extern void peer_list_remove_all(Peer *peer);

/* It has something for the next turn of sole peers. */
extern void peer_touch(Peer *peer);

/* PD and people may have to be told of it. */
extern void peer_tell(Peer *peer);

/* ---- turn.c ---- */

/* Take a decoded write; answers ServerIsBusy at once when over a bound. */
extern void store_submit(void *arg, Request *request, RawCommand *command);
extern void store_submit_txn(void *arg, Request *request, TxnRequest *txn);

/*
 * Execute one turn over what is waiting: evaluate, one transaction, replies.
 * Returns the number of writes taken.
 */
extern int turn_run(Store *store);

/*
 * A turn of the store's own, without a client's write: `decide` proposes
 * through turn_propose, `committed` is called when that is durable and before
 * the turn's memory is given back.  False if it was undone or could not begin,
 * but for what `damaged` was told.
 */
typedef struct TurnOwn
{
	void (*decide)(Store *store, const OpenTables *tables, Snapshot snapshot,
				   void *arg);
	void (*committed)(Store *store, void *arg);
	/* A row is damaged: it was undone.  NULL: that is an error like others. */
	void (*damaged)(Store *store, void *arg);
	void *arg;
} TurnOwn;

/* Has a group something to store though no write waits? */
extern bool turn_is_due(const Store *store);

extern bool turn_run_own(Store *store, const TurnOwn *own);

/*
 * Propose a command whose effects are decided; they join the overlay.  Its
 * memory must last until the turn's end.  False if the group takes no more.
 */
extern bool turn_propose(Store *store, Peer *peer, RawCommand *command);

/* One of the store's own met a damaged row: it is told so by `fail`. */
extern void turn_fail_damaged(Write *write);

/* May the write go on?  Leader, epoch, range, space, time. */
extern bool turn_check_write(Store *store, Write *write, RegionError *error);

/* Answer all in the outbox. */
extern void turn_send_outbox(Store *store);

/* Does nobody wait for its answer any more? */
extern bool turn_is_abandoned(const Write *write);

/* Tell an abandoned one so.  As with every answer, the write is gone then. */
extern void turn_drop(Write *write);

/* The write's first turn begins. */
extern void turn_count_begin(Write *write, int64 now_us);

/* A turn that wrote has committed; its answers are still in the outbox. */
extern void turn_count(const Store *store, int64 begun_us);

/* Give back the memory of a turn. */
extern void turn_finish(Store *store);

/* Remember and report why the tables could not be opened. */
extern void store_report_blocker(Store *store, TablesAnswer answer);

/* Answer everything that waits; the store stops. */
extern void store_refuse_all(Store *store, const char *reason);

/* ---- queue.c ---- */

extern void write_queue_init(WriteQueue *queue);
extern void write_queue_push(WriteQueue *queue, Write *write);
extern Write *write_queue_pop(WriteQueue *queue);

/* As write_queue_push, but before what its source or others have there. */
extern void write_queue_push_ahead(WriteQueue *queue, Write *write);

/* What write_queue_pop would return. */
extern Write *write_queue_peek(WriteQueue *queue);

/*
 * May a write of this source join, by tikv.max_pending_writes and _bytes, and
 * by the source's share of them?
 */
extern bool write_queue_has_room(const WriteQueue *queue, size_t bytes);
extern bool write_queue_admits(const WriteQueue *queue, uint64 source,
							   size_t bytes);

/* Put all of `from` in front of the queue, in its order. */
extern void write_queue_unpop(WriteQueue *queue, WriteQueue *from);

#endif /* TIKV_STORE_STORE_H */
