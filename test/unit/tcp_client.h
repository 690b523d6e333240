/*
 * tcp_client.h
 *	  A client's blocking socket to a port of this host, for tests that say
 *	  bytes of their own.
 */
#ifndef TIKV_TEST_TCP_CLIENT_H
#define TIKV_TEST_TCP_CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/*
 * From a port of the client's (0: any).  What it sends and receives fails
 * after `patience_s` seconds.  -1: it cannot be had.
 */
static inline int
tcp_connect_from(int local_port, int port, int patience_s)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
							 .sin_port = htons((uint16_t) local_port)};
	struct timeval patience = {.tv_sec = patience_s};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -1;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (local_port == 0 || bind(fd, (struct sockaddr *) &sa, sizeof(sa)) == 0)
	{
		sa.sin_port = htons((uint16_t) port);
		if (connect(fd, (struct sockaddr *) &sa, sizeof(sa)) == 0)
		{
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
					   sizeof(patience));
			return fd;
		}
	}
	close(fd);
	return -1;
}

static inline int
tcp_connect(int port, int patience_s)
{
	return tcp_connect_from(0, port, patience_s);
}

static inline int
tcp_local_port(int fd)
{
	struct sockaddr_in sa = {.sin_port = 0};
	socklen_t len = sizeof(sa);

	return getsockname(fd, (struct sockaddr *) &sa, &len) == 0 ?
		ntohs(sa.sin_port) :
		-1;
}

/* False if the server has closed the connection, which may well be right. */
static inline bool
tcp_write(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0)
	{
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t) n;
	}
	return true;
}

static inline bool
tcp_read(int fd, void *data, size_t len)
{
	uint8_t *p = data;

	while (len > 0)
	{
		ssize_t n = recv(fd, p, len, 0);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t) n;
	}
	return true;
}

#endif /* TIKV_TEST_TCP_CLIENT_H */
