/*
 * answer.h
 *	  The answers that rpc_load gets, taken apart by hand.
 */
#ifndef TIKV_BENCH_LOAD_ANSWER_H
#define TIKV_BENCH_LOAD_ANSWER_H

#include "task.h"

extern uint64_t lock_retries;
extern uint64_t pairs_read;
extern uint64_t bytes_read;

/* Take an answer; true if the task is over, false if it has more to send. */
extern bool task_answer(Task *t, Bytes answer);

#endif /* TIKV_BENCH_LOAD_ANSWER_H */
