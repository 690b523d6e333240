/*
 * tls.c
 *	  Which certificates are in use, and when they are looked at again.
 *
 * The worker's thread looks; gRPC's threads and libmicrohttpd's ask for the
 * newest at each handshake.  A change is noticed by what stat() tells, so a
 * look at files that stay as they are costs three system calls.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/check.h"
#include "server/tls_internal.h"

#define N_FILES 3

/* What tells one state of a file from another. */
typedef struct FileMark
{
	int error; /* of stat */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified;
	struct timespec changed; /* owner and mode as well */
} FileMark;

struct Tls
{
	pthread_mutex_t mutex; /* guards `current` */
	TlsMaterial *current;
	uint64_t generation;

	/* of the last look; the worker's alone */
	FileMark marks[N_FILES];
	char *settings;	   /* the four of them in one string */
	char trouble[256]; /* why it found nothing good, or "" */
};

Tls *
tls_new(void)
{
	Tls *tls = calloc(1, sizeof(*tls));

	CHECK(tls != NULL);
	pthread_mutex_init(&tls->mutex, NULL);
	return tls;
}

void
tls_free(Tls *tls)
{
	if (tls->current != NULL)
		tls_release(tls->current);
	pthread_mutex_destroy(&tls->mutex);
	free(tls->settings);
	free(tls);
}

/* ---- what is in use ---- */

TlsMaterial *
tls_hold(Tls *tls)
{
	TlsMaterial *material;

	pthread_mutex_lock(&tls->mutex);
	material = tls->current;
	if (material != NULL)
		atomic_fetch_add(&material->refs, 1);
	pthread_mutex_unlock(&tls->mutex);
	return material;
}

void
tls_release(TlsMaterial *material)
{
	if (atomic_fetch_sub(&material->refs, 1) == 1)
		tls_material_free(material);
}

bool
tls_is_usable(Tls *tls)
{
	bool usable;

	pthread_mutex_lock(&tls->mutex);
	usable = tls->current != NULL;
	pthread_mutex_unlock(&tls->mutex);
	return usable;
}

uint64_t
tls_generation(Tls *tls)
{
	uint64_t generation;

	pthread_mutex_lock(&tls->mutex);
	generation = tls->current == NULL ? 0 : tls->current->generation;
	pthread_mutex_unlock(&tls->mutex);
	return generation;
}

const char *
tls_trouble(const Tls *tls)
{
	return tls->trouble;
}

bool
tls_has_expired(Tls *tls, int64_t now_s, char *said, size_t size)
{
	TlsMaterial *material = tls_hold(tls);
	time_t ends_s;
	struct tm tm;
	char when[64];

	said[0] = '\0';
	if (material == NULL)
		return false;
	ends_s = (time_t) material->ends_s;
	tls_release(material);
	if (now_s < ends_s)
		return false;
	if (gmtime_r(&ends_s, &tm) == NULL ||
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		snprintf(when, sizeof(when), "%lld", (long long) ends_s);
	snprintf(said, size,
			 "tikv.tls_cert: the certificate in use, or one that leads to its "
			 "authority, expired at %s",
			 when);
	return true;
}

bool
tls_refuses_own(Tls *tls, char *said, size_t size)
{
	TlsMaterial *material = tls_hold(tls);
	bool refuses;

	said[0] = '\0';
	if (material == NULL)
		return false;
	refuses = !tls_name_is_allowed(material->allowed_cn, material->own_cn,
								   strlen(material->own_cn));
	if (refuses)
		snprintf(said, size,
				 "tikv.tls_allowed_cn lacks \"%s\", the common name in "
				 "tikv.tls_cert: nodes with such certificates refuse each "
				 "other",
				 material->own_cn);
	tls_release(material);
	return refuses;
}

static void
put_in_use(Tls *tls, TlsMaterial *material)
{
	TlsMaterial *before;

	material->generation = ++tls->generation;
	pthread_mutex_lock(&tls->mutex);
	before = tls->current;
	tls->current = material;
	pthread_mutex_unlock(&tls->mutex);
	if (before != NULL)
		tls_release(before);
}

bool
tls_name_is_allowed(const char *allowed_cn, const char *name, size_t len)
{
	const char *at = allowed_cn + strspn(allowed_cn, ", ");

	if (*at == '\0')
		return true;
	while (name != NULL && *at != '\0')
	{
		size_t n = strcspn(at, ",");
		const char *next = at + n;

		while (n > 0 && at[n - 1] == ' ')
			n--;
		if (n == len && memcmp(at, name, len) == 0)
			return true;
		at = next + strspn(next, ", ");
	}
	return false;
}

/* ---- looking ---- */

bool
tls_is_wanted(const TlsSettings *settings)
{
	return settings->ca[0] != '\0' || settings->cert[0] != '\0' ||
		settings->key[0] != '\0';
}

static FileMark
mark_of(const char *path)
{
	FileMark mark;
	struct stat st;

	memset(&mark, 0, sizeof(mark)); /* compared as memory */
	if (stat(path, &st) != 0)
	{
		mark.error = errno;
		return mark;
	}
	mark.dev = st.st_dev;
	mark.ino = st.st_ino;
	mark.size = st.st_size;
	mark.modified = st.st_mtim;
	mark.changed = st.st_ctim;
	return mark;
}

static char *
joined(const TlsSettings *settings)
{
	const char *const parts[] = {settings->ca, settings->cert, settings->key,
								 settings->allowed_cn};
	size_t size = 1;
	char *all;

	for (int i = 0; i < 4; i++)
		size += strlen(parts[i]) + 1;
	all = calloc(1, size);
	CHECK(all != NULL);
	for (int i = 0; i < 4; i++)
	{
		strcat(all, parts[i]);
		strcat(all, "\n");
	}
	return all;
}

/* Remember what is looked at; false if it is what was looked at before. */
static bool
is_another(Tls *tls, const TlsSettings *settings)
{
	FileMark marks[N_FILES];
	char *all = joined(settings);

	memset(marks, 0, sizeof(marks));
	marks[0] = mark_of(settings->ca);
	marks[1] = mark_of(settings->cert);
	marks[2] = mark_of(settings->key);
	if (tls->settings != NULL && strcmp(all, tls->settings) == 0 &&
		memcmp(marks, tls->marks, sizeof(marks)) == 0)
	{
		free(all);
		return false;
	}
	free(tls->settings);
	tls->settings = all;
	memcpy(tls->marks, marks, sizeof(marks));
	return true;
}

/*
 * Whoever takes a name off the list wants its client out now, and files that
 * fit may be long in coming.
 */
static void
use_names(Tls *tls, const char *allowed_cn)
{
	/* nobody else replaces it */
	const TlsMaterial *current = tls->current;

	if (current != NULL && strcmp(current->allowed_cn, allowed_cn) != 0)
		put_in_use(tls, tls_for_names(current, allowed_cn));
}

/* Marks are taken before reading: what is written meanwhile is seen later. */
TlsLook
tls_look(Tls *tls, const TlsSettings *settings, char *said, size_t size)
{
	TlsMaterial *material;

	said[0] = '\0';
	if (!is_another(tls, settings))
		return TLS_SAME;
	material = tls_read(settings, said, size);
	snprintf(tls->trouble, sizeof(tls->trouble), "%s", said);
	if (material == NULL)
	{
		use_names(tls, settings->allowed_cn);
		return TLS_BAD;
	}
	if (material->exposed)
		snprintf(said, size,
				 "private key file \"%s\" has group or world access",
				 settings->key);
	put_in_use(tls, material);
	return TLS_NEW;
}
