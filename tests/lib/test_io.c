/* Whole reads and writes (lib/io). */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

#define SIZE (300 * KIB) /* more than a pipe holds */

/* From where the descriptor stands, up to a bound. */
static void test_bounds(void **state _unused_)
{
	static const struct {
		size_t from, max, len;
		int r;
	} cases[] = {
		{ 0, 100, 10, 0 }, { 0, 10, 10, 0 },	{ 0, 9, 10, -EFBIG }, { 0, 0, 1, -EFBIG },
		{ 4, 6, 6, 0 },	   { 4, 2, 3, -EFBIG }, { 10, 0, 0, 0 },
	};
	static const char digits[] = "0123456789";
	_cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC);

	assert_int_equal(io_write_all(fd, digits, 10), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;

		buf_str(&b, "x");
		assert_int_equal(lseek(fd, (off_t)cases[i].from, SEEK_SET), cases[i].from);
		assert_int_equal(io_read_all(fd, cases[i].max, &b), cases[i].r);
		assert_int_equal(b.len, 1 + cases[i].len);
		assert_memory_equal(b.data + 1, digits + cases[i].from, cases[i].len);
		assert_int_equal(b.data[b.len], '\0');
	}
}

static void *write_much(void *fd)
{
	char *data = malloc(SIZE);

	for (size_t i = 0; i < SIZE; i++)
		data[i] = (char)(i * 7);
	assert_int_equal(io_write_all(*(int *)fd, data, SIZE), 0);
	free(data);
	close(*(int *)fd);
	return NULL;
}

/* In as many parts as it takes. */
static void test_pipe(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	pthread_t writer;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_much, &fds[1]), 0);
	assert_int_equal(io_read_all(fds[0], SIZE, &b), 0);
	pthread_join(writer, NULL);
	assert_int_equal(b.len, SIZE);
	for (size_t i = 0; i < SIZE; i++)
		if (b.data[i] != (char)(i * 7))
			fail_msg("byte %zu", i);
	close(fds[0]);
}

static void test_errors(void **state _unused_)
{
	_cleanup_close_ int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	_cleanup_buf_ struct buf b = BUF_INIT;

	assert_int_equal(io_read_all(fd, 1, &b), -EBADF);
	assert_int_equal(io_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(io_write_all(-1, "", 0), 0);
	assert_int_equal(io_write_all(fd, "x", 1), 0);
}

static bool is_pipe(int fd, int of)
{
	struct stat a, b;

	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(fstat(of, &b), 0);
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* How many come of those sent; what there is no room for is not left open. */
static void test_descriptors(void **state _unused_)
{
	static const struct {
		size_t sent, room, come;
	} cases[] = { { 0, 2, 0 }, { 1, 1, 1 }, { 1, 2, 1 }, { 2, 2, 2 }, { 2, 1, 1 }, { 2, 0, 0 } };
	char text[8];
	const struct iovec out[] = { { (char[]){ "ab" }, 2 }, { (char[]){ "cd" }, 2 } };
	const struct iovec in = { text, sizeof(text) };
	int sockets[2], pipes[2], fds[IO_FDS_MAX + 1] = { 0 };

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = cases[i].room;

		assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
		assert_int_equal(io_send(sockets[0], out, 2, pipes, cases[i].sent, 0), 4);
		assert_int_equal(io_receive(sockets[1], &in, 1, fds, &n, MSG_DONTWAIT), 4);
		assert_memory_equal(text, "abcd", 4);
		assert_int_equal(n, cases[i].come);
		for (size_t k = 0; k < n; k++) {
			assert_true(is_pipe(fds[k], pipes[k]));
			assert_int_equal(fcntl(fds[k], F_GETFD), FD_CLOEXEC);
			close(fds[k]);
		}
		/* No other end is left: the pipe is at its end at once. */
		close(pipes[1]);
		assert_int_equal(read(pipes[0], text, 1), 0);
		close(pipes[0]);
	}
	assert_int_equal(io_send(sockets[0], out, 2, fds, IO_FDS_MAX + 1, 0), -EINVAL);
	close(sockets[0]);
	assert_int_equal(io_receive(sockets[1], &in, 1, NULL, NULL, 0), 0);
	assert_int_equal(io_send(sockets[1], out, 2, NULL, 0, 0), -EPIPE);
	close(sockets[1]);
}

/* Longer than there is room for: none of it is taken, its descriptors neither. */
static void test_long_message(void **state _unused_)
{
	char text[2];
	const struct iovec out = { (char[]){ "abcd" }, 4 }, in = { text, sizeof(text) };
	int sockets[2], pipes[2], fd = -1;
	size_t n = 1;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(io_send(sockets[0], &out, 1, &pipes[1], 1, 0), 4);
	assert_int_equal(io_receive(sockets[1], &in, 1, &fd, &n, MSG_DONTWAIT), -EMSGSIZE);
	assert_int_equal(n, 0);
	close(pipes[1]);
	assert_int_equal(read(pipes[0], text, 1), 0);
	assert_int_equal(io_receive(sockets[1], &in, 1, &fd, &n, MSG_DONTWAIT), -EAGAIN);
	close(pipes[0]);
	close(sockets[0]);
	close(sockets[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors), cmocka_unit_test(test_long_message), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_pipe),	    cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
