/* fim/image_tree, image_layer: what comes of layers over layers, and what is refused. */
#include "tests/fim/tarball.h"

#include <errno.h>
#include <stdlib.h>

#include "fim/image_layer.h"

/* --- layers in short: "d:etc f:etc/a=text l:x>target h:y>etc/a" (w: is f: without content) */

static char flag_of(char letter)
{
	static const char letters[] = "dflhcp", flags[] = "502136";
	const char *at = strchr(letters, letter);

	assert_non_null(at);
	return flags[at - letters];
}

static void make_layer(struct buf *b, const char *spec)
{
	char *copy = strdup(spec), *rest = copy, *word;

	while ((word = strsep(&rest, " "))) {
		char *content = strchr(word, '='), *link = strchr(word, '>');

		if (!*word)
			continue;
		if (content)
			*content++ = '\0';
		if (link)
			*link++ = '\0';
		tarball_entry(b, flag_of(word[0]), word + 2, link, content);
	}
	tarball_end(b);
	free(copy);
}

struct rig {
	struct buf err, out;
	struct image_apply apply;
};

static void rig_new(struct rig *g, size_t memory)
{
	*g = (struct rig){ .apply = { .algo = DIGEST_SHA256 } };
	g->apply.err = &g->err;
	assert_int_equal(image_tree_new(memory, &g->err, &g->apply.tree), 0);
}

static void rig_free(struct rig *g)
{
	image_tree_free(g->apply.tree);
	buf_free(&g->err);
	buf_free(&g->out);
}

static int rig_apply(struct rig *g, const struct tar_input *in, unsigned number)
{
	image_tree_layer(g->apply.tree, number);
	return image_entries_of_tar(in, DIGEST_SHA256, &g->err, image_layer_entry, &g->apply);
}

static int rig_layer(struct rig *g, const struct buf *b, unsigned number)
{
	struct tarball_source source = { (const uint8_t *)b->data, b->len, 1000 };
	struct tar_input in = { tarball_next, NULL, &source };

	return rig_apply(g, &in, number);
}

/* "/etc/a:f2=4 ": path, type, layer, size or target; what nobody described has a '?'. The root is left out. */
static int show_chunk(void *data, struct chunk *c)
{
	struct rig *g = data;

	for (uint32_t i = 0; i < c->n; i++) {
		const struct record *r = &c->entries[i].rec;

		if (!*c->entries[i].name)
			continue;
		assert_true(i == 0 || strcmp(c->entries[i - 1].name, c->entries[i].name) < 0);
		buf_printf(&g->out, "%s%s/%s:%c%u", g->out.len ? " " : "", streq(c->dir, "/") ? "" : c->dir,
			   c->entries[i].name, r->type, r->layer);
		if (r->type == 'f') {
			assert_true(r->have & ATTR_BIT(ATTR_DIGEST) && r->digest_len == 32);
			buf_printf(&g->out, "=%u", (unsigned)r->size);
		}
		if (r->type == 'l')
			buf_printf(&g->out, ">%s", r->target);
		if (!(r->have & ATTR_BIT(ATTR_UID)))
			buf_str(&g->out, "?");
	}
	return 0;
}

static void test_layers(void **state _unused_)
{
	static const struct {
		const char *what;
		const char *layers[4];
		const char *want;
	} cases[] = {
		{ "one layer",
		  { "d:./ d:etc f:etc/a=1 l:x>etc/a c:null p:fifo" },
		  "/etc:d1 /fifo:p1 /null:c1 /x:l1>etc/a /etc/a:f1=1" },
		{ "nothing", { "" }, "" },
		{ "names with and without dots and slashes",
		  { "d:./etc/ f:./etc//a=1 f:etc/./b=22" },
		  "/etc:d1 /etc/a:f1=1 /etc/b:f1=2" },
		{ "folders that nobody described", { "f:a/b/c=1" }, "/a:d1? /a/b:d1? /a/b/c:f1=1" },
		{ "described later", { "f:a/b=1 d:a" }, "/a:d1 /a/b:f1=1" },
		{ "a file over a file", { "f:a=1", "f:a=22" }, "/a:f2=2" },
		{ "twice in one layer", { "f:a=1 f:a=22" }, "/a:f1=2" },
		{ "a folder over a folder keeps what is in it",
		  { "d:d f:d/a=1", "d:d f:d/b=1" },
		  "/d:d1 /d/a:f1=1 /d/b:f2=1" },
		{ "a file over a folder", { "d:d f:d/a=1", "f:d=1" }, "/d:f2=1" },
		{ "a folder over a file", { "f:d=1", "d:d f:d/a=1" }, "/d:d2 /d/a:f2=1" },
		{ "a link over a folder", { "d:d f:d/a=1", "l:d>x" }, "/d:l2>x" },
		{ "whiteout", { "f:a=1 f:b=1", "f:.wh.a" }, "/b:f1=1" },
		{ "whiteout of a folder", { "d:d f:d/a=1 d:d/e f:d/e/f=1", "f:.wh.d" }, "" },
		{ "whiteout in a folder", { "d:d f:d/a=1 f:d/b=1", "d:d f:d/.wh.a" }, "/d:d1 /d/b:f1=1" },
		{ "whiteout of nothing", { "f:a=1", "f:.wh.x f:no/.wh.y f:.wh.a f:.wh.a" }, "" },
		{ "whiteout does not hide its own layer", { "f:a=1", "f:a=22 f:.wh.a" }, "/a:f2=2" },
		{ "nor before it", { "d:d f:d/a=1", "f:.wh.d d:d f:d/b=1" }, "/d:d2 /d/b:f2=1" },
		{ "nor behind it", { "d:d f:d/a=1", "d:d f:d/b=1 f:.wh.d" }, "/d:d2 /d/b:f2=1" },
		{ "a lower whiteout hides nothing above", { "f:a=1", "f:.wh.a", "f:a=333" }, "/a:f3=3" },
		{ "opaque", { "d:d f:d/a=1 d:d/e f:d/e/f=1", "d:d f:d/.wh..wh..opq f:d/b=1" }, "/d:d1 /d/b:f2=1" },
		{ "opaque, told last",
		  { "d:d f:d/a=1 d:d/e f:d/e/f=1", "d:d f:d/b=1 d:d/e f:d/e/g=1 f:d/.wh..wh..opq" },
		  "/d:d1 /d/b:f2=1 /d/e:d2 /d/e/g:f2=1" },
		{ "opaque keeps what its layer has below a folder it does not describe",
		  { "d:d d:d/e f:d/e/f=1", "f:d/e/g=1 f:d/.wh..wh..opq" },
		  "/d:d1 /d/e:d2? /d/e/g:f2=1" },
		{ "opaque root", { "d:d f:d/a=1 f:x=1", "f:.wh..wh..opq f:y=1" }, "/y:f2=1" },
		{ "opaque of nothing", { "f:a=1", "f:no/.wh..wh..opq" }, "/a:f1=1" },
		{ "notes of aufs", { "f:.wh..wh.plnk f:.wh..wh.aufs d:.wh..wh.orph f:a=1" }, "/a:f1=1" },
		{ "three layers", { "f:a=1 f:b=1 f:c=1", "f:.wh.a f:b=22", "f:.wh.b f:a=333" }, "/a:f3=3 /c:f1=1" },
		{ "hard links", { "f:a=1 h:b>a h:d/c>./b" }, "/a:f1=1 /b:f1=1 /d:d1? /d/c:f1=1" },
		{ "a hard link keeps what it was made of", { "f:a=1 h:b>a f:a=22" }, "/a:f1=2 /b:f1=1" },
		{ "a hard link to a lower layer", { "f:a=1", "h:b>a" }, "/a:f1=1 /b:f2=1" },
		{ "a hard link over a file and a folder",
		  { "f:a=1 f:b=22 d:d f:d/x=1 h:b>a h:d>a" },
		  "/a:f1=1 /b:f1=1 /d:f1=1" },
		{ "a hard link over the folder that holds its target", { "d:d f:d/x=22", "h:d>d/x" }, "/d:f2=2" },
		{ "a hard link to a symbolic link", { "l:a>x h:b>a" }, "/a:l1>x /b:l1>x" },
		{ "links anywhere, into themselves too",
		  { "l:a>/etc/shadow l:b>../../x l:c>c l:d>e l:e>d" },
		  "/a:l1>/etc/shadow /b:l1>../../x /c:l1>c /d:l1>e /e:l1>d" },
		{ "below a link of a lower layer there is a folder",
		  { "d:usr d:usr/lib l:lib>usr/lib", "f:lib/x=1" },
		  "/lib:d2? /usr:d1 /lib/x:f2=1 /usr/lib:d1" },
		{ "a folder in place of a link of a lower layer",
		  { "l:lib>usr/lib", "d:lib f:lib/x=1" },
		  "/lib:d2 /lib/x:f2=1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig g;

		rig_new(&g, 0);
		for (unsigned n = 0; n < 4 && cases[i].layers[n]; n++) {
			_cleanup_buf_ struct buf b = BUF_INIT;

			make_layer(&b, cases[i].layers[n]);
			if (rig_layer(&g, &b, n + 1) < 0)
				fail_msg("%s: %s", cases[i].what, g.err.data);
		}
		assert_int_equal(image_tree_each(g.apply.tree, show_chunk, &g), 0);
		if (!streq(g.out.len ? g.out.data : "", cases[i].want))
			fail_msg("%s: %s, not %s", cases[i].what, g.out.len ? g.out.data : "", cases[i].want);
		rig_free(&g);
	}
}

static void test_refused(void **state _unused_)
{
	static const struct {
		const char *layers[2];
		const char *want;
	} cases[] = {
		{ { "f:/etc/passwd=1" }, "an absolute path: /etc/passwd" },
		{ { "d:/" }, "an absolute path: /" },
		{ { "f:../x=1" }, "leaves the tree: ../x" },
		{ { "f:a/../../x=1" }, "leaves the tree: a/../../x" },
		{ { "f:a/..=1" }, "leaves the tree: a/.." },
		{ { "f:=1" }, "an entry without a name" },
		{ { "f:./=1" }, "a root that is no folder" },
		{ { "l:.>x" }, "a root that is no folder" },
		{ { "h:.>x" }, "a root that is no folder" },
		{ { "f:.wh." }, "a whiteout of no name: .wh." },
		{ { "f:d/.wh.." }, "a whiteout of no name" },
		{ { "f:d/.wh..." }, "a whiteout of no name" },
		{ { "d:.wh.x/" }, "a whiteout that is a folder" },
		{ { "f:../.wh.x" }, "leaves the tree" },
		{ { "h:a>b" }, "a hard link to nothing: a" },
		{ { "f:a=1 h:a>a" }, "a hard link to itself: a" },
		{ { "f:a=1", "h:a>a" }, "a hard link to itself: a" },
		{ { "d:d h:a>d" }, "a hard link to a folder: a" },
		{ { "h:a>." }, "a hard link to nothing: a" },
		{ { "h:a>../etc/shadow" }, "a hard link: its target: leaves the tree: ../etc/shadow" },
		{ { "h:a>/etc/shadow" }, "a hard link: its target: an absolute path: /etc/shadow" },
		{ { "l:etc>/etc h:a>etc/shadow" }, "a hard link to nothing: a" },
		{ { "l:etc>/etc f:etc/passwd=1" }, "goes through a symbolic link of its own layer: etc/passwd" },
		{ { "l:a>b l:b>a f:a/x=1" }, "goes through a symbolic link of its own layer: a/x" },
		{ { "f:a=1 f:a/b=1" }, "goes through something that is no folder: a/b" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = 0;
		struct rig g;

		rig_new(&g, 0);
		for (unsigned n = 0; n < 2 && cases[i].layers[n] && r == 0; n++) {
			_cleanup_buf_ struct buf b = BUF_INIT;

			make_layer(&b, cases[i].layers[n]);
			r = rig_layer(&g, &b, n + 1);
		}
		if (r != -EBADMSG || !streq(g.err.len ? g.err.data : "", cases[i].want))
			if (r != -EBADMSG || strncmp(g.err.data, cases[i].want, strlen(cases[i].want)) != 0)
				fail_msg("%s: %d %s", cases[i].layers[0], r, g.err.len ? g.err.data : "");
		rig_free(&g);
	}
}

/* Names of any bytes, and as long as Linux has them; what is longer is refused. */
static void test_names(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT, path = BUF_INIT;
	char name[IMAGE_NAME_MAX + 2], bytes[256];
	struct rig g;

	for (int i = 0; i < 255; i++)
		bytes[i] = (char)(i + 1 == '/' ? 'x' : i + 1);
	bytes[255] = '\0';
	rig_new(&g, 0);
	tarball_entry(&b, 'L', "long", NULL, bytes);
	tarball_entry(&b, '0', "short", NULL, "1");
	tarball_end(&b);
	assert_int_equal(rig_layer(&g, &b, 1), 0);
	assert_int_equal(image_tree_each(g.apply.tree, show_chunk, &g), 0);
	assert_memory_equal(g.out.data + 1, bytes, 255);

	buf_reset(&b);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	tarball_entry(&b, 'L', "long", NULL, name);
	tarball_entry(&b, '0', "short", NULL, "1");
	tarball_end(&b);
	assert_int_equal(rig_layer(&g, &b, 2), -E2BIG);
	assert_non_null(strstr(g.err.data, "a name of 256 bytes"));

	buf_reset(&b);
	buf_reset(&g.err);
	while (path.len <= IMAGE_PATH_MAX)
		buf_str(&path, "d/");
	tarball_entry(&b, 'L', "long", NULL, path.data);
	tarball_entry(&b, '5', "short", NULL, NULL);
	tarball_end(&b);
	assert_int_equal(rig_layer(&g, &b, 2), -E2BIG);
	assert_non_null(strstr(g.err.data, "a path of 4096 bytes"));
	rig_free(&g);
}

/* As deep as a path can be. */
static void test_deep(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT, path = BUF_INIT;
	struct rig g;

	while (path.len + 2 <= IMAGE_PATH_MAX)
		buf_str(&path, "d/");
	buf_str(&path, "x");
	rig_new(&g, 0);
	tarball_entry(&b, 'L', "long", NULL, path.data);
	tarball_entry(&b, '0', "short", NULL, "1");
	tarball_entry(&b, '0', "top", NULL, "1");
	tarball_end(&b);
	assert_int_equal(rig_layer(&g, &b, 1), 0);
	assert_int_equal(image_tree_entries(g.apply.tree), 2047 + 1 + 1 + 1);
	assert_int_equal(image_tree_each(g.apply.tree, show_chunk, &g), 0);
	buf_reset(&b);
	make_layer(&b, "f:.wh.d");
	assert_int_equal(rig_layer(&g, &b, 2), 0);
	assert_int_equal(image_tree_entries(g.apply.tree), 2);
	rig_free(&g);
}

/* Many entries: as many as the limit has room for, then an error; what was there stays whole. */
struct flood {
	struct buf piece;
	unsigned long long n, max;
};

static ssize_t flood_next(void *data, const uint8_t **ret)
{
	struct flood *f = data;

	buf_reset(&f->piece);
	for (int i = 0; i < 100 && f->n < f->max; i++, f->n++) {
		char name[64];

		snprintf(name, sizeof(name), "d%llu/some-name-%llu", f->n % 1000, f->n);
		tarball_entry(&f->piece, '0', name, NULL, "");
	}
	*ret = (const uint8_t *)f->piece.data;
	return (ssize_t)f->piece.len;
}

static void test_flood(void **state _unused_)
{
	static const struct {
		unsigned long long entries;
		size_t memory;
		int want;
	} cases[] = {
		{ 1000000, 0, 0 },
		{ 1000000, 16 * MIB, -E2BIG },
		{ 1000, 64 * KIB, -E2BIG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct flood f = { .max = cases[i].entries };
		struct tar_input in = { flood_next, NULL, &f };
		struct rig g;

		rig_new(&g, cases[i].memory);
		assert_int_equal(rig_apply(&g, &in, 1), cases[i].want);
		if (cases[i].want)
			assert_non_null(strstr(g.err.data, "too many files"));
		else
			assert_int_equal(image_tree_entries(g.apply.tree), cases[i].entries + 1000 + 1);
		buf_free(&f.piece);
		rig_free(&g);
	}
}

/* What a folder has is cut into chunks as a scan cuts it, the root's led by the root itself. */
struct cut {
	uint32_t n[8];
	size_t chunks;
};

static int cut_chunk(void *data, struct chunk *c)
{
	struct cut *k = data;

	assert_int_equal(c->seq, k->chunks);
	assert_string_equal(c->dir, "/");
	if (k->chunks == 0) {
		assert_string_equal(c->entries[0].name, "");
		assert_int_equal(c->entries[0].rec.have, ATTR_BIT(ATTR_TYPE));
	}
	k->n[k->chunks++] = c->n;
	return 0;
}

static void test_chunks(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct cut k = { .chunks = 0 };
	struct rig g;

	for (int i = 0; i < 130; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		tarball_entry(&b, '0', name, NULL, "");
	}
	tarball_end(&b);
	rig_new(&g, 0);
	assert_int_equal(rig_layer(&g, &b, 1), 0);
	assert_int_equal(image_tree_each(g.apply.tree, cut_chunk, &k), 0);
	assert_int_equal(k.chunks, 3);
	assert_true(k.n[0] == 64 && k.n[1] == 64 && k.n[2] == 3);
	rig_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layers), cmocka_unit_test(test_refused), cmocka_unit_test(test_names),
		cmocka_unit_test(test_deep),   cmocka_unit_test(test_flood),   cmocka_unit_test(test_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
