/*
 * held_puts.h
 *	  A service that keeps every RawPut until it is told to answer, and clients
 *	  that flood it: who is told that the server is busy?
 */
#ifndef TIKV_TEST_HELD_PUTS_H
#define TIKV_TEST_HELD_PUTS_H

#include "errorpb.pb-c.h"
#include "kvrpcpb.pb-c.h"
#include "rpc_client.h"
#include "rpc_server.h"
#include "unit.h"

static Request *waiting; /* the server's thread's */
static atomic_long n_waiting;
static atomic_bool release;

static inline void
hold_put(Request *request)
{
	request->next = waiting;
	waiting = request;
	atomic_fetch_add(&n_waiting, 1);
}

/* On the server's thread, once per round. */
static inline void
answer_puts(void)
{
	Kvrpcpb__RawPutResponse reply = KVRPCPB__RAW_PUT_RESPONSE__INIT;

	while (atomic_load(&release) && waiting != NULL)
	{
		Request *request = waiting;

		waiting = request->next;
		request->done(request, &reply.base);
		atomic_fetch_sub(&n_waiting, 1);
	}
}

static inline RpcStream
send_put(RpcClient *client, Bytes message)
{
	RpcStream s = rpc_open(client, "/tikvpb.Tikv/RawPut", -1, NULL, 0);

	rpc_send(&s, message);
	rpc_half_close(&s);
	return s;
}

/* Take the answer; was it ServerIsBusy, with all that belongs to it? */
static inline bool
ends_busy(RpcStream *s)
{
	RpcMessage m = rpc_recv(s);
	Kvrpcpb__RawPutResponse *reply =
		kvrpcpb__raw_put_response__unpack(NULL, m.len, m.data);
	bool busy = reply != NULL && reply->region_error != NULL;

	if (rpc_status(s) != 0 || reply == NULL)
		OK(false, "every request is answered in the protocol");
	if (busy &&
		(reply->region_error->server_is_busy == NULL ||
		 reply->region_error->server_is_busy->backoff_ms != 100 ||
		 strstr(reply->region_error->server_is_busy->reason,
				"scheduler is busy") == NULL))
		OK(false, "a refusal is ServerIsBusy with reason and backoff");
	if (reply != NULL)
		kvrpcpb__raw_put_response__free_unpacked(reply, NULL);
	free(m.data);
	rpc_close(s);
	return busy;
}

static inline long
count_busy(RpcStream *puts, int n)
{
	long busy = 0;

	for (int i = 0; i < n; i++)
		busy += ends_busy(&puts[i]);
	return busy;
}

#endif /* TIKV_TEST_HELD_PUTS_H */
