/* What became of a path: a table of before, after, baseline and events. */
#include "tests/test.h"

#include <string.h>

#include "fim/judge.h"
#include "lib/util.h"
#include "watch/watch.h"

#define HAVE                                                                                                           \
	(ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_UID) | ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_MTIME) | \
	 ATTR_BIT(ATTR_CTIME) | ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO) | ATTR_BIT(ATTR_DIGEST))

/* One letter a version: content; digit: inode; 'x' behind: other mode; 't' behind: touched. "-": not there. */
static struct side side(const char *s)
{
	struct side side = { 0 };
	bool touched = strchr(s, 't') != NULL;

	if (*s == '-')
		return side;
	side.exists = true;
	side.rec = (struct record){ .have = HAVE, .type = 'f', .mode = strchr(s, 'x') ? 0755 : 0644, .dev = 1 };
	side.rec.ino = (uint64_t)(s[1] - '0');
	side.rec.size = (uint64_t)s[0];
	side.rec.digest_len = 32;
	memset(side.rec.digest, s[0], 32);
	side.rec.mtime = s[0] + (touched ? 1000 : 0);
	side.rec.ctime = s[0] * 10 + s[1] + (touched ? 1000 : 0) + side.rec.mode;
	return side;
}

#define NONE -1

static const struct {
	const char *name;
	const char *base, *last, *now;
	const char *from, *from_now; /* last known and present state of where it was renamed from */
	uint32_t ops;
	int change; /* or NONE */
	bool renamed, transient;
} cases[] = {
	{ "added", "-", "-", "A1", NULL, NULL, FS_CREATE, CHANGE_ADDED, false, false },
	{ "removed", "A1", "A1", "-", NULL, NULL, FS_DELETE, CHANGE_REMOVED, false, false },
	{ "changed", "A1", "A1", "B1", NULL, NULL, FS_MODIFY, CHANGE_CHANGED, false, false },
	{ "changed again", "A1", "B1", "C1", NULL, NULL, FS_MODIFY, CHANGE_CHANGED, false, false },
	{ "mode", "A1", "A1", "A1x", NULL, NULL, FS_ATTRIB, CHANGE_ATTRIBUTES, false, false },
	{ "touched", "A1", "A1", "A1t", NULL, NULL, FS_ATTRIB, CHANGE_ATTRIBUTES, false, false },
	{ "nothing", "A1", "A1", "A1", NULL, NULL, FS_CLOSE_WRITE, NONE, false, false },
	{ "replaced by an unknown file", "A1", "A1", "B2", "-", "-", FS_RENAME_TO, CHANGE_REPLACED, false, false },
	{ "replaced by remove and create", "A1", "A1", "B2", NULL, NULL, FS_DELETE | FS_CREATE, CHANGE_REPLACED, false,
	  false },
	{ "replaced by a known file", "A1", "A1", "B2", "B2", "-", FS_RENAME_TO, CHANGE_REPLACED, false, false },
	{ "replaced by the same content", "A1", "A1", "A2t", "-", "-", FS_RENAME_TO, CHANGE_REPLACED, false, false },
	{ "renamed", "-", "-", "A1", "A1", "-", FS_RENAME_TO, CHANGE_RENAMED, true, false },
	{ "renamed and changed", "-", "-", "B1", "A1", "-", FS_RENAME_TO | FS_MODIFY, CHANGE_RENAMED, true, false },
	{ "moved on, old name in use again", "-", "-", "A1", "A1", "B2", FS_RENAME_TO, CHANGE_ADDED, false, false },
	{ "came from a name that another file had", "-", "-", "B2", "A1", "-", FS_RENAME_TO, CHANGE_ADDED, false,
	  false },
	{ "moved in", "-", "-", "A1", NULL, NULL, FS_RENAME_TO, CHANGE_ADDED, false, false },
	{ "change undone", "A1", "B1", "A1t", NULL, NULL, FS_MODIFY, CHANGE_REVERTED, false, false },
	{ "mode undone", "A1", "A1x", "A1", NULL, NULL, FS_ATTRIB, CHANGE_REVERTED, false, false },
	{ "removal undone", "A1", "-", "A2t", NULL, NULL, FS_CREATE, CHANGE_REVERTED, false, false },
	{ "addition undone", "-", "A1", "-", NULL, NULL, FS_DELETE, CHANGE_REVERTED, false, false },
	{ "renamed back", "A1", "-", "A1", "A1", "-", FS_RENAME_TO, CHANGE_REVERTED, false, false },
	{ "touch undone", "A1", "A1t", "A1", NULL, NULL, FS_ATTRIB, CHANGE_REVERTED, false, false },
	{ "touched after undoing", "A1", "A1t", "A1tt", NULL, NULL, FS_ATTRIB, NONE, false, false },
	{ "removed, then another one", "A1", "-", "B2", NULL, NULL, FS_CREATE, CHANGE_REPLACED, false, false },
	{ "came and went", "-", "-", "-", NULL, NULL, FS_CREATE | FS_DELETE, NONE, false, true },
	{ "left only", "-", "-", "-", NULL, NULL, FS_DELETE, NONE, false, false },
	{ "a rescan finds it gone", "A1", "A1", "-", NULL, NULL, 0, CHANGE_REMOVED, false, false },
	{ "a rescan finds another", "A1", "A1", "B2", NULL, NULL, 0, CHANGE_REPLACED, false, false },
	{ "renumbered alone", "A1", "A1", "A2", NULL, NULL, 0, CHANGE_ATTRIBUTES, false, false }, /* ctime */
};

static void test_cases(void **state)
{
	attr_mask all = 0;

	(void)state;
	assert_int_equal(attr_apply("all", &all), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct judgement v;
		struct judge_input in = { .path = "/f",
					  .ops = cases[i].ops,
					  .mask = all,
					  .base = side(cases[i].base),
					  .last = side(cases[i].last),
					  .now = side(cases[i].now) };

		if (cases[i].from) {
			in.from = "/old";
			in.from_last = side(cases[i].from);
			in.from_now = side(cases[i].from_now);
		}
		judge_path(&in, &v);
		if ((v.tell ? (int)v.change : NONE) != cases[i].change)
			fail_msg("%s: %s", cases[i].name, v.tell ? change_names[v.change] : "nothing");
		if (v.renamed != cases[i].renamed || v.transient != cases[i].transient)
			fail_msg("%s: renamed %d transient %d", cases[i].name, v.renamed, v.transient);
		if (v.tell && v.change == CHANGE_REVERTED)
			assert_int_equal(v.status, STATUS_REVERTED);
		if (v.tell && !v.attributes && !v.renamed)
			fail_msg("%s: no attributes", cases[i].name);
	}
}

static void test_growing(void **state)
{
	static const struct {
		const char *before, *after;
		bool prefix_same;
		bool told;
	} grow[] = { { "A1", "B1", true, false }, { "A1", "B1", false, true }, { "B1", "A1", true, true } };
	attr_mask mask = 0;

	(void)state;
	attr_apply("growing", &mask);
	for (size_t i = 0; i < ARRAY_SIZE(grow); i++) {
		struct judge_input in = { .path = "/log",
					  .ops = FS_MODIFY,
					  .mask = mask,
					  .base = side(grow[i].before),
					  .last = side(grow[i].before),
					  .now = side(grow[i].after) };
		uint8_t prefix[DIGEST_MAX];
		struct judgement v;

		memset(prefix, grow[i].prefix_same ? in.last.rec.digest[0] : 0, sizeof(prefix));
		in.prefix = prefix;
		judge_path(&in, &v);
		assert_int_equal(v.tell, grow[i].told);
	}
}

/* Only what the policy asks for. */
static void test_mask(void **state)
{
	struct judge_input in = { .path = "/f", .ops = FS_ATTRIB, .base = side("A1"), .last = side("A1") };
	struct judgement v;

	(void)state;
	attr_apply("content", &in.mask);
	in.now = side("A1x");
	judge_path(&in, &v);
	assert_false(v.tell);
	in.now = side("B1x");
	judge_path(&in, &v);
	assert_true(v.tell);
	assert_int_equal(v.change, CHANGE_CHANGED);
	assert_false(v.attributes & ATTR_BIT(ATTR_MODE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_growing),
		cmocka_unit_test(test_mask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
