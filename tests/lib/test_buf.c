/* lib/buf: appending, encodings, and the reader on short and malformed input. */
#include "tests/test.h"

#include "lib/buf.h"

static void test_append(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_add(&b, NULL, 0);
	assert_string_equal(b.data, "");
	buf_str(&b, "abc");
	buf_char(&b, 'd');
	buf_printf(&b, "%d-%s", 5, "x");
	buf_hex(&b, "\x00\xff\x1a", 3);
	assert_string_equal(b.data, "abcd5-x00ff1a");
	assert_int_equal(b.len, 13);
	assert_false(b.failed);
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
}

static void test_printf_long(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	for (int width = 0; width < 300; width++) {
		buf_reset(&b);
		buf_str(&b, "<");
		buf_printf(&b, "%*s", width, "");
		buf_str(&b, ">");
		assert_int_equal(b.len, width + 2);
		assert_int_equal(strlen(b.data), b.len);
		assert_int_equal(b.data[width + 1], '>');
	}
}

static void test_failed(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_str(&b, "kept");
	assert_false(buf_reserve(&b, SIZE_MAX - 2));
	assert_true(b.failed);
	buf_str(&b, "lost");
	assert_string_equal(b.data, "kept");
	buf_reset(&b);
	buf_str(&b, "again");
	assert_string_equal(b.data, "again");
}

static void test_numbers(void **state _unused_)
{
	static const uint64_t values[] = {
		0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0xffff, 0xffffffff, UINT32_MAX + 1ULL, INT64_MAX, UINT64_MAX
	};
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct reader r;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		buf_varint(&b, values[i]);
		buf_u64(&b, values[i]);
		buf_u32(&b, (uint32_t)values[i]);
		buf_u8(&b, (uint8_t)values[i]);
		buf_bytes(&b, "xyz", 3);
	}
	r = (struct reader){ (uint8_t *)b.data, (uint8_t *)b.data + b.len, false };
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		assert_true(reader_varint(&r) == values[i]);
		assert_true(reader_u64(&r) == values[i]);
		assert_int_equal(reader_u32(&r), (uint32_t)values[i]);
		assert_int_equal(reader_u8(&r), (uint8_t)values[i]);
		assert_memory_equal(reader_bytes(&r, &len), "xyz", 3);
		assert_int_equal(len, 3);
	}
	assert_false(r.bad);
	assert_ptr_equal(r.p, r.end);
}

static void test_little_endian(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_u32(&b, 0x04030201);
	buf_u64(&b, 0x0c0b0a0908070605);
	assert_memory_equal(b.data, "\1\2\3\4\5\6\7\10\11\12\13\14", 12);
}

static void test_reader_bad(void **state _unused_)
{
	static const struct {
		const char *bytes;
		size_t len;
	} varints[] = {
		{ "", 0 },
		{ "\x80", 1 },
		{ "\x80\x00", 2 }, /* not the shortest form */
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x80\x01", 11 },
	};
	static const uint8_t some[] = { 9, 0, 0, 0, 'a' };
	struct reader r;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(varints); i++) {
		r = (struct reader){ (const uint8_t *)varints[i].bytes,
				     (const uint8_t *)varints[i].bytes + varints[i].len, false };
		assert_int_equal(reader_varint(&r), 0);
		assert_true(r.bad);
	}
	r = (struct reader){ some, some + sizeof(some), false };
	assert_null(reader_bytes(&r, &len));
	assert_int_equal(len, 0);
	assert_true(r.bad);
	assert_int_equal(reader_u8(&r), 0); /* stays bad */
	r = (struct reader){ some, some + sizeof(some), false };
	assert_int_equal(reader_u64(&r), 0);
	assert_true(r.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),	cmocka_unit_test(test_printf_long),   cmocka_unit_test(test_failed),
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_little_endian), cmocka_unit_test(test_reader_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
