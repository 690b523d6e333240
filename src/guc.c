/*
 * guc.c
 *	  All settings, defined in one place.
 *
 * The prefix is reserved, so a misspelt name is reported at start instead of
 * being ignored; that keeps the names of settings to come free as well.
 * Nothing here acts on a value: whoever reads it does.
 */
#include "postgres.h"

#include <limits.h>
#include <stdlib.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "guc.h"

TikvSettings tikv_fdw_settings;

#define MAX_PORT 65535

/*
 * In a server that did not preload the library, settings of the postmaster
 * can't be defined any more; they are then for show only.
 */
static GucContext
at_start(void)
{
	return process_shared_preload_libraries_in_progress ? PGC_POSTMASTER :
														  PGC_SIGHUP;
}

/* ---------------------------------------------------------------- addresses */

static bool
is_port(const char *text)
{
	char *end;
	long port;

	if (*text < '0' || *text > '9')
		return false;
	port = strtol(text, &end, 10);
	return *end == '\0' && port > 0 && port <= MAX_PORT;
}

/* "host:port", "[v6]:port". */
static bool
is_address(const char *text)
{
	const char *colon = strrchr(text, ':');

	if (colon == NULL || colon == text || !is_port(colon + 1))
		return false;
	if (text[0] == '[')
		return colon[-1] == ']' && colon - text > 2;
	return memchr(text, ':', colon - text) == NULL;
}

static bool
check_address(char **newval, void **extra, GucSource source)
{
	(void) extra;
	(void) source;
	if (is_address(*newval))
		return true;
	GUC_check_errdetail(
		"An address is written as host:port or [v6]:port, with a port from 1 to %d.",
		MAX_PORT);
	return false;
}

static bool
check_optional_address(char **newval, void **extra, GucSource source)
{
	return (*newval)[0] == '\0' || check_address(newval, extra, source);
}

/* Addresses, separated by commas; each may be written as a URL. */
static bool
check_address_list(char **newval, void **extra, GucSource source)
{
	char *list = strdup(*newval);
	char *rest = NULL;
	bool ok = list != NULL;

	(void) extra;
	(void) source;
	for (char *word = ok ? strtok_r(list, ", ", &rest) : NULL;
		 word != NULL && ok; word = strtok_r(NULL, ", ", &rest))
	{
		const char *scheme = strstr(word, "://");

		ok = is_address(scheme == NULL ? word : scheme + 3);
	}
	free(list);
	if (!ok)
		GUC_check_errdetail(
			"Addresses are written as host:port or [v6]:port, separated by commas.");
	return ok;
}

static void
define_address_list(const char *name, const char *what, const char *detail,
					char **variable)
{
	DefineCustomStringVariable(name, what, detail, variable, "", at_start(), 0,
							   check_address_list, NULL, NULL);
}

static bool
check_database(char **newval, void **extra, GucSource source)
{
	(void) extra;
	(void) source;
	if ((*newval)[0] != '\0' && strlen(*newval) < NAMEDATALEN)
		return true;
	GUC_check_errdetail("A database name has 1 to %d bytes.", NAMEDATALEN - 1);
	return false;
}

static void
define_address(const char *name, const char *what, const char *detail,
			   char **variable, const char *value)
{
	DefineCustomStringVariable(name, what, detail, variable, value, at_start(),
							   0,
							   value[0] == '\0' ? check_optional_address :
												  check_address,
							   NULL, NULL);
}

static void
define_addresses(void)
{
	TikvSettings *s = &tikv_fdw_settings;

	define_address(
		"tikv.addr", "Address on which TiKV clients are served.",
		"All workers that serve keys listen here. On an address other hosts can reach, everyone who can connect may read and write every key.",
		&s->addr, "127.0.0.1:20160");
	define_address("tikv.advertise_addr",
				   "Address that clients are told to reach tikv.addr by.",
				   "Empty means the value of tikv.addr.", &s->advertise_addr,
				   "");
	define_address(
		"tikv.pd_addr",
		"Address of the built-in Placement Driver: what clients are configured with.",
		NULL, &s->pd_addr, "127.0.0.1:2379");
	define_address(
		"tikv.pd_http_addr",
		"Address of the Placement Driver's HTTPS, used with TLS only.",
		"Without TLS, HTTP is on tikv.pd_addr. Empty means that there is no HTTPS.",
		&s->pd_http_addr, "");
	define_address_list(
		"tikv.join",
		"Placement driver addresses of the cluster that this node joins.",
		"At its first start; empty means that it makes a cluster of its own.",
		&s->join);
	define_address_list(
		"tikv.pd_endpoints",
		"Addresses of an external placement driver for this node's store.",
		"Empty means the built-in one.", &s->pd_endpoints);
	define_address("tikv.pd_advertise_addr",
				   "Address that clients are told to reach tikv.pd_addr by.",
				   "Empty means the value of tikv.pd_addr.",
				   &s->pd_advertise_addr, "");
	define_address(
		"tikv.peer_addr",
		"Address on which other stores of the cluster reach this one.", NULL,
		&s->peer_addr, "127.0.0.1:20170");
	define_address(
		"tikv.peer_advertise_addr",
		"Address that other stores are told to reach tikv.peer_addr by.",
		"Empty means the value of tikv.peer_addr.", &s->peer_advertise_addr,
		"");
	DefineCustomStringVariable(
		"tikv.status_addr", "Address of the HTTP status port.",
		"Metrics, health, settings and regions. Empty: there is none.",
		&s->status_addr, "127.0.0.1:20180", at_start(), 0,
		check_optional_address, NULL, NULL);
	define_address(
		"tikv.status_advertise_addr",
		"Address that others are told to reach tikv.status_addr by, as TiKV's server.advertise-status-addr.",
		"The Placement Driver tells it to tools. Empty means the value of tikv.status_addr.",
		&s->status_advertise_addr, "");
}

/* ---------------------------------------------------------------------- TLS */

/* Whether they fit together is for the workers to see, at every reload. */
static void
define_tls_text(const char *name, const char *what, const char *detail,
				char **variable)
{
	DefineCustomStringVariable(name, what, detail, variable, "", PGC_SIGHUP, 0,
							   NULL, NULL, NULL);
}

static void
define_tls(void)
{
	TikvSettings *s = &tikv_fdw_settings;

	define_tls_text(
		"tikv.tls_ca",
		"File with the certificates of the authorities that clients must be certified by.",
		"With it tikv.tls_cert and tikv.tls_key must be set; all ports then speak TLS. Paths are relative to the data directory.",
		&s->tls_ca);
	define_tls_text(
		"tikv.tls_cert",
		"File with the server's certificate, and those that lead to its authority.",
		"Files that change are read again within a second.", &s->tls_cert);
	define_tls_text("tikv.tls_key",
					"File with the private key of tikv.tls_cert.",
					"Without a passphrase.", &s->tls_key);
	define_tls_text(
		"tikv.tls_allowed_cn",
		"Common names of the clients that may connect, separated by commas.",
		"Empty means all that tikv.tls_ca certifies. As TiKV's cert-allowed-cn.",
		&s->tls_allowed_cn);
}

/* ------------------------------------------------------------------ the rest */

static void
define_bool(const char *name, const char *what, const char *detail,
			bool *variable, bool value, GucContext context)
{
	DefineCustomBoolVariable(name, what, detail, variable, value, context, 0,
							 NULL, NULL, NULL);
}

typedef struct IntBounds
{
	int min;
	int max;
} IntBounds;

static void
define_int(const char *name, const char *what, const char *detail,
		   int *variable, int value, IntBounds bounds, GucContext context,
		   int unit)
{
	DefineCustomIntVariable(name, what, detail, variable, value, bounds.min,
							bounds.max, context, unit, NULL, NULL, NULL);
}

static void
define_place(void)
{
	TikvSettings *s = &tikv_fdw_settings;

	define_bool(
		"tikv.allow_unsafe", "Serve although fsync or full_page_writes is off.",
		"Acknowledged writes can then be lost, or the cluster corrupted, by a crash of the operating system.",
		&s->allow_unsafe, false, at_start());
	define_bool(
		"tikv.in_memory_pessimistic_locks",
		"Keep pessimistic locks in memory only.",
		"A restart of the store loses them; prewrite then takes them again unless the key has changed.",
		&s->in_memory_pessimistic_locks, true, PGC_SIGHUP);
	define_bool(
		"tikv.lookup_join",
		"Let joins get the keys of foreign tables in batches.",
		"Off, a join asks for one key at a time, or reads the whole table.",
		&s->lookup_join, true, PGC_USERSET);
	define_int(
		"tikv.api_version",
		"API version of the keys, as TiKV's storage.api-version.",
		"Kept with the data at the first start; it cannot be changed over existing data.",
		&s->api_version, 1, (IntBounds){1, 2}, at_start(), 0);
	define_bool(
		"tikv.enable_ttl", "Let raw keys expire, as TiKV's storage.enable-ttl.",
		"For API version 1, which then has no transactions; version 2 always has times to live. Kept with the data as tikv.api_version is.",
		&s->enable_ttl, false, at_start());
	DefineCustomStringVariable(
		"tikv.database", "Database that holds the extension and its data.",
		"The workers connect to it and wait there for CREATE EXTENSION tikv_fdw.",
		&s->database, "postgres", at_start(), 0, check_database, NULL, NULL);
	define_int(
		"tikv.server_workers",
		"Number of further processes that serve gRPC beside the store.",
		"-1 chooses by the number of cores: none up to two cores, then one less than there are, at most four.",
		&s->server_workers, -1, (IntBounds){-1, 4}, at_start(), 0);
	define_int(
		"tikv.readers",
		"Number of processes for long reads, so that they delay no others.",
		"0: whoever gets a long read does it, and others wait behind it.",
		&s->readers, 1, (IntBounds){0, 4}, at_start(), 0);
}

static void
define_memory(void)
{
	define_int(
		"tikv.in_memory_peer_size_limit",
		"Memory that the pessimistic locks of a region may take without a row, as TiKV's pessimistic-txn.in-memory-peer-size-limit.",
		"Beyond it they are made durable.",
		&tikv_fdw_settings.in_memory_peer_size_limit_kb, 512,
		(IntBounds){0, INT_MAX}, PGC_SIGHUP, GUC_UNIT_KB);
	define_int(
		"tikv.in_memory_instance_size_limit",
		"The same for all regions of the node, as TiKV's pessimistic-txn.in-memory-instance-size-limit.",
		"Beyond it they are made durable.",
		&tikv_fdw_settings.in_memory_instance_size_limit_kb, 102400,
		(IntBounds){0, INT_MAX}, PGC_SIGHUP, GUC_UNIT_KB);
	define_int(
		"tikv.memory_limit",
		"Memory that requests and answers may hold in each process that serves clients.",
		"Beyond it, and beyond a connection's share of it once half is taken, requests are told ServerIsBusy. -1 is a quarter of the machine's memory, at least 256 MB and at most 2 GB. 0: there is no such limit; a single answer is 256 MB at most all the same.",
		&tikv_fdw_settings.memory_limit_mb, -1, (IntBounds){-1, INT_MAX / 2},
		at_start(), GUC_UNIT_MB);
}

static void
define_limits(void)
{
	TikvSettings *s = &tikv_fdw_settings;

	define_int(
		"tikv.bus_memory",
		"Shared memory for long requests and answers between processes.",
		"Short ones need none. What does not fit is answered with an error that says so.",
		&s->bus_memory_kb, 64 * 1024, (IntBounds){1024, 1024 * 1024},
		at_start(), GUC_UNIT_KB);
	define_int("tikv.bus_slots",
			   "Requests that may be on their way between processes at once.",
			   NULL, &s->bus_slots, 1024, (IntBounds){4, 65536}, at_start(), 0);
	define_int(
		"tikv.lock_memory", "Shared memory for the locks of transactions.",
		"Locks that do not fit are kept in a table, which makes them slower; async commit and 1PC fall back to two phases.",
		&s->lock_memory_kb, 64 * 1024, (IntBounds){1024, 32 * 1024 * 1024},
		at_start(), GUC_UNIT_KB);
	define_int(
		"tikv.keyspace_id",
		"Keyspace in which SQL functions work when the API version is 2.",
		"0 is the keyspace DEFAULT.", &s->keyspace_id, 0,
		(IntBounds){0, 0xffffff}, PGC_USERSET, 0);
	define_int("tikv.max_key_size", "Longest key that is accepted, in bytes.",
			   "All nodes of a cluster must agree.", &s->max_key_size, 8192,
			   (IntBounds){64, 8192}, at_start(), GUC_UNIT_BYTE);
	define_int("tikv.max_pending_bytes",
			   "Bytes of writes that may wait in the store.",
			   "Over it new writes are answered with ServerIsBusy at once.",
			   &s->max_pending_kb, 64 * 1024, (IntBounds){64, INT_MAX},
			   PGC_SIGHUP, GUC_UNIT_KB);
	define_int("tikv.max_pending_writes", "Writes that may wait in the store.",
			   "Over it new writes are answered with ServerIsBusy at once.",
			   &s->max_pending_writes, 16384, (IntBounds){1, 1000000},
			   PGC_SIGHUP, 0);
	define_int(
		"tikv.reserve_space", "Free disk space below which writes are refused.",
		"Watched on the data directory and on the WAL's. -1 is the larger of 1 GB and 5 % of the file system.",
		&s->reserve_space_mb, -1, (IntBounds){-1, INT_MAX}, PGC_SIGHUP,
		GUC_UNIT_MB);
}

/* Defaults as TiKV 8.5's: components/raftstore/src/{coprocessor,store}/config.rs. */
static void
define_regions(void)
{
	TikvSettings *s = &tikv_fdw_settings;

	define_bool(
		"tikv.hibernate_regions",
		"Let regions with several peers sleep while they have nothing to do.",
		"A sleeping one costs no messages and no time; the next request wakes it.",
		&s->hibernate_regions, true, PGC_SIGHUP);
	define_int(
		"tikv.max_leader_missing_duration",
		"How long a peer may hear of no leader before it asks whether it is still one.",
		"A peer that the placement driver knows of no more, since its region has others by now, is removed.",
		&s->max_leader_missing_s, 7200, (IntBounds){1, INT_MAX / 2}, PGC_SIGHUP,
		GUC_UNIT_S);
	define_int(
		"tikv.max_regions", "Regions that may have a peer on this store.",
		"Room for them in shared memory; what is not used costs nothing. All nodes of a cluster must agree. No region is split beyond it.",
		&s->max_regions, 16384, (IntBounds){64, 1000000}, at_start(), 0);
	define_int(
		"tikv.region_split_size",
		"Size of the pieces that a region is split into.",
		"A region that is half as large again is split. Keys and values count, and versions that are not collected yet. 0: none is split for its size.",
		&s->region_split_mb, 256, (IntBounds){0, 1024 * 1024}, PGC_SIGHUP,
		GUC_UNIT_MB);
	define_int("tikv.region_split_keys",
			   "Number of keys of the pieces that a region is split into.",
			   "As tikv.region_split_size; versions of a key count.",
			   &s->region_split_keys, 2560000, (IntBounds){16, INT_MAX / 2},
			   PGC_SIGHUP, 0);
	define_int("tikv.raft_log_gc_threshold",
			   "Entries of a region's log that may wait to be given up.",
			   "Of those that all its peers have.", &s->log_gc_threshold, 50,
			   (IntBounds){1, INT_MAX}, PGC_SIGHUP, 0);
	define_int(
		"tikv.raft_log_gc_count_limit",
		"Entries of a region's log that are kept for peers that lack them.",
		"Beyond it the older half is given up, and such a peer gets a snapshot. -1: one for each KiB of three quarters of tikv.region_split_size.",
		&s->log_gc_count, -1, (IntBounds){-1, INT_MAX}, PGC_SIGHUP, 0);
	define_int(
		"tikv.raft_log_gc_size_limit",
		"Size of a region's log that is kept for peers that lack it.",
		"As tikv.raft_log_gc_count_limit. -1: three quarters of tikv.region_split_size.",
		&s->log_gc_size_mb, -1, (IntBounds){-1, INT_MAX}, PGC_SIGHUP,
		GUC_UNIT_MB);
}

static void
define_times(void)
{
	TikvSettings *s = &tikv_fdw_settings;

	define_int(
		"tikv.request_timeout",
		"Time a SQL function waits for a worker's answer.",
		"A write that was not answered in time may have been carried out: its outcome is unknown.",
		&s->request_timeout_ms, 10000, (IntBounds){1, INT_MAX / 2}, PGC_USERSET,
		GUC_UNIT_MS);
	define_int(
		"tikv.gc_life_time",
		"How long versions that were replaced or deleted can still be read.",
		"The store moves the cluster's safe points this far behind the timestamp oracle. 0 leaves that to others, such as TiDB.",
		&s->gc_life_time_s, 600, (IntBounds){0, INT_MAX / 2000}, PGC_SIGHUP,
		GUC_UNIT_S);
	define_int(
		"tikv.max_store_down_time",
		"How long a store may be silent before its peers are replaced.",
		"Only where another store can take them. The leader of the placement driver decides by its own setting. Less than 20 s counts as 20 s.",
		&s->max_store_down_time_s, 1800, (IntBounds){1, INT_MAX / 2},
		PGC_SIGHUP, GUC_UNIT_S);
	define_int(
		"tikv.slow_log_threshold",
		"Time above which a request is told of in the server's log.",
		"With its method, region, key and the time of each step. What a request waits for a lock does not count. -1 turns it off.",
		&s->slow_log_ms, 1000, (IntBounds){-1, INT_MAX}, PGC_SIGHUP,
		GUC_UNIT_MS);
	define_int(
		"tikv.turn_min_interval",
		"Least time between two writing transactions of the store, in microseconds.",
		"Under load it gathers more writes into one transaction, which saves transaction ids and flushes; a write that comes to an idle store does not wait.",
		&s->turn_min_interval_us, 1000, (IntBounds){0, 1000000}, PGC_SIGHUP, 0);
}

/* ------------------------------------------------------ SQL transactions */

static const struct config_enum_entry txn_modes[] =
	{{"pessimistic", TXN_MODE_PESSIMISTIC, false},
	 {"optimistic", TXN_MODE_OPTIMISTIC, false},
	 {NULL, 0, false}};

static const struct config_enum_entry local_atomic_modes[] =
	{{"off", LOCAL_ATOMIC_OFF, false},
	 {"auto", LOCAL_ATOMIC_AUTO, false},
	 {"require", LOCAL_ATOMIC_REQUIRE, false},
	 {NULL, 0, false}};

static void
define_txns(void)
{
	TikvSettings *s = &tikv_fdw_settings;

	define_int(
		"tikv.lock_wait_timeout",
		"Time a SQL transaction waits for the lock of a key.",
		"lock_timeout and statement_timeout end the wait as well, if they are shorter. 0 means no limit of its own.",
		&s->lock_wait_timeout_ms, 3000, (IntBounds){0, INT_MAX / 2},
		PGC_USERSET, GUC_UNIT_MS);
	define_int(
		"tikv.txn_memory",
		"Memory for what one SQL transaction has written and not committed.",
		"A transaction that writes more fails.", &s->txn_memory_kb, 128 * 1024,
		(IntBounds){64, INT_MAX}, PGC_USERSET, GUC_UNIT_KB);
	DefineCustomEnumVariable(
		"tikv.txn_mode",
		"When a SQL transaction learns of conflicts over keys.",
		"pessimistic: it locks what it writes, and waits for others' locks. optimistic: at commit, and then it fails. Read when a transaction first touches a key.",
		&s->txn_mode, TXN_MODE_PESSIMISTIC, txn_modes, PGC_USERSET, 0, NULL,
		NULL, NULL);
	DefineCustomEnumVariable(
		"tikv.local_atomic",
		"Whether keys and tables of a SQL transaction commit as one.",
		"auto: where this node alone has all the keys, else the keys commit just before the tables. require: or the transaction fails. off: never.",
		&s->local_atomic, LOCAL_ATOMIC_AUTO, local_atomic_modes, PGC_USERSET, 0,
		NULL, NULL, NULL);
}

/* ------------------------------------------------------- values not taken */

/* What a node must not go on without. */
static const char *const decisive[] = {"tikv.api_version", "tikv.enable_ttl",
									   "tikv.database", "tikv.join",
									   "tikv.pd_endpoints"};

/* Of a number, a switch or a text. */
static bool
is_same(const char *given, const char *taken)
{
	bool given_bool;
	bool taken_bool;
	int given_int;
	int taken_int;

	if (strcmp(given, taken) == 0)
		return true;
	if (parse_int(given, &given_int, 0, NULL) &&
		parse_int(taken, &taken_int, 0, NULL))
		return given_int == taken_int;
	return parse_bool(given, &given_bool) && parse_bool(taken, &taken_bool) &&
		given_bool == taken_bool;
}

/* What the configuration gives, before its settings are defined. */
static void
note_given(char *given[])
{
	for (int i = 0; i < (int) lengthof(decisive); i++)
	{
		const char *value = GetConfigOption(decisive[i], true, false);

		given[i] = value == NULL ? NULL : pstrdup(value);
	}
}

static void
note_refused(char *given[])
{
	TikvSettings *s = &tikv_fdw_settings;

	for (int i = 0; i < (int) lengthof(decisive); i++)
		if (given[i] != NULL && s->refused[0] == '\0' &&
			!is_same(given[i], GetConfigOption(decisive[i], true, false)))
			snprintf(
				s->refused, sizeof(s->refused),
				"%s = '%.100s' is not a value that it can have: correct it, and restart the server",
				decisive[i], given[i]);
}

void
guc_define(void)
{
	char *given[lengthof(decisive)];

	note_given(given);
	define_addresses();
	define_tls();
	define_place();
	define_memory();
	define_limits();
	define_regions();
	define_times();
	define_txns();
	note_refused(given);
	MarkGUCPrefixReserved("tikv");
}
