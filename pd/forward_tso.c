/*
 * forward_tso.c
 *	  Timestamps from the leader, for this node's processes.
 *
 * What is asked for together travels in one message of one stream; if the
 * stream ends, nobody has been given any of what was under way.
 */
#include "postgres.h"

#include <stdlib.h>

#include "bus/board.h"
#include "core/base/check.h"
#include "pd/convert.h"
#include "pd/forward.h"
#include "service/service.h"

static void
want_tso(Forward *fw, Forwarded *f)
{
	f->next = NULL;
	*fw->tso_wanted_tail = f;
	fw->tso_wanted_tail = &f->next;
}

static void
answer_tso(Forwarded *f, uint64 cluster_id, int64 physical, int64 logical)
{
	Pdpb__ResponseHeader header = PDPB__RESPONSE_HEADER__INIT;
	Pdpb__Timestamp timestamp = PDPB__TIMESTAMP__INIT;
	Pdpb__TsoResponse response = PDPB__TSO_RESPONSE__INIT;

	header.cluster_id = cluster_id;
	timestamp.physical = physical;
	timestamp.logical = logical;
	response.header = &header;
	response.count = f->count;
	response.timestamp = &timestamp;
	pd_reply(f->pd, &f->to, &response.base);
	forward_free(f);
}

/* The answer names the last of the batch; the first in order get the first. */
static void
on_tso(ClientCall *call, Bytes bytes)
{
	Pd *pd = client_user(call);
	Forward *fw = pd->forward;
	TsoBatch *batch = fw->tso_sent;
	const Pdpb__TsoResponse *in = (const Pdpb__TsoResponse *)
		service_unpack(&pdpb__tso_response__descriptor, bytes, &pd->arena);
	int64 logical;

	if (batch == NULL || in == NULL || in->timestamp == NULL ||
		in->count != batch->count ||
		in->timestamp->logical < (int64) batch->count)
	{
		client_cancel(call);
		return;
	}
	fw->tso_sent = batch->next;
	if (fw->tso_sent == NULL)
		fw->tso_sent_tail = &fw->tso_sent;
	logical = in->timestamp->logical - batch->count;
	while (batch->first != NULL)
	{
		Forwarded *f = batch->first;

		batch->first = f->next;
		logical += f->count;
		answer_tso(f, in->header == NULL ? 0 : in->header->cluster_id,
				   in->timestamp->physical, logical);
	}
	free(batch);
}

/* Nobody got a timestamp of what was under way: ask again. */
void
forward_recall_tso(Forward *fw)
{
	while (fw->tso_sent != NULL)
	{
		TsoBatch *batch = fw->tso_sent;
		Forwarded *last = batch->first;

		while (last->next != NULL)
			last = last->next;
		last->next = fw->tso_wanted;
		if (fw->tso_wanted == NULL)
			fw->tso_wanted_tail = &last->next;
		fw->tso_wanted = batch->first;
		fw->tso_sent = batch->next;
		free(batch);
	}
	fw->tso_sent_tail = &fw->tso_sent;
}

static void
on_tso_closed(ClientCall *call, const ClientResult *result)
{
	Pd *pd = client_user(call);

	elog(DEBUG1, "tikv pd: the leader's stream of timestamps ended: %s",
		 result->text);
	pd->forward->tso = NULL;
	pd->forward->tso_not_before_us = board_now_us() + FORWARD_RETRY_US;
	forward_recall_tso(pd->forward);
}

static const ClientHandler tso_handler = {.message = on_tso,
										  .closed = on_tso_closed};

static void
expire_tso(Forward *fw)
{
	int64 now = board_now_us();

	while (fw->tso_wanted != NULL && now >= fw->tso_wanted->until_us)
	{
		Forwarded *f = fw->tso_wanted;

		fw->tso_wanted = f->next;
		if (fw->tso_wanted == NULL)
			fw->tso_wanted_tail = &fw->tso_wanted;
		forward_refuse(f, RPC_UNAVAILABLE, "no leader of the placement driver");
	}
}

#define MAX_TSO_BATCH 100000

/* All that are wanted now, in one message. */
static TsoBatch *
make_batch(Forward *fw)
{
	TsoBatch *batch = calloc(1, sizeof(*batch));
	Forwarded *last = NULL;

	CHECK(batch != NULL);
	batch->first = fw->tso_wanted;
	while (fw->tso_wanted != NULL &&
		   (last == NULL ||
			batch->count + fw->tso_wanted->count <= MAX_TSO_BATCH))
	{
		last = fw->tso_wanted;
		batch->count += last->count;
		fw->tso_wanted = last->next;
	}
	last->next = NULL;
	if (fw->tso_wanted == NULL)
		fw->tso_wanted_tail = &fw->tso_wanted;
	return batch;
}

void
forward_send_tso(Pd *pd)
{
	Forward *fw = pd->forward;
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__TsoRequest request = PDPB__TSO_REQUEST__INIT;

	expire_tso(fw);
	if (fw->tso_wanted == NULL || fw->channel == NULL)
		return;
	if (fw->tso == NULL && board_now_us() < fw->tso_not_before_us)
		return;
	if (fw->tso == NULL)
		fw->tso =
			client_stream(fw->channel, "/pdpb.PD/Tso", NULL, &tso_handler, pd);
	header.cluster_id = pd->state.cluster_id;
	request.header = &header;
	while (fw->tso_wanted != NULL)
	{
		TsoBatch *batch = make_batch(fw);

		*fw->tso_sent_tail = batch;
		fw->tso_sent_tail = &batch->next;
		request.count = batch->count;
		if (!client_send_bytes(fw->tso,
							   pack_message(&request.base, &pd->arena)))
			break;
	}
}

void
forward_tso(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *to)
{
	const Pdpb__TsoRequest *in =
		(const Pdpb__TsoRequest *) service_unpack(method->request, bytes,
												  &pd->arena);
	Forwarded *f;

	if (in == NULL || in->count == 0 || in->count > MAX_TSO_BATCH)
	{
		pd_fail(pd, to, RPC_INVALID_ARGUMENT, "malformed request message");
		return;
	}
	f = forward_new(pd, method, bytes_empty(), to);
	f->count = in->count;
	want_tso(pd->forward, f);
}
