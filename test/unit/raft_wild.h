/*
 * raft_wild.h
 *	  A peer among peers that keep no protocol: messages with random but
 *	  plausible fields, at any point of its turns.
 *
 * test_raft_fuzz.c takes the choices from a seed, test/fuzz/fuzz_raft.c from
 * its input: who includes this defines rnd first.
 */
#ifndef TIKV_TEST_RAFT_WILD_H
#define TIKV_TEST_RAFT_WILD_H

#include <limits.h>

#include "core/raft/quorum.h"
#include "core/raft/raft.h"
#include "raft_fixture.h"

/* A choice among n. */
static uint64_t rnd(uint64_t n);

/* Near `near`, or anything. */
static uint64_t
number(uint64_t near)
{
	if (rnd(40) == 0)
		return rnd(2) ? UINT64_MAX - rnd(3) : rnd(UINT64_MAX);
	return near + rnd(7) - (near >= 3 ? rnd(4) : 0);
}

static uint8_t noise[64];

static Bytes
some_bytes(void)
{
	static const size_t lens[] = {0, 1, 8, 16, 24, 32, 64};

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = rnd(4) ? 0 : (uint8_t) rnd(256);
	if (rnd(4) == 0)
		memcpy(noise, "CampaignTransfer", 16);
	return bytes_make(noise, lens[rnd(7)]);
}

static RaftEntry entries[8];
static RaftSnapshot snapshot;

static void
some_entries(RaftMessage *m)
{
	uint64_t term = m->log_term;

	m->n_entries = (int) rnd(6);
	m->entries = rnd(50) ? entries : NULL;
	for (int i = 0; i < m->n_entries; i++)
	{
		term += rnd(5) == 0;
		if (term > m->term && rnd(10))
			term = m->term;
		entries[i] =
			(RaftEntry){.index = m->index + 1 + (uint64_t) i, .term = term};
		entries[i].type = rnd(12) ? RAFT_ENTRY_NORMAL : (RaftEntryType) rnd(4);
		if (rnd(60) == 0)
			entries[i].index++;
		entries[i].data = bytes_make(noise, rnd(20));
	}
}

static void
some_set(RaftIdSet *set)
{
	memset(set, 0, sizeof(*set));
	set->n = (int) rnd(5);
	for (int i = 0; i < set->n; i++)
		set->id[i] = rnd(6);
}

static void
some_snapshot(RaftMessage *m, uint64_t commit)
{
	memset(&snapshot, 0, sizeof(snapshot));
	snapshot.meta.index = number(commit);
	snapshot.meta.term = number(m->term);
	if (snapshot.meta.term > m->term && rnd(4))
		snapshot.meta.term = m->term;
	for (uint64_t i = 1; i <= 3; i++)
		snapshot.meta.conf.voters.id[snapshot.meta.conf.voters.n++] = i;
	if (rnd(3) == 0)
		some_set(&snapshot.meta.conf.voters);
	if (rnd(3) == 0)
		some_set(&snapshot.meta.conf.learners);
	if (rnd(3) == 0)
		some_set(&snapshot.meta.conf.voters_outgoing);
	if (rnd(6) == 0)
		some_set(&snapshot.meta.conf.learners_next);
	snapshot.meta.conf.auto_leave = rnd(6) == 0;
	snapshot.data = bytes_make(noise, rnd(20));
	m->snapshot = rnd(30) ? &snapshot : NULL;
}

/* A message of this peer's world, more or less. */
static RaftMessage
some_message(const Raft *r)
{
	RaftStatus st;
	RaftMessage m;

	raft_status(r, &st);
	memset(&m, 0, sizeof(m));
	m.type = (RaftMessageType) rnd(20);
	m.from = rnd(5);
	m.to = rnd(20) ? st.id : rnd(4);
	m.term = st.hard_state.term + (rnd(4) == 0) - (rnd(8) == 0);
	if (rnd(400) == 0)
		m.term = number(st.hard_state.term);
	if (m.term > 1000000)
		m.term = 1000000; /* or no term would be left to go on */
	m.index = number(rnd(2) ? st.last_index : st.hard_state.commit);
	if (rnd(2) && raft_term_at(r, m.index, &m.log_term) != STATUS_OK)
		m.log_term = rnd(m.term + 1);
	m.commit = number(st.hard_state.commit);
	m.commit_term = number(m.term);
	m.reject = rnd(2) == 0;
	m.reject_hint = number(st.hard_state.commit);
	m.priority = (int64_t) rnd(3) - 1;
	m.context = some_bytes();
	if (m.type == RAFT_MSG_APPEND || rnd(20) == 0)
		some_entries(&m);
	if (m.type == RAFT_MSG_READ_INDEX || m.type == RAFT_MSG_READ_INDEX_RESP)
	{
		m.entries = entries;
		m.n_entries = rnd(20) ? 1 : 0;
		entries[0] = (RaftEntry){.data = bytes_make(noise, rnd(30))};
	}
	if (m.type == RAFT_MSG_SNAPSHOT)
		some_snapshot(&m, st.hard_state.commit);
	return m;
}

/* Votes for a campaign under way, so that leaders come about. */
static void
help_campaign(Raft *r, uint64_t now_us)
{
	RaftMessage m = {.from = 2, .term = raft_term(r)};

	if (raft_role(r) == RAFT_PRE_CANDIDATE)
	{
		m.type = RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE;
		m.term++;
	}
	else if (raft_role(r) == RAFT_CANDIDATE)
		m.type = RAFT_MSG_REQUEST_VOTE_RESPONSE;
	else
		return;
	(void) !raft_step(r, &m, now_us);
	m.from = 3;
	(void) !raft_step(r, &m, now_us);
}

static RaftReady rd;
static int stage; /* of the turn; 0: no ready is out */

static void
do_something(Fixture *f)
{
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL, .data = bytes_cstr("x")};
	RaftEntry ce = {.type = RAFT_ENTRY_CONF_CHANGE_V2};
	RaftConfChange cc = {.n = (int) rnd(4),
						 .transition = (RaftConfTransition) rnd(3)};
	uint64_t a;
	uint64_t b;

	for (int i = 0; i < cc.n; i++)
		cc.changes[i] =
			(RaftConfChangeSingle){(RaftConfChangeType) rnd(4), rnd(6)};
	switch (rnd(10))
	{
		case 0:
			(void) !raft_propose(f->raft, &e, &a, &b);
			break;
		case 1:
			(void) !raft_propose_conf_change(f->raft, &cc, &ce, &a, &b);
			break;
		case 2:
			(void) !raft_read_index(f->raft, some_bytes());
			break;
		case 3:
			(void) !raft_transfer_leader(f->raft, rnd(5));
			break;
		case 4:
			raft_report_snapshot(f->raft, rnd(5), rnd(2) == 0);
			break;
		case 5:
			raft_report_unreachable(f->raft, rnd(5));
			break;
		case 6:
			(void) !raft_campaign(f->raft, f->now_us);
			break;
		case 7:
			if (raft_can_hibernate(f->raft))
				raft_hibernate(f->raft);
			break;
		case 8:
			if (rnd(2) == 0)
				raft_pause_apply(f->raft, rnd(3) == 0);
			else if (stage == 0)
				raft_hold_apply(f->raft,
								rnd(3) == 0 ?
									raft_applied_index(f->raft) + 1 + rnd(3) :
									0);
			break;
		default:
			raft_lease_suspend(f->raft, rnd(2) == 0);
			break;
	}
}

/* A change for every conf change entry. */
static void
apply_change(Fixture *f)
{
	RaftConfChange cc = {.n = 1};

	if (rd.n_committed == 0 ||
		rd.committed[rd.n_committed - 1].type == RAFT_ENTRY_NORMAL)
		return;
	cc.changes[0] =
		(RaftConfChangeSingle){(RaftConfChangeType) rnd(3), 1 + rnd(5)};
	if (cc.changes[0].id != 1 || rnd(10) == 0)
		(void) !raft_apply_conf_change(f->raft, &cc, &f->conf);
}

/* What is borrowed by the ready that is out has to be there to the end. */
static uint64_t
read_all(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < rd.n_entries; i++)
		for (size_t at = 0; at < rd.entries[i].data.len; at++)
			sum += rd.entries[i].data.data[at];
	for (int i = 0; i < rd.n_messages; i++)
		for (int k = 0; k < rd.messages[i].n_entries; k++)
			for (size_t at = 0; at < rd.messages[i].entries[k].data.len; at++)
				sum += rd.messages[i].entries[k].data.data[at];
	if (rd.snapshot != NULL)
		for (size_t at = 0; at < rd.snapshot->data.len; at++)
			sum += rd.snapshot->data.data[at];
	return sum;
}

static bool
same_conf(const RaftConfState *a, const RaftConfState *b)
{
	const RaftIdSet *of_a[] = {&a->voters, &a->learners, &a->voters_outgoing,
							   &a->learners_next};
	const RaftIdSet *of_b[] = {&b->voters, &b->learners, &b->voters_outgoing,
							   &b->learners_next};

	for (int i = 0; i < 4; i++)
	{
		if (of_a[i]->n != of_b[i]->n)
			return false;
		for (int k = 0; k < of_a[i]->n; k++)
			if (!raft_set_has(of_b[i], of_a[i]->id[k]))
				return false;
	}
	return a->auto_leave == b->auto_leave;
}

/* What the core believes is what is stored, whatever came in between. */
static void
advance(Fixture *f)
{
	RaftConfState conf;

	raft_advance(f->raft, &rd);
	raft_conf(f->raft, &conf);
	CHECK(same_conf(&conf, &f->conf));
	CHECK(raft_applied_index(f->raft) == f->applied_index);
	if (rnd(3) || rd.sole)
		raft_persisted(f->raft, rd.number);
}

/* The driver's side, a stage at a time. */
static void
turn(Fixture *f)
{
	static uint64_t sum;

	switch (stage)
	{
		case 0:
			arena_reset(&f->arena);
			if (!raft_ready(f->raft, &f->arena, f->now_us, &rd))
				return;
			sum = read_all();
			break;
		case 1:
			apply_change(f);
			break;
		case 2:
			CHECK(sum == read_all());
			fixture_store(f, &rd);
			break;
		default:
			advance(f);
			break;
	}
	stage = (stage + 1) % 4;
	if (stage != 0 || rnd(2) == 0)
		return;
	if (rnd(10) == 0 && f->applied_index > f->truncated_index)
	{
		uint64_t index =
			f->truncated_index + 1 + rnd(f->applied_index - f->truncated_index);
		uint64_t term;

		if (raft_term_at(f->raft, index, &term) != STATUS_OK)
			return;
		f->truncated_index = index;
		f->truncated_term = term;
		raft_compact(f->raft, index, term);
	}
}

/* False: a tick did more than count, which raft_ticks_due had not said. */
static bool
tick(Fixture *f)
{
	int due = raft_ticks_due(f->raft);
	bool ready = raft_has_ready(f->raft);
	RaftRole role = raft_role(f->raft);
	uint64_t term = raft_term(f->raft);

	raft_tick(f->raft, f->now_us);
	if (due == 1)
		return true;
	return raft_ticks_due(f->raft) == (due == INT_MAX ? due : due - 1) &&
		raft_has_ready(f->raft) == ready && raft_role(f->raft) == role &&
		raft_term(f->raft) == term;
}

/*
 * One life of a peer, as the choices say; false if it took a step back, or did
 * something at a tick that was not due.
 * max_steps bounds it, and it ends when `over` says so (NULL: never).
 */
static bool
wild_run(int max_steps, bool (*over)(void))
{
	static Fixture f;
	uint64_t term = 0;
	uint64_t commit = 0;
	bool forward = true;

	stage = 0;
	fixture_init(&f, 1, 3);
	f.snapshot_ready = true;
	for (int i = 0; i < max_steps && f.last < FIXTURE_MAX - 100 &&
		 (over == NULL || !over());
		 i++)
	{
		RaftMessage m = some_message(f.raft);
		RaftStatus st;

		f.now_us += rnd(50000);
		if (rnd(3))
			(void) !raft_step(f.raft, &m, f.now_us);
		if (rnd(3) == 0)
			forward = tick(&f) && forward;
		if (rnd(6) == 0)
			help_campaign(f.raft, f.now_us);
		if (rnd(4) == 0)
			do_something(&f);
		for (uint64_t n = rnd(5); n > 0; n--)
			turn(&f);
		raft_status(f.raft, &st);
		forward = forward && st.hard_state.term >= term &&
			st.hard_state.commit >= commit;
		term = st.hard_state.term;
		commit = st.hard_state.commit;
		if (st.last_index > FIXTURE_MAX - 100 || st.hard_state.term > 900000)
			break;
	}
	fixture_free(&f);
	return forward;
}

#endif /* TIKV_TEST_RAFT_WILD_H */
