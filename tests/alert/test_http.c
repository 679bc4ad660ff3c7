/* alert/output_http: a small server on loopback that takes, refuses, hangs, and one whose certificate nobody signed. */
#include "tests/alert/rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "daemon/role.h"

/* A thread that answers request after request. */
struct server {
	int fd;
	int port;
	pthread_t thread;
	atomic_int status; /* of the answers; 0: never answers */
	atomic_uint requests, posted;
	atomic_bool stop;
	SSL_CTX *tls;
	pthread_mutex_t lock;
	struct buf bodies;
};

static ssize_t server_read(SSL *ssl, int fd, char *data, size_t len)
{
	return ssl ? SSL_read(ssl, data, (int)len) : read(fd, data, len);
}

static void server_answer(SSL *ssl, int fd, int status)
{
	char text[128];
	int len = snprintf(text, sizeof(text), "HTTP/1.1 %d X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
			   status);

	if (ssl)
		SSL_write(ssl, text, len);
	else if (write(fd, text, (size_t)len) != len)
		return;
}

static void server_serve(struct server *s, SSL *ssl, int fd)
{
	_cleanup_buf_ struct buf request = BUF_INIT;
	char piece[4096];
	const char *body, *length;
	ssize_t n;

	for (;;) {
		body = request.len ? strstr(request.data, "\r\n\r\n") : NULL;
		length = body ? strcasestr(request.data, "Content-Length: ") : NULL;
		if (length && strlen(body + 4) >= strtoul(length + 16, NULL, 10))
			break;
		n = server_read(ssl, fd, piece, sizeof(piece));
		if (n <= 0)
			return;
		buf_add(&request, piece, (size_t)n);
	}
	s->requests++;
	while (!s->status && !s->stop)
		usleep(1000);
	if (s->stop)
		return;
	if (s->status == 200) {
		pthread_mutex_lock(&s->lock);
		buf_str(&s->bodies, body + 4);
		buf_char(&s->bodies, '\n');
		pthread_mutex_unlock(&s->lock);
		s->posted++;
	}
	server_answer(ssl, fd, s->status);
}

static void *server_main(void *data)
{
	struct server *s = data;

	while (!s->stop) {
		struct pollfd p = { .fd = s->fd, .events = POLLIN };
		SSL *ssl = NULL;
		int fd;

		if (poll(&p, 1, 20) != 1)
			continue;
		fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		if (s->tls) {
			ssl = SSL_new(s->tls);
			SSL_set_fd(ssl, fd);
		}
		if (!ssl || SSL_accept(ssl) == 1)
			server_serve(s, ssl, fd);
		SSL_free(ssl);
		close(fd);
	}
	return NULL;
}

static void server_start(struct server *s, int port, SSL_CTX *tls)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int one = 1;

	*s = (struct server){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .tls = tls };
	s->status = 200;
	pthread_mutex_init(&s->lock, NULL);
	setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->fd, 8), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static void server_stop(struct server *s)
{
	s->stop = true;
	pthread_join(s->thread, NULL);
	close(s->fd);
	buf_free(&s->bodies);
}

/* --- the output */

static struct spawner *spawner;

struct rig {
	struct rig_dir dir;
	struct conf *conf;
	struct outputs *os;
};

static void rig_start(struct rig *r)
{
	const struct outputs_options o = { .conf = r->conf, .state_dir = r->dir.path, .spawner = spawner };
	_cleanup_buf_ struct buf err = BUF_INIT;

	if (outputs_start(&o, &r->os, &err) < 0)
		fail_msg("%s", err.data);
}

static void rig_new(struct rig *r, const char *scheme, int port, const char *more)
{
	char text[512];

	rig_dir_new(&r->dir);
	snprintf(text, sizeof(text), "outputs: [{type: http, url: '%s://127.0.0.1:%d/x'%s}]\n", scheme, port, more);
	r->conf = rig_conf(text);
	rig_start(r);
}

static void rig_free(struct rig *r)
{
	if (r->os)
		outputs_stop(r->os);
	conf_unref(r->conf);
	rig_dir_free(&r->dir);
}

static void put(struct rig *r, int n)
{
	for (int i = 0; i < n; i++) {
		_cleanup_alert_ struct alert *a = rig_alert("rule", PRIORITY_ERROR, "/a", "/bin/x");

		outputs_put(r->os, a);
	}
}

struct want {
	struct rig *r;
	uint64_t delivered, failures, lost;
};

static bool has_counts(void *data)
{
	const struct want *w = data;
	struct outputs_stats s;

	outputs_get_stats(w->r->os, 0, &s);
	return s.delivered >= w->delivered && s.failures >= w->failures && s.lost >= w->lost;
}

static void until(struct rig *r, uint64_t delivered, uint64_t failures, uint64_t lost)
{
	struct want w = { r, delivered, failures, lost };
	struct outputs_stats s;

	if (rig_within(20000, has_counts, &w))
		return;
	outputs_get_stats(r->os, 0, &s);
	fail_msg("delivered %llu failures %llu lost %llu: %s", (unsigned long long)s.delivered,
		 (unsigned long long)s.failures, (unsigned long long)s.lost, s.why);
}

static void test_single(void **state _unused_)
{
	struct server s;
	struct rig r;
	json_t *o;

	server_start(&s, 0, NULL);
	rig_new(&r, "http", s.port, ", headers: 'X-Token: 17'");
	put(&r, 3);
	until(&r, 3, 0, 0);
	assert_int_equal(s.posted, 3);
	*strchr(s.bodies.data, '\n') = '\0';
	o = json_loads(s.bodies.data, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(o, "rule")), "rule");
	json_decref(o);
	rig_free(&r);
	server_stop(&s);
}

static void test_batches(void **state _unused_)
{
	struct server s;
	struct rig r;
	size_t total = 0;

	server_start(&s, 0, NULL);
	s.status = 0;
	rig_new(&r, "http", s.port, ", batch: 50");
	put(&r, 1);
	while (!s.requests)
		usleep(1000);
	/* While one is under way the others come together. */
	put(&r, 120);
	s.status = 200;
	until(&r, 121, 0, 0);
	assert_true(s.posted <= 5);
	for (char *line = strtok(s.bodies.data, "\n"); line; line = strtok(NULL, "\n")) {
		json_t *list = json_loads(line, 0, NULL);

		assert_true(json_is_array(list));
		assert_true(json_array_size(list) <= 50);
		total += json_array_size(list);
		json_decref(list);
	}
	assert_int_equal(total, 121);
	rig_free(&r);
	server_stop(&s);
}

/* Trouble of the server's is tried again; a request it will never like is dropped and counted. */
static void test_statuses(void **state _unused_)
{
	static const int again[] = { 500, 503, 429, 401, 404, 302 };
	struct server s;
	struct rig r;

	server_start(&s, 0, NULL);
	s.status = 500;
	rig_new(&r, "http", s.port, "");
	put(&r, 1);
	for (size_t i = 0; i < ARRAY_SIZE(again) && i < 3; i++) {
		s.status = again[i];
		until(&r, 0, i + 1, 0);
	}
	s.status = 200;
	until(&r, 1, 0, 0);
	s.status = 400;
	put(&r, 1);
	until(&r, 1, 0, 1);
	s.status = 200;
	put(&r, 1);
	until(&r, 2, 0, 1);
	rig_free(&r);
	server_stop(&s);
}

/* Nobody listens, then somebody does; and the same over a restart. */
static void test_refused_and_back(void **state _unused_)
{
	struct server s;
	struct rig r;
	int port;

	server_start(&s, 0, NULL);
	port = s.port;
	server_stop(&s);
	rig_new(&r, "http", port, "");
	put(&r, 5);
	until(&r, 0, 1, 0);
	outputs_stop(TAKE_PTR(r.os));
	rig_start(&r);
	server_start(&s, port, NULL);
	until(&r, 5, 0, 0);
	rig_free(&r);
	server_stop(&s);
}

static void test_hang(void **state _unused_)
{
	struct server s;
	struct rig r;
	uint64_t begin;

	server_start(&s, 0, NULL);
	s.status = 0;
	rig_new(&r, "http", s.port, ", timeout: 100ms");
	put(&r, 1);
	until(&r, 0, 1, 0);
	outputs_stop(TAKE_PTR(r.os));
	/* And one that would be waited for: ending is not held up. */
	conf_unref(r.conf);
	rig_dir_free(&r.dir);
	rig_new(&r, "http", s.port, ", timeout: 1h");
	put(&r, 1);
	usleep(50000);
	begin = clock_mono_ns();
	outputs_stop(TAKE_PTR(r.os));
	assert_true(clock_mono_ns() - begin < 20 * NSEC_PER_SEC);
	rig_free(&r);
	server_stop(&s);
}

/* --- TLS */

static EVP_PKEY *make_key(void)
{
	return EVP_EC_gen("P-256");
}

/* Self-signed, for that name or address. */
static X509 *make_certificate(EVP_PKEY *key, const char *alt_name)
{
	X509 *x = X509_new();
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt_name);

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const uint8_t *)"test", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_add_ext(x, extension, -1);
	X509_EXTENSION_free(extension);
	X509_sign(x, key, EVP_sha256());
	return x;
}

static void test_tls(void **state _unused_)
{
	static const struct {
		const char *alt_name;
		bool trusted, good;
	} cases[] = {
		{ "IP:127.0.0.1", true, true },
		{ "IP:127.0.0.1", false, false }, /* signed by nobody we know */
		{ "DNS:elsewhere", true, false }, /* another's */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		EVP_PKEY *key = make_key();
		X509 *certificate = make_certificate(key, cases[i].alt_name);
		SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
		struct rig_dir d;
		char ca[128], more[160] = "";
		struct server s;
		struct rig r;
		FILE *f;

		SSL_CTX_use_certificate(tls, certificate);
		SSL_CTX_use_PrivateKey(tls, key);
		rig_dir_new(&d);
		snprintf(ca, sizeof(ca), "%s/ca.pem", d.path);
		f = fopen(ca, "we");
		PEM_write_X509(f, certificate);
		fclose(f);
		if (cases[i].trusted)
			snprintf(more, sizeof(more), ", ca: %s", ca);
		server_start(&s, 0, tls);
		rig_new(&r, "https", s.port, more);
		put(&r, 1);
		until(&r, cases[i].good, !cases[i].good, 0);
		assert_int_equal(s.posted, cases[i].good);
		rig_free(&r);
		server_stop(&s);
		rig_dir_free(&d);
		SSL_CTX_free(tls);
		X509_free(certificate);
		EVP_PKEY_free(key);
	}
}

/* Killed while the server lets it wait, and between two alerts: later, and all of them. */
static void test_killed(void **state _unused_)
{
	struct outputs_stats stats;
	struct server s;
	struct rig r;
	int32_t first;

	server_start(&s, 0, NULL);
	s.status = 0;
	rig_new(&r, "http", s.port, "");
	put(&r, 3);
	while (!s.requests)
		usleep(1000);
	outputs_get_stats(r.os, 0, &stats);
	first = stats.role.pid;
	assert_true(first > 0);
	assert_int_equal(kill(first, SIGKILL), 0);
	until(&r, 0, 1, 0);
	s.status = 200;
	until(&r, 3, 1, 0);
	outputs_get_stats(r.os, 0, &stats);
	assert_true(stats.role.pid > 0 && stats.role.pid != first);
	assert_int_equal(kill(stats.role.pid, SIGKILL), 0);
	put(&r, 1);
	until(&r, 4, 1, 0);
	outputs_get_stats(r.os, 0, &stats);
	assert_int_equal(stats.lost, 0);
	assert_true(stats.role.failures >= 1 && stats.role.starts >= 3);
	rig_free(&r);
	server_stop(&s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single),	 cmocka_unit_test(test_batches),
		cmocka_unit_test(test_statuses), cmocka_unit_test(test_refused_and_back),
		cmocka_unit_test(test_hang),	 cmocka_unit_test(test_tls),
		cmocka_unit_test(test_killed),
	};
	int failed;

	if (role_main(argc, argv, &failed))
		return failed;

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	if (spawner_start(&spawner) < 0)
		return 99;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	spawner_stop(spawner);
	return failed;
}
