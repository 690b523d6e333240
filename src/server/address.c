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
#include <stdio.h>
#include <stdlib.h>
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

bool
address_probe(const char *addr, bool shared, char *err, size_t errlen)
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
		return false;
	}
	rc = getaddrinfo(host, port, &hints, &list);
	if (rc != 0)
	{
		snprintf(err, errlen, "could not resolve listen address \"%s\": %s",
				 addr, gai_strerror(rc));
		return false;
	}
	rc = 0;
	for (struct addrinfo *ai = list; ai != NULL && rc == 0; ai = ai->ai_next)
		rc = try_bind(ai, shared);
	freeaddrinfo(list);
	if (rc != 0)
		snprintf(err, errlen, "could not listen on \"%s\": %s", addr,
				 strerror(rc));
	return rc == 0;
}

bool
server_probe_address(const char *addr, char *err, size_t errlen)
{
	return address_probe(addr, false, err, errlen);
}
