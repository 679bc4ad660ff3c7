/* fim/image_layer, image_stream, image_pass, daemon/role_unpack: digests of what went through, in pieces, on two
 * threads and through a process; every way in which it can end early, and a process that has been taken over. */
#include "tests/fim/tarball.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/role.h"
#include "fim/image_layer.h"
#include "lib/io.h"

static struct spawner *spawner;

struct source {
	const uint8_t *p;
	size_t left, piece;
	size_t fail_at;			 /* bytes left at which reading fails; SIZE_MAX: never */
	struct scan_progress *stop_when; /* sets its stop with the first piece */
};

static ssize_t source_read(void *ctx, uint8_t *data, size_t room)
{
	struct source *s = ctx;
	size_t n = MIN(MIN(room, s->piece), s->left);

	if (s->left <= s->fail_at && s->fail_at != SIZE_MAX)
		return -EIO;
	if (s->stop_when)
		atomic_store(&s->stop_when->stop, 1);
	memcpy(data, s->p, n);
	s->p += n;
	s->left -= n;
	return (ssize_t)n;
}

static const char *digest_of(const struct buf *b)
{
	static char text[4][80];
	static unsigned turn;
	_cleanup_digest_ struct digest *d = NULL;
	_cleanup_buf_ struct buf hex = BUF_INIT;
	uint8_t full[DIGEST_MAX];

	assert_int_equal(digest_new(DIGEST_SHA256, &d), 0);
	assert_int_equal(digest_once(d, b->data, b->len, full), 0);
	buf_hex(&hex, full, 32);
	turn = (turn + 1) % ARRAY_SIZE(text);
	snprintf(text[turn], sizeof(text[turn]), "sha256:%s", hex.data);
	return text[turn];
}

/* Twenty files of up to 300 KiB: more than the ring between the threads holds. */
static void make_layer(struct buf *b)
{
	char *content = malloc(300000);

	for (unsigned i = 0; i < 20; i++) {
		struct tarball_header h = { '0', "", NULL, 0644, 0, 0, 1, 15000 * (i + 1) - i, 0, 0 };
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		h.name = name;
		memset(content, (int)('a' + i), h.size);
		tarball_block(b, &h);
		tarball_content(b, content, h.size);
	}
	tarball_end(b);
	free(content);
}

struct outcome {
	int r;
	char text[256];
	uint64_t size, entries, bytes;
	bool left_running; /* a process that made no progress */
};

static const char *role_name = "unpack"; /* of the process that takes archives apart */
static uint64_t stall_ns;		 /* 0: as it is */

static struct outcome apply(struct source s, const char *digest, const char *diff_id, bool stop)
{
	const struct role_options tar = { .name = role_name, .spawner = spawner };
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct scan_progress progress = { 0 };
	struct image_roles roles;
	struct image_apply a = { .algo = DIGEST_SHA512, .roles = &roles, .err = &err, .progress = &progress };
	struct image_layer l = { .digest = digest, .diff_id = diff_id };
	struct image_bytes from = { source_read, &s };
	struct outcome o = { 0 };
	struct role_stats stats;

	s.stop_when = stop ? &progress : NULL;
	assert_int_equal(image_tree_new(0, &err, &a.tree), 0);
	assert_int_equal(image_roles_init(&roles, spawner, &progress.stop), 0);
	role_free(roles.of[IMAGE_ROLE_TAR]);
	assert_int_equal(role_new(&tar, &roles.of[IMAGE_ROLE_TAR]), 0);
	if (stall_ns)
		roles.stall_ns = stall_ns;
	o.r = image_layer_apply(&a, &from, &l, 1);
	snprintf(o.text, sizeof(o.text), "%s", err.len ? err.data : "");
	o.size = l.size;
	o.entries = image_tree_entries(a.tree);
	o.bytes = progress.bytes;
	role_get_stats(roles.of[IMAGE_ROLE_TAR], &stats);
	o.left_running = o.r == -ETIMEDOUT && stats.pid;
	image_tree_free(a.tree);
	image_roles_done(&roles);
	return o;
}

static void test_apply(void **state _unused_)
{
	static const size_t pieces[] = { 1000, 65536, 1 << 20 };
	_cleanup_buf_ struct buf b = BUF_INIT, longer = BUF_INIT;
	const char *right, *wrong = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

	make_layer(&b);
	right = digest_of(&b);
	buf_add(&longer, b.data, b.len);
	buf_str(&longer, "what stands behind the end is part of the digest, and no entry");
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct source s = { (const uint8_t *)b.data, b.len, pieces[i], SIZE_MAX, NULL }, t = s;
		struct outcome o = apply(s, NULL, right, false);

		assert_int_equal(o.r, 0);
		assert_int_equal(o.size, b.len);
		assert_int_equal(o.entries, 21);
		assert_int_equal(o.bytes, 15000 * 210 - 190);
		assert_int_equal(apply(s, right, right, false).r, 0);

		o = apply(s, NULL, wrong, false);
		assert_int_equal(o.r, -EBADMSG);
		assert_non_null(strstr(o.text, "does not have its digest"));
		o = apply(s, wrong, right, false);
		assert_int_equal(o.r, -EBADMSG);

		t.p = (const uint8_t *)longer.data;
		t.left = longer.len;
		assert_int_equal(apply(t, NULL, right, false).r, -EBADMSG);
		assert_int_equal(apply(t, NULL, digest_of(&longer), false).r, 0);

		t = s;
		t.left -= 5000;
		o = apply(t, NULL, right, false);
		assert_int_equal(o.r, -EBADMSG);
		assert_non_null(strstr(o.text, "cut short"));

		t = s;
		t.fail_at = b.len / 2;
		assert_int_equal(apply(t, NULL, right, false).r, -EIO);
		assert_int_equal(apply(s, NULL, right, true).r, -ECANCELED);
	}
}

/* Nothing at all is a layer of nothing. */
static void test_empty(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct source s = { (const uint8_t *)"", 0, 1, SIZE_MAX, NULL };

	buf_str(&b, "");
	assert_int_equal(apply(s, NULL, digest_of(&b), false).r, 0);
}

/* What begins as gzip or zstd and is neither. */
static void test_not_packed(void **state _unused_)
{
	static const char *const heads[] = { "\x1f\x8b\x08\x00garbage that is no gzip",
					     "\x28\xb5\x2f\xfdgarbage that is no zstd" };

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		struct source s = { (const uint8_t *)heads[i], strlen(heads[i] + 4) + 4, 7, SIZE_MAX, NULL };
		struct outcome o;

		buf_add(&b, heads[i], s.left);
		o = apply(s, digest_of(&b), digest_of(&b), false);
		assert_true(o.r == -EBADMSG || o.r == -EOPNOTSUPP);
		assert_true(o.text[0] != '\0');
	}
}

/* --- a process that was taken over by what it read */

static const struct tar_entry good = { .path = "usr/bin/id",
				       .link = "",
				       .rec = { .type = 'f', .mode = 0755, .size = 3, .digest_len = 64 } };

static void say(int fd, const struct tar_entry *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	image_entry_encode(&b, e);
	io_write_all(fd, b.data, b.len);
}

static int say_garbage(int fd)
{
	return io_write_all(fd, "\x08\0\0\0garbage!", 12);
}

static int say_endless(int fd)
{
	return io_write_all(fd, "\xff\xff\xff\xff", 4);
}

static int say_half(int fd)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	image_entry_encode(&b, &good);
	return io_write_all(fd, b.data, b.len - 1);
}

static int say_short_digest(int fd)
{
	struct tar_entry e = good;

	e.rec.digest_len = 32;
	say(fd, &e);
	return 0;
}

static int say_digest_of_folder(int fd)
{
	struct tar_entry e = good;

	e.rec.type = 'd';
	say(fd, &e);
	return 0;
}

static int say_socket(int fd)
{
	struct tar_entry e = good;

	e.rec.type = 's';
	e.rec.digest_len = 0;
	say(fd, &e);
	return 0;
}

static int say_outside(int fd)
{
	struct tar_entry e = good;

	e.path = "../etc/passwd";
	say(fd, &e);
	return 0;
}

static int die(int fd)
{
	say(fd, &good);
	_exit(0);
}

static int stop_at_once(int fd _unused_)
{
	return raise(SIGSTOP);
}

static int stop_midway(int fd)
{
	say(fd, &good);
	return raise(SIGSTOP);
}

/* Never still for long, and never done. */
static int trickle(int fd)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	image_entry_encode(&b, &good);
	for (size_t i = 0; send(fd, b.data + i, 1, MSG_NOSIGNAL) == 1; i = (i + 1) % b.len)
		poll(NULL, 0, 10);
	return -EPIPE;
}

static int do_nothing_good(int fd)
{
	say(fd, &good);
	return 0;
}

/* The reason goes to whoever reads history. */
static const char hostile_text[] = "\33[2J\xff\302\233\nspoken";

static int say_text(int fd)
{
	return do_nothing_good(fd);
}

/* Its word on the whole is that it was told to end, which nobody did. */
static int say_canceled(int fd)
{
	say(fd, &good);
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(int fd);
	int want;
	const char *text;
} taken_over[] = {
	{ "garbage", say_garbage, -EBADMSG, "says what is no entry" },
	{ "endless", say_endless, -EBADMSG, "says what is no entry" },
	{ "half", say_half, -EBADMSG, "says what is no entry" },
	{ "short", say_short_digest, -EBADMSG, "says what is no entry" },
	{ "folder", say_digest_of_folder, -EBADMSG, "says what is no entry" },
	{ "socket", say_socket, -EBADMSG, "says what is no entry" },
	{ "outside", say_outside, -EBADMSG, "etc/passwd" },
	{ "dies", die, -EPIPE, "process unpack: it ended" },
	/* It may lie about what is in a layer, which is whose maker took it over; not about which layer that is. */
	{ "lies", do_nothing_good, -EBADMSG, "does not have its digest" },
	{ "stops", stop_at_once, -ETIMEDOUT, "process unpack: it makes no progress" },
	{ "midway", stop_midway, -ETIMEDOUT, "process unpack: it makes no progress" },
	{ "trickles", trickle, -ETIMEDOUT, "process unpack: it makes no progress" },
	{ "text", say_text, -EBADMSG, "?[2J????spoken" },
	{ "canceled", say_canceled, -EIO, "Input/output error" },
};

static bool stalls(size_t which)
{
	return taken_over[which].want == -ETIMEDOUT;
}

static int hostile_answer(const struct role_message *m, int body, struct role_message *ret, size_t which)
{
	if (m->type != ROLE_UNPACK || body < 0)
		return -EBADMSG;
	if (taken_over[which].fn(body) < 0)
		return -EIO;
	*ret = (struct role_message){ ROLE_UNPACKED, 4, { 0 } };
	if (taken_over[which].fn == say_canceled)
		memcpy(ret->data, &(int32_t){ -ECANCELED }, sizeof(int32_t));
	if (taken_over[which].fn == say_text) {
		memcpy(ret->data, &(int32_t){ -EBADMSG }, sizeof(int32_t));
		memcpy(ret->data + sizeof(int32_t), hostile_text, strlen(hostile_text));
		ret->len += (uint32_t)strlen(hostile_text);
	}
	return 0;
}

#define HOSTILE(n)                                                                                                     \
	static int hostile_##n(const struct role_message *m, int body, struct role_message *ret)                       \
	{                                                                                                              \
		return hostile_answer(m, body, ret, n);                                                                \
	}
HOSTILE(0)
HOSTILE(1)
HOSTILE(2) HOSTILE(3) HOSTILE(4) HOSTILE(5) HOSTILE(6) HOSTILE(7) HOSTILE(8) HOSTILE(9) HOSTILE(10) HOSTILE(11)
HOSTILE(12) HOSTILE(13)

	static int (*const hostile[])(const struct role_message *m, int body, struct role_message *ret) = {
		hostile_0, hostile_1, hostile_2, hostile_3, hostile_4,	hostile_5,
		hostile_6, hostile_7, hostile_8, hostile_9, hostile_10, hostile_11, hostile_12, hostile_13,
	};

static void test_taken_over(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	const char *wrong = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

	make_layer(&b);
	for (size_t i = 0; i < ARRAY_SIZE(taken_over); i++) {
		struct source s = { (const uint8_t *)b.data, b.len, 65536, SIZE_MAX, NULL };
		struct outcome o;

		role_name = taken_over[i].name;
		stall_ns = stalls(i) ? 100 * NSEC_PER_MSEC : 0;
		o = apply(s, NULL, taken_over[i].fn == do_nothing_good ? wrong : digest_of(&b), false);
		if (o.r != taken_over[i].want || !strstr(o.text, taken_over[i].text))
			fail_msg("%s: %d: %s", role_name, o.r, o.text);
		assert_false(o.left_running);
	}
	stall_ns = 0;
	role_name = "unpack";
}

/* Without anybody who could read it. */
static void test_no_role(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct spawner *there = spawner;
	struct source s;
	struct outcome o;

	make_layer(&b);
	s = (struct source){ (const uint8_t *)b.data, b.len, 65536, SIZE_MAX, NULL };
	spawner = NULL;
	o = apply(s, NULL, digest_of(&b), false);
	spawner = there;
	assert_int_equal(o.r, -ENOTSUP);
	assert_non_null(strstr(o.text, "process unpack"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apply),	   cmocka_unit_test(test_empty),   cmocka_unit_test(test_not_packed),
		cmocka_unit_test(test_taken_over), cmocka_unit_test(test_no_role),
	};
	struct role_row others[ARRAY_SIZE(taken_over)];
	const struct role_row *rows[ARRAY_SIZE(taken_over) + 1] = { &role_unpack };
	int failed;

	for (size_t i = 0; i < ARRAY_SIZE(taken_over); i++) {
		others[i] = role_unpack;
		others[i].name = taken_over[i].name;
		others[i].answer = hostile[i];
		/* It could not stop itself. */
		if (stalls(i))
			others[i].calls = NULL;
		rows[i + 1] = &others[i];
	}
	if (role_main_of(rows, ARRAY_SIZE(rows), argc, argv, &failed))
		return failed;
	signal(SIGPIPE, SIG_IGN);
	if (spawner_start(&spawner) < 0)
		return 99;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	spawner_stop(spawner);
	return failed;
}
