/*
 * region.c
 *	  Whether a request may touch a region.
 *
 * The order of the checks and the epoch table are the protocol: clients react
 * differently to each answer, and a replica that compared other halves of the
 * epoch than its peers would apply entries they skip.  Facts from tikv/tikv
 * components/raftstore/src/store/fsm/peer.rs (pre_propose_raft_command) and
 * components/raftstore/src/store/util.rs (AdminCmdEpochState).
 *
 * Nothing here looks at leases, memory locks or the data.
 */
#include "core/region/region.h"

#include "core/base/check.h"

/* Which halves of the epoch a command compares. */
typedef struct EpochHalves
{
	bool version;
	bool conf_ver;
} EpochHalves;

static EpochHalves
epoch_halves(EpochRule rule)
{
	switch (rule)
	{
		case EPOCH_DATA:
			return (EpochHalves){.version = true, .conf_ver = false};
		case EPOCH_CONF_CHANGE:
			return (EpochHalves){.version = false, .conf_ver = true};
		case EPOCH_RANGE_CHANGE:
			return (EpochHalves){.version = true, .conf_ver = true};
		case EPOCH_NONE:
			return (EpochHalves){.version = false, .conf_ver = false};
	}
	check_failed("known epoch rule", __FILE__, __LINE__);
}

/*
 * True if the request may go on.  Inequality in either direction fails: a
 * request that knows a newer region than we do is as misplaced as an old one.
 */
bool
region_epoch_matches(RegionEpoch request, RegionEpoch current, EpochRule rule)
{
	EpochHalves halves = epoch_halves(rule);

	if (halves.version && request.version != current.version)
		return false;
	if (halves.conf_ver && request.conf_ver != current.conf_ver)
		return false;
	return true;
}

bool
region_contains(const Region *region, Bytes key)
{
	if (bytes_cmp(key, region->start_key) < 0)
		return false;
	return region->end_key.len == 0 || bytes_cmp(key, region->end_key) < 0;
}

/* Does a range end at or before a key?  An empty end is behind all keys. */
static bool
ends_by(Bytes end, Bytes key)
{
	return end.len > 0 && bytes_cmp(end, key) <= 0;
}

bool
region_ranges_overlap(RegionRange a, RegionRange b)
{
	return !ends_by(a.end, b.start) && !ends_by(b.end, a.start);
}

int
region_range_without(RegionRange range, RegionRange taken, RegionRange rest[2])
{
	int n = 0;

	if (!region_ranges_overlap(range, taken))
	{
		rest[0] = range;
		return 1;
	}
	if (bytes_cmp(range.start, taken.start) < 0)
		rest[n++] = (RegionRange){range.start, taken.start};
	if (taken.end.len > 0 &&
		(range.end.len == 0 || bytes_cmp(taken.end, range.end) < 0))
		rest[n++] = (RegionRange){taken.end, range.end};
	return n;
}

/* Start an error about the region that was asked for; returns false. */
static bool
refuse(RegionError *error, RegionErrorKind kind, uint64_t region_id)
{
	*error = (RegionError){.kind = kind, .region_id = region_id};
	return false;
}

/* The same with what was named and what is so. */
static bool
refuse_mismatch(RegionError *error, RegionErrorKind kind, uint64_t region_id,
				uint64_t expected, uint64_t actual)
{
	(void) refuse(error, kind, region_id);
	error->expected = expected;
	error->actual = actual;
	return false;
}

/*
 * The term a client saw may be one behind: it learns of a new leader only
 * from an answer.  Two behind means that the request was in flight over a
 * whole leadership.
 */
static bool
term_is_stale(uint64_t request, uint64_t current)
{
	return request != 0 && request < current && current - request > 1;
}

static bool
check_epoch(const Region *region, const RequestContext *ctx, EpochRule rule,
			RegionError *error)
{
	EpochHalves halves = epoch_halves(rule);

	if (!halves.version && !halves.conf_ver)
		return true;
	if (!ctx->has_epoch)
	{
		(void) refuse(error, REGION_MESSAGE_ONLY, region->id);
		error->reason = "request carries no region epoch";
		return false;
	}
	if (region_epoch_matches(ctx->epoch, region->epoch, rule))
		return true;
	(void) refuse(error, REGION_EPOCH_NOT_MATCH, region->id);
	error->current = region;
	return false;
}

/*
 * A region that is being set back serves the flashback's own requests and
 * reads of what was before it began.  Source: tikv/tikv
 * components/raftstore/src/store/util.rs (check_flashback_state).  That a step
 * of a flashback meets a region that was not prepared is its command's to say,
 * which may find that the flashback is finished.
 */
static bool
check_flashback(const Region *region, const RequestContext *ctx,
				RegionError *error)
{
	uint64_t start_ts = region->flashback_start_ts;

	if (start_ts == 0 || ctx->flashback)
		return true;
	if (ctx->read_ts != 0 && ctx->read_ts < start_ts)
		return true;
	(void) refuse(error, REGION_FLASHBACK_IN_PROGRESS, region->id);
	error->actual = start_ts;
	return false;
}

/*
 * A context without a peer names store 0 and peer 0, which match nothing: as
 * in TiKV, where the absent message reads as zeros.
 *
 * Only a leader passes.  Replica reads and stale reads on a follower are
 * decided where ReadIndex and the safe timestamp are known, not here.
 */
bool
region_check(uint64_t store_id, const RegionState *state,
			 const RequestContext *ctx, EpochRule rule, RegionError *error)
{
	uint64_t named_store = ctx->has_peer ? ctx->peer_store_id : 0;
	uint64_t named_peer = ctx->has_peer ? ctx->peer_id : 0;

	if (named_store != store_id)
		return refuse_mismatch(error, REGION_STORE_NOT_MATCH, ctx->region_id,
							   named_store, store_id);
	if (state == NULL || state->region->id != ctx->region_id)
		return refuse(error, REGION_NOT_FOUND, ctx->region_id);
	if (named_peer != state->self.id)
		return refuse_mismatch(error, REGION_MISMATCH_PEER_ID, ctx->region_id,
							   named_peer, state->self.id);
	if (!state->is_leader)
	{
		(void) refuse(error, REGION_NOT_LEADER, ctx->region_id);

		/* A peer that is not leader and names itself knows no leader. */
		if (state->leader.id != state->self.id)
			error->leader = state->leader;
		return false;
	}
	if (term_is_stale(ctx->term, state->term))
		return refuse(error, REGION_STALE_COMMAND, ctx->region_id);
	if (!check_epoch(state->region, ctx, rule, error) ||
		!check_flashback(state->region, ctx, error))
		return false;
	*error = (RegionError){.kind = REGION_OK, .region_id = ctx->region_id};
	return true;
}

bool
region_check_key(const Region *region, Bytes key, RegionError *error)
{
	if (region_contains(region, key))
		return true;
	(void) refuse(error, REGION_KEY_NOT_IN_REGION, region->id);
	error->key = key;
	error->current = region;
	return false;
}
