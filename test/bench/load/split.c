/*
 * split.c
 *	  Regions that begin at every key.
 */
#include "channels.h"
#include "core/codec/memcomparable.h"
#include "measure.h"
#include "options.h"
#include "request.h"
#include "split.h"

#define SPLIT_RETRY_US 100000
#define SPLIT_PATIENCE_US 60000000

/* What is split next: the region that holds the last key, and its leader. */
typedef struct SplitTarget
{
	Client client;
	uint64_t region_id;
	Metapb__RegionEpoch epoch;
	Metapb__Peer leader;
	uint64_t next; /* key to split at */
	bool encoded;  /* beside transactions bounds are encoded keys */
	Arena arena;
} SplitTarget;

/* The number behind the last key. */
static uint64_t
split_end(void)
{
	return (uint64_t) opt.first + (uint64_t) opt.keys;
}

/* None of the keys here has this form: their ninth byte is a digit. */
static bool
is_encoded(SplitTarget *target, const ProtobufCBinaryData *bound)
{
	Bytes key;

	return bound->len > 0 &&
		memcomparable_decode(bytes_make(bound->data, bound->len),
							 &target->arena, &key, NULL) == STATUS_OK;
}

static bool
is_behind(const SplitTarget *target, Bytes key, Bytes bound)
{
	return (target->encoded ? memcomparable_cmp(key, bound) :
							  bytes_cmp(key, bound)) > 0;
}

/* Where a region begins already nothing is split. */
static void
skip_bounds(SplitTarget *target, const ProtobufCBinaryData *start)
{
	uint8_t key[4096];

	target->encoded |= is_encoded(target, start);
	for (; target->next < split_end(); target->next++)
	{
		write_key(key, target->next);
		if (is_behind(target, bytes_make(key, (size_t) opt.key_size),
					  bytes_make(start->data, start->len)))
			return;
	}
}

static Pdpb__GetRegionResponse *
region_of_last(SplitTarget *target)
{
	uint8_t key[4096];
	Bytes last = bytes_make(key, (size_t) opt.key_size);
	ProtobufCBinaryData data;

	write_key(key, split_end() - 1);
	if (target->encoded)
		last = memcomparable_encode(last, &target->arena);
	data.len = last.len;
	data.data = (uint8_t *) (uintptr_t) last.data;
	return find_region(&target->client, data);
}

static void
find_target(SplitTarget *target)
{
	Pdpb__GetRegionResponse *found = region_of_last(target);

	if (!target->encoded && is_encoded(target, &found->region->end_key))
	{
		target->encoded = true;
		pdpb__get_region_response__free_unpacked(found, NULL);
		found = region_of_last(target);
	}
	if (found->region->region_epoch == NULL)
		die("GetRegion: no epoch");
	target->region_id = found->region->id;
	target->epoch = *found->region->region_epoch;
	target->leader = *found->leader;
	skip_bounds(target, &found->region->start_key);
	pdpb__get_region_response__free_unpacked(found, NULL);
}

/* The next keys, of those up to the last one. */
static size_t
write_split_keys(uint64_t first, uint8_t *room, ProtobufCBinaryData *keys)
{
	size_t n = 0;

	for (uint64_t k = first; k < split_end() && n < (size_t) opt.batch; k++)
	{
		keys[n].data = room + n * (size_t) opt.key_size;
		keys[n].len = (size_t) opt.key_size;
		write_key(keys[n].data, k);
		n++;
	}
	return n;
}

/*
 * How many regions have begun, by the store's answer; 0: the region is not as
 * it was known, or cannot be split now.
 */
static uint64_t
split_once(SplitTarget *target)
{
	Kvrpcpb__SplitRegionRequest request = KVRPCPB__SPLIT_REGION_REQUEST__INIT;
	Kvrpcpb__SplitRegionResponse *reply;
	Kvrpcpb__Context ctx = KVRPCPB__CONTEXT__INIT;
	ProtobufCBinaryData keys[MAX_SPLIT_KEYS];
	uint8_t *room = malloc((size_t) opt.batch * (size_t) opt.key_size);
	uint64_t made = 0;

	ctx.region_id = target->region_id;
	ctx.region_epoch = &target->epoch;
	ctx.peer = &target->leader;
	request.context = &ctx;
	request.is_raw_kv = 1;
	request.split_keys = keys;
	request.n_split_keys = write_split_keys(target->next, room, keys);
	reply = call_unary(&target->client, target->client.store,
					   "/tikvpb.Tikv/SplitRegion", &request,
					   &kvrpcpb__split_region_response__descriptor);
	if (reply->region_error == NULL && reply->n_regions > 1 &&
		reply->regions[reply->n_regions - 1]->region_epoch != NULL)
	{
		const Metapb__Region *last = reply->regions[reply->n_regions - 1];

		made = reply->n_regions - 1;
		target->epoch = *last->region_epoch;
		skip_bounds(target, &last->start_key);
	}
	else if (reply->region_error != NULL)
		fprintf(stderr, "SplitRegion: %s\n", reply->region_error->message);
	kvrpcpb__split_region_response__free_unpacked(reply, NULL);
	free(room);
	return made;
}

/* The last piece keeps id and leader: PD is asked once, if all goes well. */
void
split_all(void)
{
	SplitTarget target = {.client = pd_client(),
						  .next = (uint64_t) opt.first + 1};
	int64_t began = now_us();
	int64_t progress = began;
	uint64_t splits = 0;

	arena_init(&target.arena);
	find_target(&target);
	while (target.next < split_end())
	{
		uint64_t made = split_once(&target);

		arena_reset(&target.arena);
		splits += made;
		if (made > 0)
		{
			progress = now_us();
			continue;
		}
		if (now_us() > progress + SPLIT_PATIENCE_US)
			die("the regions are not split");
		usleep(SPLIT_RETRY_US);
		find_target(&target);
	}
	printf("mode=split splits=%llu seconds=%.2f\n", (unsigned long long) splits,
		   (double) (now_us() - began) / 1e6);
	arena_free(&target.arena);
	grpc_channel_destroy(target.client.store);
	grpc_channel_destroy(target.client.pd);
}
