/*
 * join.c
 *	  A new node asks for its place among the Placement Driver's members.
 *
 * It asks the addresses of tikv.join in turn; whoever it meets passes it on to
 * the leader.  The member id follows from the data directory, the address and
 * a word that is saved before the first question: a node that asks again after
 * a crash is the same member, and one whose tables were emptied is another.
 * Its starts begin anew, and members that were down have not forgotten those
 * of the old one.
 */
#include "postgres.h"

#include <stdlib.h>

#include "access/xlog.h"
#include "bus/board.h"
#include "bus/failpoints.h"
#include "core/base/check.h"
#include "guc.h"
#include "pd/adopt.h"
#include "pd/convert.h"
#include "pd/pd.h"
#include "server/client.h"
#include "service/service.h"
#include "common/hashfn.h"

#define JOIN_RETRY_US INT64CONST(500000)
#define JOIN_TIMEOUT_MS 5000

typedef struct Join
{
	uint64 member_id;
	ClientChannel *channel;
	ClientCall *call;
	int64 next_us;
	int at;
	bool own_cluster; /* it has one, and asks whether it is the right one */
	bool checked;
	uint64 foreign_id; /* of the cluster that it shall join instead */
} Join;

static const char *
address_to_ask(Pd *pd)
{
	Join *join = pd->join;
	int n = 0;

	for (int round = 0; round < 2; round++)
	{
		char *list = arena_strdup(&pd->arena, tikv_fdw_settings.join);
		char *rest = NULL;

		n = 0;
		for (char *word = strtok_r(list, ", ", &rest); word != NULL;
			 word = strtok_r(NULL, ", ", &rest))
			if (n++ == join->at)
			{
				join->at++;
				return url_address(word, &pd->arena);
			}
		join->at = 0;
	}
	return NULL;
}

static void
take_place(Pd *pd, const Pdpb__GetMembersResponse *in)
{
	Members members;
	bool named = false;

	members_init(&members);
	for (size_t i = 0; i < in->n_members && i < PD_MAX_MEMBERS; i++)
	{
		PdMember member;

		from_member(in->members[i], &member);
		if (member.id == 0)
			continue;
		named |= member.id == pd->join->member_id;
		members_put(&members, &member);
	}
	if (!named)
		snprintf(pd->reason, sizeof(pd->reason),
				 "tikv.join: the answer does not name this node");
	else if (group_join(pd, pd->join->member_id, in->header->cluster_id,
						&members))
		ereport(LOG,
				(errmsg("tikv pd: member %llu joined cluster %llu",
						(unsigned long long) pd->join->member_id,
						(unsigned long long) in->header->cluster_id)));
	members_free(&members);
}

/* NULL if there is no answer that can be read. */
static const Pdpb__GetMembersResponse *
take_members(Pd *pd, const ClientResult *result)
{
	pd->join->call = NULL;
	if (result->code != RPC_OK)
		return NULL;
	return (const Pdpb__GetMembersResponse *)
		service_unpack(&pdpb__get_members_response__descriptor, result->reply,
					   &pd->arena);
}

static void
on_answer(void *arg, const ClientResult *result)
{
	Pd *pd = arg;
	Join *join = pd->join;
	const Pdpb__GetMembersResponse *in = take_members(pd, result);

	if (in == NULL || in->header == NULL ||
		(in->header->error == NULL && in->header->cluster_id == 0))
		snprintf(pd->reason, sizeof(pd->reason), "tikv.join: %s: %s",
				 client_address(join->channel),
				 result->code == RPC_OK ? "no answer that can be read" :
										  result->text);
	else if (in->header->error != NULL)
		snprintf(pd->reason, sizeof(pd->reason), "tikv.join: %s refuses: %s",
				 client_address(join->channel), in->header->error->message);
	else
		take_place(pd, in);
	client_close(join->channel);
	join->channel = NULL;
}

/* ---- a node that has a cluster ---- */

static void
on_cluster(void *arg, const ClientResult *result)
{
	Pd *pd = arg;
	Join *join = pd->join;
	const Pdpb__GetMembersResponse *in = take_members(pd, result);

	client_close(join->channel);
	join->channel = NULL;
	if (in == NULL || in->header == NULL || in->header->cluster_id == 0)
		return;
	join->checked = true;
	if (in->header->cluster_id != pd->state.cluster_id)
		join->foreign_id = in->header->cluster_id;
}

static void
ask_cluster(Pd *pd)
{
	Join *join = pd->join;
	const char *address = address_to_ask(pd);
	ClientOptions options = {.timeout_ms = JOIN_TIMEOUT_MS};

	if (address == NULL ||
		strcmp(address, url_address(pd->client_url, &pd->arena)) == 0)
		return;
	join->channel = client_open(pd->server, address);
	join->call = client_call(join->channel, "/pdpb.PD/GetMembers",
							 bytes_empty(), &options, on_cluster, pd);
}

bool
join_verdict(Pd *pd, char *reason, Size size)
{
	const Join *join = pd->join;
	const char *holds;

	if (join == NULL || join->foreign_id == 0 || !group_is_sole(pd))
		return false;
	switch (adopt_forget_own(&pd->state, &holds))
	{
		case ADOPT_DONE:
			ereport(
				LOG,
				(errmsg(
					"tikv pd: gave up the empty cluster %llu to join cluster %llu",
					(unsigned long long) pd->state.cluster_id,
					(unsigned long long) join->foreign_id)));
			reason[0] = '\0';
			return true;
		case ADOPT_REFUSED:
			snprintf(
				reason, size,
				"tikv.join names cluster %llu, but this node belongs to cluster %llu and is not empty: it holds %s",
				(unsigned long long) join->foreign_id,
				(unsigned long long) pd->state.cluster_id, holds);
			return true;
		case ADOPT_LATER:
			break;
	}
	return false;
}

/* ---- a node that has none ---- */

static void
ask(Pd *pd)
{
	Join *join = pd->join;
	const char *address = address_to_ask(pd);
	ClientOptions options = {.timeout_ms = JOIN_TIMEOUT_MS};
	Pdpb__GetMembersResponse request = PDPB__GET_MEMBERS_RESPONSE__INIT;
	Pdpb__Member *self;
	PdMember member;

	if (address == NULL)
		return;
	pd->saved.member_id = join->member_id;
	group_describe_self(pd, &member);
	self = to_member(&member, &pd->arena);
	request.n_members = 1;
	request.members = &self;
	FAILPOINT_PASS("pd_join_asked");
	join->channel = client_open(pd->server, address);
	join->call = client_call(join->channel, PD_OWN_SERVICE "Join",
							 pack_message(&request.base, &pd->arena), &options,
							 on_answer, pd);
}

static uint64
own_id(const Pd *pd)
{
	const char *url = pd->client_url;
	uint64 id = DatumGetUInt64(hash_any_extended((const unsigned char *) url,
												 (int) strlen(url),
												 GetSystemIdentifier() ^
													 pd->place_word));

	return (id >> 1) | 1;
}

static bool
is_settled(const Pd *pd)
{
	return pd->join->own_cluster ? pd->join->checked : pd->raft != NULL;
}

void
join_tick(Pd *pd)
{
	int64 now = board_now_us();

	if (tikv_fdw_settings.join[0] == '\0' ||
		tikv_fdw_settings.pd_endpoints[0] != '\0')
		return;
	if (pd->join == NULL)
	{
		pd->join = calloc(1, sizeof(Join));
		CHECK(pd->join != NULL);
		pd->join->member_id = own_id(pd);
		pd->join->own_cluster = pd->raft != NULL;
		pd->join->checked = pd->raft != NULL && !group_is_sole(pd);
	}
	if (pd->join->call != NULL || now < pd->join->next_us || is_settled(pd))
		return;
	pd->join->next_us = now + JOIN_RETRY_US;
	if (pd->join->own_cluster)
		ask_cluster(pd);
	else
		ask(pd);
}

int64
join_sleep_us(const Pd *pd)
{
	if (pd->join == NULL || (is_settled(pd) && pd->join->foreign_id == 0))
		return -1;
	return JOIN_RETRY_US;
}

void
join_stop(Pd *pd)
{
	if (pd->join == NULL)
		return;
	if (pd->join->call != NULL)
		client_drop(pd->join->call);
	if (pd->join->channel != NULL)
		client_close(pd->join->channel);
	free(pd->join);
	pd->join = NULL;
}
