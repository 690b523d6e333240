/*
 * envelope.c
 *	  A BatchCommandsRequest taken apart without building a message.
 *
 * Commands and ids are parallel lists in separate fields, in any order on
 * the wire, so the whole message is looked over before the first command
 * runs.
 */
#include "server/envelope.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "service/wire.h"

/* Clients send 128 commands at once, more only under priorities. */
#define MAX_COMMANDS ((size_t) 65536)

/* Fields of BatchCommandsRequest. */
#define FIELD_COMMANDS 1
#define FIELD_IDS 2

static bool
add_command(Envelope *e, Bytes bytes)
{
	if (e->n_commands == MAX_COMMANDS)
		return false;
	if (e->n_commands == e->cap_commands)
	{
		e->cap_commands = e->cap_commands == 0 ? 256 : 2 * e->cap_commands;
		e->commands =
			realloc(e->commands, e->cap_commands * sizeof(*e->commands));
		CHECK(e->commands != NULL);
	}
	e->commands[e->n_commands++] = bytes;
	return true;
}

static bool
add_request_id(Envelope *e, uint64_t id)
{
	if (e->n_ids == MAX_COMMANDS)
		return false;
	if (e->n_ids == e->cap_ids)
	{
		e->cap_ids = e->cap_ids == 0 ? 256 : 2 * e->cap_ids;
		e->ids = realloc(e->ids, e->cap_ids * sizeof(*e->ids));
		CHECK(e->ids != NULL);
	}
	e->ids[e->n_ids++] = id;
	return true;
}

static bool
add_packed_ids(Envelope *e, Bytes packed)
{
	WireReader r = wire_reader(packed);
	uint64_t id;

	while (r.next != r.end)
		if (!wire_read_varint(&r, &id) || !add_request_id(e, id))
			return false;
	return true;
}

bool
envelope_parse(Envelope *e, Bytes message)
{
	WireReader r = wire_reader(message);
	WireField f;
	bool good = true;

	e->n_commands = 0;
	e->n_ids = 0;
	while (good && wire_read_field(&r, &f))
	{
		if (f.number == FIELD_COMMANDS && f.type == WIRE_BYTES)
			good = add_command(e, f.bytes);
		else if (f.number == FIELD_IDS && f.type == WIRE_BYTES)
			good = add_packed_ids(e, f.bytes);
		else if (f.number == FIELD_IDS && f.type == WIRE_VARINT)
			good = add_request_id(e, f.value);
	}
	return good && !r.bad && e->n_commands == e->n_ids;
}

bool
envelope_parse_command(Bytes bytes, const ServiceMethod **method, Bytes *body)
{
	WireReader r = wire_reader(bytes);
	WireField f;

	*method = NULL;
	*body = bytes_empty();
	while (wire_read_field(&r, &f))
	{
		if (f.type != WIRE_BYTES || f.number > METHOD_EMPTY)
			continue;
		*method = service_method((int) f.number);
		if (*method != NULL && !(*method)->in_batch)
			*method = NULL;
		*body = f.bytes;
	}
	return !r.bad;
}
