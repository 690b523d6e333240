/*
 * server.h
 *	  A gRPC server on the C core, driven from a worker's main loop.
 *
 * Only this folder knows gRPC.  The worker polls; finished events become
 * calls of the handlers below, on the worker's own thread, so handlers may
 * use Postgres.  gRPC's helper threads run with all signals blocked and
 * never call Postgres.  Nothing here includes postgres.h: the folder builds
 * and is tested without a server.
 */
#ifndef TIKV_SERVER_SERVER_H
#define TIKV_SERVER_SERVER_H

#include "core/base/account.h"
#include "core/base/bytes.h"
#include "core/base/rpc_code.h"
#include "server/http.h"
#include "server/tls.h"

typedef struct Server Server;

/*
 * One RPC in flight, unary or streaming.  The server holds one reference
 * until the call is over; a handler that keeps the pointer takes its own
 * with call_hold.  After the client is gone every function below is still
 * safe and does nothing.
 */
typedef struct Call Call;

typedef struct CallHandler
{
	/* A request message; valid only during the call-back. */
	void (*message)(Call *call, Bytes message);

	/* Streams: the client has sent its last message.  May be NULL. */
	void (*half_close)(Call *call);

	/* The call is over (answered, cancelled, broken).  May be NULL. */
	void (*closed)(Call *call);

	/* Unary: sees those that are to be refused, too, and does so. */
	bool refuses_itself;
} CallHandler;

typedef enum RpcKind
{
	RPC_UNARY,
	RPC_STREAM /* the client, the server or both stream */
} RpcKind;

typedef struct RpcMethod
{
	const char *path; /* "/tikvpb.Tikv/RawGet" */
	RpcKind kind;
	int id;						/* the service's own number */
	const CallHandler *handler; /* NULL: UNIMPLEMENTED, by intent */
} RpcMethod;

typedef struct ServerConfig
{
	const char *addr;		  /* "host:port" or "[v6]:port" */
	bool shared_port;		  /* SO_REUSEPORT among our own workers */
	const RpcMethod *methods; /* unknown paths get UNIMPLEMENTED too */
	int n_methods;
	int wake_fd;		   /* eventfd that ends server_wait; -1 none */
	int parent_fd;		   /* readable when the parent died; -1 none */
	size_t max_message;	   /* bytes of one request message */
	int max_calls;		   /* unary calls in flight; more: UNAVAILABLE */
	int max_streams;	   /* open ones, likewise; 0: 16,384 */
	size_t max_reply;	   /* bytes of one answer; 0: 512 MiB; at most 2 GiB */
	size_t max_unsent;	   /* bytes of all answers not taken yet; 0: 1 GiB */
	size_t max_memory;	   /* of all that clients make us hold; 0: no limit */
	int unread_ms;		   /* see unsent_make_room; 0: ten seconds */
	const char *peer_addr; /* a second port for the same methods; NULL: none */
	const RpcMethod *peer_methods; /* beside those of `methods` */
	int n_peer_methods;
	HttpServer *http; /* gets what speaks HTTP/1.1; NULL: gRPC alone */
	Tls *tls;		  /* usable; NULL: plain. Excludes http. */
	void *arg;		  /* server_arg() */
} ServerConfig;

/*
 * Start serving.  On failure returns NULL and leaves a message (which
 * address, what the system said) in err.  The port is probed exclusively
 * first unless shared_port.  Everything named by config must outlive it.
 */
extern Server *server_start(const ServerConfig *config, char *err,
							size_t errlen);

/*
 * Bind an address exclusively and let it go again: is it free for us?  If
 * not, err says why.  For workers that share a port, once before the first.
 */
extern bool server_probe_address(const char *addr, char *err, size_t errlen);

/* Can only this machine reach it? */
extern bool server_address_is_local(const char *addr);

/* The ports bound; of use where an address asks for port 0. */
extern int server_port(Server *server);
extern int server_peer_port(Server *server);

/*
 * Handle what is ready, at most max_events, without blocking; returns how
 * many events were handled.  What was asked of calls, here or since, is
 * handed to gRPC by this function and by server_wait.
 */
extern int server_poll(Server *server, int max_events);

/* From a handler: the server_poll that runs returns after this event. */
extern void server_yield(Server *server);

/*
 * Sleep until there is an event, wake_fd or parent_fd is readable, or
 * timeout_us passes (-1: no limit; gRPC counts in milliseconds and rounds
 * up), or a signal arrives.  Returns at once if an event waits.
 * Events found are handled by the next server_poll.  wake_fd is drained.
 */
extern void server_wait(Server *server, int64_t timeout_us);

/* The next server_wait ends by this moment of CLOCK_MONOTONIC. */
extern void server_wake_at(Server *server, int64_t at_us);

/* Microseconds of CLOCK_MONOTONIC. */
extern int64_t server_now_us(void);

/*
 * Wake server_wait from a signal handler or another thread.  Async-signal
 * safe.  (Writes to wake_fd.)
 */
extern void server_wake(Server *server);

/* Stop accepting, cancel what is in flight, end within timeout_ms; frees. */
extern void server_stop(Server *server, int timeout_ms);

/* Health of grpc.health.v1 for service "": SERVING or NOT_SERVING. */
extern void server_set_serving(Server *server, bool serving);

extern void *server_arg(Server *server);

/* What the handlers of peer_methods need; NULL at first. */
extern void server_attach(Server *server, void *peer);
extern void *server_attached(Server *server);

/* A client's address as gRPC writes it. */
#define SERVER_PEER_SIZE 80

typedef struct ServerCounters
{
	uint64_t calls;	   /* unary calls begun */
	uint64_t messages; /* stream messages received */
	uint64_t refused;  /* over a bound */
	uint64_t received_bytes;
	uint64_t sent_bytes; /* handed to gRPC */
	uint64_t open_streams;
	uint64_t inflight; /* unary calls not answered yet */
	uint64_t ended;	   /* connections that were floods */
	char last_ended[SERVER_PEER_SIZE];
} ServerCounters;

extern void server_counters(Server *server, ServerCounters *out);

/* Bytes of answers handed over and not finished, of all calls. */
extern size_t server_unsent_bytes(const Server *server);

/* More than max_unsent: whatever would make more of them is to be refused. */
extern bool server_is_overloaded(const Server *server);

/*
 * Bytes that requests and answers of this process hold, and whether that is
 * all that they may: who has yet to make an answer should refuse instead.
 */
extern size_t server_memory_used(void);
extern bool server_memory_is_short(void);

/* For what comes to this process in another way than gRPC. */
extern Account *server_memory_account(void);

/* ---- one call ---- */

extern Server *call_server(Call *call);
extern int call_method(Call *call); /* RpcMethod.id */

/* The client's connection: the same for all its calls, 0 once this is over. */
extern uint64_t call_source(const Call *call);

extern void call_hold(Call *call);
extern void call_release(Call *call);

/* The handler's own pointer; NULL at first. */
extern void call_set_user(Call *call, void *user);
extern void *call_user(Call *call);

/* The client is gone, cancelled, or past its deadline. */
extern bool call_over(Call *call);

/* Microseconds of CLOCK_MONOTONIC until the deadline; INT64_MAX: none. */
extern int64_t call_deadline_left_us(Call *call);

/* A metadata value of the request, or an empty Bytes with data NULL. */
extern Bytes call_metadata(Call *call, const char *key);

/*
 * Answer a unary call, once: `pack` writes exactly len bytes.  Packing goes
 * straight into the buffer that is sent.  More than max_reply bytes are not
 * packed: the call fails with RESOURCE_EXHAUSTED.
 */
extern void call_reply(Call *call, size_t len,
					   void (*pack)(void *arg, uint8_t *out), void *arg);
extern void call_reply_bytes(Call *call, Bytes message);

/* End a unary call or a stream with an error.  Text is copied. */
extern void call_fail(Call *call, RpcCode code, const char *text);

/*
 * Streams: queue one message; sends are done in order, one at a time, as
 * gRPC wants it.  Returns false if the call is over, the message is larger
 * than max_reply, or more than the stream's bound (64 MiB) waits to be sent;
 * the caller then ends the stream.
 */
extern bool call_send(Call *call, size_t len,
					  void (*pack)(void *arg, uint8_t *out), void *arg);
extern bool call_send_bytes(Call *call, Bytes message);

/*
 * Streams: bytes queued and not yet taken by gRPC, and those that are charged.
 * Would call_send take so many more?
 */
extern size_t call_send_queued(const Call *call);
extern bool call_can_send(const Call *call, size_t len);

/*
 * What a handler keeps for a call counts to its client, from call_charge to
 * call_uncharge, which may come in several parts and after the call is over.
 * Who charges holds the call.
 */
extern void call_charge(Call *call, size_t n);
extern void call_uncharge(Call *call, size_t n);

/*
 * May the client of this call have us hold more?  One that has its share of
 * the memory may not; what is sent without being asked for just now leaves the
 * last part of it to those who ask.
 */
extern bool call_admits(const Call *call);
extern bool call_admits_unasked(const Call *call);

/* Streams: nothing queued waits for the client, so another may be built. */
extern bool call_send_idle(Call *call);

/* Streams: after what is queued, end with this status. */
extern void call_finish(Call *call, RpcCode code, const char *text);

/*
 * Streams: stop (true) or go on (false) reading messages of this call, for
 * backpressure.  A new stream reads.
 */
extern void call_pause(Call *call, bool pause);

#endif /* TIKV_SERVER_SERVER_H */
