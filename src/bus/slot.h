/*
 * slot.h
 *	  The bus's slots and where their bytes lie; for this folder only.
 *
 * A slot is one request on its way through bus.c.  Who may touch its plain
 * fields is told by its state, which changes only by compare-and-swap
 * together with the slot's generation, so that whoever comes late finds
 * another number and keeps away.  README.md draws the states.
 */
#ifndef TIKV_BUS_SLOT_H
#define TIKV_BUS_SLOT_H

#include "bus/bus.h"
#include "bus/ring.h"
#include "storage/latch.h"
#include "storage/spin.h"
#include "utils/dsa.h"

/* Bytes that travel in the slot itself, without dynamic shared memory. */
#define SLOT_INLINE 512

/* SlotBus.from of a requester that waits in bus_call. */
#define FROM_LATCH (-1)

typedef enum SlotState
{
	SLOT_FREE = 0,	  /* in the free list */
	SLOT_CLAIMED,	  /* the requester fills it */
	SLOT_QUEUED,	  /* in the worker's ring */
	SLOT_TAKEN,		  /* the worker works on it */
	SLOT_ANSWERED,	  /* the requester's again, with the answer */
	SLOT_LEFT_QUEUED, /* in the ring, but nobody waits */
	SLOT_LEFT_TAKEN	  /* at the worker, but nobody waits */
} SlotState;

/* Bytes of a slot: inline, or a chunk of the area. */
typedef struct SlotBytes
{
	dsa_pointer place; /* InvalidDsaPointer: inline */
	uint32 len;
	uint8 small[SLOT_INLINE];
} SlotBytes;

typedef struct BusSlot
{
	pg_atomic_uint64 word; /* generation << 8 | SlotState */
	uint32 next_free;
	int method;
	int to;	  /* WorkerKind */
	int from; /* WorkerKind, or FROM_LATCH */
	int from_pid;
	BusOrigin origin;
	Latch *latch; /* FROM_LATCH: to be set by the answer */
	uint64 tag;
	BusCode code;
	int grpc_code;
	SlotBytes request;
	SlotBytes reply;
} BusSlot;

/* A worker's two queues of slot numbers. */
typedef struct BusQueue
{
	slock_t mutex;
	Ring *ring;
} BusQueue;

struct BusShared
{
	uint32 n_slots;
	uint32 max_per_worker; /* slots on their way to one worker */
	slock_t free_mutex;	   /* guards the next three */
	uint32 first_free;
	uint32 used[WORKER_KINDS];
	bool open[WORKER_KINDS]; /* guarded by the request queue's mutex */
	BusQueue requests[WORKER_KINDS];
	BusQueue replies[WORKER_KINDS];
	int area_tranche;
	void *area; /* for dsa_attach_in_place */
	BusSlot *slots;
};

#define NO_SLOT PG_UINT32_MAX

static inline uint64
slot_word(uint64 generation, SlotState state)
{
	return generation << 8 | (uint64) state;
}

/* True if the slot was in `from` of this generation and is now in `to`. */
static inline bool
slot_move(BusSlot *slot, uint64 generation, SlotState from, SlotState to)
{
	uint64 expected = slot_word(generation, from);

	return pg_atomic_compare_exchange_u64(&slot->word, &expected,
										  slot_word(generation, to));
}

/* Take a free slot for a request to a worker; NO_SLOT if there is none. */
extern uint32 slot_claim(WorkerKind to, uint64 *generation);

/* Give it back with its bytes; only for its owner of the moment. */
extern void slot_free(uint32 index);

/*
 * Store bytes in a slot; false if there is no memory.  Throws only if the
 * operating system fails to give or map memory.
 */
extern bool slot_put(SlotBytes *bytes, Bytes from);
extern void slot_drop(SlotBytes *bytes);

/* What is stored, in place: valid until slot_drop. */
extern Bytes slot_get(SlotBytes *bytes);

extern bool queue_push(BusQueue *queue, uint32 index);
extern bool queue_pop(BusQueue *queue, uint32 *index);

#endif /* TIKV_BUS_SLOT_H */
