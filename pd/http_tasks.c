/*
 * http_tasks.c
 *	  HTTP: regions that are to be split at given keys, or scattered.
 *
 * Answered by region_tasks.c, later.
 */
#include "postgres.h"

#include "pd/http_ask.h"

/* tikv/pd server/api/region.go, where retry_limit is not given. */
#define RETRIES 5

static void
begin_task(HttpAsk *ask, const JsonValue *object, RegionTaskWish *wish)
{
	wish->retry_limit = RETRIES;
	(void) json_get_uint(object, "retry_limit", &wish->retry_limit);
	ask->later = region_task_begin(ask->pd, ask->to, wish);
	if (!ask->later)
		http_say(ask, HTTP_INTERNAL,
				 "too many regions are to be split or scattered");
}

bool
http_hex_keys(HttpAsk *ask, const JsonValue *array, Bytes **out, size_t *n)
{
	*n = 0;
	if (array != NULL && array->type == JSON_ARRAY)
	{
		*out = arena_alloc(ask->arena, array->n * sizeof(Bytes));
		for (const JsonValue *v = array->first; v != NULL; v = v->next)
			if (v->type == JSON_STRING &&
				url_unhex(bytes_cstr(v->text), ask->arena, &(*out)[*n]))
				(*n)++;
	}
	if (*n > 0 && *n == array->n)
		return true;
	http_say(ask, HTTP_BAD_REQUEST, "the split keys are not hexadecimal");
	return false;
}

static void
split_regions(HttpAsk *ask)
{
	const JsonValue *object = http_object(ask);
	RegionTaskWish wish = {0};
	Bytes *keys;

	if (object == NULL)
		return;
	if (json_get(object, "split_keys") == NULL)
		http_say(ask, HTTP_BAD_REQUEST, "split_keys should be provided.");
	else if (http_hex_keys(ask, json_get(object, "split_keys"), &keys,
						   &wish.n_keys))
	{
		wish.keys = keys;
		begin_task(ask, object, &wish);
	}
}

static bool
ids_of_range(HttpAsk *ask, const JsonValue *object, uint64_t **ids, size_t *n)
{
	const char *start = json_get_text(object, "start_key");
	const char *end = json_get_text(object, "end_key");
	const PdRegion **regions;
	PdKeyRange range;
	bool complete;

	if (start == NULL || end == NULL ||
		!url_unhex(bytes_cstr(start), ask->arena, &range.start) ||
		!url_unhex(bytes_cstr(end), ask->arena, &range.end))
		return false;
	*n = region_tree_scan(&ask->pd->state.cluster.regions, range, 0, ask->arena,
						  &regions, &complete);
	*ids = arena_alloc(ask->arena, *n * sizeof(uint64_t));
	for (size_t i = 0; i < *n; i++)
		(*ids)[i] = regions[i]->meta.id;
	return true;
}

static bool
ids_of_list(HttpAsk *ask, const JsonValue *array, uint64_t **ids, size_t *n)
{
	*n = 0;
	if (array == NULL || array->type != JSON_ARRAY)
		return false;
	*ids = arena_alloc(ask->arena, array->n * sizeof(uint64_t));
	for (const JsonValue *v = array->first; v != NULL; v = v->next)
		if (v->type != JSON_NUMBER || !http_number(v->text, &(*ids)[(*n)++]))
			return false;
	return true;
}

static void
scatter_regions(HttpAsk *ask)
{
	const JsonValue *object = http_object(ask);
	RegionTaskWish wish = {.scatter = true};
	uint64_t *ids;

	if (object == NULL)
		return;
	if (!ids_of_range(ask, object, &ids, &wish.n_ids) &&
		!ids_of_list(ask, json_get(object, "regions_id"), &ids, &wish.n_ids))
	{
		http_say(ask, HTTP_BAD_REQUEST,
				 "start_key and end_key, or regions_id, must be given");
		return;
	}
	wish.ids = ids;
	wish.group = json_get_text(object, "group");
	begin_task(ask, object, &wish);
}

const HttpRoute http_task_routes[] = {
	{"POST", "v1/regions/split", true, split_regions},
	{"POST", "v1/regions/scatter", true, scatter_regions},
	{NULL, NULL, false, NULL},
};
