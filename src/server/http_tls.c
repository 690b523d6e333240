/*
 * http_tls.c
 *	  HTTP's side of TLS.
 *
 * libmicrohttpd makes a session for each connection with the certificates that
 * it was started with, and would only ask a client for one of its own.  We
 * replace both before the handshake begins: the newest certificates, and a
 * client without a good one is not let in.
 */
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <string.h>

#include "server/tls_internal.h"

#define MAX_NAME 256

/* TLS 1.2 and newer, as gRPC. */
#define PRIORITIES "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"

/* Is it of our authority, in its time, and made for clients? */
static int
verify_client(gnutls_session_t session)
{
	gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
									 .data = (unsigned char *)
										 GNUTLS_KP_TLS_WWW_CLIENT};
	unsigned int status = 0;

	if (gnutls_certificate_verify_peers(session, &purpose, 1, &status) < 0 ||
		status != 0)
		return GNUTLS_E_CERTIFICATE_ERROR;
	return 0;
}

/* False if there is no memory for it. */
static bool
begin_session(gnutls_session_t session, TlsMaterial *material)
{
	if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE,
							   material->gnutls) != 0)
		return false;
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
	gnutls_session_set_verify_function(session, verify_client);
	return true;
}

static gnutls_session_t
session_of(struct MHD_Connection *connection)
{
	return (gnutls_session_t)
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)
			->tls_session;
}

TlsMaterial *
http_tls_begin(Tls *tls, struct MHD_Connection *connection)
{
	TlsMaterial *material = tls_hold(tls);

	if (begin_session(session_of(connection), material))
		return material;
	tls_release(material);
	return NULL;
}

TlsMaterial *
http_tls_options(Tls *tls, struct MHD_OptionItem *options)
{
	TlsMaterial *first = tls_hold(tls);
	const struct MHD_OptionItem list[HTTP_TLS_OPTIONS] = {
		{MHD_OPTION_HTTPS_MEM_KEY, 0, first->key},
		{MHD_OPTION_HTTPS_MEM_CERT, 0, first->cert},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *) PRIORITIES},
		{MHD_OPTION_END, 0, NULL},
	};

	memcpy(options, list, sizeof(list));
	return first;
}

/* False if there is none. */
static bool
common_name(gnutls_session_t session, char *name, size_t *len)
{
	unsigned int n = 0;
	const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &n);
	gnutls_x509_crt_t cert;
	bool found = false;

	if (n == 0 || gnutls_x509_crt_init(&cert) != 0)
		return false;
	if (gnutls_x509_crt_import(cert, &list[0], GNUTLS_X509_FMT_DER) == 0)
		found = gnutls_x509_crt_get_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME,
											  0, 0, name, len) == 0;
	gnutls_x509_crt_deinit(cert);
	return found;
}

bool
http_tls_admits(Tls *tls, struct MHD_Connection *connection)
{
	TlsMaterial *material = tls_hold(tls);
	char name[MAX_NAME];
	size_t len = sizeof(name);
	bool admitted = true;

	if (material->allowed_cn[0] != '\0')
	{
		bool named = common_name(session_of(connection), name, &len);

		admitted =
			tls_name_is_allowed(material->allowed_cn, named ? name : NULL, len);
	}
	tls_release(material);
	return admitted;
}
