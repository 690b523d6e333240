/*
 * rpc_server.h
 *	  Runs a Server in a thread of its own, as a worker's loop would.
 */
#ifndef TIKV_TEST_RPC_SERVER_H
#define TIKV_TEST_RPC_SERVER_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "server/batch.h"
#include "server/server.h"

typedef struct TestServer
{
	Server *server;
	ServerConfig config;
	int port;
	pthread_t thread;
	atomic_bool stop;
	int stop_timeout_ms;
	int64_t stop_took_us;
	atomic_long rounds;							  /* of the loop */
	_Atomic(void (*)(struct TestServer *)) round; /* called once per round */
} TestServer;

static inline int64_t
test_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Wait until a condition of the other thread holds; false after 5 seconds. */
static inline bool
test_wait_for(atomic_long *value, long least)
{
	for (int i = 0; i < 5000; i++)
	{
		if (atomic_load(value) >= least)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

static inline void *
test_server_main(void *arg)
{
	TestServer *t = arg;
	int64_t begin;

	while (!atomic_load(&t->stop))
	{
		void (*round)(TestServer *) = atomic_load(&t->round);

		server_poll(t->server, 1000);
		if (round != NULL)
			round(t);
		batch_flush();
		atomic_fetch_add(&t->rounds, 1);
		server_wait(t->server, -1);
	}
	begin = test_now_us();
	server_stop(t->server, t->stop_timeout_ms);
	t->stop_took_us = test_now_us() - begin;
	return NULL;
}

static inline bool
test_server_start(TestServer *t, const RpcMethod *methods, int n_methods)
{
	char err[256];

	atomic_store(&t->stop, false);
	if (t->config.addr == NULL)
		t->config.addr = "127.0.0.1:0";
	t->config.methods = methods;
	t->config.n_methods = n_methods;
	if (t->config.wake_fd == 0)
		t->config.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t->config.parent_fd = -1;
	if (t->config.max_message == 0)
		t->config.max_message = 64 * 1024 * 1024;
	if (t->config.max_calls == 0)
		t->config.max_calls = 1000;
	if (t->stop_timeout_ms == 0)
		t->stop_timeout_ms = 5000;
	t->config.arg = t;
	t->server = server_start(&t->config, err, sizeof(err));
	if (t->server == NULL)
	{
		printf("# %s\n", err);
		return false;
	}
	t->port = server_port(t->server);
	pthread_create(&t->thread, NULL, test_server_main, t);
	return true;
}

static inline void
test_server_stop(TestServer *t)
{
	atomic_store(&t->stop, true);
	server_wake(t->server);
	pthread_join(t->thread, NULL);
	close(t->config.wake_fd);
	t->config.wake_fd = 0;
}

#endif /* TIKV_TEST_RPC_SERVER_H */
