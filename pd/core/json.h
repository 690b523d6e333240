/*
 * json.h
 *	  Writing and reading JSON, as far as PD's HTTP interface needs it.
 *
 * The writer puts the commas; it is told keys and values in order.  With a
 * bound it stops where that is reached, and says so: what it has then is no
 * JSON.  The reader makes a tree in an arena, of up to a hundred bytes for each
 * byte that it reads; it takes RFC 8259 and nothing else, with bounds on depth
 * and values.
 */
#ifndef TIKV_PD_CORE_JSON_H
#define TIKV_PD_CORE_JSON_H

#include "core/base/arena.h"

/* ---- writing ---- */

#define JSON_MAX_DEPTH 32

/* Of what is read; more than the keys that may be split at in one request. */
#define JSON_MAX_VALUES 262144

typedef struct JsonWriter
{
	Arena *arena;
	char *data;
	size_t len;
	size_t size;
	size_t most; /* arena->allocated that it may lead to; 0: no bound */
	bool full;	 /* it would be more, and ends somewhere */
	bool comma;	 /* the next value needs one before it */
	bool after_key;
} JsonWriter;

extern void json_init(JsonWriter *json, Arena *arena);

/* Objects and arrays; `key` is NULL outside objects. */
extern void json_open(JsonWriter *json, const char *key, char bracket);
extern void json_close(JsonWriter *json, char bracket);

extern void json_string(JsonWriter *json, const char *key, const char *value);
extern void json_uint(JsonWriter *json, const char *key, uint64_t value);
extern void json_int(JsonWriter *json, const char *key, int64_t value);
extern void json_double(JsonWriter *json, const char *key, double value);
extern void json_bool(JsonWriter *json, const char *key, bool value);
extern void json_null(JsonWriter *json, const char *key);

/* Bytes as upper case hexadecimal digits. */
extern void json_hex(JsonWriter *json, const char *key, Bytes value);

/* What is JSON already. */
extern void json_raw(JsonWriter *json, const char *key, const char *value);

extern Bytes json_text(const JsonWriter *json);

/* ---- reading ---- */

typedef enum JsonType
{
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
} JsonType;

typedef struct JsonValue
{
	JsonType type;
	bool truth;
	double number;
	const char *text;		 /* a string, or a number as it was written */
	const char *key;		 /* in an object */
	struct JsonValue *first; /* of an array or object */
	struct JsonValue *next;
	size_t n; /* of an array or object */
} JsonValue;

/*
 * NULL: it is not JSON, too deep, or of too many values; strings hold no zero
 * byte.
 */
extern const JsonValue *json_parse(Bytes text, Arena *arena);

/* The value of a key of an object (the last one), or NULL. */
extern const JsonValue *json_get(const JsonValue *object, const char *key);

/* A string member, or NULL. */
extern const char *json_get_text(const JsonValue *object, const char *key);

/* A member that is a whole number within uint64; false otherwise. */
extern bool json_get_uint(const JsonValue *object, const char *key,
						  uint64_t *out);

#endif /* TIKV_PD_CORE_JSON_H */
