/* event/user: passwd(5) in good and bad shape, and files that change. */
#include "tests/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "event/user.h"

static char dir[] = "/tmp/holdfast-user-XXXXXX";
static char path[64];

static void write_file(const char *text)
{
	char temp[80];
	FILE *f;

	snprintf(temp, sizeof(temp), "%s.new", path);
	f = fopen(temp, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(rename(temp, path), 0);
}

static void test_parse(void **state _unused_)
{
	static char text[20000] = "root:x:0:0:root:/root:/bin/sh\n"
				  "# comment:x:1:1::/:\n"
				  "+::::::\n"
				  "toor:x:0:0::/:\n" /* second of the uid */
				  "alice:x:1000:1000::/home/alice:/bin/sh\n"
				  "bad:x:12ab:1::/:\n"
				  "neg:x:-1:1::/:\n"
				  "big:x:4294967296:1::/:\n"
				  "short:x\n"
				  ":x:7:7::/:\n"
				  "max:x:4294967295:1::/:\n"
				  "\n";
	static const struct {
		uint32_t uid;
		const char *name;
	} cases[] = { { 0, "root" }, { 1000, "alice" }, { 1, NULL },  { 7, NULL },
		      { 12, NULL },  { 99, "last" },	{ 98, NULL }, { UINT32_MAX, "max" } };
	_cleanup_(user_table_free_p) struct user_table *t = NULL;
	size_t len = strlen(text);

	memset(text + len, 'x', 9000); /* a line longer than any buffer, with an account in its tail */
	strcpy(text + len + 9000, ":tail:x:98:98::/:\nlast:x:99:99::/:");
	write_file(text);
	assert_int_equal(user_table_new(path, 0, &t), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *name = user_table_name(t, cases[i].uid);

		if (cases[i].name)
			assert_string_equal(name, cases[i].name);
		else
			assert_null(name);
	}
}

static void test_reload(void **state _unused_)
{
	_cleanup_(user_table_free_p) struct user_table *t = NULL, *slow = NULL;
	const char *kept;

	write_file("a:x:5:5::/:\n");
	assert_int_equal(user_table_new(path, 0, &t), 0);
	assert_int_equal(user_table_new(path, UINT64_MAX, &slow), 0);
	kept = user_table_name(t, 5);
	assert_string_equal(kept, "a");
	assert_string_equal(user_table_name(slow, 5), "a");
	write_file("b:x:5:5::/:\n");
	assert_string_equal(user_table_name(t, 5), "b");
	assert_string_equal(kept, "a"); /* borrowed for good */
	assert_string_equal(user_table_name(slow, 5), "a");
	write_file("a:x:6:6::/:\n");
	assert_ptr_equal(user_table_name(t, 6), kept);
	assert_int_equal(unlink(path), 0);
	assert_string_equal(user_table_name(t, 6), "a"); /* the last known stays */
}

static void test_default(void **state _unused_)
{
	char text[16];

	assert_string_equal(user_name(0), "root");
	assert_null(user_name(4000000000));
	user_text(0, text, sizeof(text));
	assert_string_equal(text, "root");
	user_text(4000000000, text, sizeof(text));
	assert_string_equal(text, "4000000000");
	user_text(4000000000, text, 5);
	assert_string_equal(text, "4000");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse), cmocka_unit_test(test_reload),
					    cmocka_unit_test(test_default) };
	int r;

	if (!mkdtemp(dir))
		return 99;
	snprintf(path, sizeof(path), "%s/passwd", dir);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return r;
}
