/*
 * raw_internal.h
 *	  What the raw_*.c files of this folder share.
 */
#ifndef TIKV_SERVICE_RAW_INTERNAL_H
#define TIKV_SERVICE_RAW_INTERNAL_H

#include "kvrpcpb.pb-c.h"
#include "service/raw.h"

static inline Bytes
raw_from_wire(ProtobufCBinaryData b)
{
	return bytes_make(b.data, b.len);
}

static inline ProtobufCBinaryData
raw_to_wire(Bytes b)
{
	ProtobufCBinaryData out = {b.len, (uint8_t *) b.data};

	return out;
}

/* One request being decoded. */
typedef struct RawDecoder
{
	Request *request;
	const RawLimits *limits;
	RawCommand *command;
	const char *name; /* TiKV's name of the command, for its error texts */
} RawDecoder;

/* ---- raw_check.c: each answers the request if it returns false ---- */

extern bool raw_check_context(RawDecoder *decoder);
extern bool raw_check_cf(RawDecoder *decoder, const char *name);

/* A key of the right mode; one to be written is not too long, either. */
extern bool raw_check_key_mode(RawDecoder *decoder, Bytes key);
extern bool raw_check_key_size(RawDecoder *decoder, Bytes key);
extern bool raw_check_key_range(RawDecoder *decoder, Bytes start, Bytes end);
extern bool raw_check_ttl(RawDecoder *decoder, uint64_t ttl);
extern bool raw_check_entry_size(RawDecoder *decoder, size_t bytes);

/* ---- raw_range.c ---- */

extern bool raw_decode_scan(RawDecoder *decoder);
extern bool raw_decode_batch_scan(RawDecoder *decoder);
extern bool raw_decode_checksum(RawDecoder *decoder);
extern bool raw_decode_delete_range(RawDecoder *decoder);

/*
 * The region with its bounds in the form of the command's keys; NULL if they
 * are none.  The same one unless the command is of API V2.
 */
extern const Region *raw_plain_region(const RawCommand *command,
									  const Region *region);

/* Cut to the region, whose bounds are plain. */
extern void raw_clip_scan(RawScan *scan, const Region *region);

/* ---- raw_cas.c ---- */

extern bool raw_decode_cas(RawDecoder *decoder);

/* ---- raw_checksum.c ---- */

extern void raw_read_checksum(Request *request, const RawCommand *command,
							  const Region *region, RawReader *reader,
							  const RawLimits *limits);

#endif /* TIKV_SERVICE_RAW_INTERNAL_H */
