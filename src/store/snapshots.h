/*
 * snapshots.h
 *	  Snapshots of regions: made, sent, received and installed, all in slices.
 *
 * The folder's own header.  README.md, "Snapshots", says how it works.
 */
#ifndef TIKV_STORE_SNAPSHOTS_H
#define TIKV_STORE_SNAPSHOTS_H

#include "store/replicas.h"

#include "core/snapshot/snapshot_changes.h"
#include "core/snapshot/snapshot_check.h"
#include "core/snapshot/write_back.h"
#include "storage/snapshot_table.h"

/* The folder of snapshot files, in the data directory. */
#define SNAPSHOT_DIR "tikv_snapshots"

/* Regions that wait for their snapshot to be made. */
#define SNAPSHOT_WANTED_MAX 64

/* Files that were made and may be sent; and those that come in at a time. */
#define SNAPSHOT_MADE_MAX 8
#define SNAPSHOT_INCOMING_MAX 4

/* Rows and bytes of one slice: a few milliseconds. */
#define SNAPSHOT_SLICE_ROWS 512
#define SNAPSHOT_SLICE_BYTES ((size_t) 256 * 1024)

/* A region whose rows are being read. */
typedef struct SnapshotJob
{
	uint64 region_id;
	uint64 life_number;
	MemoryContext context; /* of all below */
	Arena arena;
	Region region;	/* as it was at the beginning */
	int64 begun_us; /* monotonic */
	uint64 number;	/* of the file */
	int fd;			/* -1: not open */
	WriteBack back;
	SnapshotWriter writer;
	SnapshotWalk walk;
	SnapshotChanges *changes;
} SnapshotJob;

/* A file that may be sent. */
typedef struct SnapshotMade
{
	struct SnapshotMade *next;
	uint64 number;
	uint64 life_number;
	Arena arena; /* of the region's bounds */
	RaftSnapshotMeta meta;
	SnapshotInfo info;
	int64 made_us;
	int n_sending;
} SnapshotMade;

/* One that comes in. */
typedef struct SnapshotIncoming
{
	struct SnapshotIncoming *next;
	Store *store;
	uint64 from_store;
	uint64 region_id;
	uint64 index;
	uint64 term;
	int fd;
	WriteBack back;
	SnapshotChecker checker;
	size_t message_len;
	uint8 *message;
} SnapshotIncoming;

/* One that has come and is not installed yet. */
typedef struct SnapshotReceived
{
	struct SnapshotReceived *next;
	uint64 region_id;
	uint64 index;
	uint64 term;
	int64 received_us;
} SnapshotReceived;

/* One that is being installed. */
typedef struct SnapshotInstalling
{
	struct SnapshotInstalling *next;
	SnapshotInstall at; /* as stored */
	uint64 life_number;
	int fd; /* -1: not open */
	int64 due_us;
	bool stalled;	   /* by a row that cannot be read */
	Arena arena;	   /* of the ranges */
	SnapshotWalk walk; /* through the old rows */
	bool walking;
} SnapshotInstalling;

typedef struct Snapshots
{
	SnapshotJob *job; /* NULL: none is being made */
	int64 job_due_us;
	uint64 next_number;
	uint64 wanted[SNAPSHOT_WANTED_MAX]; /* region ids */
	int n_wanted;
	SnapshotMade *made;
	int n_made;
	SnapshotIncoming *incoming;
	int n_incoming;
	SnapshotReceived *received;
	SnapshotInstalling *installing;
	int n_installing;
	int64 next_sweep_us;
	int n_stalled; /* regions led here that rows stall which cannot be read */
	uint64 n_sent;
	uint64 n_installed;
} Snapshots;

extern void snapshots_init(Store *store);

/* The store stops or begins anew. */
extern void snapshots_stop(Store *store);

/*
 * Peers are loaded and have their groups: tidy up the folder, and go on with
 * what was being installed.
 */
extern void snapshots_load(Store *store);

/* Run a slice if one is due; returns how many were run. */
extern int snapshots_run(Store *store);
extern int64 snapshots_due_us(const Store *store);

/* ---- snapshot_files.c ---- */

typedef enum SnapshotFile
{
	SNAPSHOT_FILE_MADE,		/* region_id: the file's number */
	SNAPSHOT_FILE_INCOMING, /* not complete */
	SNAPSHOT_FILE_RECEIVED
} SnapshotFile;

typedef struct SnapshotPath
{
	char path[128];
} SnapshotPath;

extern SnapshotPath snapshot_path(SnapshotFile kind, uint64 region_id,
								  uint64 index, uint64 term);

/* -1 with a message in the log if it cannot be had. */
extern int snapshot_open(const SnapshotPath *path, bool create);

/* All of it, and write it back little by little; false: it is in the log. */
extern bool snapshot_write_file(int fd, Bytes bytes, WriteBack *back);

/* Wait for what it has begun to write back, but the last pieces; likewise. */
extern bool snapshot_settle_file(int fd, WriteBack *back);
extern bool snapshot_read_file(int fd, uint64 offset, uint8 *out, size_t len);
extern void snapshot_unlink(const SnapshotPath *path);

/* Remove all files but those that are received; make the folder. */
extern void snapshot_tidy(Store *store);

/* ---- snapshot_make.c ---- */

/* ReplicaLinks.snapshot and send_snapshot; arg is the store. */
extern Status snapshots_get(void *arg, Peer *peer, uint64 to, uint64 index,
							Arena *arena, RaftSnapshot *out);
extern bool snapshots_send(void *arg, Peer *peer, uint64 to_store,
						   uint64 to_peer, Bytes message);

extern void snapshot_make_slice(Store *store);

/*
 * In tikv_status(): how many regions are led here of which no snapshot can be
 * made for a row that cannot be read.
 */
extern void snapshot_tell_stalled(Store *store);
extern void snapshot_job_end(Store *store);
extern void snapshot_made_sweep(Store *store, bool all);

/* ---- snapshot_receive.c ---- */

/* TransportConfig's three; arg is the store. */
extern void *snapshots_begin(void *arg, uint64_t from_store, Bytes message,
							 const char **why);
extern bool snapshots_data(void *snapshot, Bytes data);
extern bool snapshots_end(void *snapshot, bool complete);

/* May Raft be told of a message with a snapshot? */
extern bool snapshots_accept(RaftTurn *turn, const Peer *peer,
							 const PeerMessage *m);
/* What was received is what is being installed from now on. */
extern void snapshot_received_take(Store *store, const SnapshotInstall *at);

/* A file of this name is being installed, or is going to be. */
extern bool snapshot_is_kept(const Store *store, const SnapshotInstall *at);
extern void snapshot_received_sweep(Store *store, bool all);

/* ---- snapshot_install.c ---- */

/* Within a raft turn: the ready has a snapshot. */
extern void snapshots_take(RaftTurn *turn, Peer *peer);

/* ... and it is committed. */
extern void snapshots_taken(Peer *peer);

extern void snapshot_install_resume(Store *store);
extern void snapshot_install_slice(Store *store, SnapshotInstalling *in);
extern void snapshot_install_forget(Store *store, SnapshotInstalling *in);

#endif /* TIKV_STORE_SNAPSHOTS_H */
