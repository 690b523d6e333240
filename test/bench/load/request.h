/*
 * request.h
 *	  The requests that rpc_load sends, put together by hand.
 */
#ifndef TIKV_BENCH_LOAD_REQUEST_H
#define TIKV_BENCH_LOAD_REQUEST_H

#include "service/service.h"
#include "task.h"

/* The packed kvrpcpb.Context of all requests of the load. */
extern void set_context(const ProtobufCMessage *message);

/* Room for any request, and the value that is written. */
extern uint8_t *scratch;
extern void make_room(void);

/* Fields of a message; the size of one of bytes with its length and key. */
extern uint8_t *put_bytes(uint8_t *p, uint32_t field, const uint8_t *data,
						  size_t len);
extern size_t bytes_size(size_t len);

/* The n-th key, of --key-size bytes. */
extern void write_key(uint8_t *key, uint64_t n);

/* The task's next request, in `scratch`; its length. */
extern size_t task_write(Task *t);

/* The number of its method, which is its member of BatchCommands, too. */
extern MethodId step_method(Step step);
extern const char *step_path(Step step);

#endif /* TIKV_BENCH_LOAD_REQUEST_H */
