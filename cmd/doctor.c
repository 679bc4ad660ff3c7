/* holdfast doctor: what this kernel and node can do, by trying it. One thread; probes run in children (probe.c). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "cmd/command.h"
#include "cmd/probe.h"
#include "db/history.h"
#include "event/json.h"
#include "lib/fstype.h"
#include "lib/text.h"
#include "watch/mounts.h"

#define DOCTOR_MOUNTS 256 /* file systems that are tried; more are counted */

static const struct {
	const char *word;
	enum colour colour;
} answer_rows[] = {
	[PROBE_OK] = { "ok", COLOUR_GREEN },
	[PROBE_MISSING] = { "missing", COLOUR_RED },
	[PROBE_UNKNOWN] = { "unknown", COLOUR_YELLOW },
};

struct doctor {
	struct cmd *c;
	struct table table;
	unsigned missing;
};

/* detail is sanitised: it may hold paths that are escaped already. */
static void doctor_row(struct doctor *k, const char *group, const char *name, enum probe_answer answer,
		       const char *detail, const char *consequence)
{
	k->missing += answer != PROBE_OK;
	if (answer == PROBE_OK)
		consequence = NULL;
	if (k->c->json) {
		json_t *j = json_object();

		json_object_set_new(j, "kind", json_string("probe"));
		json_object_set_new(j, "group", json_string(group));
		json_put_string(j, "name", name);
		json_object_set_new(j, "answer", json_string(answer_rows[answer].word));
		json_put_string(j, "detail", detail);
		json_put_string(j, "consequence", consequence);
		out_json(&k->c->out, j);
		return;
	}
	table_cell(&k->table, name);
	table_cell_colour(&k->table, answer_rows[answer].word, answer_rows[answer].colour);
	table_cell_colour(&k->table, detail, COLOUR_NONE);
	table_cell_colour(&k->table, consequence, COLOUR_NONE);
}

static void doctor_begin(struct doctor *k, const char *title, const char *const *titles)
{
	table_init(&k->table, titles, 4, 0);
	if (k->c->json)
		return;
	out_colour(&k->c->out, COLOUR_BOLD);
	out_str(&k->c->out, title);
	out_colour(&k->c->out, COLOUR_NONE);
	out_str(&k->c->out, "\n");
}

static void doctor_end(struct doctor *k)
{
	table_print(&k->table, &k->c->out, "  ");
	table_free(&k->table);
	if (!k->c->json)
		out_str(&k->c->out, "\n");
	out_flush(&k->c->out); /* the rest may take a while; and children must inherit nothing */
}

/* --- the kernel */

static void doctor_kernel(struct doctor *k)
{
	struct utsname name = { 0 };
	char title[256];

	uname(&name);
	snprintf(title, sizeof(title), "Kernel (%.64s, %.32s)", name.release, name.machine);
	doctor_begin(k, title, NULL);
	for (size_t i = 0; i < probe_count; i++) {
		struct probe_result r;

		probe_run(&probe_table[i], &r);
		doctor_row(k, "kernel", probe_table[i].name, r.answer, r.detail, probe_table[i].consequence);
	}
	doctor_end(k);
}

/* --- file systems that hold configured paths, or lie below one */

static bool doctor_below(const char *path, const char *folder)
{
	size_t len = streq(folder, "/") ? 0 : strlen(folder);

	return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool doctor_wanted(const struct conf *conf, const struct mount_table *t, const struct mount *m)
{
	for (size_t i = 0; i < conf->scope.n_paths; i++) {
		const char *path = conf->scope.paths[i].path;

		if (mounts_find(t, path) == m || doctor_below(m->point, path))
			return true;
	}
	return false;
}

static void doctor_mount(struct doctor *k, const struct mount *m)
{
	const struct fstype *type = fstype_by_name(m->fstype);
	_cleanup_buf_ struct buf name = BUF_INIT, detail = BUF_INIT;
	struct probe_result r = { .answer = PROBE_OK };

	buf_str(&name, m->point);
	buf_printf(&detail, "%s (%s)", m->fstype, fstype_class_names[type->class]);
	if (type->class == FSTYPE_PSEUDO || type->class == FSTYPE_REMOTE) {
		buf_str(&detail, ": left out by type");
	} else {
		probe_mark(m->point, &r);
		buf_printf(&detail, ": %s", r.detail);
	}
	doctor_row(k, "file systems", name.data ? name.data : "", r.answer, detail.data,
		   "watched by inotify, folder by folder, without who");
}

static void doctor_mounts(struct doctor *k)
{
	_cleanup_(mounts_free) struct mount_table t = { 0 };
	uint64_t seen[DOCTOR_MOUNTS];
	size_t n = 0, more = 0;
	int r = mounts_read("/proc/self/mountinfo", &t, NULL);

	doctor_begin(k, "File systems of configured paths", NULL);
	if (r)
		doctor_row(k, "file systems", "/proc/self/mountinfo", PROBE_UNKNOWN, strerror(-r), "");
	for (size_t i = 0; i < t.n; i++) {
		size_t known = 0;

		if (!doctor_wanted(k->c->conf, &t, &t.mounts[i]))
			continue;
		while (known < n && seen[known] != t.mounts[i].dev)
			known++;
		if (known < n)
			continue;
		if (n == DOCTOR_MOUNTS) {
			more++;
			continue;
		}
		seen[n++] = t.mounts[i].dev;
		doctor_mount(k, &t.mounts[i]);
	}
	if (!n && !r)
		doctor_row(k, "file systems", "none", PROBE_UNKNOWN, "no paths are configured", "nothing is watched");
	if (more)
		doctor_row(k, "file systems", "more", PROBE_UNKNOWN, "not tried: too many", "");
	doctor_end(k);
}

/* --- configuration, store, keys */

static void doctor_conf(struct doctor *k)
{
	struct conf *conf = k->c->conf;
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_printf(&b, "%zu paths, %zu excluded, %zu sensitive", conf->scope.n_paths, conf->scope.n_exclude,
		   conf->n_sensitive);
	doctor_row(k, "store", "configuration", conf->scope.n_paths ? PROBE_OK : PROBE_MISSING,
		   k->c->conf_is_default ? "no file at " CONF_DEFAULT_PATH ": built-in defaults, no paths" : b.data,
		   "nothing is guarded until paths are configured");
}

static void doctor_key(struct doctor *k, struct sign_key **ret)
{
	_cleanup_buf_ struct buf err = BUF_INIT, id = BUF_INIT;
	struct stat st;
	int r = sign_key_load_public(k->c->key, ret, &err);

	if (r == 0) {
		sign_key_id(*ret, &id);
		if (stat(k->c->key, &st) == 0 && (st.st_mode & 077))
			doctor_row(k, "store", "signing key", PROBE_MISSING, k->c->key,
				   "others may read it: chmod 600");
		else
			doctor_row(k, "store", "signing key", PROBE_OK, id.data, NULL);
	} else if (r == -ENOENT) {
		doctor_row(k, "store", "signing key", PROBE_MISSING, k->c->key, "the first init makes it");
	} else {
		doctor_row(k, "store", "signing key", PROBE_MISSING, err.len ? err.data : strerror(-r),
			   "nothing can be verified");
	}
}

static void doctor_baseline(struct doctor *k, struct db *d, const struct sign_key *pub)
{
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_buf_ struct buf err = BUF_INIT, text = BUF_INIT;
	struct baseline_info info;
	char taken[TEXT_TIME_MAX];
	int r = history_check_head(d, pub, &err);

	doctor_row(k, "store", "history", r ? PROBE_MISSING : PROBE_OK,
		   r ? err.data : "newest batch and head file agree", "NOT to be trusted: holdfast baseline verify");
	r = baseline_find(d, "host", &arena, &info);
	if (r) {
		doctor_row(k, "store", "baseline host", PROBE_MISSING, r == -ENOENT ? "none" : db_error(d),
			   "holdfast init takes it");
		return;
	}
	buf_reset(&err);
	r = baseline_check_signature(d, info.id, pub, &err);
	text_time(taken, info.created, 0);
	buf_printf(&text, "%llu entries, taken %s, %s", (unsigned long long)info.files, taken, info.signed_by);
	doctor_row(k, "store", "baseline host", r ? PROBE_MISSING : PROBE_OK, r ? err.data : text.data,
		   "NOT to be trusted");
}

static void doctor_store(struct doctor *k)
{
	_cleanup_sign_key_ struct sign_key *pub = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT, text = BUF_INIT;
	_cleanup_db_ struct db *d = NULL;
	int r = db_open(&k->c->db, DB_READ, &d, &err);

	doctor_begin(k, "Store", NULL);
	doctor_conf(k);
	text_sanitize(&text, k->c->db.path, strlen(k->c->db.path));
	if (r == 0) {
		buf_str(&text, ", ");
		text_size(&text, db_size(d));
	}
	doctor_row(k, "store", "database", r ? PROBE_MISSING : PROBE_OK, r && err.len ? err.data : text.data,
		   r == -ENOENT ? "the first init makes it" : "history and baselines cannot be read");
	doctor_key(k, &pub);
	if (d && pub)
		doctor_baseline(k, d, pub);
	doctor_end(k);
}

static int doctor(struct cmd *c)
{
	struct doctor k = { .c = c };
	int status;

	if (c->n_args)
		return cmd_usage(c, "no arguments wanted");
	status = cmd_load(c);
	if (status)
		return status;
	doctor_kernel(&k);
	doctor_mounts(&k);
	doctor_store(&k);
	if (!c->json && !c->quiet)
		out_printf(&c->out,
			   k.missing ? "%u missing or unknown: what follows from each stands behind it.\n"
				     : "Everything is there.\n",
			   k.missing);
	return 0;
}

const struct command command_doctor = {
	.name = "doctor",
	.usage = "",
	.summary = "what this kernel and node can do, and what follows where they cannot",
	.details = "Every line is the result of trying it now, in a child process, without marks that could hold "
		   "anybody up.\n"
		   "The sensors of the running monitor are shown by `holdfast status`.\n",
	.run = doctor,
};
