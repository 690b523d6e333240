/*
 * election.c
 *	  Campaigns, votes, and the promise not to vote while a leader is heard.
 *
 * A peer asks for pre-votes before it raises its term, so that one which was
 * cut off does not depose a working leader on its return (Raft thesis 9.6).
 * A peer that heard of a leader within the last election timeout ignores
 * requests for votes, whoever asks and in whatever role it is itself: leases
 * rest on that.  Only a transfer, which the leader ordered, may break it.
 */
#include "core/raft/raft_internal.h"

/* The context of a forced vote request; raft-rs uses the same word. */
static const char transfer_word[] = "CampaignTransfer";

#define TRANSFER_WORD_LEN (sizeof(transfer_word) - 1)

/* E+1 to 2E ticks: a tick may come at once, so E+1 are at least E periods. */
void
raft_randomize_timeout(Raft *r)
{
	uint64_t x = r->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	r->random = x == 0 ? 1 : x;
	x *= UINT64_C(0x2545F4914F6CDD1D);
	r->election_timeout = r->config.election_ticks + 1 +
		(int) ((x >> 33) % (uint64_t) r->config.election_ticks);
}

void
raft_stand_back(Raft *r, bool on)
{
	r->stands_back = on;
}

/* Are there others to leave it to, and has there been time for them? */
static bool
leaves_it_to_others(const Raft *r)
{
	return r->stands_back &&
		(r->conf.voters.n > 1 || raft_conf_is_joint(&r->conf)) &&
		r->election_elapsed < RAFT_STAND_BACK * r->election_timeout;
}

bool
raft_promotable(const Raft *r)
{
	return raft_is_voter(r, r->config.id) &&
		raft_uninstalled_snapshot(r) == 0 && r->quarantine == 0 &&
		!leaves_it_to_others(r);
}

/*
 * Did the present leader order this election?  An order that it has given up
 * since, and renewed its lease over, is void even if it arrives now.
 */
static bool
is_ordered(const Raft *r, const RaftMessage *m)
{
	if (m->type != RAFT_MSG_REQUEST_VOTE ||
		m->context.len != TRANSFER_WORD_LEN + 8 ||
		memcmp(m->context.data, transfer_word, TRANSFER_WORD_LEN) != 0)
		return false;
#ifdef RAFT_MUTATION_OLD_TRANSFER_ORDER
	return true;
#endif
	return m->term != r->generation_term + 1 ||
		raft_get_u64(m->context.data + TRANSFER_WORD_LEN) >= r->generation;
}

/* Is there a promise, or a restart, that keeps this peer from voting? */
bool
raft_ignores_vote(const Raft *r, const RaftMessage *m)
{
	if (r->quarantine > 0)
		return true;
	if (m->term < r->term || is_ordered(r, m))
		return false;
	if (r->role == RAFT_LEADER)
		return m->term > r->term;
	return r->contact_elapsed <= r->config.election_ticks;
}

static void
tell_commit(const Raft *r, RaftMessage *m)
{
	if (raft_log_term(&r->log, r->log.commit, &m->commit_term) == STATUS_OK)
		m->commit = r->log.commit;
}

/*
 * Whoever loses an election may learn what is committed from it.  Without that
 * a group can stand still: peers that the newest configuration makes learners
 * have the longest logs and may not lead, while the only voter does not know
 * yet that this configuration is committed.  Source: tikv/raft-rs src/raft.rs
 * (maybe_commit_by_vote).
 */
static void
learn_commit(Raft *r, const RaftMessage *m)
{
	if (r->role == RAFT_LEADER || r->log.snapshot != NULL ||
		m->commit <= r->log.commit ||
		!raft_log_matches(&r->log, m->commit, m->commit_term))
		return;
	r->log.commit = m->commit;
	if (r->role != RAFT_FOLLOWER && r->log.conf_index > r->log.applied)
		raft_become_follower(r, r->term, RAFT_NONE);
}

/* `generation` is that of the order, in the term before. */
static void
ask_for_votes(Raft *r, RaftCampaign kind, uint64_t generation)
{
	uint8_t context[TRANSFER_WORD_LEN + 8];

	memcpy(context, transfer_word, TRANSFER_WORD_LEN);
	raft_put_u64(context + TRANSFER_WORD_LEN, generation);
	for (int i = 0; i < r->n_peers; i++)
	{
		RaftMessage m = {.to = r->peers[i].id};

		if (m.to == r->config.id || !raft_is_voter(r, m.to))
			continue;
		m.type = kind == RAFT_CAMPAIGN_PRE ? RAFT_MSG_REQUEST_PRE_VOTE :
											 RAFT_MSG_REQUEST_VOTE;
		m.term = kind == RAFT_CAMPAIGN_PRE ? r->term + 1 : r->term;
		m.index = raft_log_last(&r->log);
		m.log_term = raft_log_last_term(&r->log);
		m.priority = r->config.priority;
		tell_commit(r, &m);
		if (kind == RAFT_CAMPAIGN_TRANSFER)
			m.context = bytes_make(context, sizeof(context));
		raft_send(r, &m);
	}
}

static RaftVoteResult
count_vote(Raft *r, uint64_t id, bool granted)
{
	RaftProgress *p = raft_peer(r, id);

	if (p != NULL && p->vote == 0)
		p->vote = granted ? 1 : -1;
	return raft_joint_vote(&r->conf, raft_peer_vote, r);
}

/*
 * Two peers that become candidates in the same moment take each other's vote
 * away, and a request may be lost.  So the first try is followed by another
 * after E/2 to E ticks; later ones have their time, in case votes take long.
 */
static void
time_next_try(Raft *r)
{
	raft_randomize_timeout(r);
	if (r->tries == 1)
		r->election_timeout /= 2;
}

static void
become_pre_candidate(Raft *r)
{
	r->role = RAFT_PRE_CANDIDATE;
	r->leader = RAFT_NONE;
	r->election_elapsed = 0;
	if (r->tries < 2)
		r->tries++;
	time_next_try(r);
	for (int i = 0; i < r->n_peers; i++)
		r->peers[i].vote = 0;
}

static void
become_candidate(Raft *r)
{
	raft_reset(r, r->term + 1);
	time_next_try(r);
	r->role = RAFT_CANDIDATE;
	r->vote = r->config.id;
}

static void
campaign(Raft *r, RaftCampaign kind)
{
	uint64_t generation = r->generation;

	if (kind == RAFT_CAMPAIGN_PRE)
	{
		become_pre_candidate(r);
		if (count_vote(r, r->config.id, true) != RAFT_VOTE_WON)
		{
			ask_for_votes(r, kind, generation);
			return;
		}
		kind = RAFT_CAMPAIGN_REAL;
	}
	become_candidate(r);
	if (count_vote(r, r->config.id, true) == RAFT_VOTE_WON && raft_is_sole(r))
		raft_become_leader(r);
	else
		ask_for_votes(r, kind, generation);
}

/*
 * Lead if the votes suffice and the own one is flushed.  Others are not asked
 * before that, but an only voter with learners has to wait for it; a sole
 * peer's ready flushes it along.
 */
void
raft_vote_flushed(Raft *r)
{
	if (r->role == RAFT_CANDIDATE && r->log.persisted_term == r->term &&
		raft_joint_vote(&r->conf, raft_peer_vote, r) == RAFT_VOTE_WON)
		raft_become_leader(r);
}

/*
 * Start an election.  UNAVAILABLE: this peer must not lead now, because it is
 * no voter, installs a snapshot, waits after a restart, or may have a committed
 * conf change that it has not applied, so that it would count wrongly.
 */
Status
raft_hup(Raft *r, RaftCampaign kind)
{
	if (r->role == RAFT_LEADER)
		return STATUS_OK;
	if (!raft_promotable(r) ||
		(r->log.applied < r->log.commit && r->log.conf_index > r->log.applied))
		return STATUS_UNAVAILABLE;
#ifdef RAFT_MUTATION_SKIP_PREVOTE
	if (kind == RAFT_CAMPAIGN_PRE)
		kind = RAFT_CAMPAIGN_REAL;
#endif
	campaign(r, kind);
	return STATUS_OK;
}

Status
raft_campaign(Raft *r, uint64_t now_us)
{
	raft_observe_clock(r, now_us);
	raft_wake(r);
	if (r->role != RAFT_LEADER &&
		r->contact_elapsed <= r->config.election_ticks)
		return STATUS_UNAVAILABLE;
	return raft_hup(r, RAFT_CAMPAIGN_PRE);
}

/*
 * One vote a term, to a candidate whose log is at least as new (Raft paper
 * 5.2, 5.4.1).  Between equally long logs a peer of higher priority that could
 * lead itself refuses, as in raft-rs.
 */
static bool
grants(const Raft *r, const RaftMessage *m)
{
	bool pre = m->type == RAFT_MSG_REQUEST_PRE_VOTE;
	bool free = r->vote == m->from ||
		(r->vote == RAFT_NONE && r->leader == RAFT_NONE) ||
		(pre && m->term > r->term);

#ifdef RAFT_MUTATION_VOTE_TWICE
	free = true;
#endif
	return free && raft_log_up_to_date(&r->log, m->index, m->log_term) &&
		(m->index > raft_log_last(&r->log) ||
		 m->log_term > raft_log_last_term(&r->log) ||
		 r->config.priority <= m->priority || !raft_promotable(r));
}

void
raft_handle_vote_request(Raft *r, const RaftMessage *m)
{
	bool pre = m->type == RAFT_MSG_REQUEST_PRE_VOTE;
	bool granted = grants(r, m);
	RaftMessage answer = {.to = m->from};

	answer.type = pre ? RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE :
						RAFT_MSG_REQUEST_VOTE_RESPONSE;
	answer.reject = !granted;

	/*
	 * A granted pre-vote speaks of the term asked for; a refused one, of the
	 * candidate's, or it would be taken for an old message if that is higher.
	 */
	if (granted)
		answer.term = m->term;
	else if (pre && m->term - 1 > r->term)
		answer.term = m->term - 1;
	if (!granted)
	{
		learn_commit(r, m);
		tell_commit(r, &answer);
	}
	raft_send(r, &answer);
	if (granted && !pre)
	{
		r->vote = m->from;
		r->election_elapsed = 0;
	}
}

void
raft_handle_vote_response(Raft *r, const RaftMessage *m)
{
	bool pre = m->type == RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE;
	uint64_t term = pre && !m->reject ? r->term + 1 : r->term;

	if (r->role != (pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE) ||
		m->term != term)
		return;
	if (m->reject)
		learn_commit(r, m);
	if (r->role == RAFT_FOLLOWER)
		return;
	switch (count_vote(r, m->from, !m->reject))
	{
		case RAFT_VOTE_WON:
			if (pre)
				campaign(r, RAFT_CAMPAIGN_REAL);
			else
				raft_vote_flushed(r);
			break;
		case RAFT_VOTE_LOST:
			raft_become_follower(r, r->term, RAFT_NONE);
			break;
		case RAFT_VOTE_PENDING:
			break;
	}
}

/*
 * The leader hands over: campaign at once, past the promises made to it.  An
 * order older than its newest heartbeats is one it has given up.
 */
void
raft_handle_timeout_now(Raft *r, const RaftMessage *m)
{
	if (r->role != RAFT_FOLLOWER || r->leader != m->from || m->context.len != 8)
		return;
#ifndef RAFT_MUTATION_OLD_TRANSFER_ORDER
	if (r->generation_term == r->term &&
		raft_get_u64(m->context.data) < r->generation)
		return;
#endif
	r->generation = raft_get_u64(m->context.data);
	r->generation_term = r->term;
	if (raft_hup(r, RAFT_CAMPAIGN_TRANSFER) != STATUS_OK)
		r->election_elapsed = 0;
}

/*
 * Ticks until a leader gives up for want of a quorum: one election timeout after
 * the latest moment by which every member of some quorum was heard of.  Sooner
 * would end it for a single stall of them; later lets those wait who hear it and
 * are not heard.
 */
uint64_t
raft_quorum_ticks_left(const Raft *r)
{
	return raft_joint_acked(&r->conf, raft_peer_ticks_left, r);
}

/* An election timeout is over: who was not heard of in it? */
void
raft_note_silent(Raft *r)
{
	for (int i = 0; i < r->n_peers; i++)
	{
		RaftProgress *p = &r->peers[i];

		p->silent = p->id != r->config.id && !p->recent_active;
		p->recent_active = false;
	}
}
