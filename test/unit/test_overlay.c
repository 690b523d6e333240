/*
 * test_overlay.c
 *	  The newest effect per key, however many there are.
 */
#include <stdlib.h>

#include "core/kv/overlay.h"
#include "unit.h"

static RawModify
put(const char *key, const char *value)
{
	RawModify m = {.kind = RAW_PUT,
				   .cf = RAW_CF_DEFAULT,
				   .key = bytes_cstr(key),
				   .value = bytes_cstr(value)};

	return m;
}

static RawModify
del(RawCf cf, const char *key)
{
	RawModify m = {.kind = RAW_DELETE, .cf = cf, .key = bytes_cstr(key)};

	return m;
}

static void
newest_wins(void)
{
	Overlay o;
	RawModify m;
	const RawModify *found;

	overlay_init(&o);
	OK(overlay_find(&o, RAW_CF_DEFAULT, bytes_cstr("a")) == NULL,
	   "an empty overlay knows no key");
	m = put("a", "1");
	overlay_apply(&o, &m);
	m = put("b", "2");
	overlay_apply(&o, &m);
	m = put("a", "3");
	overlay_apply(&o, &m);
	EQ_U64(o.n_modifies, 2, "a key is written once");
	found = overlay_find(&o, RAW_CF_DEFAULT, bytes_cstr("a"));
	OK(found != NULL && bytes_eq(found->value, bytes_cstr("3")),
	   "the newest put wins");
	m = del(RAW_CF_DEFAULT, "a");
	overlay_apply(&o, &m);
	found = overlay_find(&o, RAW_CF_DEFAULT, bytes_cstr("a"));
	OK(found != NULL && found->kind == RAW_DELETE, "a delete replaces a put");
	m = put("a", "4");
	overlay_apply(&o, &m);
	found = overlay_find(&o, RAW_CF_DEFAULT, bytes_cstr("a"));
	OK(found != NULL && found->kind == RAW_PUT, "a put replaces a delete");
	overlay_reset(&o);
	EQ_U64(o.n_modifies, 0, "reset forgets all");
	OK(overlay_find(&o, RAW_CF_DEFAULT, bytes_cstr("a")) == NULL,
	   "and finds nothing");
	overlay_free(&o);
}

static void
families_are_apart(void)
{
	Overlay o;
	RawModify m = del(RAW_CF_LOCK, "k");

	overlay_init(&o);
	overlay_apply(&o, &m);
	OK(overlay_find(&o, RAW_CF_DEFAULT, bytes_cstr("k")) == NULL,
	   "the same key in another column family is another key");
	OK(overlay_find(&o, RAW_CF_LOCK, bytes_cstr("k")) != NULL,
	   "and is found in its own");
	overlay_free(&o);
}

#define MANY 20000

static void
many_keys(void)
{
	Overlay o;
	char(*keys)[16] = calloc(MANY, sizeof(*keys));
	size_t wrong = 0;

	overlay_init(&o);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < MANY; i++)
		{
			RawModify m;

			snprintf(keys[i], sizeof(keys[i]), "key%d", i);
			m = put(keys[i], keys[round == 0 ? 0 : i]);
			overlay_apply(&o, &m);
		}
	EQ_U64(o.n_modifies, MANY, "every key is there once after growing");
	for (int i = 0; i < MANY; i++)
	{
		const RawModify *m =
			overlay_find(&o, RAW_CF_DEFAULT, bytes_cstr(keys[i]));

		if (m == NULL || !bytes_eq(m->value, bytes_cstr(keys[i])))
			wrong++;
	}
	EQ_U64(wrong, 0, "and has its newest value");
	OK(bytes_eq(o.modifies[7].key, bytes_cstr("key7")),
	   "in the order of first change");
	overlay_free(&o);
	free(keys);
}

int
main(void)
{
	newest_wins();
	families_are_apart();
	many_keys();
	return unit_done();
}
