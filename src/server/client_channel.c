/*
 * client_channel.c
 *	  How a channel to another node is set up.
 */
#include <grpc/grpc_security.h>
#include <limits.h>

#include "core/base/check.h"
#include "server/client_internal.h"
#include "server/tls_internal.h"

/*
 * A node whose machine has vanished is noticed in so many seconds, as TiKV's
 * stores notice it (tikv/tikv, src/server/config.rs: grpc-keepalive-time and
 * grpc-keepalive-timeout).
 */
#define KEEPALIVE_MS 10000
#define KEEPALIVE_TIMEOUT_MS 3000

/* A node that restarts should be back long before an election is due. */
#define RECONNECT_FIRST_MS 100
#define RECONNECT_MOST_MS 2000
#define CONNECT_TIMEOUT_MS 3000

/* "identity": gRPC would inflate without a bound. */
#define IDENTITY_ALONE 1

static grpc_arg
int_arg(const char *key, int value)
{
	return (grpc_arg){.type = GRPC_ARG_INTEGER,
					  .key = (char *) key,
					  .value.integer = value};
}

static grpc_channel_credentials *
credentials(ClientChannel *channel)
{
	TlsMaterial *material;
	grpc_ssl_pem_key_cert_pair pair;
	grpc_channel_credentials *creds;

	if (channel->server->config.tls == NULL)
		return grpc_insecure_credentials_create();
	material = tls_hold(channel->server->config.tls);
	CHECK(material != NULL);
	pair.private_key = material->key;
	pair.cert_chain = material->cert;
	creds = grpc_ssl_credentials_create(material->ca, &pair, NULL, NULL);
	channel->tls_generation = material->generation;
	tls_release(material);
	return creds;
}

/* Were the certificates renewed since it was made? */
static bool
is_outdated(const ClientChannel *channel)
{
	TlsMaterial *material;
	bool outdated;

	if (channel->server->config.tls == NULL)
		return false;
	material = tls_hold(channel->server->config.tls);
	outdated = material->generation != channel->tls_generation;
	tls_release(material);
	return outdated;
}

/*
 * A proxy of the environment is for users' programs, not for a database.  A
 * pool of its own, so that how long one channel waits before it connects
 * again is not another's business.
 */
static grpc_channel *
create(ClientChannel *channel)
{
	size_t max = channel->server->config.max_message;
	int max_message = max > INT_MAX ? -1 : (int) max;
	grpc_arg args[] = {
		int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, max_message),
		int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
		int_arg(GRPC_ARG_ENABLE_RETRIES, 0),
		int_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
		int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
		int_arg(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
				IDENTITY_ALONE),
		int_arg("grpc.per_message_decompression", 0),
		int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
		int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
		int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
		int_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_FIRST_MS),
		int_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_TIMEOUT_MS),
		int_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MOST_MS),
		int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
		int_arg(GRPC_ARG_MAX_CHANNEL_TRACE_EVENT_MEMORY_PER_NODE, 0),
	};
	grpc_channel_args list = {.num_args = sizeof(args) / sizeof(args[0]),
							  .args = args};
	grpc_channel_credentials *creds = credentials(channel);
	grpc_channel *grpc = grpc_channel_create(channel->addr, creds, &list);

	grpc_channel_credentials_release(creds);
	CHECK(grpc != NULL);
	return grpc;
}

grpc_channel *
client_grpc_channel(ClientChannel *channel)
{
	if (channel->grpc != NULL && is_outdated(channel))
	{
		/* Calls in progress keep what they use. */
		grpc_channel_destroy(channel->grpc);
		channel->grpc = NULL;
	}
	if (channel->grpc == NULL)
		channel->grpc = create(channel);
	return channel->grpc;
}
