/* alert/outputs: each type against the real thing on this machine: taken, refused, hanging, gone, back again. */
#include "tests/alert/rig.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/role.h"

static struct spawner *spawner;

struct rig {
	struct rig_dir dir;
	struct conf *conf;
	struct outputs *os;
	unsigned n_lost, n_found; /* episodes begun, ended */
	int sent;
};

static void on_lost(const char *name _unused_, bool losing, uint64_t lost _unused_, void *data)
{
	struct rig *r = data;

	r->n_lost += losing;
	r->n_found += !losing;
}

/* @ stands for the folder. */
static void rig_configure(struct rig *r, const char *text)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	for (; *text; text++) {
		if (*text == '@')
			buf_str(&b, r->dir.path);
		else
			buf_char(&b, *text);
	}
	if (r->conf)
		conf_unref(r->conf);
	r->conf = rig_conf(b.data);
}

static void rig_start(struct rig *r)
{
	const struct outputs_options o = {
		.conf = r->conf, .state_dir = r->dir.path, .spawner = spawner, .lost = on_lost, .data = r
	};
	_cleanup_buf_ struct buf err = BUF_INIT;

	if (outputs_start(&o, &r->os, &err) < 0)
		fail_msg("%s", err.data);
}

static void rig_new(struct rig *r, const char *text)
{
	*r = (struct rig){ .sent = 0 };
	rig_dir_new(&r->dir);
	rig_configure(r, text);
	rig_start(r);
}

static void rig_stop(struct rig *r)
{
	outputs_stop(TAKE_PTR(r->os));
}

static void rig_free(struct rig *r)
{
	if (r->os)
		rig_stop(r);
	conf_unref(r->conf);
	rig_dir_free(&r->dir);
}

/* Alerts about /1, /2 ... */
static void put(struct rig *r, int n, enum priority priority)
{
	for (int i = 0; i < n; i++) {
		_cleanup_alert_ struct alert *a = NULL;
		char path[32];

		snprintf(path, sizeof(path), "/%d", ++r->sent);
		a = rig_alert("rule", priority, path, "/bin/x");
		outputs_put(r->os, a);
	}
}

static struct outputs_stats stats_of(struct rig *r, size_t i)
{
	struct outputs_stats s;

	outputs_get_stats(r->os, i, &s);
	return s;
}

struct want {
	struct rig *r;
	size_t output;
	uint64_t delivered, failures, lost;
};

static bool has_counts(void *data)
{
	const struct want *w = data;
	struct outputs_stats s = stats_of(w->r, w->output);

	return s.delivered >= w->delivered && s.failures >= w->failures && s.lost >= w->lost;
}

static void until(struct rig *r, size_t i, uint64_t delivered, uint64_t failures, uint64_t lost)
{
	struct want w = { r, i, delivered, failures, lost };
	struct outputs_stats s;

	if (rig_within(15000, has_counts, &w))
		return;
	s = stats_of(r, i);
	fail_msg("%s: delivered %llu failures %llu lost %llu pending %llu: %s", s.name, (unsigned long long)s.delivered,
		 (unsigned long long)s.failures, (unsigned long long)s.lost, (unsigned long long)s.pending, s.why);
}

/* The lines of a file: each is JSON about /1, /2 ... in order. Returns how many. */
static int check_lines(const char *path, int first)
{
	FILE *f = fopen(path, "re");
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	int n = first;

	assert_non_null(f);
	while (getline(&line, &cap, f) > 0) {
		json_t *o = json_loads(line, 0, NULL);
		char want[32];

		if (!o)
			fail_msg("no JSON: %s", line);
		snprintf(want, sizeof(want), "/%d", n++);
		assert_string_equal(json_string_value(json_object_get(json_object_get(o, "output_fields"), "hf.path")),
				    want);
		json_decref(o);
	}
	fclose(f);
	return n - first;
}

/* --- file */

static void test_file(void **state _unused_)
{
	struct rig r;
	char path[128], moved[140];
	struct stat st;

	rig_new(&r, "outputs: [{type: file, path: @/log, minimum: error}]\n");
	snprintf(path, sizeof(path), "%s/log", r.dir.path);
	snprintf(moved, sizeof(moved), "%s.moved", path);
	put(&r, 10, PRIORITY_ERROR);
	until(&r, 0, 10, 0, 0);
	assert_int_equal(check_lines(path, 1), 10);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* Moved away by somebody who says so: the next goes into a new one. */
	assert_int_equal(rename(path, moved), 0);
	put(&r, 1, PRIORITY_ERROR);
	until(&r, 0, 11, 0, 0);
	assert_int_equal(check_lines(moved, 1), 11);
	outputs_reopen(r.os);
	put(&r, 1, PRIORITY_CRITICAL);
	until(&r, 0, 12, 0, 0);
	assert_int_equal(check_lines(path, 12), 1);
	/* Not urgent enough. */
	r.sent = 0;
	put(&r, 1, PRIORITY_WARNING);
	rig_stop(&r);
	assert_int_equal(check_lines(path, 12), 1);
	rig_free(&r);
}

static void test_file_rotation(void **state _unused_)
{
	struct rig r;
	char path[160];
	int lines = 0;

	rig_new(&r, "outputs: [{type: file, path: @/log, rotate: 2K, keep: 3}]\n");
	for (int i = 0; i < 40; i++) {
		put(&r, 1, PRIORITY_ERROR);
		until(&r, 0, (uint64_t)i + 1, 0, 0);
	}
	for (int i = 0; i <= 4; i++) {
		struct stat st;

		snprintf(path, sizeof(path), i ? "%s/log.%d" : "%s/log", r.dir.path, i);
		if (i == 4) {
			assert_int_equal(stat(path, &st), -1);
			break;
		}
		assert_int_equal(stat(path, &st), 0);
		assert_true(st.st_size <= 2048);
	}
	for (int i = 3; i >= 0; i--) {
		_cleanup_free_ char *line = NULL;
		size_t cap = 0;
		FILE *f;
		int n;

		snprintf(path, sizeof(path), i ? "%s/log.%d" : "%s/log", r.dir.path, i);
		f = fopen(path, "re");
		assert_true(getline(&line, &cap, f) > 0);
		fclose(f);
		assert_int_equal(sscanf(strstr(line, "\"output\":\""), "\"output\":\"%*[^/]/%d", &n), 1);
		if (lines)
			assert_int_equal(n, lines + 1);
		lines = n - 1 + check_lines(path, n);
	}
	assert_int_equal(lines, 40);
	rig_free(&r);
}

/* Not there yet, a folder in the way, then it can be made: nothing is lost. */
static void test_file_back(void **state _unused_)
{
	struct rig r;
	char path[128];

	rig_new(&r, "outputs: [{type: file, path: @/sub/log}]\n");
	put(&r, 5, PRIORITY_ERROR);
	until(&r, 0, 0, 2, 0);
	assert_true(stats_of(&r, 0).failing);
	assert_non_null(strstr(stats_of(&r, 0).why, "No such file"));
	snprintf(path, sizeof(path), "%s/sub", r.dir.path);
	assert_int_equal(mkdir(path, 0700), 0);
	until(&r, 0, 5, 0, 0);
	assert_false(stats_of(&r, 0).failing);
	snprintf(path, sizeof(path), "%s/sub/log", r.dir.path);
	assert_int_equal(check_lines(path, 1), 5);
	rig_free(&r);
}

/* --- sockets */

static int listen_at(const char *path, int type)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	unlink(path);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static int listen_on_port(int type, char address[64], const char *scheme)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(address, 64, "%s://127.0.0.1:%d", scheme, ntohs(a.sin_port));
	return fd;
}

static int accept_within(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 15000), 1);
	return accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

/* Reads until text holds n times mark. */
static void read_until(int fd, struct buf *text, const char *mark, int n)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char piece[4096];

	for (;;) {
		int found = 0;
		ssize_t got;

		for (const char *at = text->len ? text->data : ""; (at = strstr(at, mark)); at++)
			found++;
		if (found >= n)
			return;
		assert_int_equal(poll(&p, 1, 15000), 1);
		got = read(fd, piece, sizeof(piece));
		assert_true(got > 0);
		buf_add(text, piece, (size_t)got);
	}
}

/* Listens where output "unix" sends; its connection. Returns the socket that listens. */
static int first_peer(struct rig *r, int *ret_peer)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/socket", r->dir.path);
	fd = listen_at(path, SOCK_STREAM);
	*ret_peer = accept_within(fd);
	return fd;
}

static void test_unix(void **state _unused_)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct rig r;
	int fd, peer;

	/* Nobody listens: kept. */
	rig_new(&r, "outputs: [{type: unix, path: @/socket}]\n");
	put(&r, 3, PRIORITY_ERROR);
	until(&r, 0, 0, 1, 0);
	fd = first_peer(&r, &peer);
	read_until(peer, &text, "\n", 3);
	/* Gone, and back. */
	until(&r, 0, 3, 0, 0);
	close(peer);
	put(&r, 2, PRIORITY_ERROR);
	peer = accept_within(fd);
	buf_reset(&text);
	read_until(peer, &text, "\n", 2);
	assert_non_null(strstr(text.data, "\"hf.path\":\"/4\""));
	assert_non_null(strstr(text.data, "\"hf.path\":\"/5\""));
	close(peer);
	close(fd);
	rig_free(&r);
}

/* A restart in between: the spool is on disk, what was not delivered comes then, at least once, with the same id. */
static void test_restart(void **state _unused_)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct rig r;
	char path[128];
	int fd, peer;

	rig_new(&r, "outputs: [{type: unix, path: @/socket, name: mine}]\n");
	snprintf(path, sizeof(path), "%s/spool/mine", r.dir.path);
	put(&r, 50, PRIORITY_ERROR);
	until(&r, 0, 0, 1, 0);
	rig_stop(&r);
	assert_int_equal(access(path, F_OK), 0);
	rig_start(&r);
	assert_int_equal(stats_of(&r, 0).pending, 50);
	put(&r, 1, PRIORITY_ERROR);
	fd = first_peer(&r, &peer);
	read_until(peer, &text, "\n", 51);
	for (int i = 1; i <= 51; i++) {
		char mark[32];

		snprintf(mark, sizeof(mark), "\"hf.path\":\"/%d\"", i);
		assert_non_null(strstr(text.data, mark));
	}
	close(peer);
	close(fd);
	rig_free(&r);
}

/* One hangs (it takes the connection and never reads), another is fast all the same; memory and disk are bounded. */
static void test_hang(void **state _unused_)
{
	struct rig r;
	char path[128];
	int fd, peer;
	uint64_t begin;

	rig_new(&r, "outputs:\n- {type: unix, path: @/socket, spool: 64K, timeout: 1h}\n- {type: file, path: @/log}\n");
	snprintf(path, sizeof(path), "%s/socket", r.dir.path);
	fd = listen_at(path, SOCK_STREAM);
	put(&r, 1, PRIORITY_ERROR);
	peer = accept_within(fd);
	begin = clock_mono_ns();
	for (int i = 0; i < 20; i++) {
		put(&r, 100, PRIORITY_ERROR);
		until(&r, 1, (uint64_t)r.sent, 0, 0);
	}
	assert_true(clock_mono_ns() - begin < 30 * NSEC_PER_SEC);
	until(&r, 0, 0, 0, 1);
	assert_int_equal(r.n_lost, 1);
	snprintf(path, sizeof(path), "%s/log", r.dir.path);
	assert_int_equal(check_lines(path, 1), r.sent);
	/* Ending does not wait for it either. */
	begin = clock_mono_ns();
	rig_stop(&r);
	assert_true(clock_mono_ns() - begin < 20 * NSEC_PER_SEC);
	close(peer);
	close(fd);
	rig_free(&r);
}

/* --- program */

static void test_program(void **state _unused_)
{
	struct rig r;
	char path[128];

	/* It ends after two lines and is started again. */
	rig_new(&r, "outputs: [{type: program, command: [/bin/sh, -c, 'head -n 1 >> $0', @/log]}]\n");
	snprintf(path, sizeof(path), "%s/log", r.dir.path);
	for (int i = 0; i < 3; i++) {
		put(&r, 1, PRIORITY_ERROR);
		until(&r, 0, (uint64_t)i + 1, 0, 0);
		for (int n = 0; n < 1000 && (access(path, F_OK) < 0 || check_lines(path, 1) < i + 1); n++)
			usleep(10000);
	}
	assert_int_equal(check_lines(path, 1), 3);
	rig_free(&r);
}

/* It never reads: given up after the timeout, killed, started again; ending is not held up. */
static void test_program_hangs(void **state _unused_)
{
	struct rig r;
	uint64_t begin;

	rig_new(&r, "outputs: [{type: program, command: [/bin/sleep, '1000'], timeout: 50ms, spool: 1M}]\n");
	put(&r, 300, PRIORITY_ERROR);
	until(&r, 0, 0, 2, 0);
	begin = clock_mono_ns();
	rig_stop(&r);
	assert_true(clock_mono_ns() - begin < 20 * NSEC_PER_SEC);
	rig_free(&r);
}

static void test_program_missing(void **state _unused_)
{
	struct rig r;

	rig_new(&r, "outputs: [{type: program, command: /nowhere/program}]\n");
	put(&r, 1, PRIORITY_ERROR);
	until(&r, 0, 0, 1, 0);
	assert_non_null(strstr(stats_of(&r, 0).why, "/nowhere/program: No such file"));
	rig_free(&r);
}

/* --- syslog, journald */

static void assert_syslog(const char *text)
{
	static const char *const marks[] = {
		"<83>1 2023-11-14T22:13:20.123456Z ",
		" holdfast ",
		" alert [holdfast@32473 uuid=\"",
		" rule=\"rule\" priority=\"Error\" tags=\"t1,T1053.003\" container=\"host\"] \xef\xbb\xbf{",
		"\"hf.path\":\"/1\"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		if (!strstr(text, marks[i]))
			fail_msg("no %s in %s", marks[i], text);
	}
}

static void test_syslog_local(void **state _unused_)
{
	for (int stream = 0; stream < 2; stream++) {
		_cleanup_buf_ struct buf text = BUF_INIT;
		struct rig r = { .sent = 0 };
		char path[128];
		int fd, peer;

		rig_dir_new(&r.dir);
		snprintf(path, sizeof(path), "%s/log", r.dir.path);
		fd = listen_at(path, stream ? SOCK_STREAM : SOCK_DGRAM);
		rig_configure(&r, "outputs: [{type: syslog, path: @/log}]\n");
		rig_start(&r);
		put(&r, 1, PRIORITY_ERROR);
		peer = stream ? accept_within(fd) : fd;
		read_until(peer, &text, "\"/1\"", 1);
		assert_syslog(text.data);
		if (stream)
			close(peer);
		close(fd);
		rig_free(&r);
	}
}

static void test_syslog_remote(void **state _unused_)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		_cleanup_buf_ struct buf text = BUF_INIT;
		struct outputs_stats stats;
		struct rig r;
		char address[64], conf[160];
		int fd = listen_on_port(tcp ? SOCK_STREAM : SOCK_DGRAM, address, tcp ? "tcp" : "udp"), peer;

		snprintf(conf, sizeof(conf), "outputs: [{type: syslog, address: '%s'}]\n", address);
		rig_new(&r, conf);
		put(&r, 1, PRIORITY_ERROR);
		peer = tcp ? accept_within(fd) : fd;
		read_until(peer, &text, "\"/1\"", 1);
		assert_syslog(text.data);
		until(&r, 0, 1, 0, 0);
		outputs_get_stats(r.os, 0, &stats);
		assert_true(stats.has_role && stats.role.pid > 0);
		if (tcp) {
			/* Octet counting. */
			char *end;
			unsigned long len = strtoul(text.data, &end, 10);

			assert_int_equal(*end, ' ');
			assert_int_equal(text.len, (size_t)(end + 1 - text.data) + len);
			close(peer);
		}
		close(fd);
		rig_free(&r);
	}
}

static void test_syslog_refused(void **state _unused_)
{
	struct rig r;
	char address[64], conf[160];
	int fd = listen_on_port(SOCK_STREAM, address, "tcp");

	close(fd);
	snprintf(conf, sizeof(conf), "outputs: [{type: syslog, address: '%s'}]\n", address);
	rig_new(&r, conf);
	put(&r, 1, PRIORITY_ERROR);
	until(&r, 0, 0, 2, 0);
	assert_int_equal(stats_of(&r, 0).pending, 1);
	rig_free(&r);
}

static void test_journald(void **state _unused_)
{
	static const char *const marks[] = { "MESSAGE={\"uuid\"", "\nPRIORITY=3\n",   "\nSYSLOG_IDENTIFIER=holdfast\n",
					     "\nRULE=rule\n",	  "\nRULE_TAGS=t1\n", "\nOUTPUT_FIELDS={" };
	struct rig r = { .sent = 0 };
	char path[128], text[8192];
	ssize_t n;
	int fd;

	rig_dir_new(&r.dir);
	snprintf(path, sizeof(path), "%s/journal", r.dir.path);
	fd = listen_at(path, SOCK_DGRAM);
	rig_configure(&r, "outputs: [{type: journald, path: @/journal}]\n");
	rig_start(&r);
	put(&r, 1, PRIORITY_ERROR);
	until(&r, 0, 1, 0, 0);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		if (!strstr(text, marks[i]))
			fail_msg("no %s in %s", marks[i], text);
	}
	assert_int_equal(text[n - 1], '\n');
	close(fd);
	rig_free(&r);
}

/* --- */

static void test_same(void **state _unused_)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "", "", true },
		{ "outputs: [{type: stdout}]\n", "outputs: [{type: stdout}]\n", true },
		{ "outputs: [{type: stdout}]\n", "", false },
		{ "outputs: [{type: stdout}]\n", "outputs: [{type: stdout, minimum: error}]\n", false },
		{ "outputs: [{type: program, command: [/a, b]}]\n", "outputs: [{type: program, command: [/a, b]}]\n",
		  true },
		{ "outputs: [{type: program, command: [/a, b]}]\n", "outputs: [{type: program, command: [/a, c]}]\n",
		  false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct conf *a = rig_conf(cases[i].a), *b = rig_conf(cases[i].b);

		assert_int_equal(outputs_same(a, b), cases[i].same);
		conf_unref(a);
		conf_unref(b);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_rotation),
		cmocka_unit_test(test_file_back),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_hang),
		cmocka_unit_test(test_program),
		cmocka_unit_test(test_program_hangs),
		cmocka_unit_test(test_program_missing),
		cmocka_unit_test(test_syslog_local),
		cmocka_unit_test(test_syslog_remote),
		cmocka_unit_test(test_syslog_refused),
		cmocka_unit_test(test_journald),
		cmocka_unit_test(test_same),
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
