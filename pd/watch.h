/*
 * watch.h
 *	  Between the files of watches.
 */
#ifndef TIKV_PD_WATCH_H
#define TIKV_PD_WATCH_H

#include "pd/pd.h"

/* How often etcd tells an idle watcher how far it is. */
#define PROGRESS_US INT64CONST(600000000)

typedef enum WatchKind
{
	WATCH_ETCD,
	WATCH_META,
	WATCH_CONFIG,
	WATCH_KEYSPACES,
	WATCH_HEARTBEATS
} WatchKind;

typedef struct Watcher
{
	struct Watcher *next;
	Call *call;	   /* held */
	uint64 source; /* whose it is in the shares of watching */
	WatchKind kind;
	int64 id;		 /* WATCH_ETCD: within the call */
	uint64 store_id; /* WATCH_HEARTBEATS */
	int64 due_us;	 /* the next sign of life; INT64_MAX: none */
	int64 from;		 /* the first change that it is yet to hear of: a
						  * revision, or among Keyspaces.changes */
	bool no_put;	 /* events left out */
	bool no_delete;
	bool prev_kv;
	KvRange range; /* its bytes follow the struct */
} Watcher;

/* Remembered changes; the arena's. */
typedef struct WatchEvents
{
	const KvEvent **items; /* the arena's */
	size_t n;
} WatchEvents;

/* ---- watch.c ---- */

/* NULL: it is refused, and `ask` says why. */
extern Watcher *watch_add(PdAsk *ask, WatchKind kind, KvRange range);

/*
 * Tell those that are behind, as far as there is room for what they are told;
 * whose changes are not remembered any more hears that, and is dropped.
 */
extern void watch_pump(Pd *pd);

/* How far all etcd watches of a call have been told. */
extern int64 watch_told(const Pd *pd, const Call *call);

/* Take it out of the list and let it go. */
extern void watch_drop(Pd *pd, Watcher **place);
extern void watch_set_due(Pd *pd, Watcher *watcher, int64 after_us);

/* ---- watch_tell.c ---- */
extern ReplyTo watch_reply_to(const Watcher *watcher);
extern Pdpb__ResponseHeader *watch_header(Pd *pd);

/* Remembered changes after a revision that the watcher wants. */
extern WatchEvents watch_events_since(const Pd *pd, const Watcher *watcher,
									  int64 since, Arena *arena);
extern void watch_tell(Pd *pd, const Watcher *watcher, WatchEvents events);
extern void watch_tell_etcd(Pd *pd, const Watcher *watcher, WatchEvents events);
extern void watch_tell_compacted(Pd *pd, const Watcher *watcher, int64 first);

/* Those that have changed; false, and told so: they are too many to tell. */
extern bool watch_tell_keyspaces(Pd *pd, const Watcher *watcher);

#endif /* TIKV_PD_WATCH_H */
