/* The control socket against good, odd and hostile clients. The server's loop runs on a thread. */
#include "tests/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/control.h"
#include "lib/clock.h"

struct server {
	char dir[64], path[96];
	struct loop *loop;
	struct loop_source *stop;
	struct control *control;
	pthread_t thread;
	unsigned asked;
};

static json_t *answer(const char *request, json_t *body, void *data)
{
	struct server *s = data;

	s->asked++;
	if (streq(request, "big")) {
		char *text = malloc(2 * MIB);
		json_t *reply;

		memset(text, 'x', 2 * MIB - 1);
		text[2 * MIB - 1] = '\0';
		reply = json_pack("{s:b, s:s}", "ok", 1, "text", text);
		free(text);
		return reply;
	}
	if (!streq(request, "echo"))
		return control_error("unknown request");
	return json_pack("{s:b, s:O}", "ok", 1, "body", body);
}

static int on_stop(struct loop_source *source, uint32_t events, void *data)
{
	(void)source;
	(void)events;
	loop_stop(((struct server *)data)->loop);
	return 0;
}

static void *serve(void *data)
{
	loop_run(((struct server *)data)->loop);
	return NULL;
}

static int setup(void **state)
{
	struct server *s = calloc(1, sizeof(*s));
	_cleanup_buf_ struct buf err = BUF_INIT;

	snprintf(s->dir, sizeof(s->dir), "/tmp/control.XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/sock", s->dir);
	assert_int_equal(loop_new(&s->loop), 0);
	assert_int_equal(loop_add_wake(s->loop, on_stop, s, &s->stop), 0);
	assert_int_equal(control_listen(s->loop, s->path, answer, s, &s->control, &err), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct server *s = *state;

	loop_wake(s->stop);
	pthread_join(s->thread, NULL);
	control_close(s->control);
	loop_free(s->loop);
	assert_int_equal(access(s->path, F_OK), -1);
	assert_int_equal(rmdir(s->dir), 0);
	free(s);
	return 0;
}

static int raw(const struct server *s)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval tv = { 10, 0 };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", s->path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void ask(const struct server *s, const char *request, bool ok)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	json_t *body = json_pack("{s:s}", "request", request), *reply = NULL;

	assert_int_equal(control_call(s->path, body, 30 * NSEC_PER_SEC, &reply, &err), 0);
	assert_int_equal(json_is_true(json_object_get(reply, "ok")), ok);
	json_decref(reply);
	json_decref(body);
}

static void test_ask(void **state)
{
	const struct server *s = *state;
	struct stat st;

	ask(s, "echo", true);
	ask(s, "nonsense", false);
	ask(s, "big", true);
	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 07007, 0); /* nothing for others */
}

/* Each of these is answered with ok false or by hanging up, and the next client is served. */
static void test_garbage(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {
		{ "\n", 1 },
		{ "{}\n", 3 },
		{ "[]\n", 3 },
		{ "{\"request\":1}\n", 14 },
		{ "\0\0\0\n", 4 },
		{ "{\"request\":\"echo\"", 17 },
		{ "\xff\xfe\x1b[2J\n", 7 },
		{ "{\"a\":1,\"a\":2}\n", 14 },
	};
	const struct server *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = raw(s);
		char reply[256];
		ssize_t n;

		assert_int_equal(send(fd, cases[i].text, cases[i].len, MSG_NOSIGNAL), cases[i].len);
		shutdown(fd, SHUT_WR);
		n = recv(fd, reply, sizeof(reply) - 1, 0);
		assert_true(n >= 0);
		reply[n] = '\0';
		assert_true(n == 0 || strstr(reply, "\"ok\":false"));
		close(fd);
		ask(s, "echo", true);
	}
}

static void test_huge(void **state)
{
	const struct server *s = *state;
	int fd = raw(s);
	char block[4096], reply[256];
	ssize_t n = 0;

	memset(block, 'a', sizeof(block));
	for (unsigned i = 0; i < 64 && n >= 0; i++)
		n = send(fd, block, sizeof(block), MSG_NOSIGNAL);
	do
		n = recv(fd, reply, sizeof(reply), 0);
	while (n > 0);
	close(fd);
	ask(s, "echo", true);
}

/* One that sends byte by byte, and several that never send, while others are served. */
static void test_slow(void **state)
{
	static const char text[] = "{\"request\":\"echo\"}\n";
	const struct server *s = *state;
	int idle[8], fd = raw(s);
	char reply[256];

	for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
		idle[i] = raw(s);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		assert_int_equal(send(fd, text + i, 1, MSG_NOSIGNAL), 1);
		if (i % 5 == 0)
			ask(s, "echo", true);
	}
	assert_true(recv(fd, reply, sizeof(reply), 0) > 0);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
		close(idle[i]);
}

/* Silent ones are sent away after a while, so that they cannot hold all places. */
static void test_idle(void **state)
{
	const struct server *s = *state;
	int fds[CONTROL_CLIENTS_MAX];
	uint64_t start = clock_mono_ns();
	char byte;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = raw(s);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		assert_int_equal(recv(fds[i], &byte, 1, 0), 0);
		close(fds[i]);
	}
	assert_true(clock_mono_ns() - start < 2 * CONTROL_IDLE_NS);
	ask(s, "echo", true);
}

/* Several requests in one piece are answered in order. */
static void test_pipelined(void **state)
{
	static const char text[] =
		"{\"request\":\"echo\",\"n\":1}\n{\"request\":\"echo\",\"n\":2}\n{\"request\":\"big\"}\n"
		"{\"request\":\"echo\",\"n\":3}\n";
	const struct server *s = *state;
	int fd = raw(s);
	unsigned lines = 0;
	char reply[65536], last[64] = "";

	assert_int_equal(send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL), sizeof(text) - 1);
	while (lines < 4) {
		ssize_t n = recv(fd, reply, sizeof(reply) - 1, 0);

		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++)
			lines += reply[i] == '\n';
		reply[n] = '\0';
		memcpy(last, n > 40 ? reply + n - 40 : reply, n > 40 ? 41 : (size_t)n + 1);
	}
	assert_non_null(strstr(last, "\"n\":3"));
	close(fd);
}

/* Somebody who is neither root nor in the group is told so (as nobody, when this runs as root). */
static void test_not_allowed(void **state)
{
	const struct server *s = *state;
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(s->dir, 0755), 0);
	assert_int_equal(chmod(s->path, 0666), 0); /* so that it is the credentials that decide */
	pid = fork();
	if (pid == 0) {
		json_t *body = json_pack("{s:s}", "request", "echo"), *reply = NULL;
		struct buf err = BUF_INIT;

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		if (control_call(s->path, body, 30 * NSEC_PER_SEC, &reply, &err) < 0)
			_exit(3);
		_exit(json_is_true(json_object_get(reply, "ok")) ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	ask(s, "echo", true);
}

static void test_second(void **state)
{
	const struct server *s = *state;
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct control *c;

	assert_int_equal(control_listen(s->loop, s->path, answer, NULL, &c, &err), -EADDRINUSE);
	assert_non_null(strstr(err.data, "another monitor"));
	ask(s, "echo", true);
}

/* A socket left by a monitor that was killed is taken over; a file that is no socket is not. */
static void test_stale(void **state)
{
	const struct server *s = *state;
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct loop *loop;
	struct control *c;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/stale", s->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(control_listen(loop, a.sun_path, answer, NULL, &c, &err), 0);
	control_close(c);
	fclose(fopen(a.sun_path, "w"));
	assert_int_equal(control_listen(loop, a.sun_path, answer, NULL, &c, &err), -EEXIST);
	assert_int_equal(unlink(a.sun_path), 0);
	loop_free(loop);
}

static void test_nobody(void **state)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	json_t *body = json_pack("{s:s}", "request", "status"), *reply = NULL;

	(void)state;
	assert_int_equal(control_call("/nonexistent/socket", body, NSEC_PER_SEC, &reply, &err), -ENOENT);
	assert_non_null(strstr(err.data, "no monitor is running"));
	json_decref(body);
}

int main(void)
{
#define SERVED(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		SERVED(test_ask),   SERVED(test_garbage),	   SERVED(test_huge),	     SERVED(test_slow),
		SERVED(test_idle),  SERVED(test_pipelined),	   SERVED(test_not_allowed), SERVED(test_second),
		SERVED(test_stale), cmocka_unit_test(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
