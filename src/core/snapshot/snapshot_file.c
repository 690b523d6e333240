/*
 * snapshot_file.c
 *	  The file in which a region's data goes to another store.
 */
#include "core/snapshot/snapshot_file.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/crc32.h"

#define BLOCK_MAGIC UINT32_C(0x544B5653) /* "TKVS" */

/* ---- numbers of the block's header ---- */

static void
put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t) (v >> (24 - 8 * i));
}

static uint32_t
get_u32(const uint8_t *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 8 | p[i];
	return v;
}

/* ---- writing ---- */

void
snapshot_writer_init(SnapshotWriter *w, bool (*write)(void *arg, Bytes bytes),
					 void *arg)
{
	memset(w, 0, sizeof(*w));
	w->write = write;
	w->arg = arg;
	w->room = 2 * SNAPSHOT_BLOCK_BYTES;
	w->block = malloc(w->room);
	CHECK(w->block != NULL);
	w->len = SNAPSHOT_BLOCK_HEADER;
}

void
snapshot_writer_free(SnapshotWriter *w)
{
	free(w->block);
	w->block = NULL;
}

/* Magic, kind, records, length of the payload, checksum of all but itself. */
static void
flush_block(SnapshotWriter *w)
{
	Bytes bytes = bytes_make(w->block, w->len);
	uint32_t crc;

	put_u32(w->block, BLOCK_MAGIC);
	put_u32(w->block + 4, (uint32_t) w->kind);
	put_u32(w->block + 8, w->n_records);
	put_u32(w->block + 12, (uint32_t) (w->len - SNAPSHOT_BLOCK_HEADER));
	crc = crc32_add(0, bytes_make(w->block, 16));
	crc = crc32_add(crc,
					bytes_make(w->block + SNAPSHOT_BLOCK_HEADER,
							   w->len - SNAPSHOT_BLOCK_HEADER));
	put_u32(w->block + 16, crc);
	w->checksum = crc32_add(w->checksum, bytes);
	w->size += w->len;
	if (!w->failed && !w->write(w->arg, bytes))
		w->failed = true;
	w->len = SNAPSHOT_BLOCK_HEADER;
	w->n_records = 0;
}

/* Room behind what the block has. */
static uint8_t *
reserve(SnapshotWriter *w, size_t n)
{
	if (w->len + n > w->room)
	{
		w->room = 2 * (w->len + n);
		w->block = realloc(w->block, w->room);
		CHECK(w->block != NULL);
	}
	return w->block + w->len;
}

/* The next record is of this kind. */
static void
turn_to(SnapshotWriter *w, SnapshotBlockKind kind)
{
	if (w->kind != kind && w->n_records > 0)
		flush_block(w);
	w->kind = kind;
}

void
snapshot_write_head(SnapshotWriter *w, const SnapshotHead *head)
{
	size_t room = 5 * VAR_U64_MAX_LEN + compact_bytes_room(head->start_key) +
		compact_bytes_room(head->end_key);
	uint8_t *p;

	turn_to(w, SNAPSHOT_HEAD);
	p = reserve(w, room);
	p = put_var_u64(p, SNAPSHOT_FORMAT);
	p = put_var_u64(p, (uint64_t) head->api);
	p = put_var_u64(p, head->region_id);
	p = put_var_u64(p, head->epoch.conf_ver);
	p = put_var_u64(p, head->epoch.version);
	p = put_compact_bytes(p, head->start_key);
	p = put_compact_bytes(p, head->end_key);
	w->len = (size_t) (p - w->block);
	flush_block(w);
}

void
snapshot_write(SnapshotWriter *w, SnapshotBlockKind kind,
			   const SnapshotRecord *record)
{
	size_t room = 2 + compact_bytes_room(record->key) + VAR_U64_MAX_LEN +
		compact_bytes_room(record->bytes);
	uint8_t *p;

	turn_to(w, kind);
	if (w->n_records > 0 && w->len + room > SNAPSHOT_BLOCK_MAX)
		flush_block(w);
	p = reserve(w, room);
	p = put_u8(p, (uint8_t) record->op);
	p = put_u8(p, (uint8_t) record->cf);
	p = put_compact_bytes(p, record->key);
	p = put_var_u64(p, record->number);
	p = put_compact_bytes(p, record->bytes);
	w->len = (size_t) (p - w->block);
	w->n_records++;
	w->records++;
	if (w->len >= SNAPSHOT_BLOCK_BYTES || kind == SNAPSHOT_RANGE)
		flush_block(w);
}

bool
snapshot_write_end(SnapshotWriter *w)
{
	uint8_t *p;

	turn_to(w, SNAPSHOT_END);
	p = put_var_u64(reserve(w, VAR_U64_MAX_LEN), w->records);
	w->len = (size_t) (p - w->block);
	flush_block(w);
	return !w->failed;
}

/* ---- reading ---- */

SnapshotRead
snapshot_read_block(Bytes bytes, SnapshotBlock *out, size_t *need)
{
	size_t len;
	uint32_t crc;

	*need = SNAPSHOT_BLOCK_HEADER;
	if (bytes.len < SNAPSHOT_BLOCK_HEADER)
		return SNAPSHOT_READ_MORE;
	len = get_u32(bytes.data + 12);
	if (get_u32(bytes.data) != BLOCK_MAGIC || len > SNAPSHOT_BLOCK_MAX)
		return SNAPSHOT_READ_BAD;
	*need = SNAPSHOT_BLOCK_HEADER + len;
	if (bytes.len < *need)
		return SNAPSHOT_READ_MORE;
	crc = crc32_add(0, bytes_make(bytes.data, 16));
	crc = crc32_add(crc, bytes_make(bytes.data + SNAPSHOT_BLOCK_HEADER, len));
	if (crc != get_u32(bytes.data + 16))
		return SNAPSHOT_READ_BAD;
	out->kind = (SnapshotBlockKind) get_u32(bytes.data + 4);
	if (out->kind < SNAPSHOT_HEAD || out->kind > SNAPSHOT_END)
		return SNAPSHOT_READ_BAD;
	out->n_records = get_u32(bytes.data + 8);
	out->payload = bytes_make(bytes.data + SNAPSHOT_BLOCK_HEADER, len);
	out->size = *need;
	return SNAPSHOT_READ_OK;
}

Status
snapshot_read_head(const SnapshotBlock *block, SnapshotHead *out)
{
	NumberReader r = number_reader(block->payload);
	uint64_t format;
	uint64_t api;

	if (block->kind != SNAPSHOT_HEAD || !get_var_u64(&r, &format) ||
		format != SNAPSHOT_FORMAT || !get_var_u64(&r, &api) || api > API_V2 ||
		!get_var_u64(&r, &out->region_id) ||
		!get_var_u64(&r, &out->epoch.conf_ver) ||
		!get_var_u64(&r, &out->epoch.version) ||
		!get_compact_bytes(&r, &out->start_key) ||
		!get_compact_bytes(&r, &out->end_key) || number_left(&r) > 0)
		return STATUS_INVALID;
	out->api = (ApiVersion) api;
	return STATUS_OK;
}

Status
snapshot_read_end(const SnapshotBlock *block, uint64_t *records)
{
	NumberReader r = number_reader(block->payload);

	if (block->kind != SNAPSHOT_END || !get_var_u64(&r, records) ||
		number_left(&r) > 0)
		return STATUS_INVALID;
	return STATUS_OK;
}

SnapshotCursor
snapshot_records(const SnapshotBlock *block)
{
	return (SnapshotCursor){number_reader(block->payload), block->n_records,
							false};
}

static bool
is_raw(SnapshotOp op)
{
	return op >= SNAPSHOT_RAW_PUT && op <= SNAPSHOT_RAW_RANGE;
}

static bool
read_record(NumberReader *in, SnapshotRecord *out)
{
	uint8_t op;
	uint8_t cf;

	if (!get_u8(in, &op) || !get_u8(in, &cf) ||
		!get_compact_bytes(in, &out->key) || !get_var_u64(in, &out->number) ||
		!get_compact_bytes(in, &out->bytes))
		return false;
	out->op = (SnapshotOp) op;
	out->cf = (RawCf) cf;

	/* Timestamps and expiries go into columns that are signed. */
	if (op < SNAPSHOT_RAW_PUT || op > SNAPSHOT_OP_MAX ||
		out->number > INT64_MAX)
		return false;
	if (is_raw(out->op))
		return cf == RAW_CF_DEFAULT || cf == RAW_CF_LOCK || cf == RAW_CF_WRITE;
	return cf == 0;
}

bool
snapshot_next(SnapshotCursor *cursor, SnapshotRecord *out)
{
	if (cursor->left == 0)
	{
		cursor->bad = cursor->bad || number_left(&cursor->in) > 0;
		return false;
	}
	if (!read_record(&cursor->in, out))
	{
		cursor->bad = true;
		return false;
	}
	cursor->left--;
	return true;
}
