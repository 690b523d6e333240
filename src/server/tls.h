/*
 * tls.h
 *	  The certificates of a server, which may be renewed while it serves.
 *
 * A Tls holds what was last read from the three files and found good.  The
 * worker looks at the files now and then; connections that begin afterwards
 * use what it found, those that exist go on with what they have.  Files that
 * are not good change nothing.  As in TiKV there is no half of it: with TLS
 * every client shows a certificate of the same authority (tikv/tikv,
 * components/security/src/lib.rs).  Builds without Postgres.
 */
#ifndef TIKV_SERVER_TLS_H
#define TIKV_SERVER_TLS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Tls Tls;

typedef struct TlsSettings
{
	const char *ca; /* files, PEM; all of them or none */
	const char *cert;
	const char *key;
	const char *allowed_cn; /* common names of clients, by commas; "": all */
} TlsSettings;

typedef enum TlsLook
{
	TLS_SAME, /* nothing has changed since the last look */
	TLS_NEW,  /* what the settings name is in use from now on */
	TLS_BAD	  /* it cannot be used; what was in use still is */
} TlsLook;

/* Empty: it serves nobody before the first TLS_NEW. */
extern Tls *tls_new(void);
extern void tls_free(Tls *tls);

/* Has anything been set? */
extern bool tls_is_wanted(const TlsSettings *settings);

/*
 * Read the files if they or the settings have changed.  TLS_BAD comes once for
 * each change, with a reason in `said`; TLS_NEW leaves a warning there if
 * others than the owner may read the key, else "".
 */
extern TlsLook tls_look(Tls *tls, const TlsSettings *settings, char *said,
						size_t size);

/* Something was found good. */
extern bool tls_is_usable(Tls *tls);

#endif /* TIKV_SERVER_TLS_H */
