/* lib/arena: alignment, sizes, reuse. */
#include "tests/test.h"

#include "lib/arena.h"

static void test_alloc(void **state _unused_)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	char *last = NULL;

	for (size_t size = 0; size < 3000; size += 7) {
		char *p = arena_alloc(&a, size);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 8, 0);
		memset(p, (int)size, size);
		if (last)
			assert_int_equal((uint8_t)last[0], (uint8_t)(size - 7));
		last = size ? p : NULL;
	}
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_strndup(&a, "", SIZE_MAX));
}

static void test_copies(void **state _unused_)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	static const char zeros[100];

	assert_string_equal(arena_strdup(&a, "abc"), "abc");
	assert_string_equal(arena_strndup(&a, "abcdef", 2), "ab");
	assert_string_equal(arena_strndup(&a, NULL, 0), "");
	assert_memory_equal(arena_dup(&a, "x\0y", 3), "x\0y", 3);
	assert_memory_equal(arena_zalloc(&a, sizeof(zeros)), zeros, sizeof(zeros));
	assert_true(a.used >= 100 + 4 + 3 + 1 + 3);
}

static void test_reset(void **state _unused_)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;

	arena_reset(&a);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 10000; i++)
			assert_non_null(arena_alloc(&a, 40));
		assert_int_equal(a.used, 400000);
		arena_reset(&a);
		assert_int_equal(a.used, 0);
	}
	assert_non_null(arena_alloc(&a, 10000000));
	arena_reset(&a);
	assert_non_null(arena_strdup(&a, "small again"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_alloc), cmocka_unit_test(test_copies),
					    cmocka_unit_test(test_reset) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
