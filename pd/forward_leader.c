/*
 * forward_leader.c
 *	  Who leads the Placement Driver, and the channel to it.
 *
 * The group knows, if this member has a place in one; else the addresses that
 * are configured, and of the members that it knew, are asked in turn.  So they
 * are by a member that has left: its store may still have regions to hand over.
 */
#include "postgres.h"

#include <stdlib.h>

#include "bus/board.h"
#include "core/base/check.h"
#include "guc.h"
#include "pd/convert.h"
#include "pd/forward.h"
#include "service/service.h"

void
forward_forget_streams(Forward *fw)
{
	if (fw->tso != NULL)
		client_drop(fw->tso);
	if (fw->beats != NULL)
		client_drop(fw->beats);
	fw->tso = fw->beats = NULL;
	fw->regions_told = false;
	forward_recall_tso(fw);
}

/* host:port and URL of the leader; NULL: nobody knows. */
static void
set_leader(Pd *pd, const char *url)
{
	Forward *fw = pd->forward;
	const char *address = url == NULL ? "" : url_address(url, &pd->arena);

	/* A longer one leads nowhere, and is not tried again and again. */
	if (strncmp(fw->leader, address, sizeof(fw->leader) - 1) == 0)
		return;
	forward_forget_streams(fw);
	if (fw->channel != NULL)
		client_close(fw->channel);
	fw->channel = NULL;
	fw->tso_not_before_us = fw->beats_not_before_us = 0;
	strlcpy(fw->leader, address, sizeof(fw->leader));
	strlcpy(fw->leader_url, url == NULL ? "" : url, sizeof(fw->leader_url));
	if (address[0] != '\0')
		fw->channel = client_open(pd->server, address);
}

const char *
forward_leader_url(Pd *pd)
{
	if (pd->forward == NULL || pd->forward->leader_url[0] == '\0')
		return NULL;
	return pd->forward->leader_url;
}

static void
take_members(Pd *pd, const Pdpb__GetMembersResponse *in)
{
	const Pdpb__Member *leader = in->leader;

	if (leader == NULL || leader->n_client_urls == 0 ||
		strcmp(leader->client_urls[0], pd->client_url) == 0)
		return;
	if (pd->state.cluster_id == 0 && !pd->may_found &&
		tikv_fdw_settings.pd_endpoints[0] != '\0')
		pd->state.cluster_id = in->header->cluster_id;
	if (in->header->cluster_id == pd->state.cluster_id)
		set_leader(pd, leader->client_urls[0]);
}

static void
on_members(void *arg, const ClientResult *result)
{
	Pd *pd = arg;
	Forward *fw = pd->forward;
	const Pdpb__GetMembersResponse *in = NULL;

	fw->asking = NULL;
	if (result->code == RPC_OK)
		in = (const Pdpb__GetMembersResponse *)
			service_unpack(&pdpb__get_members_response__descriptor,
						   result->reply, &pd->arena);
	if (in != NULL && in->header != NULL && in->header->error == NULL)
		take_members(pd, in);
	client_close(fw->asked);
	fw->asked = NULL;
}

/* The next address to ask: those configured, then the members known. */
static const char *
next_address(Pd *pd)
{
	Forward *fw = pd->forward;
	const char *lists[] = {tikv_fdw_settings.pd_endpoints,
						   tikv_fdw_settings.join};
	int at = 0;

	for (int round = 0; round < 2; round++)
	{
		for (int i = 0; i < (int) lengthof(lists); i++)
		{
			char *list = arena_strdup(&pd->arena, lists[i]);
			char *rest = NULL;

			for (char *word = strtok_r(list, ", ", &rest); word != NULL;
				 word = strtok_r(NULL, ", ", &rest))
				if (at++ == fw->ask_at)
				{
					fw->ask_at++;
					return url_address(word, &pd->arena);
				}
		}
		for (size_t i = 0; i < pd->state.members.n; i++)
			if (at++ == fw->ask_at)
			{
				fw->ask_at++;
				return url_address(pd->state.members.items[i]
									   ->member.client_url,
								   &pd->arena);
			}
		fw->ask_at = at = 0;
	}
	return NULL;
}

static void
ask_around(Pd *pd)
{
	Forward *fw = pd->forward;
	ClientOptions options = {.timeout_ms = 1000};
	int64 now = board_now_us();
	const char *address;

	if (fw->asking != NULL || now < fw->next_ask_us)
		return;
	fw->next_ask_us = now + FORWARD_ASK_US;
	address = next_address(pd);
	if (address == NULL ||
		strcmp(address, url_address(pd->client_url, &pd->arena)) == 0)
		return;
	fw->asked = client_open(pd->server, address);
	fw->asking = client_call(fw->asked, "/pdpb.PD/GetMembers", bytes_empty(),
							 &options, on_members, pd);
}

void
forward_find_leader(Pd *pd)
{
	const PdMember *leader = pd_leader(pd);

	if (pd->leading)
		set_leader(pd, NULL);
	else if (leader != NULL && leader->id != pd->saved.member_id)
		set_leader(pd, leader->client_url);
	else if (pd->raft != NULL && raft_role(pd->raft) == RAFT_LEADER)
		set_leader(pd, NULL);
	else
		ask_around(pd);
}
