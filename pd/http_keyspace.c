/*
 * http_keyspace.c
 *	  HTTP: keyspaces, which API V2's tools make and change here.
 */
#include "postgres.h"

#include "pd/http_ask.h"

static void
put_keyspace(HttpAsk *ask, const Keyspace *keyspace)
{
	JsonWriter *json = &ask->json;

	json_open(json, NULL, '{');
	json_uint(json, "id", keyspace->id);
	json_string(json, "name", keyspace->name);
	json_string(json, "state", keyspace_state_name(keyspace->state));
	json_int(json, "created_at", keyspace->created_at);
	json_int(json, "state_changed_at", keyspace->state_changed_at);
	json_open(json, "config", '{');
	for (size_t i = 0; i < keyspace->n_config; i++)
		json_string(json, keyspace->config[i].key, keyspace->config[i].value);
	json_close(json, '}');
	json_close(json, '}');
}

/* Refusals of this part are all 500 (tikv/pd server/apiv2/handlers). */
static bool
refused(HttpAsk *ask, PdError error)
{
	if (error.type == PD_OK)
		return false;
	http_say(ask, HTTP_INTERNAL, error.text);
	return true;
}

static void
answer(HttpAsk *ask, const Keyspace *keyspace)
{
	if (keyspace == NULL)
		http_say(ask, HTTP_INTERNAL, "keyspace does not exist");
	else
		put_keyspace(ask, keyspace);
}

static const Keyspace *
find_named(HttpAsk *ask)
{
	const char *name = url_text(&ask->url, 4);

	return name == NULL ? NULL :
						  keyspaces_by_name(&ask->pd->state.keyspaces, name);
}

static void
get_keyspace(HttpAsk *ask)
{
	answer(ask, find_named(ask));
}

static void
get_keyspace_by_id(HttpAsk *ask)
{
	uint64_t id;

	if (http_id(ask, 5, &id))
		answer(ask,
			   id > KEYSPACE_MAX_ID ?
				   NULL :
				   keyspaces_by_id(&ask->pd->state.keyspaces, (uint32_t) id));
}

static void
create_keyspace(HttpAsk *ask)
{
	const JsonValue *object = http_object(ask);
	const char *name = json_get_text(object, "name");
	const Keyspace *created;
	Pair *config;
	size_t n;

	if (object == NULL)
		return;
	if (name == NULL ||
		!http_pairs(ask, json_get(object, "config"), false, &config, &n))
		http_say(ask, HTTP_BAD_REQUEST,
				 "wanted: a name, and a config of strings");
	else if (!refused(ask,
					  keyspace_create(&ask->pd->state.keyspaces, name, config,
									  n, ask->now, &ask->changes, &created)))
		put_keyspace(ask, created);
}

/* Pages: the token is the id at which the next page begins. */
static void
get_keyspaces(HttpAsk *ask)
{
	const Keyspaces *all = &ask->pd->state.keyspaces;
	uint64_t first;
	size_t at;
	size_t limit;
	size_t end;

	if (!http_query_number(ask, "page_token", KEYSPACE_MAX_ID, &first) ||
		!http_limit(ask, 0, all->n, &limit))
		return;
	at = keyspaces_seek(all, (uint32_t) first);
	end = limit == 0 || limit > all->n - at ? all->n : at + limit;
	json_open(&ask->json, NULL, '{');
	json_open(&ask->json, "keyspaces", '[');
	for (size_t i = at; i < end; i++)
		put_keyspace(ask, &all->items[i]->keyspace);
	json_close(&ask->json, ']');
	json_string(&ask->json, "next_page_token",
				end == all->n ? "" :
								arena_printf(ask->arena, "%u",
											 all->items[end]->keyspace.id));
	json_close(&ask->json, '}');
}

static void
set_keyspace_state(HttpAsk *ask)
{
	const JsonValue *object = http_object(ask);
	const char *name = json_get_text(object, "state");
	const Keyspace *keyspace = find_named(ask);
	char upper[16] = "";

	if (object == NULL)
		return;
	for (size_t i = 0; name != NULL && name[i] != '\0' && i < 15; i++)
		upper[i] = (char) pg_toupper((unsigned char) name[i]);
	if (keyspace_state_by_name(upper) < 0)
		http_say(ask, HTTP_BAD_REQUEST, "unknown keyspace state");
	else if (keyspace == NULL)
		answer(ask, NULL);
	else if (!refused(ask,
					  keyspace_set_state(&ask->pd->state.keyspaces,
										 keyspace->id,
										 keyspace_state_by_name(upper),
										 ask->now, &ask->changes, &keyspace)))
		put_keyspace(ask, keyspace);
}

/* Each precondition: a value the setting has, or null for one it lacks. */
static bool
preconditions_hold(const Keyspace *keyspace, const Pair *wanted, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		const char *have = NULL;

		for (size_t k = 0; k < keyspace->n_config; k++)
			if (strcmp(keyspace->config[k].key, wanted[i].key) == 0)
				have = keyspace->config[k].value;
		if (have == NULL ?
				wanted[i].value != NULL :
				wanted[i].value == NULL || strcmp(have, wanted[i].value) != 0)
			return false;
	}
	return true;
}

static void
patch_keyspace_config(HttpAsk *ask)
{
	const JsonValue *object = http_object(ask);
	const Keyspace *keyspace = find_named(ask);
	Pair *patch;
	Pair *wanted;
	size_t n;
	size_t n_wanted;

	if (object == NULL)
		return;
	if (!http_pairs(ask, json_get(object, "config"), true, &patch, &n) ||
		!http_pairs(ask, json_get(object, "preconditions"), true, &wanted,
					&n_wanted))
		http_say(ask, HTTP_BAD_REQUEST, "settings are strings or null");
	else if (keyspace == NULL)
		answer(ask, NULL);
	else if (!preconditions_hold(keyspace, wanted, n_wanted))
		http_say(ask, HTTP_CONFLICT,
				 "the preconditions of the keyspace's config do not hold");
	else if (!refused(ask,
					  keyspace_patch_config(&ask->pd->state.keyspaces,
											keyspace->name, patch, n,
											&ask->changes, &keyspace)))
		put_keyspace(ask, keyspace);
}

const HttpRoute http_keyspace_routes[] = {
	{"GET", "v2/keyspaces", true, get_keyspaces},
	{"POST", "v2/keyspaces", true, create_keyspace},
	{"GET", "v2/keyspaces/id/{}", true, get_keyspace_by_id},
	{"GET", "v2/keyspaces/{}", true, get_keyspace},
	{"PUT", "v2/keyspaces/{}/state", true, set_keyspace_state},
	{"PATCH", "v2/keyspaces/{}/config", true, patch_keyspace_config},
	{NULL, NULL, false, NULL},
};
