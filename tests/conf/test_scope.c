/* conf/scope, conf/scope-json: tables of paths and what a scope answers. */
#include "tests/test.h"

#include <errno.h>
#include <stdlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "conf/scope.h"
#include "lib/text.h"

/* One mask for each configured path, so that the answer tells which one decided. */
#define A (1u << ATTR_MODE)
#define B (1u << ATTR_UID)
#define C (1u << ATTR_GID)
#define D (1u << ATTR_SIZE)

struct fixture {
	struct arena a;
	struct scope s;
};

static void add(struct fixture *f, const char *path, attr_mask mask)
{
	assert_int_equal(scope_add_path(&f->a, &f->s, path, mask), 0);
}

static void leave_out(struct fixture *f, const char *pattern)
{
	assert_int_equal(scope_add_exclude(&f->a, &f->s, pattern), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	add(f, "/etc", A);
	add(f, "/etc/ssh/keys", B);
	add(f, "/home/*/.ssh", C);
	add(f, "/home/bob", D);
	add(f, "/srv/w?b/[a-c]*", A);
	add(f, "/etc/.git/hooks", B);
	add(f, "/etc/keep.swp", D);
	leave_out(f, "*.swp");
	leave_out(f, "cache");
	leave_out(f, "/etc/.git/*");
	leave_out(f, "/etc/mtab");
	leave_out(f, "/etc/**/tmp/x");
	leave_out(f, "/home/*/.ssh/known_*");
	leave_out(f, "etc");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	arena_free(&f->a);
	free(f);
	return 0;
}

static const struct {
	const char *path;
	enum scope_answer answer;
	attr_mask mask;
} cases[] = {
	{ "/", SCOPE_ABOVE, 0 },
	{ "/etc", SCOPE_IN, A }, /* a configured path is not left out by a name */
	{ "/etc/passwd", SCOPE_IN, A },
	{ "/etc2", SCOPE_OUT, 0 },
	{ "/et", SCOPE_OUT, 0 },
	{ "/usr", SCOPE_OUT, 0 },
	{ "etc", SCOPE_OUT, 0 },
	{ "", SCOPE_OUT, 0 },
	/* longest wins */
	{ "/etc/ssh", SCOPE_IN, A },
	{ "/etc/ssh/keys", SCOPE_IN, B },
	{ "/etc/ssh/keys/a/b", SCOPE_IN, B },
	{ "/etc/ssh/keys2", SCOPE_IN, A },
	/* globs */
	{ "/home", SCOPE_ABOVE, 0 },
	{ "/home/eve", SCOPE_ABOVE, 0 },
	{ "/home/eve/.bashrc", SCOPE_OUT, 0 },
	{ "/home/eve/.ssh", SCOPE_IN, C },
	{ "/home/eve/.ssh/id", SCOPE_IN, C },
	{ "/home/eve/x/.ssh", SCOPE_OUT, 0 },
	{ "/home/bob", SCOPE_IN, D },
	{ "/home/bob/x", SCOPE_IN, D },
	{ "/home/bob/.ssh/id", SCOPE_IN, C },
	{ "/srv", SCOPE_ABOVE, 0 },
	{ "/srv/web", SCOPE_ABOVE, 0 },
	{ "/srv/wb", SCOPE_OUT, 0 },
	{ "/srv/web/cat/x", SCOPE_IN, A },
	{ "/srv/web/dog", SCOPE_OUT, 0 },
	/* names left out, and what is below them */
	{ "/etc/a.swp", SCOPE_EXCLUDED, 0 },
	{ "/etc/d/.a.swp/x/y", SCOPE_EXCLUDED, 0 },
	{ "/etc/a.swp2", SCOPE_IN, A },
	{ "/etc/x/cache/y", SCOPE_EXCLUDED, 0 },
	{ "/etc/x/cached", SCOPE_IN, A },
	{ "/etc/x/etc", SCOPE_EXCLUDED, 0 },
	{ "/etc/keep.swp", SCOPE_IN, D },
	{ "/etc/keep.swp/x.swp", SCOPE_EXCLUDED, 0 },
	{ "/usr/a.swp", SCOPE_OUT, 0 },
	/* paths left out */
	{ "/etc/mtab", SCOPE_EXCLUDED, 0 },
	{ "/etc/x/mtab", SCOPE_IN, A },
	{ "/etc/.git", SCOPE_IN, A },
	{ "/etc/.git/index", SCOPE_EXCLUDED, 0 },
	{ "/etc/.git/objects/aa/bb", SCOPE_EXCLUDED, 0 },
	{ "/etc/.git/hooks", SCOPE_IN, B },
	{ "/etc/.git/hooks/pre-commit", SCOPE_IN, B },
	{ "/etc/tmp/x", SCOPE_EXCLUDED, 0 },
	{ "/etc/a/b/tmp/x/y", SCOPE_EXCLUDED, 0 },
	{ "/etc/a/b/tmp/xy", SCOPE_IN, A },
	{ "/home/eve/.ssh/known_hosts", SCOPE_EXCLUDED, 0 },
	{ "/home/eve/.ssh/d/known_hosts", SCOPE_IN, C },
	/* bytes */
	{ "/etc/\xff\n\x1b", SCOPE_IN, A },
	{ "/home/\xff\xfe/.ssh", SCOPE_IN, C },
};

static void test_match(void **state)
{
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		attr_mask mask = 0;
		enum scope_answer answer = scope_match(&f->s, cases[i].path, &mask);

		if (answer != cases[i].answer || mask != cases[i].mask)
			fail_msg("%s: answer %d mask %#x, expected %d %#x", cases[i].path, answer, mask,
				 cases[i].answer, cases[i].mask);
	}
}

/* The answer for a child of a guarded folder is the one for its whole path. */
static void test_match_child(void **state)
{
	const struct fixture *f = *state;
	unsigned compared = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *slash = strrchr(cases[i].path, '/');
		attr_mask dir_mask = 0, mask = 0;
		enum scope_answer answer;
		char dir[256];

		if (!slash || !slash[1])
			continue;
		snprintf(dir, sizeof(dir), "%.*s", slash == cases[i].path ? 1 : (int)(slash - cases[i].path),
			 cases[i].path);
		if (scope_match(&f->s, dir, &dir_mask) != SCOPE_IN)
			continue;
		answer = scope_match_child(&f->s, dir, dir_mask, slash + 1, &mask);
		if (answer != cases[i].answer || mask != cases[i].mask)
			fail_msg("%s: answer %d mask %#x", cases[i].path, answer, mask);
		compared++;
	}
	assert_true(compared > 20);
}

static void test_root(void **state _unused_)
{
	struct fixture f = { 0 };
	attr_mask mask = 0;

	add(&f, "/", A);
	add(&f, "/etc", B);
	leave_out(&f, "/proc");
	assert_int_equal(scope_match(&f.s, "/", &mask), SCOPE_IN);
	assert_int_equal(mask, A);
	assert_int_equal(scope_match(&f.s, "/usr/bin", NULL), SCOPE_IN);
	assert_int_equal(scope_match(&f.s, "/proc", NULL), SCOPE_EXCLUDED);
	assert_int_equal(scope_match(&f.s, "/proc/1/exe", NULL), SCOPE_EXCLUDED);
	assert_int_equal(scope_match_child(&f.s, "/", A, "etc", &mask), SCOPE_IN);
	assert_int_equal(mask, B);
	assert_int_equal(scope_match_child(&f.s, "/", A, "proc", &mask), SCOPE_EXCLUDED);
	assert_int_equal(scope_match_child(&f.s, "/", A, "usr", &mask), SCOPE_IN);
	assert_int_equal(mask, A);
	arena_free(&f.a);
}

/* A folder that is left out, on the way to a longer configured path: the walk must go on through it. */
static void test_excluded_above(void **state _unused_)
{
	struct fixture f = { 0 };

	add(&f, "/etc", A);
	add(&f, "/etc/big/deep/keep", B);
	add(&f, "/etc/glob/*/keep", B);
	leave_out(&f, "/etc/big");
	leave_out(&f, "glob");
	assert_int_equal(scope_match(&f.s, "/etc/big", NULL), SCOPE_ABOVE);
	assert_int_equal(scope_match_child(&f.s, "/etc", A, "big", NULL), SCOPE_ABOVE);
	assert_int_equal(scope_match_child(&f.s, "/etc", A, "glob", NULL), SCOPE_ABOVE);
	assert_int_equal(scope_match(&f.s, "/etc/big/deep", NULL), SCOPE_ABOVE);
	assert_int_equal(scope_match(&f.s, "/etc/big/other", NULL), SCOPE_EXCLUDED);
	assert_int_equal(scope_match(&f.s, "/etc/big/deep/keep/x", NULL), SCOPE_IN);
	assert_int_equal(scope_match(&f.s, "/etc/glob/any", NULL), SCOPE_ABOVE);
	assert_int_equal(scope_match(&f.s, "/etc/glob/any/keep", NULL), SCOPE_IN);
	arena_free(&f.a);
}

/* --- against the definition: prefixes cut at slashes, and text_glob on each */

static bool same(const struct scope_path *p, const char *pattern, const char *path)
{
	return p->is_glob ? text_glob(pattern, path) : streq(pattern, path);
}

/* s cut to its first n components ("/" for none); false when it has fewer. */
static bool cut(const char *s, unsigned n, char ret[64])
{
	const char *end = s;

	for (unsigned i = 0; i < n; i++) {
		if (!end[0] || !end[1])
			return false;
		end = strchrnul(end + 1, '/');
	}
	snprintf(ret, 64, "%.*s", n ? (int)(end - s) : 1, s);
	return true;
}

static bool slow_excluded(const struct scope *s, const char *path, unsigned above)
{
	char prefix[64];

	for (unsigned n = above + 1; cut(path, n, prefix); n++)
		for (size_t i = 0; i < s->n_exclude; i++)
			if (text_glob(s->exclude[i], strchr(s->exclude[i], '/') ? prefix : strrchr(prefix, '/') + 1))
				return true;
	return false;
}

static enum scope_answer slow_match(const struct scope *s, const char *path, attr_mask *ret_mask)
{
	const struct scope_path *best = NULL;
	bool above = false;
	char prefix[64];

	for (size_t i = 0; i < s->n_paths; i++) {
		const struct scope_path *p = &s->paths[i];
		bool holds = cut(path, p->depth, prefix) && same(p, p->path, prefix);

		for (unsigned n = 0; n < p->depth; n++)
			above |= cut(p->path, n, prefix) && same(p, prefix, path);
		if (holds &&
		    (!best || p->depth > best->depth || (p->depth == best->depth && (!p->is_glob || best->is_glob))))
			best = p;
	}
	if (!best)
		return above ? SCOPE_ABOVE : SCOPE_OUT;
	if (slow_excluded(s, path, best->depth))
		return above ? SCOPE_ABOVE : SCOPE_EXCLUDED;
	*ret_mask = best->attributes;
	return SCOPE_IN;
}

/* A path or pattern of up to `parts` pieces. */
static void random_path(unsigned short seed[3], const char *const *pieces, size_t n, unsigned parts, char ret[64])
{
	size_t len = 0;

	for (unsigned i = 1 + (unsigned)nrand48(seed) % parts; i > 0; i--)
		len += (size_t)snprintf(ret + len, 64 - len, "/%s", pieces[(size_t)nrand48(seed) % n]);
}

static void test_definition(void **state _unused_)
{
	static const char *const names[] = { "a", "b", "ab", "aa", "ba" };
	static const char *const patterns[] = { "a", "b", "ab", "*", "a*", "?", "*b", "[ab]", "ba", "a" };
	static const char *const left_out[] = { "a", "*b", "**", "**/b", "b*", "?a", "ab", "[!a]*", "/a/b", "/a/*/b" };
	unsigned short seed[3] = { 1, 2, 3 };
	unsigned answers[4] = { 0 };

	for (unsigned round = 0; round < 3000; round++) {
		struct fixture f = { 0 };
		char text[64];

		for (unsigned i = 0; i < 4; i++) {
			random_path(seed, patterns, ARRAY_SIZE(patterns), 4, text);
			add(&f, text, 1u << i);
		}
		for (unsigned i = 0; i < 2; i++) {
			const char *piece = left_out[(size_t)nrand48(seed) % ARRAY_SIZE(left_out)];

			if (nrand48(seed) % 2)
				random_path(seed, left_out, 8, 3, text);
			else
				snprintf(text, sizeof(text), "%s", piece);
			leave_out(&f, text);
		}
		for (unsigned i = 0; i < 20; i++) {
			attr_mask fast = 0, slow = 0;
			enum scope_answer answer;

			random_path(seed, names, ARRAY_SIZE(names), 5, text);
			answer = scope_match(&f.s, text, &fast);
			answers[answer]++;
			assert_int_equal(answer, slow_match(&f.s, text, &slow));
			assert_int_equal(fast, slow);
		}
		arena_free(&f.a);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_true(answers[i] > 1000);
}

/* Paths beyond PATH_MAX, as a walk by descriptors meets them. */
static void test_long(void **state)
{
	const struct fixture *f = *state;
	size_t len = 200000;
	char *path = malloc(len + 1);
	attr_mask mask = 0;

	assert_non_null(path);
	for (size_t i = 0; i < len; i++)
		path[i] = i % 100 ? 'a' : '/';
	memcpy(path, "/etc/", 5);
	path[len] = '\0';
	assert_int_equal(scope_match(&f->s, path, &mask), SCOPE_IN);
	assert_int_equal(mask, A);
	assert_int_equal(scope_match_child(&f->s, path, A, "name", &mask), SCOPE_IN);
	assert_int_equal(scope_match_child(&f->s, path, A, "x.swp", &mask), SCOPE_EXCLUDED);
	memcpy(path + len - 6, "/x.swp", 6);
	assert_int_equal(scope_match(&f->s, path, NULL), SCOPE_EXCLUDED);
	memcpy(path + len - 6, "aaaaaa", 6);
	memcpy(path + 5, "cache/", 6);
	assert_int_equal(scope_match(&f->s, path, NULL), SCOPE_EXCLUDED);
	free(path);
}

static void test_add(void **state _unused_)
{
	static const struct {
		const char *in, *out; /* NULL: -EINVAL */
		bool is_glob;
		unsigned depth;
	} adds[] = {
		{ "/", "/", false, 0 },
		{ "//etc///ssh/", "/etc/ssh", false, 2 },
		{ "/etc/./x/.", "/etc/x", false, 2 },
		{ "/etc/a/../b", "/etc/b", false, 2 },
		{ "/../../x", "/x", false, 1 },
		{ "/a/..", "/", false, 0 },
		{ "/a/..b/...", "/a/..b/...", false, 3 },
		{ "/home/*/x", "/home/*/x", true, 3 },
		{ "/a/b?", "/a/b?", true, 2 },
		{ "/a/[bc]", "/a/[bc]", true, 2 },
		{ "/etc/dev\\x2ddisk", "/etc/dev\\x2ddisk", false, 2 },
		{ "etc", NULL, false, 0 },
		{ "", NULL, false, 0 },
		{ "/a/**", NULL, false, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(adds); i++) {
		struct fixture f = { 0 };
		int r = scope_add_path(&f.a, &f.s, adds[i].in, A);

		assert_int_equal(r, adds[i].out ? 0 : -EINVAL);
		assert_int_equal(f.s.n_paths, adds[i].out ? 1 : 0);
		if (adds[i].out) {
			assert_string_equal(f.s.paths[0].path, adds[i].out);
			assert_int_equal(f.s.paths[0].is_glob, adds[i].is_glob);
			assert_int_equal(f.s.paths[0].depth, adds[i].depth);
			assert_int_equal(f.s.paths[0].len, strlen(adds[i].out));
		}
		arena_free(&f.a);
	}
}

static void test_add_bounds(void **state _unused_)
{
	struct fixture f = { 0 };
	char *name = calloc(1, SCOPE_TEXT_MAX + 2);
	char path[32];

	assert_non_null(name);
	memset(name, 'a', SCOPE_TEXT_MAX + 1);
	name[0] = '/';
	assert_int_equal(scope_add_path(&f.a, &f.s, name, A), -ENAMETOOLONG);
	assert_int_equal(scope_add_exclude(&f.a, &f.s, name), -ENAMETOOLONG);
	name[SCOPE_TEXT_MAX] = '\0';
	assert_int_equal(scope_add_path(&f.a, &f.s, name, A), 0);
	free(name);
	assert_int_equal(scope_add_exclude(&f.a, &f.s, ""), -EINVAL);
	assert_int_equal(scope_add_exclude(&f.a, &f.s, "a/b"), -EINVAL);
	assert_int_equal(scope_add_exclude(&f.a, &f.s, "**/b"), 0);
	for (int i = 1; i < SCOPE_ENTRIES_MAX; i++) {
		snprintf(path, sizeof(path), "/p/%d", i);
		assert_int_equal(scope_add_path(&f.a, &f.s, path, A), 0);
		assert_int_equal(scope_add_exclude(&f.a, &f.s, path), 0);
	}
	assert_int_equal(scope_add_path(&f.a, &f.s, "/q", A), -E2BIG);
	assert_int_equal(scope_add_exclude(&f.a, &f.s, "q"), -E2BIG);
	assert_int_equal(scope_add_path(&f.a, &f.s, "/p/7", B), 0); /* no new entry */
	assert_int_equal(f.s.n_paths, SCOPE_ENTRIES_MAX);
	assert_int_equal(f.s.paths[7].attributes, B);
	assert_string_equal(f.s.paths[4095].path, "/p/4095");
	assert_string_equal(f.s.exclude[0], "**/b");
	arena_free(&f.a);
}

static void test_literal(void **state _unused_)
{
	struct fixture f = { 0 };

	assert_int_equal(scope_add_literal(&f.a, &f.s, "/srv/a[b]*", A), 0);
	assert_int_equal(scope_match(&f.s, "/srv/a[b]*/x", NULL), SCOPE_IN);
	assert_int_equal(scope_match(&f.s, "/srv/abc", NULL), SCOPE_OUT);
	arena_free(&f.a);
}

static void test_json(void **state)
{
	struct fixture *f = *state;
	struct fixture back = { 0 };
	attr_mask growing = 0;
	json_t *json, *again;

	add(f, "/raw/\xff\xfe", A | B);
	assert_int_equal(attr_apply("growing", &growing), 0);
	assert_true(growing & ATTR_GROWING);
	add(f, "/log", growing);
	leave_out(f, "\xff*");
	assert_int_equal(scope_add_literal(&f->a, &f->s, "/lit*", D), 0);
	json = scope_to_json(&f->s);
	assert_non_null(json);
	assert_int_equal(scope_from_json(&back.a, json, &back.s), 0);
	assert_int_equal(back.s.n_paths, f->s.n_paths);
	assert_int_equal(back.s.n_exclude, f->s.n_exclude);
	for (size_t i = 0; i < back.s.n_paths; i++) {
		assert_string_equal(back.s.paths[i].path, f->s.paths[i].path);
		assert_int_equal(back.s.paths[i].attributes, f->s.paths[i].attributes);
		assert_int_equal(back.s.paths[i].is_glob, f->s.paths[i].is_glob);
	}
	for (size_t i = 0; i < back.s.n_exclude; i++)
		assert_string_equal(back.s.exclude[i], f->s.exclude[i]);
	again = scope_to_json(&back.s);
	assert_true(json_equal(json, again));
	json_decref(json);
	json_decref(again);
	arena_free(&back.a);
}

static void test_json_malformed(void **state _unused_)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"{\"paths\":[]}",
		"{\"paths\":{},\"exclude\":[]}",
		"{\"paths\":[1],\"exclude\":[]}",
		"{\"paths\":[{\"path\":\"/etc\"}],\"exclude\":[]}",
		"{\"paths\":[{\"path\":\"etc\",\"attributes\":[]}],\"exclude\":[]}",
		"{\"paths\":[{\"path\":\"/etc\",\"attributes\":[\"nope\"]}],\"exclude\":[]}",
		"{\"paths\":[{\"path\":\"/etc\",\"attributes\":[7]}],\"exclude\":[]}",
		"{\"paths\":[{\"path\":\"/etc\",\"path_raw\":\"2f61\",\"attributes\":[]}],\"exclude\":[]}",
		"{\"paths\":[{\"path_raw\":\"2f6\",\"attributes\":[]}],\"exclude\":[]}",
		"{\"paths\":[{\"path_raw\":\"2f00\",\"attributes\":[]}],\"exclude\":[]}",
		"{\"paths\":[{\"path_raw\":\"zz\",\"attributes\":[]}],\"exclude\":[]}",
		"{\"paths\":[],\"exclude\":[1]}",
		"{\"paths\":[],\"exclude\":[\"\"]}",
		"{\"paths\":[],\"exclude\":[\"a/b\"]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct fixture f = { 0 };
		json_t *json = json_loads(texts[i], 0, NULL);

		assert_non_null(json);
		if (scope_from_json(&f.a, json, &f.s) != -EBADMSG)
			fail_msg("accepted: %s", texts[i]);
		json_decref(json);
		arena_free(&f.a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_match, setup, teardown),
		cmocka_unit_test_setup_teardown(test_match_child, setup, teardown),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_excluded_above),
		cmocka_unit_test(test_definition),
		cmocka_unit_test_setup_teardown(test_long, setup, teardown),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_add_bounds),
		cmocka_unit_test(test_literal),
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
		cmocka_unit_test(test_json_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
