/*
 * empty.h
 *	  BatchCommands' Empty: a number that is to come back after a while.
 *
 * For this folder.  Clients try their streams with it.  What waits is what the
 * answer needs and nothing else of the message, however long that was; it
 * counts to its connection.
 */
#ifndef TIKV_SERVER_EMPTY_H
#define TIKV_SERVER_EMPTY_H

#include "core/base/bytes.h"
#include "server/source.h"

/* How many wait, of one connection and of all. */
#define EMPTY_MAX_OF_SOURCE 1024
#define EMPTY_MAX 65536

typedef struct EmptyCommand
{
	void *stream; /* the owner's, who keeps it while it waits */
	uint64_t id;  /* of the command in its stream */
	uint64_t test_id;
	uint64_t delay_ms;	 /* a minute at most */
	int64_t received_us; /* monotonic */
} EmptyCommand;

/*
 * Fill in test_id and delay_ms from a BatchCommandsEmptyRequest; false if the
 * bytes are none.  Unknown fields are passed over.
 */
extern bool empty_parse(Bytes bytes, EmptyCommand *empty);

/* Remember it until its delay is over; false if too many wait. */
extern bool empty_wait(const EmptyCommand *empty, Source *source);

/* When the next one is due, monotonic; INT64_MAX if none waits. */
extern int64_t empty_next_us(void);

/* Take one that is due; false if there is none. */
extern bool empty_take(int64_t now_us, EmptyCommand *empty);

#endif /* TIKV_SERVER_EMPTY_H */
