/*
 * unsent.c
 *	  Counts the bytes of answers that clients have not taken yet.
 *
 * A client that asks and does not read makes the server hold its answers.
 * Every call has bounds of its own, but many calls together do not, so all
 * bytes that were handed over and are not finished are counted per server.
 * Over the bound new requests are refused, and streams that owe their client
 * something are not read until half of it is gone.  Who does not take an answer
 * meanwhile makes room: some who ask and never read would keep out all others
 * for as long as they like.
 *
 * What a burst of answers, or of connections, has left free in the allocator
 * goes back to the system before the server sleeps.
 */
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/check.h"
#include "server/internal.h"

#define MAX_REPLY_DEFAULT ((size_t) 512 * 1024 * 1024)
#define MAX_UNSENT_DEFAULT ((size_t) 1024 * 1024 * 1024)

/* Free memory below this is kept for the next answers. */
#define TRIM_BYTES ((size_t) 64 * 1024 * 1024)

/* How long an answer may be on its way where others want its room. */
#define UNREAD_MS_DEFAULT 10000

/* Beside that, what is large has the time that it takes at this rate. */
#define UNREAD_BYTES_PER_US 8

/* How often at most it is looked who does not read. */
#define ROOM_LOOK_US INT64_C(1000000)

/* How often at most it is looked at what is kept that no answer accounts for. */
#define KEPT_LOOK_US INT64_C(5000000)

/*
 * glibc raises its threshold for mappings as it sees large blocks freed, up
 * to 32 MiB, after which answers fragment the heap.  Fixed, the large ones
 * are given back the moment they are freed.
 */
#define MMAP_BYTES (256 * 1024)
#define KEEP_AT_TOP_BYTES (4 * 1024 * 1024)

void
unsent_configure(Server *server)
{
	ServerConfig *config = &server->config;

	if (config->max_reply == 0)
		config->max_reply = MAX_REPLY_DEFAULT;
	if (config->max_reply > INT32_MAX)
		config->max_reply = INT32_MAX;
	if (config->max_unsent == 0)
		config->max_unsent = MAX_UNSENT_DEFAULT;
	if (config->unread_ms == 0)
		config->unread_ms = UNREAD_MS_DEFAULT;
	if (config->max_memory != 0)
	{
		/* What is left is for the answer that is being made. */
		size_t limit = config->max_memory / 4 * 3;

		source_set_limit(limit);
		if (config->max_unsent > limit)
			config->max_unsent = limit;
	}
	mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
	mallopt(M_TRIM_THRESHOLD, KEEP_AT_TOP_BYTES);
}

void
unsent_add(Call *call, size_t n)
{
	Server *server = call->server;

	account_add(&call->source->account, n);
	server->unsent += n;
	if (server->unsent > server->unsent_peak)
		server->unsent_peak = server->unsent;
	if (server->unsent > server->config.max_unsent)
		server->holding = true;
}

static void
read_again(Server *server)
{
	for (Link *l = server->live.next; l != &server->live; l = l->next)
	{
		Call *call = (Call *) l;

		if (call->method->kind == RPC_STREAM && !call_is_done(call))
			pump_todo(call);
	}
}

void
unsent_sub(Call *call, size_t n)
{
	Server *server = call->server;

	if (n == 0)
		return;
	CHECK(n <= server->unsent);
	account_sub(&call->source->account, n);
	server->unsent -= n;
	if (!server->holding || server->unsent > server->config.max_unsent / 2)
		return;
	server->holding = false;
	read_again(server);
}

bool
unsent_holds_back(const Call *call)
{
	return call->server->holding && call->send_bytes > 0;
}

/* Private memory of the process, in bytes; 0 if the system does not tell. */
static size_t
resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	size_t resident;
	size_t shared;
	int n;

	if (file == NULL)
		return 0;
	n = fscanf(file, "%*u %zu %zu", &resident, &shared);
	fclose(file);
	if (n != 2 || shared > resident)
		return 0;
	return (resident - shared) * (size_t) sysconf(_SC_PAGESIZE);
}

/* What the allocator has handed out. */
static size_t
allocated_bytes(void)
{
#if __GLIBC_PREREQ(2, 33)
	struct mallinfo2 info = mallinfo2();
#else
	struct mallinfo info = mallinfo();
#endif

	return (size_t) info.uordblks + (size_t) info.hblkhd;
}

/*
 * Does the process keep much that nobody uses?  What gRPC holds for connections
 * and handshakes is counted nowhere, and thousands that come to nothing leave it
 * free in pieces, of which the allocator gives none back.
 */
static bool
keeps_much(Server *server)
{
	int64_t now_us = server_now_us();
	size_t resident;

	if (now_us < server->kept_look_us)
		return false;
	server->kept_look_us = now_us + KEPT_LOOK_US;
	resident = resident_bytes();
	return resident > TRIM_BYTES && resident - TRIM_BYTES > allocated_bytes();
}

/*
 * The peak counts, not the sum: under a steady load the same memory is used
 * again and again and must stay.
 */
void
unsent_trim(Server *server)
{
	if (server->unsent_peak - server->unsent <= TRIM_BYTES &&
		!keeps_much(server))
		return;
	server->unsent_peak = server->unsent;
	malloc_trim(0);
}

void
unsent_too_large(char *text, size_t textlen, size_t len, size_t limit)
{
	snprintf(text, textlen,
			 "the answer has %zu bytes, more than the limit of %zu", len,
			 limit);
}

size_t
server_unsent_bytes(const Server *server)
{
	return server->unsent;
}

bool
server_is_overloaded(const Server *server)
{
	return server->unsent > server->config.max_unsent;
}

bool
unsent_refuses(const Call *call)
{
	return server_is_overloaded(call->server) || !source_admits(call->source);
}

/* What gRPC has of this call's answers and cannot send; 0: nothing. */
static size_t
on_its_way(const Call *call)
{
	if (call->send_busy)
		return call->send_first->len;
	return call->status_started && !call->status_done ? call->reply_bytes : 0;
}

static bool
is_unread(const Call *call, int64_t now_us)
{
	size_t bytes = on_its_way(call);

	return bytes > 0 && !call->evicted && !call->gone &&
		now_us - call->sending_us >=
		(int64_t) call->server->config.unread_ms * 1000 +
			(int64_t) (bytes / UNREAD_BYTES_PER_US);
}

/* Its client is told, and may ask again; to us it is as if it had cancelled. */
static void
evict(Call *call)
{
	call->evicted = true;
	grpc_call_cancel_with_status(call->grpc, GRPC_STATUS_UNAVAILABLE,
								 "the answer was not read for long, and "
								 "others need its room",
								 NULL);
}

/* One that only has its own share of the memory is not kept out by others. */
void
unsent_make_room(Server *server)
{
	int64_t now_us = server_now_us();

	if ((!server_is_overloaded(server) && !server_memory_is_short()) ||
		now_us < server->room_look_us)
		return;
	server->room_look_us = now_us + ROOM_LOOK_US;
	server_enter(server);
	for (Link *l = server->live.next; l != &server->live; l = l->next)
	{
		Call *call = (Call *) l;

		if (is_unread(call, now_us))
			evict(call);
	}
	server_leave(server);
}

/* ---- for handlers ---- */

static Account *
payer_of(Call *call)
{
	return call->payer != NULL ? &call->payer->account :
								 server_memory_account();
}

void
call_charge(Call *call, size_t n)
{
	if (n == 0)
		return;
	if (call->charged == 0 && call->source != NULL)
	{
		call->payer = call->source;
		source_hold(call->payer);
	}
	call->charged += n;
	account_add(payer_of(call), n);
}

void
call_uncharge(Call *call, size_t n)
{
	CHECK(n <= call->charged);
	account_sub(payer_of(call), n);
	call->charged -= n;
	if (call->charged > 0 || call->payer == NULL)
		return;
	source_release(call->payer);
	call->payer = NULL;
}

/* A call that is over takes nothing. */
bool
call_admits(const Call *call)
{
	return call->source == NULL || !unsent_refuses(call);
}

bool
call_admits_unasked(const Call *call)
{
	return call->source == NULL ||
		(!server_is_overloaded(call->server) &&
		 source_admits_unasked(call->source));
}
