/*
 * worker_tls.c
 *	  TLS as the settings want it, for all ports of a worker.
 *
 * Files that cannot be used are no reason to end the process: it waits, or
 * serves on with those it has, and says what is wrong once for each change.
 */
#include "postgres.h"

#include <time.h>

#include "guc.h"
#include "server/server.h"
#include "worker_common.h"
#include "worker_tls.h"

#define LOOK_INTERVAL_MS 1000

/*
 * Never freed: a gRPC server that could not be stopped in time may still ask
 * it for certificates.
 */
static Tls *of_process;

static WorkerKind self;

/* The log has been told that the certificate in use is past its time. */
static bool end_is_told;

/* And that other nodes are refused, or are not. */
static bool refusal_is_told;

static TlsSettings
wanted(void)
{
	return (TlsSettings){.ca = tikv_fdw_settings.tls_ca,
						 .cert = tikv_fdw_settings.tls_cert,
						 .key = tikv_fdw_settings.tls_key,
						 .allowed_cn = tikv_fdw_settings.tls_allowed_cn};
}

static void
warn_of_key(const char *said)
{
	if (said[0] != '\0')
		ereport(
			WARNING,
			(errmsg("%s", said),
			 errdetail(
				 "File should have permissions u=rw (0600) or less if owned by the database user, or permissions u=rw,g=r (0640) or less if owned by root.")));
}

static void
warn_of_end(const char *said)
{
	ereport(
		WARNING,
		(errmsg("%s", said),
		 errdetail("It is shown to clients all the same; most refuse it."),
		 errhint(
			 "Put renewed files in place of the old ones; they are used within a second.")));
}

static void
warn_of_refusal(const char *said)
{
	ereport(WARNING,
			(errmsg("%s", said),
			 errhint("Add it to tikv.tls_allowed_cn on all nodes.")));
}

/*
 * What people should know of the certificates in use goes to tikv_status(), and
 * that they have expired, or shut other nodes out, to the log, once.
 */
static void
tell_people(void)
{
	char said[512];
	char refusal[512];
	bool ended =
		tls_has_expired(of_process, (int64) time(NULL), said, sizeof(said));
	bool refuses = tls_refuses_own(of_process, refusal, sizeof(refusal));

	if (ended && !end_is_told)
		warn_of_end(said);
	end_is_told = ended;
	if (refuses && !refusal_is_told)
		warn_of_refusal(refusal);
	refusal_is_told = refuses;
	if (refuses && !ended)
		strlcpy(said, refusal, sizeof(said));
	if (tls_trouble(of_process)[0] != '\0')
		snprintf(said, sizeof(said), "the changed TLS files are not used: %s",
				 tls_trouble(of_process));
	worker_note(self, WORKER_NOTE_TLS, said);
}

bool
worker_tls_start(WorkerKind kind, Tls **tls)
{
	char said[256];
	char reason[256] = "";

	*tls = NULL;
	self = kind;
	worker_note(kind, WORKER_NOTE_TLS, "");
	if (of_process == NULL)
		of_process = tls_new();
	while (!worker_should_stop())
	{
		TlsSettings settings = wanted();
		TlsLook look;

		if (!tls_is_wanted(&settings))
			return true;
		look = tls_look(of_process, &settings, said, sizeof(said));
		if (look == TLS_NEW)
			warn_of_key(said);
		if (look == TLS_NEW ||
			(look == TLS_SAME && reason[0] == '\0' &&
			 tls_is_usable(of_process)))
		{
			*tls = of_process;
			tell_people();
			return true;
		}
		if (look == TLS_BAD)
		{
			strlcpy(reason, said, sizeof(reason));
			ereport(WARNING,
					(errmsg("%s waits for usable TLS files: %s",
							worker_name(kind), reason)));
		}
		worker_report(kind, WORKER_WAITING, reason, "");
		worker_sleep(kind, LOOK_INTERVAL_MS);
	}
	return false;
}

bool
worker_tls_tick(const Tls *tls)
{
	TlsSettings settings = wanted();
	char said[256];

	if (tls_is_wanted(&settings) != (tls != NULL))
		return false;
	if (tls == NULL)
		return true;
	switch (tls_look(of_process, &settings, said, sizeof(said)))
	{
		case TLS_SAME:
			break;
		case TLS_NEW:
			end_is_told = false;
			warn_of_key(said);
			ereport(LOG, (errmsg("TLS files were read again")));
			break;
		case TLS_BAD:
			ereport(
				WARNING,
				(errmsg("the changed TLS files are not used: %s", said),
				 errdetail(
					 "Clients are served with those that were read before; tikv.tls_allowed_cn counts as it is set.")));
			break;
	}
	tell_people();
	return true;
}

void
worker_tls_warn(WorkerKind kind, const Tls *tls, const char *setting,
				const char *addr)
{
	if (tls != NULL || server_address_is_local(addr))
		return;
	ereport(
		WARNING,
		(errmsg("%s serves \"%s\" without TLS", worker_name(kind), addr),
		 errdetail("Everyone who can connect may read and write every key."),
		 errhint("Set tikv.tls_ca, tikv.tls_cert and tikv.tls_key, or let %s "
				 "be an address of this machine alone.",
				 setting)));
}

const char *
worker_tls_address(const Tls *tls, const char *addr)
{
	return tls == NULL ? addr : psprintf("https://%s", addr);
}
