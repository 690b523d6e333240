/*
 * messages.c
 *	  What all KV messages have in common.
 */
#include "service/messages.h"

#include "core/base/check.h"

ProtobufCMessage *
service_new_message(const ProtobufCMessageDescriptor *type, Arena *arena)
{
	ProtobufCMessage *message = arena_alloc(arena, type->sizeof_message);

	type->message_init(message);
	return message;
}

static void *
field_at(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return (uint8_t *) message + field->offset;
}

const Kvrpcpb__Context *
service_context(const ProtobufCMessage *message)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field(message->descriptor, 1);

	if (field == NULL || field->descriptor != &kvrpcpb__context__descriptor)
		return NULL;
	return *(Kvrpcpb__Context *const *) ((const uint8_t *) message +
										 field->offset);
}

void
service_decode_context(const Kvrpcpb__Context *context, RequestContext *out)
{
	memset(out, 0, sizeof(*out));
	out->region_id = context->region_id;
	if (context->region_epoch != NULL)
	{
		out->has_epoch = true;
		out->epoch.conf_ver = context->region_epoch->conf_ver;
		out->epoch.version = context->region_epoch->version;
	}
	if (context->peer != NULL)
	{
		out->has_peer = true;
		out->peer_id = context->peer->id;
		out->peer_store_id = context->peer->store_id;
	}
	out->term = context->term;
	out->cluster_id = context->cluster_id;
	out->replica_read = context->replica_read;
	out->stale_read = context->stale_read;
	out->api_version = (int) context->api_version;
	out->disk_full_opt = (int) context->disk_full_opt;
	out->max_execution_ms = context->max_execution_duration_ms;
}

bool
service_set_string(ProtobufCMessage *message, const char *name,
				   const char *text)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
														name);

	if (field == NULL || field->type != PROTOBUF_C_TYPE_STRING)
		return false;
	*(const char **) field_at(message, field) = text;
	return true;
}

void
service_set_pair_error(ProtobufCMessage *message, const char *text,
					   Arena *arena)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field(message->descriptor, 2);
	Kvrpcpb__KeyError *error = arena_alloc(arena, sizeof(*error));
	Kvrpcpb__KvPair *pair = arena_alloc(arena, sizeof(*pair));
	Kvrpcpb__KvPair **pairs = arena_alloc(arena, sizeof(*pairs));

	CHECK(field != NULL && field->descriptor == &kvrpcpb__kv_pair__descriptor);
	kvrpcpb__key_error__init(error);
	error->abort = (char *) text;
	kvrpcpb__kv_pair__init(pair);
	pair->error = error;
	pairs[0] = pair;
	*(Kvrpcpb__KvPair ***) field_at(message, field) = pairs;
	*(size_t *) ((uint8_t *) message + field->quantifier_offset) = 1;
}
