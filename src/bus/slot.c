/*
 * slot.c
 *	  The bus's slots, their queues, and the memory of their bytes.
 *
 * Knows nothing of what a request means or who waits for it: that is bus.c.
 * Bytes up to SLOT_INLINE stay in the slot; longer ones go to a DSA area
 * that begins in main shared memory, grows by segments and is bounded by
 * tikv.bus_memory.  Each process attaches to it when it first needs it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "bus/slot.h"
#include "guc.h"

/* What of the area lies in main shared memory; untouched pages cost nothing. */
#define AREA_IN_PLACE_BYTES ((Size) 16 << 20)

/*
 * DSA keeps a block of 64 kB for each of its size classes; one for all that
 * is not large (DSA's largest class) wastes less than two dozen.
 */
#define SMALLEST_CHUNK 8192

/* Of the slots, what one worker that hangs can keep from the others. */
#define SHARE_NUMERATOR 3
#define SHARE_DENOMINATOR 4

static dsa_area *area;

static BusShared *
bus(void)
{
	return tikv_shmem()->bus;
}

/* -------------------------------------------------------------- the bytes */

static void
release_area(int code, Datum place)
{
	(void) code;
	dsa_release_in_place(DatumGetPointer(place));
}

static dsa_area *
attach_area(void)
{
	MemoryContext old;

	if (area != NULL)
		return area;
	old = MemoryContextSwitchTo(TopMemoryContext);
	area = dsa_attach_in_place(bus()->area, NULL);
	dsa_pin_mapping(area);
	on_shmem_exit(release_area, PointerGetDatum(bus()->area));
	MemoryContextSwitchTo(old);
	return area;
}

bool
slot_put(SlotBytes *bytes, Bytes from)
{
	bytes->place = InvalidDsaPointer;
	if (from.len <= SLOT_INLINE)
	{
		if (from.len > 0)
			memcpy(bytes->small, from.data, from.len);
	}
	else
	{
		if (from.len > (size_t) tikv_fdw_settings.bus_memory_kb * 1024 ||
			from.len > MaxAllocSize)
			return false;
		bytes->place =
			dsa_allocate_extended(attach_area(), Max(from.len, SMALLEST_CHUNK),
								  DSA_ALLOC_NO_OOM);
		if (!DsaPointerIsValid(bytes->place))
			return false;
		memcpy(dsa_get_address(area, bytes->place), from.data, from.len);
	}
	bytes->len = (uint32) from.len;
	return true;
}

void
slot_drop(SlotBytes *bytes)
{
	if (DsaPointerIsValid(bytes->place))
		dsa_free(attach_area(), bytes->place);
	bytes->place = InvalidDsaPointer;
	bytes->len = 0;
}

Bytes
slot_get(SlotBytes *bytes)
{
	if (!DsaPointerIsValid(bytes->place))
		return bytes_make(bytes->small, bytes->len);
	return bytes_make(dsa_get_address(attach_area(), bytes->place), bytes->len);
}

/* -------------------------------------------------------------- the slots */

uint32
slot_claim(WorkerKind to, uint64 *generation)
{
	BusShared *shared = bus();
	BusSlot *slot;
	uint32 index;

	SpinLockAcquire(&shared->free_mutex);
	index = shared->first_free;
	if (index != NO_SLOT && shared->used[to] < shared->max_per_worker)
	{
		shared->first_free = shared->slots[index].next_free;
		shared->used[to]++;
	}
	else
		index = NO_SLOT;
	SpinLockRelease(&shared->free_mutex);
	if (index == NO_SLOT)
		return NO_SLOT;

	/* Nobody else changes a free slot's word. */
	slot = &shared->slots[index];
	*generation = pg_atomic_read_u64(&slot->word) >> 8;
	pg_atomic_write_u64(&slot->word, slot_word(*generation, SLOT_CLAIMED));
	slot->to = to;
	slot->request.place = InvalidDsaPointer;
	slot->reply.place = InvalidDsaPointer;
	slot->reply.len = 0;
	return index;
}

void
slot_free(uint32 index)
{
	BusShared *shared = bus();
	BusSlot *slot = &shared->slots[index];
	uint64 generation = pg_atomic_read_u64(&slot->word) >> 8;

	slot_drop(&slot->request);
	slot_drop(&slot->reply);
	pg_write_barrier();
	pg_atomic_write_u64(&slot->word, slot_word(generation + 1, SLOT_FREE));
	SpinLockAcquire(&shared->free_mutex);
	slot->next_free = shared->first_free;
	shared->first_free = index;
	shared->used[slot->to]--;
	SpinLockRelease(&shared->free_mutex);
}

/* ------------------------------------------------------------- the queues */

bool
queue_push(BusQueue *queue, uint32 index)
{
	bool pushed;

	SpinLockAcquire(&queue->mutex);
	pushed = ring_push(queue->ring, index);
	SpinLockRelease(&queue->mutex);
	return pushed;
}

bool
queue_pop(BusQueue *queue, uint32 *index)
{
	bool popped;

	/* Most looks find nothing; an entry pushed just now is seen next time. */
	if (ring_length(queue->ring) == 0)
		return false;
	SpinLockAcquire(&queue->mutex);
	popped = ring_pop(queue->ring, index);
	SpinLockRelease(&queue->mutex);
	return popped;
}

/* ------------------------------------------------------------- the memory */

static uint32
slot_count(void)
{
	return (uint32) tikv_fdw_settings.bus_slots;
}

/*
 * A slot is in a queue at most once, so a ring for all of them never fills.
 */
static Size
rings_size(void)
{
	return mul_size(2 * WORKER_KINDS, MAXALIGN(ring_size(slot_count())));
}

static Size
area_in_place_size(void)
{
	Size limit = (Size) tikv_fdw_settings.bus_memory_kb * 1024;

	return MAXALIGN(Max(Min(AREA_IN_PLACE_BYTES, limit), dsa_minimum_size()));
}

Size
bus_shmem_size(void)
{
	Size size = MAXALIGN(sizeof(BusShared));

	size = add_size(size, mul_size(slot_count(), MAXALIGN(sizeof(BusSlot))));
	size = add_size(size, rings_size());
	return add_size(size, area_in_place_size());
}

/*
 * The postmaster makes the area and lets go of it: it must not stay attached
 * to memory that its children may corrupt.
 */
static void
make_area(BusShared *shared, void *place)
{
	dsa_area *made;

	shared->area_tranche = LWLockNewTrancheId();
	LWLockRegisterTranche(shared->area_tranche, "TikvBus");
	shared->area = place;
	made = dsa_create_in_place(place, area_in_place_size(),
							   shared->area_tranche, NULL);
	dsa_pin(made);
	dsa_set_size_limit(made,
					   Max((Size) tikv_fdw_settings.bus_memory_kb * 1024,
						   area_in_place_size()));
	dsa_detach(made);
}

static void
init_queue(BusQueue *queue, char **next)
{
	SpinLockInit(&queue->mutex);
	queue->ring = (Ring *) *next;
	ring_init(queue->ring, slot_count());
	*next += MAXALIGN(ring_size(slot_count()));
}

static void
init_slots(BusShared *shared)
{
	shared->n_slots = slot_count();
	shared->max_per_worker =
		Max(1, shared->n_slots / SHARE_DENOMINATOR * SHARE_NUMERATOR);
	shared->first_free = 0;
	for (uint32 i = 0; i < shared->n_slots; i++)
	{
		BusSlot *slot = &shared->slots[i];

		pg_atomic_init_u64(&slot->word, slot_word(1, SLOT_FREE));
		slot->next_free = i + 1 < shared->n_slots ? i + 1 : NO_SLOT;
		slot->request.place = InvalidDsaPointer;
		slot->reply.place = InvalidDsaPointer;
	}
}

void
bus_shmem_init(TikvShmem *shmem, bool found)
{
	BusShared *shared;
	bool attached;
	char *next;

	shared = ShmemInitStruct("tikv_fdw bus", bus_shmem_size(), &attached);
	shmem->bus = shared;
	if (found || attached)
		return;
	memset(shared, 0, sizeof(*shared));
	SpinLockInit(&shared->free_mutex);
	next = (char *) shared + MAXALIGN(sizeof(BusShared));
	shared->slots = (BusSlot *) next;
	next += slot_count() * MAXALIGN(sizeof(BusSlot));
	for (int i = 0; i < WORKER_KINDS; i++)
	{
		init_queue(&shared->requests[i], &next);
		init_queue(&shared->replies[i], &next);
	}
	init_slots(shared);
	make_area(shared, next);
}
