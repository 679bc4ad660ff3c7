/* The decoder: events as the kernel writes them, cut at every byte, and with lengths that lie. */
#include "watch/decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "tests/test.h"
#include "watch/fan.h"

static void add_u16(struct buf *b, uint16_t v)
{
	buf_add(b, &v, sizeof(v));
}

/* One info record: header, fsid, handle of `bytes`, name (NULL: none). */
static void add_fid(struct buf *b, uint8_t type, uint32_t bytes, const char *name)
{
	uint16_t len = (uint16_t)(4 + 8 + 8 + bytes + (name ? strlen(name) + 1 : 0));
	int32_t handle_type = 1;

	len = (uint16_t)((len + 3) & ~3U);
	buf_u8(b, type);
	buf_u8(b, 0);
	add_u16(b, len);
	buf_add(b, "FSIDFSID", 8);
	buf_add(b, &bytes, 4);
	buf_add(b, &handle_type, 4);
	for (uint32_t i = 0; i < bytes; i++)
		buf_u8(b, (uint8_t)(type + i));
	if (name)
		buf_add(b, name, strlen(name) + 1);
	while (b->len % 4)
		buf_u8(b, 0);
}

/* Sets the length once all records are there. */
static void add_event(struct buf *b, uint64_t mask, int32_t pid)
{
	struct fanotify_event_metadata m = { .vers = FANOTIFY_METADATA_VERSION,
					     .metadata_len = sizeof(m),
					     .mask = mask };

	m.fd = FAN_NOFD;
	m.pid = pid;
	buf_add(b, &m, sizeof(m));
}

static void end_event(struct buf *b, size_t start)
{
	uint32_t len = (uint32_t)(b->len - start);

	memcpy(b->data + start, &len, sizeof(len));
}

static void make_events(struct buf *b)
{
	size_t start = b->len;

	add_event(b, FAN_CREATE, 7);
	add_fid(b, FAN_EVENT_INFO_TYPE_DFID_NAME, 8, "name");
	add_fid(b, FAN_EVENT_INFO_TYPE_FID, 12, NULL);
	end_event(b, start);
	start = b->len;
	add_event(b, FAN_RENAME | FAN_ONDIR, 8);
	add_fid(b, FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, 8, "old");
	add_fid(b, FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, 8, "new");
	end_event(b, start);
	start = b->len;
	add_event(b, FAN_ATTRIB | FAN_ONDIR, 9);
	add_fid(b, FAN_EVENT_INFO_TYPE_DFID_NAME, 8, ".");
	end_event(b, start);
	start = b->len;
	add_event(b, FAN_Q_OVERFLOW, 0);
	add_fid(b, FAN_EVENT_INFO_TYPE_FID, 0, NULL);
	end_event(b, start);
}

static void test_events(_unused_ void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct decode_event ev;
	size_t at = 0;

	make_events(&b);
	assert_int_equal(decode_next(b.data, b.len, &at, &ev), 1);
	assert_int_equal(ev.pid, 7);
	assert_string_equal(ev.name, "name");
	assert_int_equal(ev.name_len, 4);
	assert_int_equal(ev.dir.len, 24);
	assert_memory_equal(ev.dir.key, "FSIDFSID", 8);
	assert_int_equal(ev.target.len, 28);
	assert_null(ev.new_dir.key);
	assert_int_equal(decode_next(b.data, b.len, &at, &ev), 1);
	assert_string_equal(ev.name, "old");
	assert_string_equal(ev.new_name, "new");
	assert_non_null(ev.new_dir.key);
	assert_null(ev.target.key);
	assert_int_equal(decode_next(b.data, b.len, &at, &ev), 1);
	assert_null(ev.name);
	assert_non_null(ev.dir.key);
	assert_int_equal(decode_next(b.data, b.len, &at, &ev), 1);
	assert_true(ev.mask & FAN_Q_OVERFLOW);
	assert_null(ev.target.key);
	assert_int_equal(decode_next(b.data, b.len, &at, &ev), 0);
}

/* Cut anywhere: whole events, then -EBADMSG, and never a read behind the end (the copy has no room there). */
static void test_cut(_unused_ void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	make_events(&b);
	for (size_t len = 0; len < b.len; len++) {
		uint8_t *copy = malloc(len + 1);
		struct decode_event ev;
		size_t at = 0;
		int r;

		assert_non_null(copy);
		memcpy(copy, b.data, len);
		while ((r = decode_next(copy, len, &at, &ev)) > 0)
			assert_true(at <= len);
		assert_true(r == 0 || r == -EBADMSG);
		assert_true(r == -EBADMSG || at == len);
		free(copy);
	}
}

/* offset into an event with one DFID_NAME record; what to write there. */
static const struct {
	size_t offset;
	uint32_t value;
	size_t size;
} lies[] = {
	{ 0, 0, 4 },						     /* event_len */
	{ 0, 23, 4 },	       { 0, 0xffffffff, 4 }, { 4, 99, 1 },   /* vers */
	{ 6, 0, 2 },						     /* metadata_len */
	{ 6, 0xffff, 2 },      { 26, 0, 2 },			     /* record length */
	{ 26, 3, 2 },	       { 26, 0xffff, 2 },    { 36, 129, 4 }, /* handle bytes */
	{ 36, 0xffffffff, 4 }, { 36, 16, 4 },			     /* handle takes the name's place */
	{ 52, 0, 4 },						     /* empty name */
	{ 52, 0x2f2f2f2f, 4 },					     /* name with slashes */
	{ 56, 0xffffffff, 4 },					     /* name without an end */
};

static void test_lies(_unused_ void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		struct decode_event ev;
		size_t at = 0;

		add_event(&b, FAN_CREATE, 7);
		add_fid(&b, FAN_EVENT_INFO_TYPE_DFID_NAME, 8, "name123");
		end_event(&b, 0);
		assert_int_equal(b.len, 60);
		memcpy(b.data + lies[i].offset, &lies[i].value, lies[i].size);
		if (decode_next(b.data, b.len, &at, &ev) != -EBADMSG)
			fail_msg("lie %zu was believed", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
