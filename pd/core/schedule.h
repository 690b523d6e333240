/*
 * schedule.h
 *	  What the Placement Driver has regions do: replicas as the rule wants
 *	  them, leaders and peers evenly over the stores, stores drained.
 *
 * Operators live in memory of the leader alone; a new leader makes its own
 * from what the regions report.  A region has one operator at a time.  When
 * to do what: checkers look at a region whenever its leader reports it,
 * balancing and the end of stores that leave are looked at once a second.
 */
#ifndef TIKV_PD_CORE_SCHEDULE_H
#define TIKV_PD_CORE_SCHEDULE_H

#include "pd/core/placement.h"
#include "pd/core/state.h"

/* As tikv/pd pkg/schedule/config/config.go, except where noted. */
#define SCHEDULE_REPLICA_LIMIT 64
#define SCHEDULE_LEADER_LIMIT 4
#define SCHEDULE_REGION_LIMIT 8 /* peers on the move for balance */
#define SCHEDULE_STORE_LIMIT 16 /* new peers that one store receives at once */
#define SCHEDULE_DISCONNECT_US INT64_C(20000000)
#define SCHEDULE_MAX_DOWN_US INT64_C(1800000000)

/* An order is told again if the region did not move for so long. */
#define SCHEDULE_RETELL_US INT64_C(2000000)

#define SCHEDULE_RECORDS 64

/* So long is told how an operator ended (operator_controller.go). */
#define SCHEDULE_REMEMBER_US INT64_C(600000000)

typedef struct ScheduleRecord
{
	Operator op;
	int64_t finished_us;
} ScheduleRecord;

typedef struct ScatterGroup ScatterGroup;

/* What can be paused, by the schedulers and checkers of tikv/pd. */
typedef enum SchedulePart
{
	SCHEDULE_LEADERS,  /* balance-leader-scheduler */
	SCHEDULE_PEERS,	   /* balance-region-scheduler */
	SCHEDULE_REPLICAS, /* the checkers replica and rule */
	SCHEDULE_JOINT	   /* the checker joint-state */
} SchedulePart;

#define SCHEDULE_PARTS (SCHEDULE_JOINT + 1)

typedef struct Schedule
{
	bool on; /* false: nothing new begins */
	int64_t paused_until_us[SCHEDULE_PARTS];
	int64_t since_us; /* leadership began */
	int64_t max_down_us;
	int64_t tick_us; /* next balancing */
	int64_t ticked_us;
	Operator **running; /* in the order of their regions */
	size_t n_running;
	size_t n_of_kind[OPERATOR_KINDS];
	size_t size;
	ScheduleRecord *records; /* of the last SCHEDULE_RECORDS operators */
	size_t n_records;		 /* ever made */

	/* As counted at the last tick, with what was begun since. */
	PlacementStores stores;
	Arena stores_arena;
	bool counted;

	/* All regions were looked at when, and with which stores. */
	int64_t checked_us;
	uint64_t checked_stores;

	ScatterGroup *groups; /* see scatter.h */
	size_t n_groups;
} Schedule;

extern void schedule_init(Schedule *schedule);
extern void schedule_free(Schedule *schedule);

/* Leadership begins: operators and counts of before are forgotten. */
extern void schedule_lead(Schedule *schedule, int64_t now_us);

/* By which it tells who is silent. */
extern PlacementClock schedule_clock(const Schedule *schedule, int64_t now_us);

/*
 * A heartbeat of the region was taken over.  True if its leader has something
 * to do now.  New peers take ids, which *changes then saves: the order must
 * not leave before they are durable.
 */
extern bool schedule_region(Schedule *schedule, PdState *state,
							uint64_t region_id, int64_t now_us,
							PdChanges *changes, Order *out);

/*
 * Once in a while: operators that took too long end, new ones begin for
 * balance, and stores that have left become tombstones by *changes.  Orders
 * that are due are appended to *orders (an array in the changes' arena).
 */
extern void schedule_tick(Schedule *schedule, PdState *state, int64_t now_us,
						  PdChanges *changes, Order **orders, size_t *n_orders);

/* When schedule_tick has something to do, by the driver's clock. */
extern int64_t schedule_next_us(const Schedule *schedule);

/* That is sooner than usual, and worth a driver's waking up for. */
extern bool schedule_hurries(const Schedule *schedule);

/* NULL: none is running. */
extern Operator *schedule_find(const Schedule *schedule, uint64_t region_id);

/* The running one, else the last that ended lately; NULL: none. */
extern const Operator *schedule_latest(const Schedule *schedule,
									   uint64_t region_id, int64_t now_us);

/* Begin an operator that somebody asked for; false: the region has one. */
extern bool schedule_begin(Schedule *schedule, const Operator *op,
						   const char *desc, OperatorKind kind, int64_t now_us);

/* False: the region has none. */
extern bool schedule_cancel(Schedule *schedule, uint64_t region_id,
							int64_t now_us);

/*
 * Begin nothing of this kind until then; what runs goes on.  In memory of the
 * leader, as with tikv/pd.
 */
extern void schedule_pause(Schedule *schedule, SchedulePart part,
						   int64_t until_us);
extern bool schedule_is_paused(const Schedule *schedule, SchedulePart part,
							   int64_t now_us);

/* In the words of tikv/pd, for pd-ctl. */
extern const char *operator_kind_text(OperatorKind kind);
extern const char *operator_text(const Operator *op, Arena *arena);

#endif /* TIKV_PD_CORE_SCHEDULE_H */
