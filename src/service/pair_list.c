/*
 * pair_list.c
 *	  The pairs of an answer, as they are read.
 */
#include "service/pair_list.h"

#include "service/messages.h"

static void
grow(PairList *list)
{
	size_t room = list->room == 0 ? 16 : list->room * 2;
	Kvrpcpb__KvPair **grown =
		arena_alloc(list->request->arena, room * sizeof(*grown));

	if (list->n > 0)
		memcpy(grown, list->pairs, list->n * sizeof(*grown));
	list->pairs = grown;
	list->room = room;
}

bool
pair_list_may_add(PairList *list, size_t bytes)
{
	const RawLimits *limits = list->limits;

	list->bytes += bytes + PAIR_LIST_COST;
	if (limits->max_reply_size > 0 && list->bytes > limits->max_reply_size)
		list->too_large = true;
	else if (limits->interrupted != NULL &&
			 (list->n % RAW_LOOK_EVERY == RAW_LOOK_EVERY - 1 ||
			  list->bytes - list->looked_at > RAW_LOOK_BYTES))
	{
		list->looked_at = list->bytes;
		list->interrupted = limits->interrupted(list->request);
	}
	return !list->too_large && list->interrupted == NULL;
}

bool
pair_list_goes_on(PairList *list, size_t n)
{
	const RawLimits *limits = list->limits;

	if (n % RAW_LOOK_EVERY == RAW_LOOK_EVERY - 1 && limits->interrupted != NULL)
		list->interrupted = limits->interrupted(list->request);
	return list->interrupted == NULL;
}

Kvrpcpb__KvPair *
pair_list_add(PairList *list)
{
	Kvrpcpb__KvPair *pair = arena_alloc(list->request->arena, sizeof(*pair));

	if (list->n == list->room)
		grow(list);
	kvrpcpb__kv_pair__init(pair);
	list->pairs[list->n++] = pair;
	return pair;
}

bool
pair_list_is_whole(const PairList *list,
				   void (*refuse)(Request *request, const char *text))
{
	Request *request = list->request;

	if (list->too_large)
		refuse(request,
			   arena_printf(
				   request->arena,
				   "the answer would exceed %zu bytes: ask for fewer keys",
				   list->limits->max_reply_size));
	else if (list->interrupted != NULL)
		service_give_up(request, list->interrupted);
	return !list->too_large && list->interrupted == NULL;
}
