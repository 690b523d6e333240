/*
 * snapshot.c
 *	  Bringing up a peer whose entries are no longer in the log.
 *
 * The core only decides that a snapshot is needed and keeps what is known of
 * its way; contents and transport are the driver's, which reports how the
 * sending went.
 */
#include "core/raft/raft_internal.h"

/*
 * Fill *m with a snapshot for the peer; false if there is none yet or the peer
 * is silent.  Either way the peer is paused until it or the driver answers.
 */
bool
raft_send_snapshot(Raft *r, RaftProgress *p, Arena *arena, RaftMessage *m)
{
	RaftSnapshot *snapshot;

	p->want_append = false;
	p->paused = true;
	if (!p->recent_active)
		return false;
	snapshot = arena_zalloc(arena, sizeof(*snapshot));
	if (r->log.storage.snapshot(r->log.storage.arg, p->id,
								r->log.truncated_index, arena,
								snapshot) != STATUS_OK)
		return false;
	CHECK(snapshot->meta.index >= r->log.truncated_index &&
		  snapshot->meta.index <= raft_log_last(&r->log));
	raft_progress_snapshot(p, snapshot->meta.index);
	*m = (RaftMessage){.type = RAFT_MSG_SNAPSHOT, .to = p->id};
	m->snapshot = snapshot;
	return true;
}

/* How sending went; on failure it starts over at the next heartbeat. */
void
raft_report_snapshot(Raft *r, uint64_t id, bool ok)
{
	RaftProgress *p = raft_peer(r, id);

	if (r->role != RAFT_LEADER || p == NULL || p->state != RAFT_SNAPSHOT)
		return;
	if (!ok)
		p->pending_snapshot = 0;
	raft_progress_probe(p);
	p->paused = true;
}

void
raft_report_unreachable(Raft *r, uint64_t id)
{
	RaftProgress *p = raft_peer(r, id);

	/* what was sent ahead is probably lost */
	if (r->role == RAFT_LEADER && p != NULL && id != r->config.id &&
		p->state == RAFT_REPLICATE)
		raft_progress_probe(p);
}

static bool
conf_names(const RaftConfState *conf, uint64_t id)
{
	RaftIdSet members;

	raft_conf_members(conf, &members);
	return raft_set_has(&members, id);
}

/* Does it bring anything?  If the log has its end, that much is committed. */
static bool
wanted(Raft *r, const RaftSnapshotMeta *meta)
{
	if (meta->index <= r->log.commit || !conf_names(&meta->conf, r->config.id))
		return false;
	if (raft_log_matches(&r->log, meta->index, meta->term))
	{
		r->log.commit = meta->index;
		return false;
	}
	return true;
}

static void
switch_conf(Raft *r, const RaftSnapshotMeta *meta)
{
	RaftConfState conf = meta->conf;

	raft_conf_normalize(&conf);
	raft_switch_conf(r, &conf);
}

/*
 * The snapshot that this peer has taken, and not yet installed; 0: none.  What
 * it acknowledges meanwhile is in its log for good, but it can neither serve nor
 * apply anything: as a leader it would hold up the group for as long as it
 * takes.  TiKV keeps the acknowledgement until then (ApplySnapshotContext in
 * components/raftstore/src/store/peer.rs), and so stops counting such a peer.
 * One whose driver holds back what is to be applied says the same, with the
 * index that it has come to.
 */
uint64_t
raft_uninstalled_snapshot(const Raft *r)
{
	if (r->log.snapshot != NULL)
		return r->log.snapshot->meta.index;
	if (r->snapshot_out != 0)
		return r->snapshot_out;
	return r->apply_paused || raft_holds_apply(r) ? r->log.applied : 0;
}

/*
 * The log is the snapshot's from here on; the configuration waits until it is
 * installed, since a ready that is out may hold changes from before it.
 */
void
raft_handle_snapshot(Raft *r, const RaftMessage *m)
{
	RaftMessage answer = {.type = RAFT_MSG_APPEND_RESPONSE, .to = m->from};

	if (wanted(r, &m->snapshot->meta))
	{
		raft_log_restore(&r->log, m->snapshot);
#ifdef RAFT_MUTATION_SNAPSHOT_CONF_EARLY
		switch_conf(r, &m->snapshot->meta);
#endif
		answer.index = raft_log_last(&r->log);
	}
	else
		answer.index = r->log.commit;
	answer.request_snapshot = raft_uninstalled_snapshot(r);
	raft_send(r, &answer);
}

/*
 * The transaction that installs it is committed.  A newer one may have come
 * meanwhile, and waits for its own.
 */
void
raft_snapshot_installed(Raft *r, const RaftSnapshot *snapshot)
{
	const RaftSnapshotMeta *meta = &snapshot->meta;

	CHECK(meta->index > r->log.applied && r->role == RAFT_FOLLOWER);
	r->log.applied = meta->index;
	r->log.applied_term = meta->term;
	if (r->held_index <= r->log.applied)
		r->held_index = 0;
#ifndef RAFT_MUTATION_SNAPSHOT_CONF_EARLY
	switch_conf(r, meta);
#endif
	if (r->log.snapshot == snapshot)
		raft_log_drop_snapshot(&r->log);
}
