/*
 * tls_grpc.c
 *	  gRPC's side of TLS: credentials that are renewed, and who may call.
 *
 * gRPC asks for new certificates at every handshake, on whatever thread of its
 * own that happens.  It asks the listener: how far a listener has come is the
 * listener's, and a server that could not be stopped in time may still ask
 * while its successor serves.
 */
#include <grpc/grpc_security.h>
#include <stdio.h>
#include <string.h>

#include "server/internal.h"
#include "server/tls_internal.h"

static grpc_ssl_certificate_config_reload_status
newest(void *arg, grpc_ssl_server_certificate_config **config)
{
	TlsListener *listener = arg;
	TlsMaterial *material = tls_hold(listener->server->config.tls);
	grpc_ssl_pem_key_cert_pair pair;

	if (material == NULL)
		return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
	if (atomic_load(&listener->generation) == material->generation)
	{
		tls_release(material);
		return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
	}
	pair.private_key = material->key;
	pair.cert_chain = material->cert;
	*config = grpc_ssl_server_certificate_config_create(material->ca, &pair, 1);
	if (*config != NULL)
		atomic_store(&listener->generation, material->generation);
	tls_release(material);
	return *config != NULL ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW :
							 GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
}

grpc_server_credentials *
tls_grpc_credentials(Server *server, TlsListener *listener)
{
	if (server->config.tls == NULL)
		return grpc_insecure_server_credentials_create();
	listener->server = server;
	return grpc_ssl_server_credentials_create_with_options(
		grpc_ssl_server_credentials_create_options_using_config_fetcher(
			GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, newest,
			listener));
}

/* The words are TiKV's (tikv/tikv, components/security/src/lib.rs). */
static bool
check_name(grpc_auth_context *context, const char *allowed, char *text,
		   size_t size)
{
	grpc_auth_property_iterator it =
		grpc_auth_context_find_properties_by_name(context,
												  GRPC_X509_CN_PROPERTY_NAME);
	const grpc_auth_property *name = grpc_auth_property_iterator_next(&it);

	if (name == NULL)
	{
		snprintf(text, size,
				 "Common name check fail, reason: x509_common_name doesn't "
				 "exist, cert_allowed_cn: %s",
				 allowed);
		return false;
	}
	snprintf(text, size,
			 "Common name check fail, reason: x509_common_name from peer is "
			 "%.200s, cert_allowed_cn: %s",
			 name->value, allowed);
	return tls_name_is_allowed(allowed, name->value, name->value_length);
}

bool
tls_grpc_admits(Call *call, char *text, size_t size)
{
	TlsMaterial *material = tls_hold(call->server->config.tls);
	grpc_auth_context *context;
	bool admitted = true;

	/* Without a list the handshake has decided. */
	if (material->allowed_cn[0] != '\0')
	{
		context = grpc_call_auth_context(call->grpc);
		admitted = check_name(context, material->allowed_cn, text, size);
		grpc_auth_context_release(context);
	}
	tls_release(material);
	return admitted;
}

/*
 * Who is no longer on the list is not served by streams that it has open,
 * either; calls with one answer are soon over.  For each poll, so it costs
 * little where nothing has changed.
 */
void
tls_grpc_look(Server *server)
{
	uint64_t generation = tls_generation(server->config.tls);
	char text[512];

	if (generation == server->tls_generation)
		return;
	server->tls_generation = generation;
	for (Link *l = server->live.next; l != &server->live; l = l->next)
	{
		Call *call = (Call *) l;

		if (call->method->kind == RPC_STREAM && !call_is_done(call) &&
			!tls_grpc_admits(call, text, sizeof(text)))
			call_fail(call, RPC_UNAUTHENTICATED, text);
	}
}
