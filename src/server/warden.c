/*
 * warden.c
 *	  A thread that ends connections which keep the worker inside gRPC.
 *
 * The C core goes on reading from a connection as long as that has something
 * to say, and looks at no other meanwhile.  Who sends calls that wait for
 * answers comes to an end: there is a bound of open streams and a window for
 * bytes.  Who opens streams and resets them, or sends pings, settings or empty
 * frames without end (CVE-2023-44487 and its like), has none, and would hold up
 * all others of the worker for as long as it sends.
 *
 * A timer on the worker's processor time wakes this thread, so an idle worker
 * costs nothing and a busy machine makes nobody a suspect.  If the worker is
 * then inside the same use of gRPC as it was before, this thread notes how much
 * has been read from each connection of our ports; if it is still there when
 * the patience is over, the one that most was read from since is it, and is
 * reset, with all that it still holds.
 *
 * Nothing here calls gRPC or Postgres.  Sockets are found in /proc/self/fd, as
 * gRPC does not tell them; one is known again by its inode, and is pinned by a
 * copy of the descriptor before anything is done to it.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/base/check.h"
#include "server/internal.h"

/* glibc declares it for itself alone before 2.38. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define WARDEN_STACK_SIZE ((size_t) 256 * 1024)

/* Private to this thread, which alone does not block it. */
#define WARDEN_SIGNAL (SIGRTMIN + 3)

/* How often it looks, in milliseconds of the worker's processor time. */
#define TICK_MS 25

/*
 * How many looks find the worker in the same place before somebody has to go:
 * more than the 4,096 streams that one connection may have open take, and less
 * while there are floods, so that who comes back at once gains little.
 */
#define PATIENCE_TICKS 4
#define LITTLE_PATIENCE_TICKS 2
#define ALARM_US INT64_C(60000000)

/* Of tcp_info.tcpi_state. */
#define STATE_LISTEN 10

/* Less than that is not what keeps it busy. */
#define LEAST_BYTES 4096

/*
 * Who sends so much in a tick sends a large message, which is read in one go,
 * however long that takes; but not more than one, and a window.  Resets, which
 * make most work, come at a sixth of that.
 */
#define BULK_BYTES_PER_TICK (UINT64_C(2) << 20)
#define BULK_WINDOW (UINT64_C(16) << 20)

/* What has been read from one connection. */
typedef struct Sight
{
	int fd;
	ino_t inode;
	uint64_t taken;
} Sight;

typedef struct Sights
{
	Sight *items;
	size_t n;
	size_t cap;
} Sights;

struct Warden
{
	pthread_t thread;
	_Atomic pid_t tid; /* 0: it has not begun */
	atomic_bool stopping;
	bool watching;
	timer_t timer; /* if watching */
	const _Atomic uint64_t *progress;
	uint64_t max_bulk; /* bytes */
	int ports[2];

	pthread_mutex_t lock; /* of these two */
	uint64_t ended;
	char last[SERVER_PEER_SIZE];

	uint64_t seen; /* progress at the last look */
	int ticks;	   /* with the same */
	int64_t alarm_until_us;
	Sights sights; /* when the worker was first found there */
};

/* ---- what has been read from whom ---- */

static int
local_port(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *) &addr, &len) != 0)
		return -1;
	if (addr.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *) &addr)->sin_port);
	if (addr.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *) &addr)->sin6_port);
	return -1;
}

/* False: it is no connection of a client. */
static bool
look_at(const Warden *warden, int fd, Sight *out)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	struct stat st;
	int port;
	int unread = 0;

	if (fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode))
		return false;
	port = local_port(fd);
	if (port <= 0 || (port != warden->ports[0] && port != warden->ports[1]))
		return false;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
		info.tcpi_state == STATE_LISTEN || ioctl(fd, FIONREAD, &unread) != 0)
		return false;
	out->fd = fd;
	out->inode = st.st_ino;
	out->taken = info.tcpi_bytes_received - (uint64_t) unread;
	return true;
}

/* False if there is no memory for more of them. */
static bool
add_sight(Sights *sights, Sight sight)
{
	if (sights->n == sights->cap)
	{
		size_t cap = sights->cap == 0 ? 64 : 2 * sights->cap;
		Sight *items = realloc(sights->items, cap * sizeof(*items));

		if (items == NULL)
			return false;
		sights->items = items;
		sights->cap = cap;
	}
	sights->items[sights->n++] = sight;
	return true;
}

/* Who does not fit into the memory that can be had is not seen this time. */
static void
look_at_all(const Warden *warden, Sights *out)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	out->n = 0;
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
	{
		Sight sight;

		if (entry->d_name[0] != '.' &&
			look_at(warden, atoi(entry->d_name), &sight) &&
			!add_sight(out, sight))
			break;
	}
	closedir(dir);
}

/* ---- who has to go ---- */

/* As gRPC writes it; false if nobody is at the other end any more. */
static bool
peer_name(int fd, char *out, size_t size)
{
	struct sockaddr_storage addr;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *) &addr;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) &addr;
	socklen_t len = sizeof(addr);
	char host[INET6_ADDRSTRLEN];
	bool mapped;

	if (getpeername(fd, (struct sockaddr *) &addr, &len) != 0)
		return false;
	if (addr.ss_family == AF_INET)
	{
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(out, size, "ipv4:%s:%u", host, ntohs(v4->sin_port));
		return true;
	}
	mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
	if (mapped)
		inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], host, sizeof(host));
	else
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
	snprintf(out, size, mapped ? "ipv4:%s:%u" : "ipv6:%%5B%s%%5D:%u", host,
			 ntohs(v6->sin6_port));
	return true;
}

/* A descriptor of our own of the same socket; -1: it is not there any more. */
static int
pin(const Sight *sight)
{
	int fd = fcntl(sight->fd, F_DUPFD_CLOEXEC, 0);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) != 0 || st.st_ino != sight->inode))
	{
		close(fd);
		fd = -1;
	}
	return fd;
}

/* How much was read from it since it was first looked at. */
static uint64_t
taken_since(const Warden *warden, const Sight *then)
{
	Sight now;

	if (!look_at(warden, then->fd, &now) || now.inode != then->inode)
		return 0;
	return now.taken - then->taken;
}

static const Sight *
find_culprit(const Warden *warden, uint64_t *taken_from_it)
{
	const Sight *most = NULL;
	uint64_t most_taken = LEAST_BYTES - 1;

	for (size_t i = 0; i < warden->sights.n; i++)
	{
		uint64_t taken = taken_since(warden, &warden->sights.items[i]);

		if (taken > most_taken)
		{
			most = &warden->sights.items[i];
			most_taken = taken;
		}
	}
	*taken_from_it = most_taken;
	return most;
}

/*
 * Disconnecting a TCP socket resets the connection and throws away what waits
 * to be read, which closing one side does not; gRPC finds it broken as soon as
 * it looks again.
 */
static bool
end_connection(Warden *warden, const Sight *sight)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int fd = pin(sight);

	if (fd < 0)
		return false;
	pthread_mutex_lock(&warden->lock);
	if (!peer_name(fd, warden->last, sizeof(warden->last)))
		snprintf(warden->last, sizeof(warden->last), "unknown");
	warden->ended++;
	pthread_mutex_unlock(&warden->lock);
	(void) connect(fd, &nobody, sizeof(nobody));
	close(fd);
	return true;
}

static int
patience(const Warden *warden)
{
	return server_now_us() < warden->alarm_until_us ? LITTLE_PATIENCE_TICKS :
													  PATIENCE_TICKS;
}

static bool
sends_bulk(const Warden *warden, uint64_t taken)
{
	return taken <= warden->max_bulk &&
		taken >= BULK_BYTES_PER_TICK * (uint64_t) (warden->ticks - 1);
}

/* The worker has used up another tick of processor time. */
static void
tick(Warden *warden)
{
	uint64_t progress = atomic_load(warden->progress);
	const Sight *culprit;
	uint64_t taken;

	if (progress != warden->seen || !server_progress_inside(progress))
	{
		warden->seen = progress;
		warden->ticks = 0;
		return;
	}
	if (++warden->ticks == 1)
		look_at_all(warden, &warden->sights);
	if (warden->ticks < patience(warden))
		return;
	culprit = find_culprit(warden, &taken);
	if (culprit == NULL || sends_bulk(warden, taken) ||
		atomic_load(warden->progress) != progress ||
		!end_connection(warden, culprit))
		return;
	warden->ticks = 0;
	warden->alarm_until_us = server_now_us() + ALARM_US;
}

/* ---- one that is known by its name ---- */

bool
warden_end_peer(Warden *warden, const char *peer)
{
	Sights sights = {0};
	char name[SERVER_PEER_SIZE];
	bool ended = false;

	look_at_all(warden, &sights);
	for (size_t i = 0; i < sights.n && !ended; i++)
		if (peer_name(sights.items[i].fd, name, sizeof(name)) &&
			strcmp(name, peer) == 0)
			ended = end_connection(warden, &sights.items[i]);
	free(sights.items);
	return ended;
}

/* ---- the thread ---- */

static void *
warden_main(void *arg)
{
	Warden *warden = arg;
	sigset_t mine;

	sigemptyset(&mine);
	sigaddset(&mine, WARDEN_SIGNAL);
	atomic_store(&warden->tid, (pid_t) syscall(SYS_gettid));
	while (!atomic_load(&warden->stopping))
		if (sigwaitinfo(&mine, NULL) == WARDEN_SIGNAL &&
			!atomic_load(&warden->stopping))
			tick(warden);
	return NULL;
}

/* All signals are blocked, so the thread is born with none open. */
Warden *
warden_start(const _Atomic uint64_t *progress, int port, int peer_port,
			 size_t max_message)
{
	Warden *warden = calloc(1, sizeof(*warden));
	pthread_attr_t attr;
	int rc;

	CHECK(warden != NULL);
	warden->progress = progress;
	warden->max_bulk =
		max_message < SIZE_MAX / 2 ? max_message + BULK_WINDOW : SIZE_MAX;
	warden->ports[0] = port;
	warden->ports[1] = peer_port;
	pthread_mutex_init(&warden->lock, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WARDEN_STACK_SIZE);
	rc = pthread_create(&warden->thread, &attr, warden_main, warden);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		return warden;
	free(warden);
	return NULL;
}

void
warden_watch(Warden *warden)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
							 .sigev_signo = WARDEN_SIGNAL};
	struct timespec period = {.tv_nsec = TICK_MS * 1000000};
	struct itimerspec every = {.it_interval = period, .it_value = period};
	clockid_t clock;

	if (warden->watching)
		return;
	while ((event.sigev_notify_thread_id = atomic_load(&warden->tid)) == 0)
		sched_yield();
	warden->watching = true;
	CHECK(pthread_getcpuclockid(pthread_self(), &clock) == 0);
	CHECK(timer_create(clock, &event, &warden->timer) == 0);
	CHECK(timer_settime(warden->timer, 0, &every, NULL) == 0);
}

void
warden_stop(Warden *warden)
{
	if (warden->watching)
		timer_delete(warden->timer);
	atomic_store(&warden->stopping, true);
	CHECK(pthread_kill(warden->thread, WARDEN_SIGNAL) == 0);
	pthread_join(warden->thread, NULL);
	free(warden->sights.items);
	free(warden);
}

void
warden_ended(Warden *warden, ServerCounters *out)
{
	pthread_mutex_lock(&warden->lock);
	out->ended = warden->ended;
	memcpy(out->last_ended, warden->last, sizeof(out->last_ended));
	pthread_mutex_unlock(&warden->lock);
}
