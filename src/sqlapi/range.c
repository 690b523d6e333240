/*
 * range.c
 *	  Functions about all keys of a range: tikv_delete_range, tikv_checksum.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "core/base/crc64.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "service/service.h"
#include "sqlapi/grants.h"
#include "sqlapi/sqlapi.h"
#include "storage/uint_datum.h"

PG_FUNCTION_INFO_V1(tikv_delete_range);
PG_FUNCTION_INFO_V1(tikv_checksum);

/*
 * Keys that one request deletes: some tenths of a second, so that it ends
 * before tikv.request_timeout, and a cancel does not wait long.
 */
#define PIECE_KEYS 4096

/* Stored keys [lower, upper); an empty upper bound is +infinity. */
typedef struct Range
{
	Bytes lower;
	Bytes upper;
} Range;

static bool
range_is_empty(const Range *range)
{
	return range->upper.len > 0 && bytes_cmp(range->lower, range->upper) >= 0;
}

/* The part of the range that lies in the region. */
static Range
cut_to_region(const Range *range, const Region *region)
{
	Range cut = *range;

	sql_cut_to_region(&cut.lower, &cut.upper, region);
	return cut;
}

/* ------------------------------------------------------------ the deletion */

/* The first keys of what is left: how many, and where they end. */
typedef struct Piece
{
	MemoryContext context;
	int n;
	Bytes last; /* the PIECE_KEYS-th key, if there are so many */
} Piece;

static bool
count_key(void *arg, const RawPair *pair)
{
	Piece *piece = arg;
	MemoryContext old;

	if (++piece->n < PIECE_KEYS)
		return true;
	old = MemoryContextSwitchTo(piece->context);
	piece->last = bytes_copy(pair->key);
	MemoryContextSwitchTo(old);
	return false;
}

/*
 * The piece of the range to delete next, within one region.  Returns how many
 * keys it has, to within what others write.
 */
static int
next_piece(const Range *range, Range *piece)
{
	Piece keys = {.context = CurrentMemoryContext};
	RawScan scan = {.cf = RAW_CF_DEFAULT,
					.key_only = true,
					.limit = PIECE_KEYS};
	SqlRound round;

	sql_round_begin(&round, &range->lower, 1, false);
	*piece = cut_to_region(range, &round.seen[0]->region);
	piece->upper = bytes_copy(piece->upper);
	scan.lower = piece->lower;
	scan.upper = piece->upper;
	round.reader->scan(round.reader, &scan, count_key, &keys);
	sql_round_end(&round);
	if (keys.n == PIECE_KEYS)
		piece->upper = keys.last;
	return keys.n;
}

static ProtobufCMessage *
build_delete_range(const SqlWrite *write, int from, int n,
				   Kvrpcpb__Context *context, Arena *arena)
{
	Kvrpcpb__RawDeleteRangeRequest *del = arena_alloc(arena, sizeof(*del));

	(void) n;
	kvrpcpb__raw_delete_range_request__init(del);
	del->context = context;
	del->start_key = bytes_wire(write->keys[from]);
	del->end_key = bytes_wire(write->values[from]);
	return &del->base;
}

static void
delete_piece(const char *function, const Range *piece)
{
	SqlWrite write = {
		.function = function,
		.method = METHOD_RAW_DELETE_RANGE,
		.response = &kvrpcpb__raw_delete_range_response__descriptor,
		.keys = &piece->lower,
		.values = &piece->upper,
		.n = 1,
		.allowed = true,
		.build = build_delete_range,
	};

	sql_write(&write);
}

/* Piece by piece: each is durable when the next one begins. */
void
sql_delete_range(const char *function, Bytes lower, Bytes upper, bool allowed)
{
	Range range = {lower, upper};
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "delete range piece",
							  ALLOCSET_DEFAULT_SIZES);

	check_key_length(range.lower);
	check_key_length(range.upper);
	PreventCommandDuringRecovery(function);
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	if (!allowed)
		grants_need_range(GetUserId(), GRANT_WRITE, lower, upper);
	while (!range_is_empty(&range))
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		Range piece;

		CHECK_FOR_INTERRUPTS();
		if (next_piece(&range, &piece) > 0)
			delete_piece(function, &piece);
		MemoryContextSwitchTo(old);
		if (piece.upper.len == 0)
			break;
		range.lower = bytes_copy(piece.upper);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

Datum
tikv_delete_range(PG_FUNCTION_ARGS)
{
	sql_delete_range("tikv_delete_range()",
					 sql_stored_key(not_null_argument(fcinfo, 0, "start key")),
					 sql_stored_end(not_null_argument(fcinfo, 1, "end key")),
					 false);
	PG_RETURN_VOID();
}

/* ------------------------------------------------------------ the checksum */

typedef struct Checksum
{
	uint64 sum;
	uint64 n;
	uint64 bytes;
} Checksum;

static bool
add_pair(void *arg, const RawPair *pair)
{
	Checksum *checksum = arg;

	checksum->sum ^= crc64(crc64(0, pair->key), pair->value);
	checksum->n++;
	checksum->bytes += pair->key.len + pair->value.len;
	return true;
}

/* Sum up one region's part; the next one begins at *next, empty: none does. */
static void
sum_region(const Range *range, Checksum *checksum, Bytes *next)
{
	RawScan scan = {.cf = RAW_CF_DEFAULT, .limit = PG_UINT32_MAX};
	SqlRound round;
	Range cut;

	sql_round_begin(&round, &range->lower, 1, false);
	cut = cut_to_region(range, &round.seen[0]->region);
	*next = sql_plain_bound(round.seen[0]->region.end_key);
	*next = bytes_copy(*next);
	scan.lower = cut.lower;
	scan.upper = cut.upper;
	round.reader->scan(round.reader, &scan, add_pair, checksum);
	sql_round_end(&round);
}

/* As a client does it: the regions' sums, each over its own snapshot. */
Datum
tikv_checksum(PG_FUNCTION_ARGS)
{
	Range range;
	Checksum checksum = {0};
	TupleDesc desc;
	Datum values[3];
	bool nulls[3] = {false};

	PreventCommandIfParallelMode("tikv_checksum()");
	range.lower =
		sql_stored_key(PG_ARGISNULL(0) ? bytes_empty() :
										 bytea_bytes(PG_GETARG_DATUM(0)));
	range.upper =
		sql_stored_end(PG_ARGISNULL(1) ? bytes_empty() :
										 bytea_bytes(PG_GETARG_DATUM(1)));
	check_key_length(range.lower);
	check_key_length(range.upper);
	grants_need_range(GetUserId(), GRANT_READ, range.lower, range.upper);
	while (!range_is_empty(&range))
	{
		Bytes next;

		sum_region(&range, &checksum, &next);
		if (next.len == 0)
			break;
		range.lower = next;
	}
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "tikv_checksum must return a row");
	values[0] = uint64_to_numeric(checksum.sum);
	values[1] = Int64GetDatum((int64) checksum.n);
	values[2] = Int64GetDatum((int64) checksum.bytes);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
