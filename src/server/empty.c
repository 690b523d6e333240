/*
 * empty.c
 *	  BatchCommands' Empty: a number that is to come back after a while.
 */
#include "server/empty.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "server/delay.h"
#include "service/wire.h"

#define MAX_DELAY_MS 60000

/* Fields of BatchCommandsEmptyRequest. */
#define FIELD_TEST_ID 1
#define FIELD_DELAY_TIME 2

typedef struct Waiting
{
	EmptyCommand empty;
	Source *source;
} Waiting;

static size_t n_all;

bool
empty_parse(Bytes bytes, EmptyCommand *empty)
{
	WireReader r = wire_reader(bytes);
	WireField f;

	empty->test_id = 0;
	empty->delay_ms = 0;
	while (wire_read_field(&r, &f))
	{
		if (f.number != FIELD_TEST_ID && f.number != FIELD_DELAY_TIME)
			continue;
		if (f.type != WIRE_VARINT)
			return false;
		if (f.number == FIELD_TEST_ID)
			empty->test_id = f.value;
		else
			empty->delay_ms = f.value < MAX_DELAY_MS ? f.value : MAX_DELAY_MS;
	}
	return !r.bad;
}

bool
empty_wait(const EmptyCommand *empty, Source *source)
{
	Waiting *waiting;

	if (n_all >= EMPTY_MAX || source->n_empty >= EMPTY_MAX_OF_SOURCE)
		return false;
	waiting = malloc(sizeof(*waiting));
	CHECK(waiting != NULL);
	waiting->empty = *empty;
	waiting->source = source;
	source_hold(source);
	account_add(&source->account, sizeof(*waiting));
	source->n_empty++;
	n_all++;
	delay_add(empty->received_us + (int64_t) empty->delay_ms * 1000, waiting);
	return true;
}

int64_t
empty_next_us(void)
{
	return delay_next();
}

bool
empty_take(int64_t now_us, EmptyCommand *empty)
{
	Waiting *waiting;

	if (delay_next() > now_us)
		return false;
	waiting = delay_take();
	*empty = waiting->empty;
	n_all--;
	waiting->source->n_empty--;
	account_sub(&waiting->source->account, sizeof(*waiting));
	source_release(waiting->source);
	free(waiting);
	return true;
}
