/*
 * address.c
 *	  Is an address of ours to listen on?
 *
 * gRPC shares ports silently by default (SO_REUSEPORT) and says little when
 * it cannot bind, so the server first binds the address itself, exclusively,
 * to tell the user which address and what the system said.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/internal.h"

/* Split "host:port" or "[v6]:port"; false if it is neither. */
static bool
split_address(const char *addr, char *host, size_t hostlen, char *port,
			  size_t portlen)
{
	const char *colon = strrchr(addr, ':');
	const char *start = addr;
	size_t len;

	if (colon == NULL || colon == addr)
		return false;
	len = (size_t) (colon - addr);
	if (addr[0] == '[')
	{
		if (colon[-1] != ']' || len < 3)
			return false;
		start = addr + 1;
		len -= 2;
	}
	else if (memchr(addr, ':', len) != NULL)
		return false;
	if (len >= hostlen || strlen(colon + 1) >= portlen)
		return false;
	if (colon[1] == '\0' ||
		strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return false;
	memcpy(host, start, len);
	host[len] = '\0';
	strcpy(port, colon + 1);
	return atoi(port) <= 65535;
}

/*
 * SO_REUSEADDR lets us pass sockets in TIME_WAIT but no listening one, and a
 * listener with SO_REUSEPORT only tolerates others that have it too.
 */
static int
try_bind(const struct addrinfo *ai, bool shared)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;
	int saved = 0;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0)
		saved = errno;
	close(fd);
	return saved;
}

/* All that an address resolves to, or NULL with err set. */
static struct addrinfo *
resolve(const char *addr, char *err, size_t errlen)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
							 .ai_socktype = SOCK_STREAM,
							 .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *list;
	char host[256];
	char port[8];
	int rc;

	if (!split_address(addr, host, sizeof(host), port, sizeof(port)))
	{
		snprintf(err, errlen,
				 "invalid listen address \"%s\": expected host:port", addr);
		return NULL;
	}
	rc = getaddrinfo(host, port, &hints, &list);
	if (rc == 0)
		return list;
	snprintf(err, errlen, "could not resolve listen address \"%s\": %s", addr,
			 gai_strerror(rc));
	return NULL;
}

static void
tell_system_error(const char *addr, int code, char *err, size_t errlen)
{
	snprintf(err, errlen, "could not listen on \"%s\": %s", addr,
			 strerror(code));
}

bool
address_probe(const char *addr, bool shared, char *err, size_t errlen)
{
	struct addrinfo *list = resolve(addr, err, errlen);
	int rc = 0;

	if (list == NULL)
		return false;
	for (struct addrinfo *ai = list; ai != NULL && rc == 0; ai = ai->ai_next)
		rc = try_bind(ai, shared);
	freeaddrinfo(list);
	if (rc != 0)
		tell_system_error(addr, rc, err, errlen);
	return rc == 0;
}

static void
set_port(struct sockaddr *addr, int port)
{
	if (addr->sa_family == AF_INET6)
		((struct sockaddr_in6 *) addr)->sin6_port = htons((uint16_t) port);
	else
		((struct sockaddr_in *) addr)->sin_port = htons((uint16_t) port);
}

static int
port_of(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *) &addr, &len) != 0)
		return 0;
	return ntohs(addr.ss_family == AF_INET6 ?
					 ((struct sockaddr_in6 *) &addr)->sin6_port :
					 ((struct sockaddr_in *) &addr)->sin_port);
}

/* [::] takes both families, as with gRPC. */
static int
listen_on(const struct addrinfo *ai, bool alone)
{
	int fd =
		socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;
	int v6only = !alone;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
		listen(fd, SOMAXCONN) == 0)
		return fd;
	close(fd);
	return -1;
}

int
address_listen(const char *addr, int *fds, int max, int *port, char *err,
			   size_t errlen)
{
	struct addrinfo *list = resolve(addr, err, errlen);
	int bound = 0;
	int n = 0;

	if (list == NULL)
		return 0;
	snprintf(err, errlen, "could not listen on \"%s\"", addr);
	for (struct addrinfo *ai = list; ai != NULL && n < max; ai = ai->ai_next)
	{
		/* Port 0: all addresses get the port of the first. */
		if (bound != 0)
			set_port(ai->ai_addr, bound);
		fds[n] = listen_on(ai, list->ai_next == NULL);
		if (fds[n] < 0 && errno == EAFNOSUPPORT)
			continue;
		if (fds[n] < 0)
		{
			tell_system_error(addr, errno, err, errlen);
			while (n > 0)
				close(fds[--n]);
			break;
		}
		bound = port_of(fds[n++]);
	}
	if (n > 0 && port != NULL)
		*port = bound;
	freeaddrinfo(list);
	return n;
}

bool
server_probe_address(const char *addr, char *err, size_t errlen)
{
	return address_probe(addr, false, err, errlen);
}

bool
server_address_is_local(const char *addr)
{
	return strncmp(addr, "127.", 4) == 0 || strncmp(addr, "[::1]:", 6) == 0 ||
		strncasecmp(addr, "localhost:", 10) == 0;
}
