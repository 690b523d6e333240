/*
 * test_pd_keyspace.c
 *	  Keyspaces: names, ids, states, settings.
 */
#include "pd/core/state.h"

#include "core/base/check.h"
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
	EQ_U64(patch("two", "gc_management_type", "keyspace_level_gc"),
		   PD_INVALID_VALUE, "GC by itself, as clients of 8.5 spell it");
	EQ_U64(patch("two", "gc_management_type", "global_gc"), PD_OK,
		   "GC with all others, in the same spelling");
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

/* ---- many of them ---- */

static const char *
nth_name(size_t i)
{
	static char name[KEYSPACE_MAX_NAME + 1];

	snprintf(name, sizeof(name), "k%zu", i);
	return name;
}

/* With `len` bytes of settings. */
static PdError
fatten(size_t i, size_t len)
{
	char *value = arena_alloc(&arena, len + 1);
	Pair pair = {"fat", value};
	PdError error;

	memset(value, 'x', len);
	value[len] = '\0';
	error = keyspace_patch_config(&state.keyspaces, nth_name(i), &pair, 1,
								  &changes, &out);
	if (error.type == PD_OK)
		take_over();
	pd_changes_init(&changes, &arena);
	return error;
}

static void
begin_again(void)
{
	pd_state_free(&state);
	arena_reset(&arena);
	pd_changes_init(&changes, &arena);
	pd_state_first(1, NOW, &changes);
	take_over();
}

/* Each is found by its name and by its id, however many there are. */
static void
test_many(void)
{
	PdError error;
	size_t found = 0;

	begin_again();
	for (size_t i = 1; i < KEYSPACES_MAX; i++)
	{
		if (create(nth_name(i)) != PD_OK)
			break;
		arena_reset(&arena);
		pd_changes_init(&changes, &arena);
	}
	EQ_U64(state.keyspaces.n, KEYSPACES_MAX, "as many as may be are made");
	for (size_t i = 1; i < KEYSPACES_MAX; i++)
	{
		const Keyspace *keyspace =
			keyspaces_by_name(&state.keyspaces, nth_name(i));

		found += keyspace != NULL && keyspace->id == i &&
			keyspaces_by_id(&state.keyspaces, (uint32_t) i) == keyspace;
	}
	EQ_U64(found, KEYSPACES_MAX - 1, "and found by name and id");
	OK(keyspaces_by_name(&state.keyspaces, "k0") == NULL, "no other one is");
	error =
		keyspace_create(&state.keyspaces, "more", NULL, 0, NOW, &changes, &out);
	EQ_U64(error.type, PD_RESOURCE_EXHAUSTED, "one more is refused");
	EQ_STR(error.text,
		   "there are 65536 keyspaces, and no more may be: take one that is "
		   "there, since none is ever removed",
		   "and it is told why");
	EQ_U64(changes.n, 0, "it leaves no change");
	EQ_U64(create("k17"), PD_DUPLICATED_ENTRY,
		   "a name that is taken is told as such");
	EQ_U64(set_state(17, KEYSPACE_DISABLED), PD_OK, "others go on");
	EQ_U64(keyspaces_by_name(&state.keyspaces, "k17")->state, KEYSPACE_DISABLED,
		   "and are found as they are by then");
}

/* As one that was made before there were bounds. */
static void
keep_fat(size_t i, size_t len)
{
	char *value = calloc(1, len + 1);
	Pair pair = {"fat", value};
	Keyspace saved = {.id = (uint32_t) i,
					  .name = nth_name(i),
					  .n_config = 1,
					  .config = &pair};

	CHECK(value != NULL);
	memset(value, 'x', len);
	keyspaces_put(&state.keyspaces, &saved);
	free(value);
}

static void
begin_with(size_t n)
{
	begin_again();
	for (size_t i = 1; i <= n; i++)
		CHECK(create(nth_name(i)) == PD_OK);
}

#define KIB ((size_t) 1 << 10)
#define MIB ((size_t) 1 << 20)

/* Together they hold no more than is allowed, and give back what goes. */
static void
test_settings_of_many(void)
{
	size_t empty;
	PdError error;

	begin_with(70);
	empty = state.keyspaces.bytes;
	for (size_t i = 1; i <= 63; i++)
		keep_fat(i, MIB);
	keep_fat(64, MIB - 64 * KIB);
	error = fatten(65, 62 * KIB);
	EQ_U64(error.type, PD_RESOURCE_EXHAUSTED, "settings beyond all memory");
	EQ_STR(error.text,
		   "the settings of all keyspaces would take more than 64 MiB: remove "
		   "some",
		   "are refused, with the bound");
	EQ_U64(fatten(65, 20 * KIB).type, PD_OK, "what fits is taken");
	EQ_U64(create("small"), PD_OK, "a new keyspace, too");
	EQ_U64(fatten(65, 20 * KIB + 1).type, PD_OK,
		   "a little more in place of it");
	EQ_U64(fatten(65, 62 * KIB).type, PD_RESOURCE_EXHAUSTED, "not much more");
	EQ_U64(fatten(1, 10).type, PD_OK, "less goes");
	EQ_U64(fatten(1, 10).type, PD_OK, "less goes");
	EQ_U64(fatten(70, 62 * KIB).type, PD_OK, "and makes room");
	keep_fat(69, 5 * MIB);
	EQ_U64(fatten(69, 2 * MIB).type, PD_OK, "what is beyond may shrink");
	for (size_t i = 1; i <= 70; i++)
		if (patch(nth_name(i), "fat", NULL) != PD_OK)
			break;
	EQ_U64(state.keyspaces.bytes - empty,
		   sizeof(KeyspaceItem) + strlen("small") + 1,
		   "nothing is counted that is gone");
}

/* One takes no more than its share, however it is given. */
static void
test_settings_of_one(void)
{
	char value[64 * KIB + 1];
	Pair pair = {"fat", value};
	PdError error;

	begin_with(1);
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	error =
		keyspace_create(&state.keyspaces, "fat", &pair, 1, NOW, &changes, &out);
	EQ_U64(error.type, PD_RESOURCE_EXHAUSTED,
		   "too many settings from the start");
	EQ_STR(error.text,
		   "the settings of the keyspace would take more than 64 KiB: remove "
		   "some",
		   "are refused, with the bound");
	EQ_U64(fatten(1, 64 * KIB).type, PD_RESOURCE_EXHAUSTED, "or later");
	EQ_U64(changes.n, 0, "and leave no change");
	EQ_U64(fatten(1, 40 * KIB).type, PD_OK, "some are taken");
	value[30 * KIB] = '\0';
	EQ_U64(patch("k1", "more", value), PD_RESOURCE_EXHAUSTED,
		   "not as many again beside them");
	EQ_U64(fatten(1, 50 * KIB).type, PD_OK, "but in place of them");
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
	test_many();
	test_settings_of_many();
	test_settings_of_one();
	pd_state_free(&state);
	arena_free(&arena);
	return unit_done();
}
