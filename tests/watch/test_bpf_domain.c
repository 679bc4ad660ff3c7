/* Policies of the network with names: what the kernel learns of answers of DNS (watch/bpf_policy). */
#include "tests/watch/verdict.h"

#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>

/* Two addresses; the second one's name is compressed and between them stands an alias. */
static const char answer[] = "\x12\x34\x81\x80\0\1\0\3\0\0\0\0\3WWW\7example\3org\0\0\1\0\1"
			     "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\x42\0\x09"
			     "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c"
			     "\3www\7example\3org\0\0\1\0\1\0\0\0\0\0\4\x7f\x42\0\x0a";

static int own_network(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, r;

	if (unshare(CLONE_NEWNET))
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	r = ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
	return r;
}

static int hear(const void *data, size_t len)
{
	struct sockaddr_in server = { .sin_family = AF_INET,
				      .sin_port = htons(53),
				      .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in client = server;
	int from = socket(AF_INET, SOCK_DGRAM, 0), to = socket(AF_INET, SOCK_DGRAM, 0);
	char got[600];

	client.sin_port = htons(5353);
	NEED(bind(from, (struct sockaddr *)&server, sizeof(server)) == 0);
	NEED(bind(to, (struct sockaddr *)&client, sizeof(client)) == 0);
	NEED(sendto(from, data, len, 0, (struct sockaddr *)&client, sizeof(client)) == (ssize_t)len);
	NEED(recv(to, got, sizeof(got), 0) == (ssize_t)len);
	close(from);
	close(to);
	return 0;
}

/* Of another name, which no policy knows. */
static const char other[] = "\x12\x35\x81\x80\0\1\0\1\0\0\0\0\4none\7example\0\0\1\0\1"
			    "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\x42\0\x0b";

static size_t put_message(char *to, const char *message, size_t len)
{
	to[0] = (char)(len >> 8);
	to[1] = (char)len;
	memcpy(to + 2, message, len);
	return len + 2;
}

/*
 * Over TCP, after another answer, as of two questions that were asked together. Packets end behind `first` bytes, and
 * then every `each`; behind none: all is in one.
 */
static int hear_stream(size_t first, size_t each)
{
	struct sockaddr_in server = { .sin_family = AF_INET,
				      .sin_port = htons(53),
				      .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int listener = socket(AF_INET, SOCK_STREAM, 0), to = socket(AF_INET, SOCK_STREAM, 0), from, one = 1;
	char data[2 * sizeof(answer)], got[sizeof(data)];
	size_t len = put_message(data, other, sizeof(other) - 1), n;

	len += put_message(data + len, answer, sizeof(answer) - 1);
	NEED(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	NEED(bind(listener, (struct sockaddr *)&server, sizeof(server)) == 0 && listen(listener, 1) == 0);
	NEED(connect(to, (struct sockaddr *)&server, sizeof(server)) == 0);
	from = accept(listener, NULL, NULL);
	NEED(from >= 0 && setsockopt(from, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	for (size_t at = 0; at < len; at += n) {
		n = MIN(at ? each : first, len - at);
		NEED(send(from, data + at, n, 0) == (ssize_t)n);
		/* What waits to be sent is not joined to it. */
		NEED(recv(to, got, n, MSG_WAITALL) == (ssize_t)n);
	}
	close(from);
	close(to);
	close(listener);
	return 0;
}

/* The two addresses that the answer names, and one that it does not. */
static int act_known(void)
{
	NEED(reach("127.66.0.9", 1, SOCK_STREAM) == ECONNREFUSED);
	NEED(reach("127.66.0.10", 1, SOCK_STREAM) == ECONNREFUSED);
	NEED(reach("127.66.0.11", 1, SOCK_STREAM) == EPERM);
	return 0;
}

static size_t split_first, split_each;

static int act_stream(void)
{
	int r;

	NEED(own_network() == 0);
	NEED(reach("127.66.0.9", 1, SOCK_STREAM) == EPERM);
	r = hear_stream(split_first, split_each);
	if (r)
		return r;
	return act_known();
}

/* Wherever it is split: the length apart, or between its bytes; within the header, the name, a record. */
static void hear_streams(void)
{
	static const size_t splits[][2] = { { 1000, 1 },  { 2, 1000 },	{ 1, 1000 }, { 50, 1000 }, { 51, 1000 },
					    { 60, 1000 }, { 90, 1000 }, { 100, 7 },  { 1, 1 } };

	for (size_t i = 0; i < ARRAY_SIZE(splits); i++) {
		split_first = splits[i][0];
		split_each = splits[i][1];
		child(act_stream);
	}
}

static int act_domain(void)
{
	char cut[sizeof(answer)];
	int r;

	if (own_network())
		return 0;
	NEED(reach("127.66.0.9", 1, SOCK_STREAM) == EPERM);
	/* Whatever is cut off of it. */
	for (size_t len = 1; len < sizeof(answer) - 1; len += 3) {
		memcpy(cut, answer, len);
		r = len < 48 ? hear(cut, len) : 0;
		NEED(r == 0);
	}
	NEED(reach("127.66.0.9", 1, SOCK_STREAM) == EPERM);
	r = hear(answer, sizeof(answer) - 1);
	if (r)
		return r;
	/* Known before the answer is read. */
	return act_known();
}

static int act_elsewhere(void)
{
	NEED(own_network() == 0);
	NEED(reach("127.66.0.9", 1, SOCK_STREAM) == EPERM);
	return 0;
}

static int act_named(void)
{
	NEED(own_network() == 0);
	NEED(reach("127.66.0.12", 1, SOCK_STREAM) == ECONNREFUSED);
	return 0;
}

static void test_domain(void **state)
{
	static const char text[] = "network: {protect: [], policies: [{user: root, allow: ['*.example.org:1', "
				   "other.example], deny: '127.66.0.8/29'},"
				   "{deny: '127.66.0.8/29'}]}";
	static const uint8_t hosts[16] = { [10] = 0xff, 0xff, 127, 66, 0, 12 };
	struct fixture *f = *state;

	NEED_POLICY(f);
	if (!bpf_policy_learns(f->b) || geteuid())
		skip();
	put(f, text, true, NULL);
	child(act_domain);
	/* An answer counts where it came. */
	child(act_elsewhere);
	hear_streams();
	/* Said by user space, it counts everywhere. */
	assert_int_equal(bpf_policy_name(f->b, policy_hash_domain("other.example", false), hosts, DEADLINE_NS), 0);
	child(act_named);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_domain, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
