/* alert/engine: events and accesses through rules to history, actions and outputs; loss, reload, files of rules. */
#include "tests/alert/rig.h"

#include "alert/ruleset.h"

static const char rules_text[] =
	"- rule: written\n  desc: x\n  condition: evt.type = openat and evt.is_open_write = true and fd.name "
	"startswith /t/\n"
	"  output: \"%fd.name by %proc.name\"\n  priority: warning\n"
	"- rule: made\n  desc: x\n  condition: evt.type = creat and fd.directory = /m\n  output: \"%fd.name\"\n  "
	"priority: error\n"
	"- rule: changed\n  desc: x\n  condition: hf.change = changed\n  output: \"%hf.path\"\n  priority: notice\n"
	"- rule: moved\n  desc: x\n  condition: evt.type = rename and evt.arg.oldpath = /t/old and evt.arg.newpath = "
	"/t/new\n"
	"  output: \"%evt.arg.oldpath %evt.arg.newpath\"\n  priority: notice\n"
	"- rule: read\n  desc: x\n  condition: evt.is_open_read = true\n  output: \"%fd.name\"\n  priority: notice\n"
	"- rule: linked\n  desc: x\n  condition: evt.type = symlink and evt.arg.target = /etc/shadow\n  output: l\n"
	"  priority: notice\n"
	"- rule: setuid\n  desc: x\n  condition: evt.type = chmod and evt.arg.mode contains S_ISUID\n  output: s\n"
	"  priority: notice\n";

struct seen {
	pthread_mutex_t lock;
	struct buf raised, sent, rows;
	unsigned n_rows, n_lost;
	uint64_t hold_ns; /* each alert takes so long */
};

static void on_raised(struct alert *a, void *data)
{
	struct seen *s = data;

	if (s->hold_ns)
		usleep((useconds_t)(s->hold_ns / 1000));
	pthread_mutex_lock(&s->lock);
	buf_printf(&s->raised, "%s:%s\n", a->rule, a->output);
	pthread_mutex_unlock(&s->lock);
}

static void on_send(struct alert *a, void *data)
{
	struct seen *s = data;

	pthread_mutex_lock(&s->lock);
	buf_printf(&s->sent, "%s\n", a->rule);
	pthread_mutex_unlock(&s->lock);
}

static void on_store(struct event *e, void *data)
{
	struct seen *s = data;

	assert_int_equal(e->kind, EVENT_ALERT);
	pthread_mutex_lock(&s->lock);
	buf_printf(&s->rows, "%s %llu %d\n", e->reason, (unsigned long long)e->count, e->about != NULL);
	s->n_rows++;
	pthread_mutex_unlock(&s->lock);
	event_unref(e);
}

static void on_lost(bool losing, uint64_t lost, void *data)
{
	struct seen *s = data;

	s->n_lost += losing && lost > 0;
}

static struct engine_options engine_options(struct seen *s, struct conf *conf)
{
	return (struct engine_options){ .conf = conf,
					.procfs = "/proc",
					.raised = on_raised,
					.send = on_send,
					.store = on_store,
					.lost = on_lost,
					.data = s };
}

static struct engine *start_by(struct engine_options *o, struct seen *s)
{
	struct engine *g;

	pthread_mutex_init(&s->lock, NULL);
	o->rules = rig_rules(rules_text);
	assert_int_equal(engine_start(o, &g), 0);
	rules_unref(o->rules);
	return g;
}

static struct engine *start_with(struct seen *s, struct conf *conf, size_t room, size_t bytes)
{
	struct engine_options o = engine_options(s, conf);

	o.room = room;
	o.bytes = bytes;
	return start_by(&o, s);
}

static struct engine *start(struct seen *s, struct conf *conf, size_t room)
{
	return start_with(s, conf, room, 0);
}

static void seen_free(struct seen *s)
{
	buf_free(&s->raised);
	buf_free(&s->sent);
	buf_free(&s->rows);
}

static void put_change(struct engine *g, const char *path, const char *cause)
{
	struct event *e = event_new(EVENT_CHANGE);

	e->time = clock_real_ns();
	e->change = CHANGE_CHANGED;
	e->path = path;
	e->cause = cause;
	e->process = rig_process("/usr/bin/vim", 1);
	engine_event(g, e);
	event_unref(e);
}

struct access_case {
	uint32_t ops;
	bool is_dir;
	const char *path, *path2;
};

static void put_accesses(struct engine *g, const struct access_case *cases, uint32_t n)
{
	struct fs_batch *b = calloc(1, sizeof(*b));

	b->events = arena_zalloc(&b->arena, n * sizeof(*b->events));
	b->n = n;
	b->real_ns = clock_real_ns();
	b->boot_ns = clock_boot_ns();
	for (uint32_t i = 0; i < n; i++) {
		b->events[i] = (struct fs_event){ .ops = cases[i].ops,
						  .is_dir = cases[i].is_dir,
						  .pid = 1,
						  .process = rig_process("/usr/bin/vim", 1),
						  .path = arena_strdup(&b->arena, cases[i].path),
						  .boot_ns = b->boot_ns };
		if (cases[i].path2)
			b->events[i].path2 = arena_strdup(&b->arena, cases[i].path2);
	}
	engine_accesses(g, b);
}

/* Calls come from accesses, changes from events; without accesses, and of what was found by looking, changes stand for
 * calls too. */
static void test_faces(void **state _unused_)
{
	struct conf *conf = rig_conf("rules: {repeat: 0}\n");
	struct seen s = { 0 };
	struct engine *g = start(&s, conf, 0);

	put_change(g, "/t/a", NULL);
	put_change(g, "/t/b", "found by a rescan");
	engine_stop(g);
	assert_string_equal(s.raised.data, "written:/t/a by vim\nchanged:/t/a\nwritten:/t/b by vim\nchanged:/t/b\n");
	assert_string_equal(s.rows.data, "written 1 1\nchanged 1 1\nwritten 1 1\nchanged 1 1\n");
	seen_free(&s);

	s = (struct seen){ 0 };
	g = start(&s, conf, 0);
	engine_set_accesses(g, true);
	put_change(g, "/t/a", NULL);
	put_change(g, "/t/b", "found by a rescan");
	engine_stop(g);
	assert_string_equal(s.raised.data, "changed:/t/a\nwritten:/t/b by vim\nchanged:/t/b\n");
	seen_free(&s);
	conf_unref(conf);
}

static bool is_past_calls(const struct process *p, void *data _unused_)
{
	return p->pid == 1;
}

/* What is told as a call is not asked about as what came of it, but where the process made no call. */
static void test_past_calls(void **state _unused_)
{
	struct conf *conf = rig_conf("rules: {repeat: 0}\n");
	struct rig_dir d;
	char link[128];

	rig_dir_new(&d);
	snprintf(link, sizeof(link), "%s/link", d.path);
	assert_int_equal(symlink("/etc/shadow", link), 0);
	for (int past = 0; past < 2; past++) {
		struct seen s = { 0 };
		struct engine_options o = engine_options(&s, conf);
		struct engine *g;

		o.past_calls = past ? is_past_calls : NULL;
		g = start_by(&o, &s);
		engine_set_accesses(g, true);
		engine_set_told(g, FACE_BIT(FACE_SYMLINK), true);
		put_accesses(g, (struct access_case[]){ { FS_CREATE, false, link, NULL } }, 1);
		engine_stop(g);
		assert_string_equal(s.raised.data ? s.raised.data : "", past ? "linked:l\n" : "");
		seen_free(&s);
	}
	rig_dir_free(&d);
	conf_unref(conf);
}

static void test_accesses(void **state _unused_)
{
	struct rig_dir d;
	char link[128], file[128];
	struct conf *conf = rig_conf("rules: {repeat: 0}\n");
	struct seen s = { 0 };
	struct engine *g;

	rig_dir_new(&d);
	snprintf(link, sizeof(link), "%s/link", d.path);
	snprintf(file, sizeof(file), "%s/file", d.path);
	assert_int_equal(symlink("/etc/shadow", link), 0);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(chmod(file, 04755), 0);
	g = start(&s, conf, 0);
	engine_set_accesses(g, true);
	put_accesses(g,
		     (struct access_case[]){
			     { FS_CLOSE_WRITE, false, "/t/plain", NULL },
			     { FS_CREATE, false, "/m/made", NULL },
			     { FS_CLOSE_WRITE, false, "/m/made", NULL }, /* of the same open */
			     { FS_CREATE | FS_CLOSE_WRITE, false, "/m/both", NULL },
			     { FS_CREATE, true, "/m/folder", NULL },
			     { FS_RENAME_FROM, false, "/t/old", "/t/new" },
			     { FS_DELETE, false, "/t/gone", NULL },
			     { FS_OPEN, false, "/t/secret", NULL },
			     { FS_CREATE, false, link, NULL },
			     { FS_ATTRIB, false, file, NULL },
			     { FS_MODIFY, false, "/t/unclosed", NULL },
		     },
		     11);
	engine_stop(g);
	assert_string_equal(s.raised.data, "written:/t/plain by vim\nmade:/m/made\nmade:/m/both\nmoved:/t/old /t/new\n"
					   "read:/t/secret\nlinked:l\nsetuid:s\n");
	/* Nothing of that is another row of history. */
	assert_null(strstr(s.rows.data, " 1 1\n"));
	seen_free(&s);
	conf_unref(conf);
	rig_dir_free(&d);
}

static void test_repeats(void **state _unused_)
{
	struct conf *conf = rig_conf("rules: {repeat: 1h}\n");
	struct seen s = { 0 };
	struct engine *g = start(&s, conf, 0);
	struct engine_stats stats;

	engine_set_accesses(g, true);
	for (int i = 0; i < 100; i++)
		put_change(g, "/t/a", NULL);
	engine_stop(g);
	/* All are raised and in history; outputs got the first, and at the end the sum. */
	assert_int_equal(s.raised.len, 100 * strlen("changed:/t/a\n"));
	assert_string_equal(s.sent.data, "changed\nchanged\n");
	assert_int_equal(s.n_rows, 100); /* each by a process of its own */
	seen_free(&s);
	conf_unref(conf);
	(void)stats;
}

/* Whoever hands over never waits; what finds no room is counted and told. */
static void check_loss(size_t room, size_t bytes)
{
	struct conf *conf = rig_conf("rules: {repeat: 0}\n");
	struct seen s = { .hold_ns = 20 * NSEC_PER_MSEC };
	struct engine *g = start_with(&s, conf, room, bytes);
	struct engine_stats stats;
	uint64_t begin = clock_mono_ns();

	engine_set_accesses(g, true);
	for (int i = 0; i < 1000; i++)
		put_change(g, "/t/a", NULL);
	assert_true(clock_mono_ns() - begin < 20 * NSEC_PER_SEC);
	engine_get_stats(g, &stats);
	assert_true(stats.lost > 900);
	assert_true(stats.depth <= 8);
	engine_stop(g);
	assert_int_equal(s.n_lost, 1);
	seen_free(&s);
	conf_unref(conf);
}

static void test_loss(void **state _unused_)
{
	check_loss(8, 0);
}

/* Few, but large: 8 of them at the most too. */
static void test_loss_bytes(void **state _unused_)
{
	check_loss(0, 8 * sizeof(struct event));
}

static bool has_raised(void *data)
{
	struct seen *s = data;
	bool found;

	pthread_mutex_lock(&s->lock);
	found = s->raised.len && strstr(s->raised.data, "other:");
	pthread_mutex_unlock(&s->lock);
	return found;
}

static void test_reload(void **state _unused_)
{
	struct conf *conf = rig_conf("rules: {repeat: 0}\n");
	struct rules *other =
		rig_rules("- rule: other\n  desc: x\n  condition: hf.kind = change\n  output: o\n  priority: info\n");
	struct seen s = { 0 };
	struct engine *g = start(&s, conf, 0);

	engine_reload(g, conf, other);
	put_change(g, "/t/a", NULL);
	assert_true(rig_within(10000, has_raised, &s));
	engine_stop(g);
	assert_string_equal(s.raised.data, "other:o\n");
	rules_unref(other);
	seen_free(&s);
	conf_unref(conf);
}

/* --- which files, which rules */

static void put_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

#define RULE(name, priority, tag)                                                                                      \
	"- rule: " name "\n  desc: x\n  condition: hf.kind = change\n  output: o\n  priority: " priority               \
	"\n  tags: [" tag "]\n"

static void test_ruleset(void **state _unused_)
{
	static const struct {
		const char *settings;
		int result;
		const char *enabled, *said;
	} cases[] = {
		{ "files: DIR", 0, "one two three ", NULL },
		{ "files: DIR/b.yaml", 0, "two three ", NULL },
		{ "files: [DIR/b.yaml, DIR/a.yaml]", 0, "two three one ", NULL },
		{ "files: 'DIR/[ab].yaml'", 0, "one two three ", NULL },
		{ "files: DIR, disable: two", 0, "one three ", NULL },
		{ "files: DIR, disable: 't*'", 0, "one ", NULL },
		{ "files: DIR, disable: 'tag:loud'", 0, "two three ", NULL },
		{ "files: DIR, disable: '*', enable: [TWO]", 0, "two ", NULL },
		{ "files: DIR, minimum: warning", 0, "one two ", NULL },
		{ "files: DIR, minimum: error, enable: two", 0, "one ", NULL },
		{ "files: DIR, disable: tow", -EINVAL, NULL, "no rule is meant by 'tow'" },
		{ "files: DIR/nothing.yaml", -EINVAL, NULL, "No such file" },
		{ "files: 'DIR/x*.yaml'", -EINVAL, NULL, "no such file" },
		{ "files: DIR/bad.txt", -EINVAL, NULL, "bad.txt:1:" },
	};
	struct rig_dir d;

	rig_dir_new(&d);
	put_file(d.path, "a.yaml", RULE("one", "error", "loud"));
	put_file(d.path, "b.yaml", RULE("two", "warning", "quiet") RULE("three", "notice", "quiet"));
	put_file(d.path, "bad.txt", "- rule: x\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf text = BUF_INIT, messages = BUF_INIT, enabled = BUF_INIT;
		struct conf *conf;
		struct rules *r = NULL;

		buf_str(&text, "rules: {");
		for (const char *p = cases[i].settings; *p; p++) {
			if (strncmp(p, "DIR", 3) == 0) {
				buf_str(&text, d.path);
				p += 2;
			} else {
				buf_char(&text, *p);
			}
		}
		buf_str(&text, "}\n");
		conf = rig_conf(text.data);
		assert_int_equal(ruleset_load(conf, NULL, &r, &messages), cases[i].result);
		if (cases[i].said && !strstr(messages.data, cases[i].said))
			fail_msg("%s: %s", cases[i].settings, messages.data);
		for (size_t k = 0; r && k < rules_count(r); k++) {
			if (rules_get(r, k)->enabled)
				buf_printf(&enabled, "%s ", rules_get(r, k)->name);
		}
		if (r)
			assert_string_equal(enabled.data, cases[i].enabled);
		if (r)
			rules_unref(r);
		conf_unref(conf);
	}
	rig_dir_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faces),	cmocka_unit_test(test_accesses), cmocka_unit_test(test_past_calls),
		cmocka_unit_test(test_repeats), cmocka_unit_test(test_loss),	 cmocka_unit_test(test_loss_bytes),
		cmocka_unit_test(test_reload),	cmocka_unit_test(test_ruleset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
