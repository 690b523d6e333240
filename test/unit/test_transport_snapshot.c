/*
 * test_transport_snapshot.c
 *	  Snapshots from node to node: whole, broken off on either side, refused,
 *	  and chunks that no honest node sends.
 */
#include <grpc/grpc.h>
#include <signal.h>

#include "server/client.h"
#include "transport/fence.h"

#include "node_kit.h"
#include "unit.h"

static Node *a = &nodes[1];
static Node *b = &nodes[2];

/* ---- what b takes ---- */

static int begun;
static int ended;
static int whole; /* of those that ended */
static size_t taken_bytes;
static uint64_t expected; /* bytes of the snapshot that is sent */
static bool taken_good;
static char taken_message[100];
static bool refuse_all;
static bool keep_nothing;
static bool not_good;
static const char *token = "a snapshot";

static uint8_t
byte_at(uint64_t offset)
{
	return (uint8_t) (offset * 31 + offset / 251);
}

static void *
snapshot_begin(void *arg, uint64_t from_id, Bytes message, const char **why)
{
	(void) arg;
	if (refuse_all)
	{
		*why = "too many snapshots";
		return NULL;
	}
	begun++;
	taken_bytes = 0;
	taken_good = from_id == 1;
	snprintf(taken_message, sizeof(taken_message), "%.*s", (int) message.len,
			 (const char *) message.data);
	return (void *) (uintptr_t) token;
}

static bool
snapshot_data(void *snapshot, Bytes data)
{
	taken_good = taken_good && snapshot == token;
	for (size_t i = 0; i < data.len; i++)
		taken_good = taken_good && data.data[i] == byte_at(taken_bytes + i);
	taken_bytes += data.len;
	return !keep_nothing;
}

static bool
snapshot_end(void *snapshot, bool complete)
{
	taken_good = taken_good && snapshot == token;
	ended++;
	complete = complete && taken_bytes == expected;
	whole += complete;
	return complete && !not_good;
}

/* ---- what a sends ---- */

typedef struct Sending
{
	int done;
	bool ok;
	char text[256];
	uint64_t fails_at; /* 0: never */
	size_t largest;
} Sending;

static bool
read_source(void *arg, uint64_t offset, uint8_t *out, size_t len)
{
	Sending *s = arg;

	if (len > s->largest)
		s->largest = len;
	for (size_t i = 0; i < len; i++)
		out[i] = byte_at(offset + i);
	return s->fails_at == 0 || offset + len < s->fails_at;
}

static void
sent(void *arg, bool ok, const char *text)
{
	Sending *s = arg;

	s->done++;
	s->ok = ok;
	snprintf(s->text, sizeof(s->text), "%s", text);
}

static bool
send_snapshot(Sending *s, uint64_t to, uint64_t size)
{
	SnapshotSource source = {size, read_source, sent, s};

	expected = size;
	return transport_send_snapshot(a->transport, to, bytes_cstr("the message"),
								   &source);
}

static void
start_b(void)
{
	TransportConfig config;

	b->id = 2;
	b->cluster_id = 77;
	config = kit_transport_config(b);
	config.snapshot_begin = snapshot_begin;
	config.snapshot_data = snapshot_data;
	config.snapshot_end = snapshot_end;
	OK(kit_start(b, &config), "the receiving node starts");
}

static void
arrives(void)
{
	Sending s = {0};
	Sending small = {0};

	OK(send_snapshot(&s, 2, 20 << 20), "a snapshot is sent");
	EQ_U64(s.done, 0, "which takes its time");
	OK(kit_until(&s.done, 1), "it is done");
	OK(s.ok, "and well");
	OK(begun == 1 && ended == 1 && whole == 1, "it was whole");
	EQ_U64(taken_bytes, 20 << 20, "all of it arrived");
	OK(taken_good, "as it was sent");
	EQ_STR(taken_message, "the message", "with its message");
	OK(s.largest <= 1 << 20, "in small pieces");
	OK(send_snapshot(&small, 2, 0) && kit_until(&small.done, 1) && small.ok,
	   "one without data");
	EQ_U64(taken_bytes, 0, "arrives as well");
	EQ_U64(kit_stats(a).snapshots_sent, 2, "they are counted here");
	EQ_U64(kit_stats(b).snapshots_received, 2, "and there");
}

/* Messages do not wait behind a snapshot. */
static void
messages_pass(void)
{
	Sending s = {0};
	int before = b->messages;

	b->next = 0;
	/* It would take hours, and fails when it is told to. */
	send_snapshot(&s, 2, UINT64_C(10) << 40);
	kit_for_ms(20);
	for (uint32_t i = 0; i < 100; i++)
	{
		kit_send(a, 2, i, 100);
		kit_round();
	}
	OK(kit_until(&b->messages, before + 100), "messages arrive");
	EQ_U64(s.done, 0, "while a snapshot is on its way");
	s.fails_at = 1;
	OK(kit_until(&s.done, 1) && !s.ok, "which then ends");
	OK(kit_until(&ended, begun), "on both sides");
}

static void
broken_off(void)
{
	Sending s = {.fails_at = 3 << 20};
	Sending stopped = {0};
	int before = whole;

	send_snapshot(&s, 2, 10 << 20);
	OK(kit_until(&s.done, 1) && !s.ok, "one that cannot be read fails");
	EQ_STR(s.text, "the snapshot cannot be read", "for that reason");
	OK(kit_until(&ended, begun), "the other side is told");
	EQ_U64(whole, before, "that it is not whole");

	s = (Sending){0};
	keep_nothing = true;
	send_snapshot(&s, 2, 10 << 20);
	OK(kit_until(&s.done, 1) && !s.ok, "one that cannot be kept fails");
	EQ_STR(s.text, "the snapshot cannot be kept", "for that reason");
	keep_nothing = false;

	s = (Sending){0};
	not_good = true;
	send_snapshot(&s, 2, 1 << 20);
	OK(kit_until(&s.done, 1) && !s.ok, "one that is not good fails");
	EQ_STR(s.text, "the snapshot is not good", "for that reason");
	not_good = false;

	s = (Sending){0};
	refuse_all = true;
	send_snapshot(&s, 2, 1 << 20);
	OK(kit_until(&s.done, 1) && !s.ok, "one that is refused fails");
	EQ_STR(s.text, "too many snapshots", "for that reason");
	refuse_all = false;
	EQ_U64(ended, begun, "all that began have ended");

	/* Each side stops in the middle. */
	s = (Sending){0};
	send_snapshot(&s, 2, UINT64_C(10) << 40);
	send_snapshot(&stopped, 2, UINT64_C(10) << 40);
	kit_for_ms(50);
	kit_stop(b);
	OK(kit_until(&s.done, 1) && !s.ok, "the receiving node stops");
	OK(kit_until(&stopped.done, 1) && !stopped.ok, "and all of them fail");
	EQ_U64(ended, begun, "there they have ended");
	EQ_U64(whole, before + 1, "none of them whole");
	kit_for_ms(300);
	s = (Sending){0};
	OK(send_snapshot(&s, 2, 10), "one to a node that is down");
	OK(kit_until(&s.done, 1) && !s.ok, "fails");
	start_b();
	for (int i = 0; i < 100 && !s.ok; i++)
	{
		s = (Sending){0};
		if (send_snapshot(&s, 2, 1000))
			kit_until(&s.done, 1);
		kit_for_ms(20);
	}
	OK(s.ok, "until it is back");
	s = (Sending){0};
	OK(send_snapshot(&s, 9, 10), "one to nobody");
	OK(kit_until(&s.done, 1) && !s.ok, "fails");
}

/* ---- strangers ---- */

static RpcCode
stream(const Bytes *chunks, int n, bool envelope)
{
	static const ClientHeader headers[] = {{ENVELOPE_CLUSTER, "77"},
										   {ENVELOPE_FROM, "1"},
										   {ENVELOPE_TO, "2"},
										   {ENVELOPE_START,
											"6488064" /* 99 << 16 */}};
	ClientOptions options = {headers, envelope ? 4 : 0, 5000};

	return kit_stream(a, b, "/tikvpb.Tikv/Snapshot", &options, chunks, n).code;
}

static void
strangers(void)
{
	Bytes first = bytes_make("\x0a\x01m", 3);
	Bytes data = bytes_make("\x12\x01\x00", 3);
	Bytes both = bytes_make("\x0a\x01m\x12\x01\x00", 6);
	Bytes junk = bytes_make("\x0a\x09m", 3);
	int whole_before = whole;

	EQ_U64(stream(&(Bytes){0}, 0, true), RPC_INVALID_ARGUMENT,
		   "a stream of nothing");
	EQ_U64(stream(&first, 1, false), RPC_INVALID_ARGUMENT,
		   "one that does not say who sends");
	EQ_U64(stream(&data, 1, true), RPC_INVALID_ARGUMENT,
		   "data without a message");
	EQ_U64(stream(&both, 1, true), RPC_INVALID_ARGUMENT,
		   "data beside the message");
	EQ_U64(stream(&junk, 1, true), RPC_INVALID_ARGUMENT, "bytes that are none");
	EQ_U64(stream((Bytes[]){first, first}, 2, true), RPC_INVALID_ARGUMENT,
		   "two messages");
	EQ_U64(stream((Bytes[]){first, bytes_empty()}, 2, true),
		   RPC_INVALID_ARGUMENT, "an empty chunk");
	EQ_U64(stream((Bytes[]){first, data, junk}, 3, true), RPC_INVALID_ARGUMENT,
		   "junk behind data");
	EQ_U64(whole, whole_before, "none of them is whole");
	EQ_U64(ended, begun, "all have ended");
	expected = 1;
	EQ_U64(stream((Bytes[]){first, data}, 2, true), RPC_OK, "a good one");
	EQ_U64(whole, whole_before + 1, "is");
}

int
main(void)
{
	Sending s = {0};

	signal(SIGPIPE, SIG_IGN);
	grpc_init();
	OK(kit_start(a, NULL), "the sending node starts");
	start_b();
	arrives();
	messages_pass();
	broken_off();
	strangers();
	send_snapshot(&s, 2, UINT64_C(10) << 40);
	kit_for_ms(30);
	kit_stop(a);
	OK(s.done == 1 && !s.ok, "a node that stops ends what it sends");
	kit_stop(b);
	EQ_U64(ended, begun, "and what it takes");
	grpc_shutdown();
	return unit_done();
}
