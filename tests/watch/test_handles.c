/* The cache of folders, the table of links, places, and batches. */
#include "watch/handles.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/test.h"
#include "watch/emit.h"
#include "watch/linked.h"

static const struct place *put(struct handles *h, uint32_t key, const char *path)
{
	struct place place = { .path = path, .len = (uint32_t)strlen(path) };
	struct handles_dir *d = handles_put(h, handles_hash(h, &key, sizeof(key)), &key, sizeof(key), key, &place, 1);

	assert_non_null(d);
	return &d->places[0];
}

static struct handles_dir *get(struct handles *h, uint32_t key)
{
	return handles_get(h, handles_hash(h, &key, sizeof(key)), &key, sizeof(key));
}

static void test_handles(_unused_ void **state)
{
	struct handles *h;
	uint32_t found = 0;
	char path[32];

	assert_int_equal(handles_new(100, 42, &h), 0);
	assert_null(get(h, 1));
	for (uint32_t i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/folder/%u", i);
		put(h, i, path);
		assert_true(handles_count(h) <= 100);
		assert_string_equal(get(h, i)->places[0].path, path);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		struct handles_dir *d = get(h, i);

		snprintf(path, sizeof(path), "/folder/%u", i);
		if (d)
			assert_string_equal(d->places[0].path, path);
		found += d != NULL;
	}
	assert_int_equal(found, 100);
	put(h, 999, "/moved");
	assert_string_equal(get(h, 999)->places[0].path, "/moved");
	assert_int_equal(handles_count(h), 100);
	handles_clear(h);
	assert_int_equal(handles_count(h), 0);
	assert_null(get(h, 999));
	handles_free(h);
}

static void count(const char *path, void *data)
{
	assert_int_equal(path[0], '/');
	++*(int *)data;
}

static void test_linked(_unused_ void **state)
{
	struct linked *l;
	int n = 0;

	assert_int_equal(linked_new(3, 1, &l), 0);
	assert_int_equal(linked_add(l, "key", 3, "/a"), 0);
	assert_int_equal(linked_add(l, "key", 3, "/a"), 1);
	assert_int_equal(linked_add(l, "key", 3, "/b"), 0);
	assert_int_equal(linked_add(l, "kez", 3, "/a"), 0);
	assert_int_equal(linked_add(l, "kex", 3, "/c"), -ENOSPC);
	linked_each(l, "key", 3, count, &n);
	assert_int_equal(n, 2);
	linked_remove(l, "key", 3, "/a");
	linked_remove(l, "key", 3, "/nothing");
	assert_int_equal(linked_count(l), 2);
	n = 0;
	linked_each(l, "key", 3, count, &n);
	linked_each(l, "nobody", 6, count, &n);
	assert_int_equal(n, 1);
	linked_free(l);
}

static const struct {
	const char *folder;
	bool ask, sensitive;
	enum scope_answer self;
} places[] = {
	{ "/", true, true, SCOPE_ABOVE },
	{ "/etc", false, true, SCOPE_IN },
	{ "/etc/ssl", false, true, SCOPE_IN },
	{ "/etc/ssl/private", false, true, SCOPE_IN },
	{ "/etc/apt", false, false, SCOPE_IN },
	{ "/etc/skip", true, false, SCOPE_ABOVE },
	{ "/etc/skip/but", false, false, SCOPE_IN },
	{ "/etc/skip/this", false, false, SCOPE_EXCLUDED },
	{ "/srv", true, false, SCOPE_ABOVE },
	{ "/srv/data", true, false, SCOPE_ABOVE },
	{ "/home/bob/x", false, true, SCOPE_OUT },
	{ "/usr", false, false, SCOPE_OUT },
};

static void test_places(_unused_ void **state)
{
	static const char yaml[] = "paths: [/etc, /etc/skip/but, /srv/data/file]\nexclude: [/etc/skip]\n"
				   "sensitive: [/etc/shadow, /etc/ssl/private, '/home/*/.ssh']\n";
	_cleanup_buf_ struct buf errors = BUF_INIT;
	struct conf *conf;

	assert_int_equal(conf_parse("test", yaml, sizeof(yaml) - 1, &conf, &errors), 0);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct place p;

		place_init(&p, conf, "/var/lib/holdfast", places[i].folder, strlen(places[i].folder));
		if (p.ask != places[i].ask || p.sensitive != places[i].sensitive || p.self != places[i].self)
			fail_msg("%s: ask %d sensitive %d self %d", places[i].folder, p.ask, p.sensitive, p.self);
		assert_false(p.own);
	}
	conf_unref(conf);
}

/* --- batches */

static struct watch_gap last_gap;
static int gaps;

static void on_gap(const struct watch_gap *g, _unused_ void *data)
{
	last_gap = *g;
	gaps++;
}

static void add(struct emit *e, const char *path, int32_t pid, uint32_t ops, const char *path2)
{
	emit_add(e, &(struct emit_event){ .ops = ops, .pid = pid, .path = path, .len = strlen(path), .path2 = path2 });
}

static struct emit *new_emit(size_t room)
{
	static atomic_bool stop;
	struct emit *e = calloc(1, sizeof(*e));
	struct watch_options o = { .gap = on_gap };

	assert_non_null(e);
	atomic_store(&stop, true); /* a full queue is not waited for */
	assert_int_equal(queue_new(room, &o.out), 0);
	emit_init(e, &o, &stop);
	gaps = 0;
	return e;
}

static void free_emit(struct emit *e)
{
	emit_free(e);
	queue_free(e->out);
	free(e);
}

static void test_merge(_unused_ void **state)
{
	struct emit *e = new_emit(4);
	struct fs_batch *b;

	emit_begin(e, 5);
	add(e, "/t", 1, FS_CREATE, NULL);
	add(e, "/t", 1, FS_MODIFY | FS_CLOSE_WRITE, NULL);
	add(e, "/t", 2, FS_MODIFY, NULL); /* by another process */
	add(e, "/t", 1, FS_RENAME_FROM, "/k");
	add(e, "/k", 1, FS_RENAME_TO, "/t");
	add(e, "/k", 1, FS_DELETE, NULL);
	add(e, "/k", 1, FS_RENAME_TO, "/u"); /* one second path only */
	add(e, "/k", 1, FS_ATTRIB, NULL);
	emit_flush(e);
	b = queue_pop(e->out);
	assert_int_equal(b->n, 4);
	assert_string_equal(b->events[0].path, "/t");
	assert_int_equal(b->events[0].ops, FS_CREATE | FS_MODIFY | FS_CLOSE_WRITE | FS_RENAME_FROM);
	assert_string_equal(b->events[0].path2, "/k");
	assert_int_equal(b->events[1].pid, 2);
	assert_int_equal(b->events[2].ops, FS_RENAME_TO | FS_DELETE);
	assert_string_equal(b->events[2].path2, "/t");
	assert_int_equal(b->events[3].ops, FS_RENAME_TO | FS_ATTRIB);
	assert_string_equal(b->events[3].path2, "/u");
	assert_int_equal(b->boot_ns, 5);
	fs_batch_free(b);
	free_emit(e);
}

static void test_large_batch(_unused_ void **state)
{
	struct emit *e = new_emit(64);
	uint32_t n = 0;
	char path[32];

	for (int i = 0; i < 3 * EMIT_BATCH_MAX + 1; i++) {
		snprintf(path, sizeof(path), "/f%d", i);
		add(e, path, 1, FS_CREATE, NULL);
	}
	emit_flush(e);
	while (queue_depth(e->out)) {
		struct fs_batch *b = queue_pop(e->out);

		n += b->n;
		fs_batch_free(b);
	}
	assert_int_equal(n, 3 * EMIT_BATCH_MAX + 1);
	assert_int_equal(gaps, 0);
	free_emit(e);
}

static void test_full_queue(_unused_ void **state)
{
	struct emit *e = new_emit(1);
	struct fs_batch *b;

	add(e, "/1", 1, FS_CREATE, NULL);
	emit_flush(e);
	add(e, "/2", 1, FS_CREATE, NULL);
	add(e, "/3", 1, FS_CREATE, NULL);
	emit_flush(e);
	assert_int_equal(gaps, 1);
	assert_int_equal(last_gap.reason, GAP_QUEUE_OVERFLOW);
	assert_int_equal(last_gap.lost, 2);
	add(e, "/4", 1, FS_CREATE, NULL);
	emit_flush(e);
	emit_retry(e);
	assert_int_equal(gaps, 1);
	fs_batch_free(queue_pop(e->out));
	emit_retry(e);
	b = queue_pop(e->out);
	assert_int_equal(b->n, 1);
	assert_int_equal(b->events[0].ops, FS_RESCAN);
	assert_string_equal(b->events[0].path, "/");
	fs_batch_free(b);
	/* The same gap again, with the final number. */
	assert_int_equal(gaps, 2);
	assert_int_equal(last_gap.lost, 3);
	assert_false(e->losing);
	free_emit(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handles), cmocka_unit_test(test_linked),	    cmocka_unit_test(test_places),
		cmocka_unit_test(test_merge),	cmocka_unit_test(test_large_batch), cmocka_unit_test(test_full_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
