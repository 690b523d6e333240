/*
 * messages.h
 *	  Example messages of any type, for seeds: every field is set.
 *
 * Numbers are small, so that different messages speak of the same things: the
 * region, the store and the cluster of the targets, a few timestamps and keys.
 */
#ifndef TIKV_FUZZ_MESSAGES_H
#define TIKV_FUZZ_MESSAGES_H

#include <protobuf-c/protobuf-c.h>

#include "fuzz.h"
#include "service/service.h"

#define FUZZ_CLUSTER 7
#define FUZZ_DEPTH 5

/* What to set: which member of each oneof, how many of each list. */
typedef struct Example
{
	Arena *arena;
	unsigned int member;
	size_t n_repeated;
	int api;   /* kvrpcpb.APIVersion */
	char mode; /* API V2: 'r' or 'x', the first byte of keys */
} Example;

static inline ProtobufCMessage *example_message(const Example *example,
												const ProtobufCMessageDescriptor
													*type,
												int depth);

static inline uint64_t
example_number(const ProtobufCMessageDescriptor *type, const char *name,
			   size_t i)
{
	if (strcmp(type->name, "metapb.RegionEpoch") == 0)
		return 1;
	if (strcmp(name, "cluster_id") == 0)
		return FUZZ_CLUSTER;
	if (strcmp(name, "count") == 0 || strcmp(name, "limit") == 0 ||
		strcmp(name, "each_limit") == 0 || strstr(name, "ttl") != NULL ||
		strstr(name, "TTL") != NULL)
		return 3;
	if (strcmp(name, "commit_version") == 0 || strcmp(name, "commit_ts") == 0 ||
		strcmp(name, "version") == 0 || strcmp(name, "current_ts") == 0)
		return 20;
	if (strstr(name, "start_ver") != NULL || strstr(name, "_ts") != NULL)
		return 10;
	if (strcmp(name, "term") == 0)
		return 0;
	return 1 + i;
}

static inline const char *
example_text(const char *name)
{
	if (strcmp(name, "cf") == 0)
		return "default";
	if (strstr(name, "url") != NULL || strstr(name, "address") != NULL)
		return "http://127.0.0.1:1";
	return strcmp(name, "version") == 0 ? "8.5.0" : "name";
}

/* The lower end of a range, or the upper one; keyspace 1 in API V2. */
static inline ProtobufCBinaryData
example_bytes(const Example *example, const char *name, size_t i)
{
	size_t prefix = example->mode != 0 ? 4 : 0;
	uint8_t *key = arena_zalloc(example->arena, prefix + 1);
	ProtobufCBinaryData out = {prefix + 1, key};

	if (prefix > 0)
		memcpy(key, (uint8_t[]){(uint8_t) example->mode, 0, 0, 1}, prefix);
	key[prefix] = (uint8_t) (strstr(name, "end") != NULL ? 'z' : 'a' + i % 3);
	return out;
}

static inline void
example_value(const Example *example, const ProtobufCMessageDescriptor *type,
			  const ProtobufCFieldDescriptor *field, void *at, size_t i,
			  int depth)
{
	uint64_t number = example_number(type, field->name, i);
	uint32_t number32 = (uint32_t) number;

	switch (field->type)
	{
		case PROTOBUF_C_TYPE_INT32:
		case PROTOBUF_C_TYPE_SINT32:
		case PROTOBUF_C_TYPE_SFIXED32:
		case PROTOBUF_C_TYPE_UINT32:
		case PROTOBUF_C_TYPE_FIXED32:
			memcpy(at, &number32, sizeof(number32));
			break;
		case PROTOBUF_C_TYPE_INT64:
		case PROTOBUF_C_TYPE_SINT64:
		case PROTOBUF_C_TYPE_SFIXED64:
		case PROTOBUF_C_TYPE_UINT64:
		case PROTOBUF_C_TYPE_FIXED64:
			memcpy(at, &number, sizeof(number));
			break;
		case PROTOBUF_C_TYPE_FLOAT:
			*(float *) at = 1.5f;
			break;
		case PROTOBUF_C_TYPE_DOUBLE:
			*(double *) at = 1.5;
			break;
		case PROTOBUF_C_TYPE_BOOL:
			*(protobuf_c_boolean *) at =
				example->member % 2 == 1 && strcmp(field->name, "is_txn_file");
			break;
		case PROTOBUF_C_TYPE_ENUM:
		{
			const ProtobufCEnumDescriptor *of = field->descriptor;

			*(int *) at = strcmp(field->name, "api_version") == 0 ?
				example->api :
				of->values[(example->member + i) % of->n_values].value;
			break;
		}
		case PROTOBUF_C_TYPE_STRING:
			*(const char **) at = example_text(field->name);
			break;
		case PROTOBUF_C_TYPE_BYTES:
			*(ProtobufCBinaryData *) at =
				example_bytes(example, field->name, i);
			break;
		case PROTOBUF_C_TYPE_MESSAGE:
			*(ProtobufCMessage **) at =
				example_message(example, field->descriptor, depth + 1);
			break;
	}
}

static inline size_t
example_size(const ProtobufCFieldDescriptor *field)
{
	switch (field->type)
	{
		case PROTOBUF_C_TYPE_INT64:
		case PROTOBUF_C_TYPE_SINT64:
		case PROTOBUF_C_TYPE_SFIXED64:
		case PROTOBUF_C_TYPE_UINT64:
		case PROTOBUF_C_TYPE_FIXED64:
		case PROTOBUF_C_TYPE_DOUBLE:
			return 8;
		case PROTOBUF_C_TYPE_BOOL:
			return sizeof(protobuf_c_boolean);
		case PROTOBUF_C_TYPE_STRING:
		case PROTOBUF_C_TYPE_MESSAGE:
			return sizeof(void *);
		case PROTOBUF_C_TYPE_BYTES:
			return sizeof(ProtobufCBinaryData);
		default:
			return 4;
	}
}

/* How many fields come before it in its oneof, and how many there are. */
static inline bool
example_is_member(const ProtobufCMessageDescriptor *type, unsigned int at,
				  unsigned int wanted)
{
	const ProtobufCFieldDescriptor *field = &type->fields[at];
	unsigned int before = 0;
	unsigned int all = 0;

	for (unsigned int i = 0; i < type->n_fields; i++)
		if ((type->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
			type->fields[i].quantifier_offset == field->quantifier_offset)
		{
			before += i < at;
			all++;
		}
	return wanted % all == before;
}

static inline void
example_field(const Example *example, ProtobufCMessage *message,
			  unsigned int which, int depth)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	const ProtobufCFieldDescriptor *field = &type->fields[which];
	uint8_t *base = (uint8_t *) message;
	void *at = base + field->offset;

	if (field->type == PROTOBUF_C_TYPE_MESSAGE && depth >= FUZZ_DEPTH)
		return;
	if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
	{
		if (!example_is_member(type, which, example->member))
			return;
		*(uint32_t *) (base + field->quantifier_offset) = field->id;
	}
	else if (field->label == PROTOBUF_C_LABEL_REPEATED)
	{
		size_t size = example_size(field);
		uint8_t *list = arena_alloc(example->arena, example->n_repeated * size);

		for (size_t i = 0; i < example->n_repeated; i++)
			example_value(example, type, field, list + i * size, i, depth);
		*(void **) at = list;
		*(size_t *) (base + field->quantifier_offset) = example->n_repeated;
		return;
	}
	else if (field->label == PROTOBUF_C_LABEL_OPTIONAL &&
			 field->quantifier_offset != 0)
		*(protobuf_c_boolean *) (base + field->quantifier_offset) = 1;
	example_value(example, type, field, at, 0, depth);
}

static inline ProtobufCMessage *
example_message(const Example *example, const ProtobufCMessageDescriptor *type,
				int depth)
{
	ProtobufCMessage *message =
		arena_alloc(example->arena, type->sizeof_message);

	type->message_init(message);
	for (unsigned int i = 0; i < type->n_fields; i++)
		example_field(example, message, i, depth);
	return message;
}

/* Packed, in the arena. */
static inline Bytes
example_packed(const Example *example, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message = example_message(example, type, 0);
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = arena_alloc(example->arena, len);

	protobuf_c_message_pack(message, bytes);
	return bytes_make(bytes, len);
}

#endif /* TIKV_FUZZ_MESSAGES_H */
