/*
 * tls_internal.h
 *	  What gRPC's and HTTP's sides of TLS share inside this folder.
 *
 * A TlsMaterial never changes; whoever uses one holds it, so that a renewal
 * takes nothing away from connections that exist.
 */
#ifndef TIKV_SERVER_TLS_INTERNAL_H
#define TIKV_SERVER_TLS_INTERNAL_H

#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>

#include "server/tls.h"

typedef struct TlsMaterial
{
	atomic_int refs;
	uint64_t generation; /* from 1 */
	char *ca;			 /* PEM */
	char *cert;
	char *key;
	char *allowed_cn; /* "" or names by commas */
	char *own_cn;	  /* of the first certificate; "": it has none */
	gnutls_certificate_credentials_t gnutls;
	int64_t ends_s; /* Unix time at which the first of `cert` expires */
	bool exposed;	/* others may read the key */
} TlsMaterial;

/* The newest, or NULL; from any thread. */
extern TlsMaterial *tls_hold(Tls *tls);
extern void tls_release(TlsMaterial *material);

/* Of the newest, or 0. */
extern uint64_t tls_generation(Tls *tls);

/* May a client of this common name come in?  NULL: it has none. */
extern bool tls_name_is_allowed(const char *allowed_cn, const char *name,
								size_t len);

/* ---- tls_files.c ---- */

/*
 * Read and verify; NULL with a reason in `said` if something is wrong.  The
 * caller owns the only reference.
 */
extern TlsMaterial *tls_read(const TlsSettings *settings, char *said,
							 size_t size);

/* The same certificates, for clients of other names. */
extern TlsMaterial *tls_for_names(const TlsMaterial *from,
								  const char *allowed_cn);
extern void tls_material_free(TlsMaterial *material);

/* ---- http_tls.c ---- */

struct MHD_Connection;
struct MHD_OptionItem;

#define HTTP_TLS_OPTIONS 4

/*
 * What libmicrohttpd needs to know beside MHD_USE_TLS; the Tls outlives it.
 * Returns what it is started with, to be released when it has stopped.
 */
extern TlsMaterial *http_tls_options(Tls *tls, struct MHD_OptionItem *options);

/*
 * Before a connection's handshake: what it uses, to be released at its end.
 * NULL if there is no memory: the connection must not go on.
 */
extern TlsMaterial *http_tls_begin(Tls *tls, struct MHD_Connection *connection);

/* Of a request: is the client's name one of those allowed? */
extern bool http_tls_admits(Tls *tls, struct MHD_Connection *connection);

#endif /* TIKV_SERVER_TLS_INTERNAL_H */
