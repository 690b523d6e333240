/*
 * internal.h
 *	  What the files of this folder share: the server, its methods, its calls.
 *
 * One rule shapes all of it: gRPC starts helper threads whenever it likes, and
 * a thread inherits the signal mask of its creator.  So gRPC is entered only
 * between server_enter and server_leave, which block all signals, and never
 * from inside a handler: what a handler asks for is noted in the Call, the
 * call joins the server's `todo` list, and call_advance starts the gRPC
 * operations that are due when the pump enters gRPC the next time.
 */
#ifndef TIKV_SERVER_INTERNAL_H
#define TIKV_SERVER_INTERNAL_H

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <signal.h>
#include <stdatomic.h>

#include "server/outbuf.h"
#include "server/server.h"
#include "server/source.h"

/* A doubly linked list with a head of the same type. */
typedef struct Link
{
	struct Link *prev;
	struct Link *next;
} Link;

typedef struct ServerMethod
{
	const char *path;
	RpcKind kind;
	int id;
	const CallHandler *handler;
	void *registered; /* gRPC's handle; NULL: takes unknown paths */
	bool unbounded;	  /* max_calls does not apply */
	int posted;		  /* requests waiting for a client */
	int target;		  /* how many should wait */
	struct ServerMethod *short_next; /* list of those under target */
	bool is_short;
} ServerMethod;

/* What a finished gRPC batch was about: the low bits of its tag. */
typedef enum OpKind
{
	OP_NEW,	   /* a client called */
	OP_OPEN,   /* stream: initial metadata sent */
	OP_RECV,   /* stream: a message, or its end */
	OP_SEND,   /* stream: a message sent */
	OP_STATUS, /* answer and status sent */
	OP_CLOSE,  /* the client's side of the call is over */
	OP_CLIENT  /* of a call to another node: see client.c */
} OpKind;

#define OP_MASK ((uintptr_t) 7)

/* One message of a stream that waits to be sent. */
typedef struct SendItem
{
	struct SendItem *next;
	grpc_byte_buffer *buffer;
	size_t len;
} SendItem;

struct Call
{
	Link link;		/* in live, fresh or held of the server */
	Server *server; /* NULL once the server has stopped */
	ServerMethod *method;
	grpc_call *grpc; /* NULL when gRPC is done with it */
	Source *source;	 /* NULL before the call begins and after its end */
	uint32_t life;	 /* the source's when the call began */
	Source *payer;	 /* held while something is charged; NULL: all together */
	size_t charged;	 /* see call_charge */
	Call *todo_next;
	void *user;
	int refs;
	int pending; /* batches that gRPC has not finished */
	int64_t received_us;
	int64_t deadline_us; /* INT64_MAX: none */

	bool in_todo;
	bool delivered; /* the handler has seen it */
	bool told;		/* the handler knows that it is over */
	bool counted;	/* in flight, of the server and of its source */
	bool crowded;	/* unary: its source has its share of those in flight */
	bool unread;	/* it came without its message */
	bool answered;	/* a status is decided */
	bool status_started;
	bool status_done;
	bool watch; /* unary: want to know of a cancellation */
	bool close_started;
	bool gone;		/* the client is */
	bool opened;	/* stream: first batches started */
	bool sending;	/* stream: OP_OPEN or OP_SEND in flight */
	bool send_busy; /* stream: OP_SEND, the first item is in use */
	bool evicted;	/* it was ended to make room */
	bool receiving; /* stream: OP_RECV in flight */
	bool read_end;	/* stream: no more messages come */
	bool paused;

	RpcCode code;
	bool has_text;
	grpc_slice text;		 /* of the status */
	grpc_byte_buffer *reply; /* unary */
	size_t reply_bytes;
	int64_t sending_us; /* when gRPC was given what it sends now, or last */

	SendItem *send_first; /* stream: queue, the first may be in flight */
	SendItem **send_tail;
	size_t send_bytes;

	/* filled by gRPC */
	grpc_byte_buffer *received;
	grpc_slice merged; /* of received, when it came in pieces */
	bool has_merged;
	grpc_metadata_array metadata;
	gpr_timespec grpc_deadline;
	grpc_call_details *details; /* only of unknown paths */
	int cancelled;
};

/* How far a port has come with renewed certificates. */
typedef struct TlsListener
{
	Server *server;
	_Atomic uint64_t generation; /* that gRPC was given */
} TlsListener;

#define SERVER_EVENTS 64

typedef struct Waker Waker;
typedef struct Porter Porter;
typedef struct Warden Warden;

struct Server
{
	grpc_server *grpc;
	grpc_completion_queue *cq;
	Waker *waker;
	Porter *porter; /* NULL: gRPC listens itself */
	Warden *warden;
	_Atomic uint64_t progress; /* see server_note_progress */
	TlsListener listeners[2];  /* of addr and of peer_addr */
	uint64_t tls_generation;   /* whose names open streams were held against */
	ServerConfig config;
	int port;
	int peer_port;
	void *attached;
	bool serving;
	bool stopping;
	bool stopped; /* gRPC has confirmed the shutdown */

	ServerMethod *methods; /* those with a handler, health, unknown */
	int n_methods;
	ServerMethod *short_methods;

	Link live;	/* calls in progress */
	Link fresh; /* unary, unanswered, not watched; oldest first */
	Link held;	/* over, but a handler still holds them */
	Call *todo;
	Call **todo_tail;
	Call *pool;
	int n_pool;
	int n_posted; /* requests that wait, all methods */
	int n_live;
	int n_replying;		  /* statuses on their way */
	Link health_watchers; /* see health.c */

	Link channels; /* to other nodes: see client.c */
	struct ClientCall *client_todo;
	struct ClientCall **client_tail;
	int n_client_calls;

	grpc_event events[SERVER_EVENTS]; /* taken from gRPC, not handled yet */
	int n_events;
	int next_event;
	bool woken;			 /* a kick was seen outside server_wait */
	bool yields;		 /* server_poll is to return */
	int64_t wake_at_us;	 /* server_wait ends by then */
	sigset_t saved_mask; /* of the worker, while inside gRPC */
	int entered;

	size_t unsent;		  /* see unsent.c */
	size_t unsent_peak;	  /* since memory was given back */
	int64_t kept_look_us; /* when to look again at what is kept */
	int64_t room_look_us; /* ... at who does not read */
	bool holding;		  /* from max_unsent down to half of it */

	int64_t alarm_until_us; /* see waste.c */

	ServerCounters counters;
	size_t n_callers;	/* sources with unary calls in flight */
	size_t n_streamers; /* ... with open streams */
};

/* ---- server.c ---- */

/* Around every use of gRPC on the worker's thread; may nest. */
extern void server_enter(Server *server);
extern void server_leave(Server *server);

/*
 * Where the worker's thread is: odd inside gRPC, and another number for each
 * use of it.  Written by that thread alone.
 */
static inline void
server_note_progress(Server *server, uint64_t step)
{
	uint64_t n = atomic_load_explicit(&server->progress, memory_order_relaxed);

	atomic_store_explicit(&server->progress, n + step, memory_order_relaxed);
}

static inline bool
server_progress_inside(uint64_t progress)
{
	return (progress & 1) != 0;
}

/* ---- pump.c ---- */

/* Start everything that calls and methods want from gRPC.  Entered. */
extern void pump_start_todo(Server *server);
extern void pump_todo(Call *call);

/* ---- waker.c ---- */

extern Waker *waker_start(grpc_completion_queue *cq, int wake_fd, int parent_fd,
						  const char **error);
extern void waker_stop(Waker *waker);

/*
 * Around a sleep: waker_arm says that the worker is about to block, with the
 * signals that must still wake it; false if there is no need to sleep.
 * waker_disarm follows when it is awake.
 */
extern bool waker_arm(Waker *waker, const sigset_t *deliverable);
extern void waker_disarm(Waker *waker);

/* An event with this tag is a kick: tell the waker that it has arrived. */
extern void waker_kicked(Waker *waker);

/* Is setback_connect due? */
extern bool waker_set_back(Waker *waker);

/* ---- setback.c ---- */

#define SETBACK_LOOK_MS 1000

/* Of one thread; zeroed at first. */
typedef struct Setback
{
	int64_t next_look_us;
	int64_t ahead_us; /* the time of day of CLOCK_MONOTONIC, at the last look */
	int64_t until_us; /* the time of day at which no thread of gRPC waits on */
} Setback;

/*
 * Called as often as one likes, and each second at least: wake gRPC's timers if
 * the time of day was set back.  True if setback_connect is due, which is once
 * in a second as long as it is.
 */
extern bool setback_look(Setback *setback);

/* Have channels that pause before they connect again do so now.  Entered. */
extern void setback_connect(Server *server);

/* ---- warden.c ---- */

/*
 * Watch over the connections of these ports, whose messages have max_message
 * bytes at most.  NULL: no thread can be had.
 */
extern Warden *warden_start(const _Atomic uint64_t *progress, int port,
							int peer_port, size_t max_message);

/* This thread is the worker's; the first call counts. */
extern void warden_watch(Warden *warden);
extern void warden_stop(Warden *warden);

/* On the worker's thread: end the connection of a peer, as gRPC names it. */
extern bool warden_end_peer(Warden *warden, const char *peer);

/* How many connections were ended, and whose was the last. */
extern void warden_ended(Warden *warden, ServerCounters *out);

/* ---- call.c ---- */

extern void *call_tag(Call *call, OpKind kind);
extern void call_post(Server *server, ServerMethod *method);
extern void call_event(Call *call, OpKind kind, bool success);
extern void call_advance(Call *call);
extern void call_forget_held(Server *server);
extern void call_drop_pool(Server *server);

/* Run a batch of operations of this call. */
extern void call_start(Call *call, const grpc_op *ops, size_t n_ops,
					   OpKind kind);

/*
 * What `received` holds, inflated if it came compressed, until
 * call_drop_received.  False if it cannot be had: the call was failed.
 */
extern bool call_received_bytes(Call *call, Bytes *out);
extern void call_drop_received(Call *call);

/*
 * Why another request of this call's client is too much, as the reason of a
 * ServerIsBusy; NULL: it is not.
 */
extern const char *call_refusal(const Call *call);

/* The client is gone or has its status: nothing can be sent any more. */
extern bool call_is_done(const Call *call);

/* Decide the status; stream.c or call.c sends it when it is its turn. */
extern void call_set_status(Call *call, RpcCode code, const char *text);

/* The last operation of a call, ready to be put into a batch. */
extern grpc_op call_status_op(Call *call);
extern grpc_op call_close_op(Call *call);

/* ---- stream.c ---- */

extern void stream_begin(Call *call);
extern void stream_end(Call *call);
extern void stream_event(Call *call, OpKind kind, bool success);
extern void stream_advance(Call *call);
extern void stream_drop_queue(Call *call);

/* Take over what outbuf holds as one message; as call_send. */
extern bool call_send_outbuf(Call *call, OutBuf *out);

/* ---- unsent.c ---- */

/* Replace what the configuration leaves open; set up the allocator. */
extern void unsent_configure(Server *server);

/* Bytes of answers were handed over, or are finished. */
extern void unsent_add(Call *call, size_t n);
extern void unsent_sub(Call *call, size_t n);

/* Is another request of this call's client too much? */
extern bool unsent_refuses(const Call *call);

/*
 * Where others are refused because memory is short: end the calls of those who
 * have not taken an answer for long.
 */
extern void unsent_make_room(Server *server);

/* Is this stream not to be read because the server holds too much? */
extern bool unsent_holds_back(const Call *call);

/* Before a sleep: give memory back if a burst of answers is over. */
extern void unsent_trim(Server *server);

/* The status text of an answer above the limit. */
extern void unsent_too_large(char *text, size_t textlen, size_t len,
							 size_t limit);

/* ---- waste.c ---- */

/* A call is over: was it of any use? */
extern void waste_note(Call *call);

/* ---- health.c ---- */

extern const RpcMethod health_methods[];
extern const int health_n_methods;
extern void health_changed(Server *server);

/* ---- client.c ---- */

/* Start everything that calls to other nodes want from gRPC.  Entered. */
extern void client_start_todo(Server *server);
extern void client_event(void *tag, bool success);

/* The server stops: cancel; and when no call is left, let go.  Entered. */
extern void client_cancel_all(Server *server);
extern void client_forget_channels(Server *server);

/* ---- address.c ---- */

/* As server_probe_address; shared: beside others that share it, too. */
extern bool address_probe(const char *addr, bool shared, char *err,
						  size_t errlen);

/*
 * Listen on all that an address resolves to, exclusively; returns the number
 * of sockets, 0 with err set on failure.  *port (may be NULL) is the port.
 */
extern int address_listen(const char *addr, int *fds, int max, int *port,
						  char *err, size_t errlen);

/* ---- porter.c ---- */

/* How many bytes tell what a connection speaks. */
#define PORTER_PEEK 16

typedef enum PorterVerdict
{
	PORTER_WAITS, /* it may be either */
	PORTER_GRPC,
	PORTER_HTTP
} PorterVerdict;

/* What the first bytes of a connection say. */
extern PorterVerdict porter_verdict(Bytes said);

/* Bind; connections wait in the backlog until porter_start.  NULL: err. */
extern Porter *porter_new(const char *addr, HttpServer *http, int wake_fd,
						  int *port, char *err, size_t errlen);

/* The gRPC server runs: let clients in.  False: no thread could be had. */
extern bool porter_start(Porter *porter);

/* Give gRPC the connections that speak it.  Entered. */
extern void porter_admit(Porter *porter, Server *server);

/* Of one that was started, and of one that was not. */
extern void porter_stop(Porter *porter);
extern void porter_free(Porter *porter);

/* ---- tls_grpc.c ---- */

/* For one port; without TLS in the configuration, of plain connections. */
extern grpc_server_credentials *tls_grpc_credentials(Server *server,
													 TlsListener *listener);

/* May this client call?  If not, `text` says why. */
extern bool tls_grpc_admits(Call *call, char *text, size_t size);

/* End the streams of those who may not any more. */
extern void tls_grpc_look(Server *server);

/* ---- links ---- */

static inline void
link_init(Link *head)
{
	head->prev = head->next = head;
}

static inline bool
link_empty(const Link *head)
{
	return head->next == head;
}

static inline void
link_remove(Link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = l;
}

/* Move a link (which is in some list, or in none) to the end of a list. */
static inline void
link_move_to(Link *head, Link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

#endif /* TIKV_SERVER_INTERNAL_H */
