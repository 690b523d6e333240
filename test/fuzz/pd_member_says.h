/*
 * pd_member_says.h
 *	  What other members say to a member of PD, made of an input: honest unless
 *	  a byte wants something else.
 */
#ifndef TIKV_FUZZ_PD_MEMBER_SAYS_H
#define TIKV_FUZZ_PD_MEMBER_SAYS_H

#include "pd_member.h"

static Arena words; /* all of it */

/* A number: `value` itself for 0, one nearby, or one near the end of all. */
static uint64_t
near(FuzzInput *in, uint64_t value)
{
	uint8_t how = fuzz_u8(in);

	if (how == 255)
		return UINT64_MAX - fuzz_u8(in) % 4;
	if (how == 254)
		return UINT64_C(1) << fuzz_u8(in) % 64;
	if (how < 128)
		return value + how;
	return value > how - UINT64_C(128) ? value - (how - UINT64_C(128)) : 0;
}

static Bytes
member_records(int n, uint64_t first)
{
	Proposal proposal;

	proposal_init(&proposal, &words);
	for (int i = 0; i < n; i++)
	{
		PdMember member = {.id = first + (uint64_t) i,
						   .name = "pd",
						   .version = "8.5.0"};
		PdRecord record = {.kind = PD_RECORD_PEER, .member = &member};
		ProposalItem item;

		member.client_url = member.peer_url =
			arena_printf(&words, "http://127.0.0.1:%d", i + 1);
		item = record_encode(&record, FUZZ_CLUSTER, &words);
		proposal_add(&proposal, &item);
	}
	return proposal_encode(&proposal);
}

static Bytes
some_data(FuzzInput *in, RaftEntryType type)
{
	RaftConfChange change = {.n = fuzz_u8(in) % 4};
	RaftEntryType same;

	if (type != RAFT_ENTRY_NORMAL)
	{
		change.transition = (RaftConfTransition) (fuzz_u8(in) % 3);
		for (int i = 0; i < change.n; i++)
			change.changes[i] =
				(RaftConfChangeSingle){(RaftConfChangeType) (fuzz_u8(in) % 3),
									   fuzz_u8(in) % 6};
		return raft_conf_change_encode(&change, bytes_empty(), &words, &same);
	}
	if (change.n == 3)
	{
		int n = fuzz_u8(in) % 24;

		return member_records(n, near(in, 1));
	}
	return change.n == 0 ? bytes_empty() : fuzz_piece(in);
}

static void
some_entries(FuzzInput *in, RaftMessage *m)
{
	int n = fuzz_u8(in) % 5;
	RaftEntry *entries =
		arena_zalloc(&words, (size_t) (n + 1) * sizeof(*entries));

	for (int i = 0; i < n; i++)
	{
		uint8_t how = fuzz_u8(in);

		entries[i].type = (RaftEntryType) (how / 4 % 3);
		entries[i].index = m->index + 1 + (uint64_t) i + (how == 255);
		entries[i].term = (how & 1) != 0 ? near(in, m->log_term) : m->term;
		entries[i].data =
			(how & 2) != 0 ? fuzz_piece(in) : some_data(in, entries[i].type);
	}
	m->entries = entries;
	m->n_entries = n;
}

static void
some_ids(uint8_t bits, RaftIdSet *set)
{
	for (uint64_t i = 0; i < 8; i++)
		if (bits >> i & 1)
			set->id[set->n++] = i + 1;
}

static void
some_snapshot(FuzzInput *in, RaftMessage *m, uint64_t commit)
{
	RaftSnapshot *s = arena_zalloc(&words, sizeof(*s));
	uint8_t how = fuzz_u8(in);

	s->meta.index = near(in, commit + 1);
	s->meta.term = (how & 1) != 0 ? near(in, m->term) : m->term;
	some_ids((how & 2) != 0 ? fuzz_u8(in) : 7, &s->meta.conf.voters);
	if ((how & 4) != 0)
		some_ids(fuzz_u8(in), &s->meta.conf.learners);
	if ((how & 8) != 0)
		some_ids(fuzz_u8(in), &s->meta.conf.voters_outgoing);
	s->meta.conf.auto_leave = (how & 16) != 0;
	s->data = some_data(in, RAFT_ENTRY_NORMAL);
	m->snapshot = s;
}

/* What a leader says of the members: to one that joins, or to whoever asks. */
static Bytes
members_answer(FuzzInput *in, const ClientCall *call)
{
	Pdpb__GetMembersResponse out = PDPB__GET_MEMBERS_RESPONSE__INIT;
	Pdpb__ResponseHeader header = PDPB__RESPONSE_HEADER__INIT;
	Pdpb__Error error = PDPB__ERROR__INIT;
	const Pdpb__GetMembersResponse *asks =
		(const void *) service_unpack(&pdpb__get_members_response__descriptor,
									  call->request, &words);
	uint8_t how = fuzz_u8(in);
	size_t n = how % 32;

	out.members = arena_alloc(&words, (n + 1) * sizeof(*out.members));
	for (size_t i = 0; i < n; i++)
	{
		PdMember member = {.id = i == 3 ? near(in, 1) : i + 1,
						   .name = "pd",
						   .version = "8.5.0"};

		member.client_url = member.peer_url =
			arena_printf(&words, "http://127.0.0.1:%d", (int) i + 1);
		out.members[out.n_members++] = to_member(&member, &words);
	}
	if (n > 0 && asks != NULL && asks->n_members == 1)
		out.members[0] = asks->members[0];
	header.cluster_id = (how & 32) != 0 ? fuzz_u8(in) : FUZZ_CLUSTER;
	if ((how & 64) != 0)
		header.error = &error;
	if ((how & 128) == 0)
		out.header = &header;
	if (n > 1)
		out.leader = out.members[fuzz_u8(in) % n];
	return pack_message(&out.base, &words);
}

static Bytes
timestamps(FuzzInput *in)
{
	Pdpb__TsoResponse out = PDPB__TSO_RESPONSE__INIT;
	Pdpb__ResponseHeader header = PDPB__RESPONSE_HEADER__INIT;
	Pdpb__Timestamp timestamp = PDPB__TIMESTAMP__INIT;
	const Forward *fw = world.forward;
	uint32_t count =
		fw == NULL || fw->tso_sent == NULL ? 1 : fw->tso_sent->count;

	header.cluster_id = FUZZ_CLUSTER;
	out.header = &header;
	out.count = (uint32_t) near(in, count);
	timestamp.physical = (int64_t) near(in, 1000);
	timestamp.logical = (int64_t) near(in, count);
	out.timestamp = &timestamp;
	return pack_message(&out.base, &words);
}

#endif /* TIKV_FUZZ_PD_MEMBER_SAYS_H */
