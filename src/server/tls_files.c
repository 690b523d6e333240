/*
 * tls_files.c
 *	  Reads certificates and a key, and refuses what could not serve.
 *
 * gRPC speaks TLS through OpenSSL and libmicrohttpd through GnuTLS, and gRPC
 * does not say what it dislikes.  So OpenSSL is asked here first, in the way in
 * which gRPC will ask it, and GnuTLS second.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/check.h"
#include "server/tls_internal.h"

#define MAX_FILE_BYTES (1024 * 1024)

/* ---- files ---- */

static bool
complain(char *said, size_t size, const char *setting, const char *path,
		 const char *what)
{
	snprintf(said, size, "%s: %s \"%s\"", setting, what, path);
	return false;
}

/* errno says why. */
static bool
complain_of_system(char *said, size_t size, const char *setting,
				   const char *path)
{
	snprintf(said, size, "%s: could not read file \"%s\": %s", setting, path,
			 strerror(errno));
	return false;
}

static ssize_t
read_all(int fd, char *to, size_t size)
{
	size_t len = 0;

	while (len < size)
	{
		ssize_t n = read(fd, to + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		len += (size_t) n;
	}
	return (ssize_t) len;
}

static bool
read_open_file(int fd, const char *setting, const char *path, char **out,
			   char *said, size_t size)
{
	char *text = malloc(MAX_FILE_BYTES + 1);
	ssize_t len;

	CHECK(text != NULL);
	len = read_all(fd, text, MAX_FILE_BYTES);
	*out = text;
	if (len < 0)
		return complain_of_system(said, size, setting, path);
	text[len] = '\0';
	if (len == 0 || len == MAX_FILE_BYTES || strlen(text) != (size_t) len)
		return complain(said, size, setting, path, "no PEM file:");
	return true;
}

/*
 * As Postgres judges ssl_key_file: root's may be read by a group, ours by
 * nobody else (src/backend/libpq/be-secure-common.c).
 */
static bool
is_exposed(const struct stat *st)
{
	return (st->st_mode &
			(st->st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO :
							   S_IRWXG | S_IRWXO)) != 0;
}

/* *out is malloc'd, also on failure. */
static bool
read_file(const char *setting, const char *path, char **out, bool *exposed,
		  char *said, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	bool ok;

	if (fd < 0)
		return complain_of_system(said, size, setting, path);
	if (fstat(fd, &st) != 0)
		ok = complain_of_system(said, size, setting, path);
	else if (!S_ISREG(st.st_mode))
		ok = complain(said, size, setting, path, "not a regular file:");
	else
		ok = read_open_file(fd, setting, path, out, said, size);
	close(fd);
	if (ok && exposed != NULL)
		*exposed = is_exposed(&st);
	return ok;
}

/* ---- OpenSSL ---- */

/* A key with a passphrase is refused: there is nobody to ask. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void) buf;
	(void) size;
	(void) rwflag;
	(void) arg;
	return -1;
}

/* How many certificates of a PEM text the function took; -1: it refused. */
static int
each_certificate(const char *pem, bool (*take)(SSL_CTX *ctx, X509 *x, int i),
				 SSL_CTX *ctx)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	bool ok = true;
	int n = 0;
	X509 *x;

	CHECK(bio != NULL);
	while (ok &&
		   (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL)
	{
		ok = take(ctx, x, n++);
		X509_free(x);
	}
	if (ok && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		ok = false;
	BIO_free(bio);
	ERR_clear_error();
	return ok ? n : -1;
}

static bool
take_authority(SSL_CTX *ctx, X509 *x, int i)
{
	(void) i;
	return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) == 1;
}

/* The first is the server's own, the others lead to the authority. */
static bool
take_chain(SSL_CTX *ctx, X509 *x, int i)
{
	if (i == 0)
		return SSL_CTX_use_certificate(ctx, x) == 1;
	return SSL_CTX_add1_chain_cert(ctx, x) == 1;
}

static EVP_PKEY *
private_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key;

	CHECK(bio != NULL);
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	return key;
}

/* A time that cannot be told is left to the clients. */
static int64_t
end_of(const X509 *x)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1)
		return INT64_MAX;
	return (int64_t) timegm(&tm);
}

/* A chain is as good as its first to end. */
static int64_t
first_end(SSL_CTX *ctx)
{
	STACK_OF(X509) *chain = NULL;
	int64_t first = end_of(SSL_CTX_get0_certificate(ctx));

	SSL_CTX_get0_chain_certs(ctx, &chain);
	for (int i = 0; i < sk_X509_num(chain); i++)
	{
		int64_t end = end_of(sk_X509_value(chain, i));

		if (end < first)
			first = end;
	}
	return first;
}

static char *
copy(const char *text)
{
	char *to = strdup(text);

	CHECK(to != NULL);
	return to;
}

/* As other nodes read it: one that is longer than they allow is none to them. */
static char *
own_name(SSL_CTX *ctx)
{
	X509_NAME *subject = X509_get_subject_name(SSL_CTX_get0_certificate(ctx));
	char name[256];

	if (X509_NAME_get_text_by_NID(subject, NID_commonName, name, sizeof(name)) <
		0)
		name[0] = '\0';
	return copy(name);
}

static bool
openssl_accepts(TlsMaterial *m, const TlsSettings *s, SSL_CTX *ctx, char *said,
				size_t size)
{
	EVP_PKEY *key;
	bool ok;

	if (each_certificate(m->ca, take_authority, ctx) <= 0)
		return complain(said, size, "tikv.tls_ca", s->ca,
						"no usable certificate in file");
	if (each_certificate(m->cert, take_chain, ctx) <= 0)
		return complain(said, size, "tikv.tls_cert", s->cert,
						"no usable certificate in file");
	m->ends_s = first_end(ctx);
	m->own_cn = own_name(ctx);
	key = private_key(m->key);
	if (key == NULL)
		return complain(said, size, "tikv.tls_key", s->key,
						"no private key without a passphrase in file");
	ok = SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
		SSL_CTX_check_private_key(ctx) == 1;
	EVP_PKEY_free(key);
	if (!ok)
		snprintf(said, size,
				 "tikv.tls_key: the key in \"%s\" does not belong to the "
				 "certificate in \"%s\"",
				 s->key, s->cert);
	return ok;
}

static bool
try_openssl(TlsMaterial *material, const TlsSettings *settings, char *said,
			size_t size)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	bool ok;

	CHECK(ctx != NULL);
	ERR_clear_error();
	ok = openssl_accepts(material, settings, ctx, said, size);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

/* ---- GnuTLS ---- */

static gnutls_datum_t
datum(char *text)
{
	return (gnutls_datum_t){.data = (unsigned char *) text,
							.size = (unsigned int) strlen(text)};
}

static bool
make_gnutls(TlsMaterial *m, char *said, size_t size)
{
	gnutls_datum_t ca = datum(m->ca);
	gnutls_datum_t cert = datum(m->cert);
	gnutls_datum_t key = datum(m->key);
	int rc = gnutls_certificate_allocate_credentials(&m->gnutls);

	CHECK(rc == 0);
	rc = gnutls_certificate_set_x509_trust_mem(m->gnutls, &ca,
											   GNUTLS_X509_FMT_PEM);
	if (rc > 0)
		rc = gnutls_certificate_set_x509_key_mem(m->gnutls, &cert, &key,
												 GNUTLS_X509_FMT_PEM);
	if (rc >= 0)
		return true;
	snprintf(said, size, "tikv.tls_cert: GnuTLS refuses the certificates: %s",
			 gnutls_strerror(rc));
	return false;
}

/* ---- all of it ---- */

void
tls_material_free(TlsMaterial *material)
{
	if (material->gnutls != NULL)
		gnutls_certificate_free_credentials(material->gnutls);
	if (material->key != NULL)
		explicit_bzero(material->key, strlen(material->key));
	free(material->ca);
	free(material->cert);
	free(material->key);
	free(material->allowed_cn);
	free(material->own_cn);
	free(material);
}

static TlsMaterial *
new_material(const char *allowed_cn)
{
	TlsMaterial *m = calloc(1, sizeof(*m));

	CHECK(m != NULL);
	atomic_init(&m->refs, 1);
	m->allowed_cn = copy(allowed_cn);
	return m;
}

TlsMaterial *
tls_for_names(const TlsMaterial *from, const char *allowed_cn)
{
	TlsMaterial *m = new_material(allowed_cn);
	char said[256];
	bool ok;

	m->ca = copy(from->ca);
	m->cert = copy(from->cert);
	m->key = copy(from->key);
	m->own_cn = copy(from->own_cn);
	m->ends_s = from->ends_s;
	m->exposed = from->exposed;

	/* GnuTLS has taken these texts before. */
	ok = make_gnutls(m, said, sizeof(said));
	CHECK(ok);
	return m;
}

static bool
all_are_set(const TlsSettings *s, char *said, size_t size)
{
	if (s->ca[0] != '\0' && s->cert[0] != '\0' && s->key[0] != '\0')
		return true;
	snprintf(said, size,
			 "tikv.tls_ca, tikv.tls_cert and tikv.tls_key must be set all "
			 "three or not at all; %s is not",
			 s->ca[0] == '\0'		? "tikv.tls_ca" :
				 s->cert[0] == '\0' ? "tikv.tls_cert" :
									  "tikv.tls_key");
	return false;
}

TlsMaterial *
tls_read(const TlsSettings *settings, char *said, size_t size)
{
	TlsMaterial *m;

	if (!all_are_set(settings, said, size))
		return NULL;
	m = new_material(settings->allowed_cn);
	if (read_file("tikv.tls_ca", settings->ca, &m->ca, NULL, said, size) &&
		read_file("tikv.tls_cert", settings->cert, &m->cert, NULL, said,
				  size) &&
		read_file("tikv.tls_key", settings->key, &m->key, &m->exposed, said,
				  size) &&
		try_openssl(m, settings, said, size) && make_gnutls(m, said, size))
		return m;
	tls_material_free(m);
	return NULL;
}
