/*
 * fuzz_wire.c
 *	  BatchCommands and every request message, from bytes to messages.
 *
 * The hand-written reader of the envelope must agree with protobuf-c's about
 * what is in it, and what was unpacked must survive packing and unpacking.
 */
#include "messages.h"

#include "kvrpcpb.pb-c.h"
#include "server/envelope.h"
#include "tikvpb.pb-c.h"

/* What protobuf-c makes of the same bytes. */
static void
compare_envelope(const Envelope *envelope, Bytes bytes, Arena *arena)
{
	Tikvpb__BatchCommandsRequest *message = (Tikvpb__BatchCommandsRequest *)
		service_unpack(&tikvpb__batch_commands_request__descriptor, bytes,
					   arena);

	if (message == NULL)
		return; /* a command inside is damaged, which fails it alone */
	CHECK(message->n_requests == envelope->n_commands);
	CHECK(message->n_request_ids == envelope->n_ids);
	for (size_t i = 0; i < envelope->n_ids; i++)
		CHECK(message->request_ids[i] == envelope->ids[i]);
}

static void
pack_again(const ProtobufCMessage *message, Arena *arena)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = arena_alloc(arena, len);

	CHECK(protobuf_c_message_pack(message, bytes) == len);
	(void) service_unpack(message->descriptor, bytes_make(bytes, len), arena);
}

static void
batch(Bytes bytes, Arena *arena)
{
	static Envelope envelope;

	if (!envelope_parse(&envelope, bytes))
		return;
	for (size_t i = 0; i < envelope.n_commands; i++)
	{
		const ServiceMethod *method;
		const ProtobufCMessage *message;
		Bytes body;

		if (!envelope_parse_command(envelope.commands[i], &method, &body) ||
			method == NULL)
			continue;
		CHECK(method->in_batch);
		message = service_unpack(method->request, body, arena);
		if (message != NULL)
			pack_again(message, arena);
	}
	compare_envelope(&envelope, bytes, arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput in = fuzz_input(data, size);
	unsigned int which = fuzz_u8(&in);
	Bytes bytes = fuzz_own(fuzz_rest(&in));
	const ProtobufCMessage *message;
	Arena arena;

	arena_init(&arena);
	if (which >= (unsigned int) service_n_methods)
		batch(bytes, &arena);
	else
	{
		message = service_unpack(service_methods[which].request, bytes, &arena);
		if (message != NULL)
			pack_again(message, &arena);
	}
	arena_free(&arena);
	fuzz_disown(bytes);
	return 0;
}

static void
write_seeds(void)
{
	Arena arena;
	Example example = {.arena = &arena, .member = 1, .n_repeated = 2};
	FuzzSeed seed = {0};

	arena_init(&arena);
	for (int i = 0; i < service_n_methods; i++)
	{
		Bytes bytes = example_packed(&example, service_methods[i].request);

		seed_u8(&seed, i);
		seed_add(&seed, bytes.data, bytes.len);
		fuzz_seed(&seed);
	}
	for (example.member = 0; example.member < 40; example.member += 4)
	{
		Bytes bytes =
			example_packed(&example,
						   &tikvpb__batch_commands_request__descriptor);

		seed_u8(&seed, 0xff);
		seed_add(&seed, bytes.data, bytes.len);
		fuzz_seed(&seed);
	}
	arena_free(&arena);
}
