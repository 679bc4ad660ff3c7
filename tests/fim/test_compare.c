/* fim/compare: kinds of change, growing files, undone changes. */
#include "tests/test.h"

#include "fim/compare.h"

#define ALL  (ATTR_ALL & ~(ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO)))
#define HAVE (ATTR_ALL & ~(ATTR_BIT(ATTR_TARGET) | ATTR_BIT(ATTR_RDEV) | ATTR_BIT(ATTR_MIME)))

static struct record file(uint64_t ino, uint64_t size, uint8_t digest, uint16_t mode)
{
	return (struct record){ .have = HAVE,
				.type = 'f',
				.mode = mode,
				.size = size,
				.mtime = 10,
				.ctime = 10,
				.dev = 1,
				.ino = ino,
				.nlink = 1,
				.digest_len = 32,
				.digest = { digest } };
}

static struct record of_type(char type, const char *target, uint64_t rdev)
{
	return (struct record){ .have = (HAVE & ~ATTR_BIT(ATTR_DIGEST)) | ATTR_BIT(target ? ATTR_TARGET : ATTR_RDEV),
				.type = type,
				.dev = 1,
				.ino = 7,
				.target = target,
				.rdev = rdev };
}

static void test_kinds(void **state _unused_)
{
	const struct {
		struct record before, after;
		attr_mask mask;
		attr_mask differing;
		enum change change;
	} cases[] = {
		{ file(1, 5, 1, 0644), file(1, 5, 1, 0644), ALL, 0, 0 },
		{ file(1, 5, 1, 0644), file(1, 5, 1, 0755), ALL, ATTR_BIT(ATTR_MODE), CHANGE_ATTRIBUTES },
		{ file(1, 5, 1, 0644), file(1, 5, 2, 0644), ALL, ATTR_BIT(ATTR_DIGEST), CHANGE_CHANGED },
		{ file(1, 5, 1, 0644), file(2, 6, 2, 0644), ALL, ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_SIZE),
		  CHANGE_REPLACED },
		/* another inode with the same content and mode: nothing that is compared differs */
		{ file(1, 5, 1, 0644), file(2, 5, 1, 0644), ALL, 0, 0 },
		{ file(1, 5, 1, 0644), file(2, 5, 1, 0600), ALL, ATTR_BIT(ATTR_MODE), CHANGE_ATTRIBUTES },
		/* content is not compared, but it tells that another file stands there */
		{ file(1, 5, 1, 0644), file(2, 5, 2, 0600), ATTR_BIT(ATTR_MODE), ATTR_BIT(ATTR_MODE), CHANGE_REPLACED },
		{ file(1, 5, 1, 0644), file(1, 5, 2, 0600), ATTR_BIT(ATTR_MODE), ATTR_BIT(ATTR_MODE),
		  CHANGE_ATTRIBUTES },
		{ file(1, 5, 1, 0644), file(1, 5, 2, 0644), ATTR_BIT(ATTR_MODE), 0, 0 },
		{ file(1, 5, 1, 0644), file(1, 5, 2, 0644), ATTR_BIT(ATTR_MODE) | ATTR_GROWING, ATTR_BIT(ATTR_DIGEST),
		  CHANGE_CHANGED },
		{ of_type('l', "a", 0), of_type('l', "b", 0), ALL, ATTR_BIT(ATTR_TARGET), CHANGE_CHANGED },
		{ of_type('c', NULL, 1), of_type('c', NULL, 2), ALL, ATTR_BIT(ATTR_RDEV), CHANGE_CHANGED },
		{ of_type('l', "a", 0), of_type('l', "a", 0), ALL, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum change change = CHANGE_COUNT;
		attr_mask d = compare_records(&cases[i].before, &cases[i].after, cases[i].mask, &change);

		if (d != cases[i].differing || change != (d ? cases[i].change : CHANGE_COUNT))
			fail_msg("case %zu: differing %x, change %d", i, d, change);
	}
}

static void test_type(void **state _unused_)
{
	struct record f = file(7, 1, 1, 0644), l = of_type('l', "a", 0);
	enum change change;

	assert_true(compare_records(&f, &l, ALL, &change) & ATTR_BIT(ATTR_TYPE));
	assert_int_equal(change, CHANGE_REPLACED);
}

static void test_absent(void **state _unused_)
{
	struct record f = file(1, 1, 1, 0644);
	enum change change;

	assert_true(compare_records(NULL, &f, ATTR_BIT(ATTR_MODE), &change) & ATTR_BIT(ATTR_MODE));
	assert_int_equal(change, CHANGE_ADDED);
	assert_true(compare_records(&f, NULL, 0, &change) != 0);
	assert_int_equal(change, CHANGE_REMOVED);
	assert_int_equal(compare_records(NULL, NULL, ALL, &change), 0);
}

static void test_undone(void **state _unused_)
{
	struct record a = file(1, 5, 1, 0644), b = file(9, 5, 1, 0644);

	b.dev = 9;
	b.mtime = b.ctime = 99;
	b.nlink = 3;
	assert_true(compare_undone(&a, &b, ATTR_ALL));
	b.mode = 0600;
	assert_false(compare_undone(&a, &b, ATTR_ALL));
	assert_true(compare_undone(&a, &b, ATTR_BIT(ATTR_DIGEST)));
	b = a;
	b.digest[0]++;
	assert_false(compare_undone(&a, &b, ATTR_BIT(ATTR_MODE) | ATTR_GROWING));
}

static void test_growing(void **state _unused_)
{
	const attr_mask content =
		ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_CTIME);
	const attr_mask mode = ATTR_BIT(ATTR_MODE);
	struct record a = file(1, 5, 1, 0644), grown = file(1, 9, 2, 0644), shrunk = file(1, 4, 3, 0644), unread = a;
	const uint8_t same[DIGEST_MAX] = { 1 }, other[DIGEST_MAX] = { 4 };

	unread.have &= ~ATTR_BIT(ATTR_DIGEST);
	assert_int_equal(compare_growing(&a, &grown, same, content | mode), mode);
	assert_int_equal(compare_growing(&a, &grown, other, content), content);
	assert_int_equal(compare_growing(&a, &grown, NULL, content), content);
	assert_int_equal(compare_growing(&a, &shrunk, same, content), content);
	assert_int_equal(compare_growing(&unread, &grown, same, content), content);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),  cmocka_unit_test(test_type),    cmocka_unit_test(test_absent),
		cmocka_unit_test(test_undone), cmocka_unit_test(test_growing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
