/*
 * tls.h
 *	  The certificates of a server, which may be renewed while it serves.
 *
 * A Tls holds what was last read from the three files and found good.  The
 * worker looks at the files now and then; connections that begin afterwards
 * use what it found, those that exist go on with what they have.  Files that
 * are not good change nothing, and hold up no change of who may call.  As in
 * TiKV there is no half of it: with TLS every client shows a certificate of the
 * same authority (tikv/tikv, components/security/src/lib.rs).  Builds without
 * Postgres.
 */
#ifndef TIKV_SERVER_TLS_H
#define TIKV_SERVER_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
	TLS_BAD	  /* files that cannot be used; those in use still are */
} TlsLook;

/* Empty: it serves nobody before the first TLS_NEW. */
extern Tls *tls_new(void);
extern void tls_free(Tls *tls);

/* Has anything been set? */
extern bool tls_is_wanted(const TlsSettings *settings);

/*
 * Read the files if they or the settings have changed.  TLS_BAD comes once for
 * each change, with a reason in `said`; TLS_NEW leaves a warning there if
 * others than the owner may read the key, else "".  The names that are allowed
 * are those of the settings after both.
 */
extern TlsLook tls_look(Tls *tls, const TlsSettings *settings, char *said,
						size_t size);

/* Something was found good. */
extern bool tls_is_usable(Tls *tls);

/* Why files of the last look are not in use, or "". */
extern const char *tls_trouble(const Tls *tls);

/*
 * Is what clients are shown past its time?  Then `said` tells since when, else
 * it is "".  It is shown all the same: they decide.
 */
extern bool tls_has_expired(Tls *tls, int64_t now_s, char *said, size_t size);

/*
 * Would nodes with such a certificate and such a list refuse each other?  Then
 * `said` tells the name that the list lacks, else it is "".
 */
extern bool tls_refuses_own(Tls *tls, char *said, size_t size);

#endif /* TIKV_SERVER_TLS_H */
