/*
 * test_pd_keyspace.c
 *	  Keyspaces: names, ids, states, settings.
 */
#include "pd/core/state.h"

#include "unit.h"

#define NOW INT64_C(1700000000)

static Arena arena;
static PdState state;
static PdChanges changes;
static const Keyspace *out;

static void
take_over(void)
{
	pd_state_apply_all(&state, &changes);
	pd_changes_init(&changes, &arena);
}

static PdErrorType
create(const char *name)
{
	PdError error =
		keyspace_create(&state.keyspaces, name, NULL, 0, NOW, &changes, &out);

	if (error.type == PD_OK)
		take_over();
	return error.type;
}

static PdErrorType
set_state(uint32_t id, int to)
{
	PdError error =
		keyspace_set_state(&state.keyspaces, id, to, NOW + 1, &changes, &out);

	if (error.type == PD_OK)
		take_over();
	return error.type;
}

static PdErrorType
patch(const char *name, const char *key, const char *value)
{
	Pair pair = {key, value};
	PdError error =
		keyspace_patch_config(&state.keyspaces, name, &pair, 1, &changes, &out);

	if (error.type == PD_OK)
		take_over();
	return error.type;
}

static void
test_create(void)
{
	EQ_U64(create("one"), PD_OK, "create");
	EQ_U64(out->id, 1, "the first id after DEFAULT's");
	EQ_U64(keyspaces_by_name(&state.keyspaces, "one")->state, KEYSPACE_ENABLED,
		   "it is enabled");
	EQ_U64(create("one"), PD_DUPLICATED_ENTRY, "a name is used once");
	EQ_U64(create("DEFAULT"), PD_DUPLICATED_ENTRY, "DEFAULT is there");
	EQ_U64(create(""), PD_INVALID_VALUE, "no name");
	EQ_U64(create("a b"), PD_INVALID_VALUE, "a space");
	EQ_U64(create("a.b"), PD_INVALID_VALUE, "a dot");
	EQ_U64(create("\303\244"), PD_INVALID_VALUE, "not ASCII");
	EQ_U64(create("aaaaaaaaaaaaaaaaaaaaa"), PD_INVALID_VALUE, "21 characters");
	EQ_U64(create("aaaaaaaaaaaaaaaaaaa-"), PD_OK, "20 characters");
	EQ_U64(out->id, 2, "refusals use no id");
}

static void
test_states(void)
{
	EQ_U64(set_state(0, KEYSPACE_DISABLED), PD_UNKNOWN, "DEFAULT stays");
	EQ_U64(set_state(77, KEYSPACE_DISABLED), PD_ENTRY_NOT_FOUND,
		   "an unknown one");
	EQ_U64(set_state(1, KEYSPACE_ARCHIVED), PD_UNKNOWN, "enabled to archived");
	EQ_U64(set_state(1, 17), PD_UNKNOWN, "to a state that is none");
	EQ_U64(set_state(1, KEYSPACE_DISABLED), PD_OK, "enabled to disabled");
	EQ_U64(out->state_changed_at, NOW + 1, "it is noted when");
	EQ_U64(set_state(1, KEYSPACE_DISABLED), PD_OK, "to what it is");
	EQ_U64(set_state(1, KEYSPACE_ENABLED), PD_OK, "and back");
	EQ_U64(set_state(1, KEYSPACE_DISABLED), PD_OK, "disabled");
	EQ_U64(set_state(1, KEYSPACE_ARCHIVED), PD_OK, "archived");
	EQ_U64(set_state(1, KEYSPACE_ENABLED), PD_UNKNOWN, "there is no way back");
	EQ_U64(patch("one", "a", "b"), PD_UNKNOWN, "nor a change of settings");
	EQ_U64(set_state(1, KEYSPACE_TOMBSTONE), PD_OK, "tombstone");
	EQ_U64(create("one"), PD_DUPLICATED_ENTRY, "whose name stays taken");
	EQ_STR(keyspace_state_name(KEYSPACE_TOMBSTONE), "TOMBSTONE", "a name");
	EQ_U64(keyspace_state_by_name("ARCHIVED"), KEYSPACE_ARCHIVED, "by name");
	OK(keyspace_state_by_name("GONE") == -1 && keyspace_state_name(9) == NULL,
	   "names of nothing");
}

static void
test_settings(void)
{
	const Keyspace *keyspace;
	Pair bad = {"k", "\377"};
	Pair pairs[2] = {{"x", "1"}, {"x", "2"}};

	EQ_U64(create("two"), PD_OK, "create");
	EQ_U64(patch("two", "a", "1"), PD_OK, "set");
	EQ_U64(patch("two", "b", "2"), PD_OK, "set another");
	EQ_U64(patch("two", "a", "3"), PD_OK, "change");
	EQ_U64(patch("two", "b", NULL), PD_OK, "remove");
	EQ_U64(patch("two", "c", NULL), PD_OK, "remove what is not there");
	keyspace = keyspaces_by_name(&state.keyspaces, "two");
	EQ_U64(keyspace->n_config, 1, "one is left");
	EQ_STR(keyspace->config[0].value, "3", "with its last value");
	EQ_U64(keyspace_patch_config(&state.keyspaces, "two", pairs, 2, &changes,
								 &out)
			   .type,
		   PD_OK, "one name twice");
	EQ_U64(out->n_config, 2, "counts once");
	EQ_STR(out->config[1].value, "2", "the last time");
	pd_changes_init(&changes, &arena);
	EQ_U64(keyspace_patch_config(&state.keyspaces, "two", &bad, 1, &changes,
								 &out)
			   .type,
		   PD_INVALID_VALUE, "not UTF-8");
	EQ_U64(patch("two", "gc_management_type", "keyspace_level"),
		   PD_INVALID_VALUE, "GC by itself");
	EQ_U64(patch("two", "gc_management_type", "unified"), PD_OK,
		   "GC with all others");
	EQ_U64(patch("DEFAULT", "a", "1"), PD_UNKNOWN, "DEFAULT has none");
	EQ_U64(patch("none", "a", "1"), PD_ENTRY_NOT_FOUND, "an unknown one");
}

/* An id that was given out is not given out again, saved or not. */
static void
test_ids(void)
{
	Keyspace high = {.id = KEYSPACE_MAX_ID - 1, .name = "high"};
	PdRecord record = {.kind = PD_RECORD_KEYSPACE, .keyspace = &high};

	pd_changes_number(&changes, PD_RECORD_KEYSPACE_ID, 100);
	take_over();
	EQ_U64(create("after"), PD_OK, "create");
	EQ_U64(out->id, 101, "behind the saved id");
	pd_changes_add(&changes, &record);
	take_over();
	EQ_U64(create("last"), PD_OK, "the last id");
	EQ_U64(out->id, KEYSPACE_MAX_ID, "is used");
	EQ_U64(create("more"), PD_UNKNOWN, "and then there is none");
}

int
main(void)
{
	arena_init(&arena);
	pd_state_init(&state);
	pd_changes_init(&changes, &arena);
	pd_state_first(1, NOW, &changes);
	take_over();
	test_create();
	test_states();
	test_settings();
	test_ids();
	pd_state_free(&state);
	arena_free(&arena);
	return unit_done();
}
