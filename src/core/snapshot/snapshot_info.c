/*
 * snapshot_info.c
 *	  What a Raft snapshot says of its file: raft_serverpb.RaftSnapshotData.
 */
#include "core/snapshot/snapshot_info.h"

#include "core/cmd/command.h"
#include "core/codec/proto.h"

/* RaftSnapshotData */
#define FIELD_REGION 1
#define FIELD_FILE_SIZE 2
#define FIELD_VERSION 4
#define FIELD_META 5
#define FIELD_GC_SAFE_POINT 1001 /* ours */

/* SnapshotMeta */
#define FIELD_CF_FILES 1

/* SnapshotCFFile; `cf` stays empty: there is one file for all. */
#define FIELD_SIZE 2
#define FIELD_CHECKSUM 3

Bytes
snapshot_info_encode(const SnapshotInfo *data, Arena *arena)
{
	ProtoWriter w;
	ProtoMark meta;
	ProtoMark file;

	proto_writer_init(&w, arena, 512);
	cmd_region_put(&w, FIELD_REGION, &data->region);
	proto_put_u64(&w, FIELD_FILE_SIZE, data->size);
	proto_put_u64(&w, FIELD_VERSION, SNAPSHOT_INFO_VERSION);
	meta = proto_begin(&w, FIELD_META, 20);
	file = proto_begin(&w, FIELD_CF_FILES, 18);
	proto_put_u64(&w, FIELD_SIZE, data->size);
	proto_put_u64(&w, FIELD_CHECKSUM, data->checksum);
	proto_end(&w, file);
	proto_end(&w, meta);
	proto_put_u64(&w, FIELD_GC_SAFE_POINT, data->gc_safe_point);
	return proto_written(&w);
}

static bool
decode_file(Bytes bytes, SnapshotInfo *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	uint64_t checksum = 0;

	out->size = 0;
	while (proto_next(&r, &field))
	{
		if (field.number == FIELD_SIZE)
			out->size = proto_get_u64(&r, &field);
		else if (field.number == FIELD_CHECKSUM)
			checksum = proto_get_u64(&r, &field);
	}
	out->checksum = (uint32_t) checksum;
	return !r.bad && checksum <= UINT32_MAX;
}

/* Exactly one file. */
static bool
decode_meta(Bytes bytes, SnapshotInfo *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	int files = 0;

	while (proto_next(&r, &field))
		if (field.number == FIELD_CF_FILES &&
			(!decode_file(proto_get_bytes(&r, &field), out) || ++files > 1))
			return false;
	return !r.bad && files == 1;
}

Status
snapshot_info_decode(Bytes bytes, SnapshotInfo *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	uint64_t version = 0;
	bool region = false;
	bool meta = false;

	memset(out, 0, sizeof(*out));
	while (proto_next(&r, &field))
		switch (field.number)
		{
			case FIELD_REGION:
				if (cmd_region_decode(proto_get_bytes(&r, &field),
									  &out->region) != STATUS_OK)
					return STATUS_INVALID;
				region = true;
				break;
			case FIELD_VERSION:
				version = proto_get_u64(&r, &field);
				break;
			case FIELD_META:
				if (!decode_meta(proto_get_bytes(&r, &field), out))
					return STATUS_INVALID;
				meta = true;
				break;
			case FIELD_GC_SAFE_POINT:
				out->gc_safe_point = proto_get_u64(&r, &field);
				break;
			default:
				break;
		}
	if (r.bad || !region || !meta || version != SNAPSHOT_INFO_VERSION)
		return STATUS_INVALID;
	return STATUS_OK;
}
