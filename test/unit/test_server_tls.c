/*
 * test_server_tls.c
 *	  Certificates: what is refused and why, what is renewed, and who may call
 *	  over gRPC and HTTPS.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "server/http.h"
#include "server/tls_internal.h"

#include "echo_server.h"
#include "unit.h"

static char dir[] = "/tmp/test_server_tls.XXXXXX";
static char ca[64], cert[64], key[64], other_key[64];

static char authority[4096]; /* what clients believe in */

static TlsSettings files = {.ca = ca,
							.cert = cert,
							.key = key,
							.allowed_cn = ""};

static void
shell(const char *format, const char *a, const char *b)
{
	char command[512];

	snprintf(command, sizeof(command), format, a, b);
	if (system(command) != 0)
	{
		printf("Bail out! failed: %s\n", command);
		exit(1);
	}
}

static void
make_files(void)
{
	if (mkdtemp(dir) == NULL)
		abort();
	shell("scripts/certs %s/ours --client alice --client bob%s", dir, "");
	shell("scripts/certs %s/foreign --client alice%s", dir, "");
	snprintf(ca, sizeof(ca), "%s/ours/ca.crt", dir);
	snprintf(cert, sizeof(cert), "%s/ours/server.crt", dir);
	snprintf(key, sizeof(key), "%s/ours/server.key", dir);
	snprintf(other_key, sizeof(other_key), "%s/foreign/server.key", dir);
}

/* ---- files ---- */

static void
refuses(TlsSettings settings, const char *reason)
{
	Tls *tls = tls_new();
	char said[256];

	OK(tls_look(tls, &settings, said, sizeof(said)) == TLS_BAD, reason);
	if (strstr(said, reason) == NULL)
		EQ_STR(said, reason, "for that reason");
	OK(!tls_is_usable(tls), "and nothing can be used");
	OK(tls_look(tls, &settings, said, sizeof(said)) == TLS_SAME,
	   "it says so once");
	tls_free(tls);
}

static const char *
written(const char *name, const char *text)
{
	static char path[8][96];
	static int n;
	char *to = path[n++];
	FILE *file;

	snprintf(to, sizeof(path[0]), "%s/%s", dir, name);
	file = fopen(to, "w");
	fputs(text, file);
	fclose(file);
	return to;
}

static void
bad_files(void)
{
	TlsSettings s = files;
	char large[96];

	s.cert = "";
	refuses(s, "tikv.tls_cert is not");
	s = files, s.ca = "";
	refuses(s, "tikv.tls_ca is not");
	s = files, s.key = "";
	refuses(s, "tikv.tls_key is not");
	s = files, s.cert = "/none";
	refuses(s, "tikv.tls_cert: could not read file \"/none\": No such file");
	s = files, s.ca = dir;
	refuses(s, "tikv.tls_ca: not a regular file:");
	s = files, s.ca = written("empty", "");
	refuses(s, "tikv.tls_ca: no PEM file:");
	s = files, s.ca = written("words", "no certificate\n");
	refuses(s, "tikv.tls_ca: no usable certificate in file");
	s = files,
	s.cert = written("damaged",
					 "-----BEGIN CERTIFICATE-----\nAAAA\n"
					 "-----END CERTIFICATE-----\n");
	refuses(s, "tikv.tls_cert: no usable certificate in file");
	s = files, s.key = cert;
	refuses(s, "tikv.tls_key: no private key without a passphrase in file");
	s = files, s.key = other_key;
	refuses(s, "does not belong to the certificate");
	shell(
		"openssl ec -in %s -aes128 -passout pass:x -out %s/secret 2>/dev/null",
		key, dir);
	snprintf(large, sizeof(large), "%s/secret", dir);
	s = files, s.key = large;
	refuses(s, "tikv.tls_key: no private key without a passphrase in file");
	snprintf(large, sizeof(large), "%s/large", dir);
	shell("head -c 2000000 /dev/zero | tr '\\0' x >%s%s", large, "");
	s = files, s.cert = large;
	refuses(s, "tikv.tls_cert: no PEM file:");
}

static void
exposed_key(void)
{
	Tls *tls = tls_new();
	char said[256];

	chmod(key, 0600);
	OK(tls_look(tls, &files, said, sizeof(said)) == TLS_NEW, "good files");
	EQ_STR(said, "", "of which nothing is to be said");
	chmod(key, 0644);
	OK(tls_look(tls, &files, said, sizeof(said)) == TLS_NEW,
	   "a change of mode is seen");
	OK(strstr(said, "has group or world access") != NULL, "and warned of");
	chmod(key, 0600);
	tls_free(tls);
}

static bool
allowed(const char *list, const char *name)
{
	return tls_name_is_allowed(list, name, name == NULL ? 0 : strlen(name));
}

static void
names(void)
{
	OK(allowed("", "a") && allowed("", NULL) && allowed(" , ", "a"),
	   "no list allows all");
	OK(allowed("a", "a") && allowed("b,a", "a") && allowed(" b , a ", "a") &&
		   allowed("a,b", "a") && allowed("b,,a", "a"),
	   "a name of the list");
	OK(allowed("a b, c", "a b"), "a name with a space");
	OK(!allowed("a", NULL), "no name is no name of the list");
	OK(!allowed("ab", "a") && !allowed("a", "ab") && !allowed("a", "") &&
		   !allowed("a,b", "a,b") && !allowed("A", "a"),
	   "names are compared as a whole");
}

/* ---- who may call ---- */

static Tls *tls;

static void
start(void)
{
	HttpConfig config = echo_http_config();

	config.tls = tls;
	OK(echo_start(NULL, &config, echo_answer_http),
	   "HTTPS and gRPC servers start");
}

static char *
text_of(const char *folder, const char *name)
{
	static char text[8][4096];
	static int n;
	char path[128];
	char *to = text[n++ % 8];
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s/%s", dir, folder, name);
	file = fopen(path, "r");
	len = fread(to, 1, sizeof(text[0]) - 1, file);
	to[len] = '\0';
	fclose(file);
	return to;
}

/* `who` NULL: without a certificate. */
static RpcClient
connect_as(const char *folder, const char *who)
{
	grpc_ssl_pem_key_cert_pair pair;
	char name[32];

	if (who != NULL)
	{
		snprintf(name, sizeof(name), "%s.key", who);
		pair.private_key = text_of(folder, name);
		snprintf(name, sizeof(name), "%s.crt", who);
		pair.cert_chain = text_of(folder, name);
	}
	return rpc_connect_as(server.port, NULL,
						  grpc_ssl_credentials_create(authority,
													  who == NULL ? NULL :
																	&pair,
													  NULL, NULL));
}

/* The status of a call. */
static int
call_as(const char *folder, const char *who, char *text, size_t size)
{
	RpcClient client = connect_as(folder, who);
	int code;

	code = rpc_unary(&client, ECHO_PATH, bytes_cstr("hello"), 20000, NULL, text,
					 size);
	rpc_disconnect(&client);
	return code;
}

/* A connection to the HTTPS server. */
static int
connect_http(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	int accepted;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *) &addr, sizeof(addr)) != 0 ||
		listen(listener, 1) != 0 ||
		getsockname(listener, (struct sockaddr *) &addr, &len) != 0 ||
		connect(client, (struct sockaddr *) &addr, sizeof(addr)) != 0)
		abort();
	accepted = accept(listener, NULL, NULL);
	fcntl(accepted, F_SETFL, O_NONBLOCK);
	close(listener);
	if (!http_adopt(http, accepted, (struct sockaddr *) &addr, len))
		abort();
	return client;
}

/* The status of a GET; 0 if the connection was refused. */
static int
get_as(const char *folder, const char *who, int version)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n"
								  "Connection: close\r\n\r\n";
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	char path[128];
	char answer[256] = "";
	int fd = connect_http();
	int status = 0;

	SSL_CTX_set_max_proto_version(ctx, version);
	SSL_CTX_set_cipher_list(ctx, "DEFAULT:@SECLEVEL=0");
	if (who != NULL)
	{
		snprintf(path, sizeof(path), "%s/%s/%s.crt", dir, folder, who);
		SSL_CTX_use_certificate_chain_file(ctx, path);
		snprintf(path, sizeof(path), "%s/%s/%s.key", dir, folder, who);
		SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM);
	}
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) == 1 &&
		SSL_write(ssl, request, sizeof(request) - 1) > 0 &&
		SSL_read(ssl, answer, sizeof(answer) - 1) > 0)
		sscanf(answer, "HTTP/1.1 %d", &status);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	return status;
}

static TlsLook
look(void)
{
	char said[256];

	return tls_look(tls, &files, said, sizeof(said));
}

static void
who_may_call(void)
{
	char text[512];

	EQ_U64(call_as("ours", "alice", text, sizeof(text)), RPC_OK,
		   "gRPC: a client of our authority");
	EQ_U64(call_as("ours", NULL, text, sizeof(text)), RPC_UNAVAILABLE,
		   "gRPC: without a certificate");
	EQ_U64(call_as("foreign", "alice", text, sizeof(text)), RPC_UNAVAILABLE,
		   "gRPC: of another authority");
	EQ_U64(get_as("ours", "alice", 0), 200, "HTTPS: of our authority");
	EQ_U64(get_as("ours", "alice", TLS1_2_VERSION), 200, "HTTPS: TLS 1.2");
	EQ_U64(get_as("ours", "alice", TLS1_1_VERSION), 0, "HTTPS: not TLS 1.1");
	EQ_U64(get_as("ours", NULL, 0), 0, "HTTPS: without a certificate");
	EQ_U64(get_as("ours", NULL, TLS1_2_VERSION), 0, "HTTPS: nor with TLS 1.2");
	EQ_U64(get_as("foreign", "alice", 0), 0, "HTTPS: of another authority");

	OK(!tls_refuses_own(tls, text, sizeof(text)) && text[0] == '\0',
	   "without a list nodes admit each other");
	files.allowed_cn = "carol, localhost";
	OK(look() == TLS_NEW, "a list with their name");
	OK(!tls_refuses_own(tls, text, sizeof(text)), "does not shut them out");
	files.allowed_cn = "carol, bob";
	OK(look() == TLS_NEW, "a list of names");
	OK(tls_refuses_own(tls, text, sizeof(text)), "another one does");
	OK(strstr(text, "lacks \"localhost\"") != NULL, "and it is said");
	EQ_U64(call_as("ours", "bob", text, sizeof(text)), RPC_OK,
		   "gRPC: a name of the list");
	EQ_U64(call_as("ours", "alice", text, sizeof(text)), RPC_UNAUTHENTICATED,
		   "gRPC: another name");
	EQ_STR(text,
		   "Common name check fail, reason: x509_common_name from peer is "
		   "alice, cert_allowed_cn: carol, bob",
		   "and is told why");
	EQ_U64(get_as("ours", "bob", 0), 200, "HTTPS: a name of the list");
	EQ_U64(get_as("ours", "alice", 0), 403, "HTTPS: another name");
	files.allowed_cn = "";
	OK(look() == TLS_NEW, "no list");
}

/* A stream of health, which has begun. */
static RpcStream
watch_as(RpcClient *client)
{
	RpcStream s =
		rpc_open(client, "/grpc.health.v1.Health/Watch", 20000, NULL, 0);

	rpc_send(&s, bytes_empty());
	rpc_half_close(&s);
	free(rpc_recv(&s).data);
	return s;
}

/* Streams may be open for weeks. */
static void
open_streams(void)
{
	RpcClient alice = connect_as("ours", "alice");
	RpcClient bob = connect_as("ours", "bob");
	RpcStream of_alice = watch_as(&alice);
	RpcStream of_bob = watch_as(&bob);
	char text[512];

	files.allowed_cn = "bob";
	OK(look() == TLS_NEW, "a name is taken off the list");
	EQ_U64(call_as("ours", "bob", text, sizeof(text)), RPC_OK, "a round");
	EQ_U64(rpc_status(&of_alice), RPC_UNAUTHENTICATED, "ends its streams");
	OK(strstr(of_alice.status_text, "Common name check fail") != NULL,
	   "which are told why");
	grpc_call_cancel(of_bob.call, NULL);
	EQ_U64(rpc_status(&of_bob), RPC_CANCELLED, "and nobody else's");
	files.allowed_cn = "";
	OK(look() == TLS_NEW, "no list");
	rpc_close(&of_alice);
	rpc_close(&of_bob);
	rpc_disconnect(&alice);
	rpc_disconnect(&bob);
}

/* A client that has a connection keeps it over a renewal. */
static void
renewal(void)
{
	grpc_ssl_pem_key_cert_pair pair = {text_of("ours", "alice.key"),
									   text_of("ours", "alice.crt")};
	RpcClient old = rpc_connect_as(server.port, NULL,
								   grpc_ssl_credentials_create(authority, &pair,
															   NULL, NULL));
	int fd = connect_http();
	char text[512];

	EQ_U64(rpc_unary(&old, ECHO_PATH, bytes_cstr("x"), 20000, NULL, NULL, 0),
		   RPC_OK, "a connection");
	shell("cat %s/foreign/ca.crt >>%s", dir, ca);
	OK(look() == TLS_NEW, "another authority is added");
	EQ_U64(call_as("foreign", "alice", text, sizeof(text)), RPC_OK,
		   "gRPC: its clients come in");
	EQ_U64(get_as("foreign", "alice", 0), 200, "HTTPS: so they do");
	EQ_U64(rpc_unary(&old, ECHO_PATH, bytes_cstr("x"), 20000, NULL, NULL, 0),
		   RPC_OK, "the old connection goes on");

	shell("mv %s %s.away", ca, ca);
	OK(look() == TLS_BAD, "a file that is gone");
	OK(look() == TLS_SAME, "is told of once");
	EQ_U64(call_as("foreign", "alice", text, sizeof(text)), RPC_OK,
		   "and changes nothing");
	shell("mv %s.away %s", ca, ca);
	OK(look() == TLS_NEW, "it is back");
	rpc_disconnect(&old);
	close(fd);
}

/* Who may call changes also while the certificate and its key do not fit. */
static void
names_beside_bad_files(void)
{
	char text[512];

	shell("mv %s %s.away", key, key);
	shell("cp %s %s", other_key, key);
	OK(look() == TLS_BAD, "a key of another");
	EQ_U64(call_as("ours", "alice", text, sizeof(text)), RPC_OK,
		   "all are served with what was read before");
	files.allowed_cn = "bob";
	OK(look() == TLS_BAD, "and a list of names");
	OK(strstr(tls_trouble(tls), "does not belong to the certificate") != NULL,
	   "what is wrong can be asked");
	EQ_U64(call_as("ours", "alice", text, sizeof(text)), RPC_UNAUTHENTICATED,
		   "gRPC: who is not on it is shut out");
	EQ_U64(get_as("ours", "alice", 0), 403, "HTTPS: so it is");
	EQ_U64(call_as("ours", "bob", text, sizeof(text)), RPC_OK,
		   "gRPC: who is on it is served");
	EQ_U64(get_as("ours", "bob", 0), 200, "HTTPS: as well");
	EQ_U64(call_as("foreign", "alice", text, sizeof(text)), RPC_UNAUTHENTICATED,
		   "gRPC: the authorities are those read before");
	files.allowed_cn = "";
	OK(look() == TLS_BAD, "no list");
	EQ_U64(call_as("ours", "alice", text, sizeof(text)), RPC_OK,
		   "lets all in again");
	shell("mv %s.away %s", key, key);
	OK(look() == TLS_NEW, "the key fits");
	EQ_STR(tls_trouble(tls), "", "and nothing is wrong");
}

static Tls *
read_chain(const char *chain)
{
	TlsSettings settings = files;
	Tls *read = tls_new();
	char said[256];

	settings.cert = chain;
	OK(tls_look(read, &settings, said, sizeof(said)) == TLS_NEW, chain);
	return read;
}

/* When a certificate is past its time; `days` from now it ends. */
static bool
expired_on(Tls *of, int days, char *said, size_t size)
{
	return tls_has_expired(of, (int64_t) time(NULL) + days * INT64_C(86400),
						   said, size);
}

static void
expiry(void)
{
	Tls *none = tls_new();
	Tls *now;
	char said[256];
	char chain[96];

	OK(!tls_has_expired(none, INT64_MAX, said, sizeof(said)),
	   "no certificate is none that has expired");
	tls_free(none);
	now = read_chain(cert);
	OK(!expired_on(now, 364, said, sizeof(said)), "in its time");
	EQ_STR(said, "", "nothing is to be said");
	OK(expired_on(now, 366, said, sizeof(said)), "after its end");
	OK(strstr(said, "expired at ") != NULL && strstr(said, " UTC") != NULL,
	   "it is said when that was");
	tls_free(now);
	snprintf(chain, sizeof(chain), "%s/short", dir);
	shell("openssl req -new -x509 -key %s -subj /CN=short -days 10 -out %s",
		  other_key, chain);
	shell("cat %s >>%s", chain,
		  written("chain", text_of("ours", "server.crt")));
	snprintf(chain, sizeof(chain), "%s/chain", dir);
	now = read_chain(chain);
	OK(!expired_on(now, 9, said, sizeof(said)) &&
		   expired_on(now, 11, said, sizeof(said)),
	   "a chain ends with the first of its certificates");
	tls_free(now);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as in every process of Postgres */
	grpc_init();
	make_files();
	names();
	bad_files();
	exposed_key();
	snprintf(authority, sizeof(authority), "%s", text_of("ours", "ca.crt"));
	tls = tls_new();
	OK(look() == TLS_NEW && look() == TLS_SAME, "files are read once");
	start();
	who_may_call();
	open_streams();
	renewal();
	names_beside_bad_files();
	expiry();
	echo_stop();
	tls_free(tls);
	shell("rm -rf %s%s", dir, "");
	grpc_shutdown();
	return unit_done();
}
