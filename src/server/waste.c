/*
 * waste.c
 *	  Connections whose calls come to nothing.
 *
 * A stream that its client resets costs about what a good one does, and the
 * bound of open streams does not see it.  So each connection has a credit: a
 * call that is answered adds to it, as does time, and one that its client gave
 * up takes from it; most of all one that was reset before its message could be
 * read, as many more of those are dropped inside gRPC, unseen.  Who has no
 * credit left is a flood and is disconnected.
 *
 * A client that cancels what it has asked for may do so a thousand times a
 * second, and once more for each call that it lets be answered.  A call whose
 * deadline has passed counts little, for that happens to the clients of a
 * server that is too slow.
 *
 * A connection that was ended leaves calls which end only then; they cost
 * nothing any more.  Who connects from the same address and port afterwards is
 * known as the same source and begins its next life, as a newcomer.
 */
#include <grpc/support/alloc.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "server/internal.h"

/* Credit, in eighths of a call; what the end of one costs. */
#define CALL INT64_C(8)
#define COST_GIVEN_UP CALL
#define COST_UNREAD (8 * CALL)
#define COST_LATE 1
#define MAX_CREDIT (8192 * CALL)
#define FIRST_CREDIT (2048 * CALL)
#define CREDIT_PER_SECOND (1000 * CALL)

/* While there are floods, who comes anew has less. */
#define ALARMED_CREDIT (256 * CALL)
#define ALARM_US INT64_C(60000000)

/* Who was looked for in vain is not charged for this time. */
#define LOOK_AGAIN_US INT64_C(100000)

static void
refill(Server *server, Source *source)
{
	int64_t now = server_now_us();
	int64_t since = now - source->credit_us;

	if (source->credit_us == 0)
		source->credit =
			now < server->alarm_until_us ? ALARMED_CREDIT : FIRST_CREDIT;
	else if (since >= MAX_CREDIT * 1000000 / CREDIT_PER_SECOND)
		source->credit = MAX_CREDIT;
	else
		source->credit += since * CREDIT_PER_SECOND / 1000000;
	if (source->credit > MAX_CREDIT)
		source->credit = MAX_CREDIT;
	source->credit_us = now;
}

/*
 * It may have gone by itself, or the process has no descriptor left to pin it:
 * then nothing is charged for a moment, for a look is one at all connections,
 * and what is left of it may be much.
 */
static void
disconnect(Call *call)
{
	Server *server = call->server;
	Source *source = call->source;
	char *peer = grpc_call_get_peer(call->grpc);

	if (peer != NULL && warden_end_peer(server->warden, peer))
	{
		server->alarm_until_us = source->credit_us + ALARM_US;
		source->life++;
		source->credit_us = 0;
	}
	else
	{
		source->credit = 0;
		source->look_us = source->credit_us + LOOK_AGAIN_US;
	}
	gpr_free(peer);
}

static int64_t
cost(const Call *call, int64_t now_us)
{
	if (!call->cancelled)
		return -CALL;
	if (call->deadline_us <= now_us)
		return COST_LATE;
	return call->unread ? COST_UNREAD : COST_GIVEN_UP;
}

void
waste_note(Call *call)
{
	Source *source = call->source;

	if (call->server->stopping || call->life != source->life)
		return;
	refill(call->server, source);
	if (source->credit_us < source->look_us)
		return;
	source->credit -= cost(call, source->credit_us);
	if (source->credit < 0)
		disconnect(call);
}
