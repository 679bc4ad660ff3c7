/*
 * Recording what a check found. Opens connections of its own: one to ask what history knows, and, once there is
 * something to store, one to write; small transactions, so that a running monitor never waits long for its turn. No
 * thread of its own.
 */
#include "cmd/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/scope.h"
#include "db/approvals.h"
#include "db/history.h"
#include "fim/compare.h"
#include "fim/mime.h"
#include "fim/read.h"
#include "lib/clock.h"
#include "lib/text.h"

#define RECORD_BATCH 256
#define REVERT_MAX   100000 /* open deviations that one check looks at again */
#define REVERT_CONTENT                                                                                                 \
	(ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_XATTRS) | ATTR_BIT(ATTR_ACL) | ATTR_BIT(ATTR_CAPS) |                    \
	 ATTR_BIT(ATTR_SELINUX) | ATTR_BIT(ATTR_FLAGS) | ATTR_BIT(ATTR_MIME))

struct recorder {
	struct cmd *c;
	struct recorder_options o;
	const struct baseline_info *info;
	struct db *reads, *writes;
	struct sign_key *key;
	struct arena scratch;
	struct event *pending[RECORD_BATCH];
	size_t n;
	uint64_t stored, known, reverted, unlooked;
	bool off;	/* history cannot be written */
	bool approvals; /* there are some in force */
	struct buf why;
};

static int recorder_any(const struct approval *a _unused_, void *data)
{
	((struct recorder *)data)->approvals = true;
	return 1;
}

int recorder_new(struct cmd *c, const struct recorder_options *o, struct recorder **ret)
{
	struct recorder *r = calloc(1, sizeof(*r));
	int status;

	if (!r)
		return cmd_fail(-ENOMEM, NULL, "history");
	r->c = c;
	r->o = *o;
	r->info = o->info;
	status = cmd_open(c, DB_READ, &r->reads);
	if (!status && approvals_each(r->reads, false, clock_real_ns(), recorder_any, r) < 0)
		status = cmd_fail_db(-EIO, r->reads, "approvals");
	if (status) {
		db_closep(&r->reads);
		free(r);
		return status;
	}
	*ret = r;
	return 0;
}

void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		event_unref(r->pending[i]);
	db_closep(&r->reads);
	db_closep(&r->writes);
	sign_key_free_p(&r->key);
	arena_free(&r->scratch);
	buf_free(&r->why);
	free(r);
}

/* --- storing */

static int recorder_open(struct recorder *r)
{
	int err;

	if (r->writes)
		return 0;
	err = db_open(&r->c->db, DB_WRITE, &r->writes, &r->why);
	if (!err)
		err = sign_key_load(r->c->key, 0, &r->key, &r->why);
	if (!err)
		history_set_key(r->writes, r->key);
	return err;
}

static int recorder_store(struct recorder *r)
{
	int err = recorder_open(r);

	if (!err)
		err = db_begin(r->writes);
	if (err)
		return err;
	for (size_t i = 0; i < r->n && !err; i++)
		err = history_add(r->writes, r->pending[i]);
	if (!err)
		err = db_commit(r->writes);
	if (err)
		db_rollback(r->writes);
	return err;
}

static void recorder_flush(struct recorder *r)
{
	int err = r->off || !r->n ? 0 : recorder_store(r);

	if (err) {
		if (!r->why.len)
			buf_str(&r->why, r->writes && *db_error(r->writes) ? db_error(r->writes) : strerror(-err));
		r->off = true;
	}
	for (size_t i = 0; i < r->n; i++) {
		if (!r->off && r->pending[i]->change == CHANGE_REVERTED)
			r->reverted++;
		else if (!r->off)
			r->stored++;
		else
			r->pending[i]->id = 0;
		r->o.done(r->pending[i], r->o.data);
		event_unref(r->pending[i]);
	}
	r->n = 0;
}

static void recorder_queue(struct recorder *r, struct event *e)
{
	r->pending[r->n++] = event_ref(e);
	if (r->n == RECORD_BATCH)
		recorder_flush(r);
}

/* --- what history knows */

/* What is mounted over a file of a container has no place on the host. */
static bool recorder_is_mounted(const struct event *e)
{
	return e->container && !e->host_path;
}

/* The newest deviation of this path is open and says what e says. */
static bool recorder_knows(struct recorder *r, const struct event *e)
{
	attr_mask all = 0;
	struct record last;
	bool exists;

	if (recorder_is_mounted(e))
		return history_mounted(r->reads, r->info->id, e->container->id, e->path, e->cause, NULL) == 0;
	arena_reset(&r->scratch);
	attr_apply("all", &all);
	if (e->host_path ? history_last_layer_state(r->reads, r->info->id, e->container->upper, e->path, &r->scratch,
						    &exists, &last)
			 : history_last_state(r->reads, r->info->id, e->path, &r->scratch, &exists, &last))
		return false;
	return exists == e->has_after && (!exists || !attr_compare(&last, &e->after, all | e->attributes));
}

static int recorder_excuse(struct recorder *r, struct event *e)
{
	_cleanup_event_ struct event *last = NULL;
	int err = recorder_is_mounted(e)
			  ? history_mounted(r->reads, r->info->id, e->container->id, e->path, e->cause, &last)
			  : history_last_excused(r->reads, r->info->id, e->host_path ? e->container->upper : NULL,
						 e->path, &last);

	if (err < 0 || last->status != STATUS_EXCUSED)
		return err == -ENOENT ? 0 : err;
	e->status = STATUS_EXCUSED;
	e->cause = last->cause ? arena_strdup(&e->arena, last->cause) : NULL;
	return 0;
}

/* Nobody saw when it happened: it is as old as the file says. */
static int recorder_approval(const struct approval *a, void *data)
{
	struct event *e = data;
	_cleanup_buf_ struct buf cause = BUF_INIT;
	bool has_digest = e->has_after && e->after.have & ATTR_BIT(ATTR_DIGEST);

	if (!e->has_after || !(e->after.have & ATTR_BIT(ATTR_CTIME)) ||
	    !approval_covers(a, e->path, (uint64_t)e->after.ctime, has_digest ? e->after.digest : NULL,
			     has_digest ? e->after.digest_len : 0))
		return 0;
	approval_cause(a, &cause);
	e->cause = cause.failed ? NULL : arena_strdup(&e->arena, cause.data);
	e->status = e->cause ? STATUS_EXCUSED : STATUS_OPEN;
	return 1;
}

int recorder_add(struct recorder *r, struct event *e)
{
	bool known = recorder_knows(r, e);
	int err;

	if (known)
		err = recorder_excuse(r, e);
	else /* of the host: as the monitor does it */
		err = e->container || !r->approvals
			      ? 0
			      : approvals_each(r->reads, false, clock_real_ns(), recorder_approval, e);
	if (err < 0)
		return err;
	if (!known && !r->o.read_only) {
		recorder_queue(r, e);
		return 0;
	}
	r->known += known;
	r->o.done(e, r->o.data);
	return 0;
}

int recorder_finish(struct recorder *r)
{
	if (r)
		recorder_flush(r);
	return 0;
}

/* --- what is as it was again */

struct revert {
	struct recorder *r;
	struct arena arena;
	const char **paths;
	size_t n;
	const char *const *only;
	size_t n_only;
	struct scope scope;
	struct mime *mime;
	struct file_reader *reader;
	struct baseline_reader *baseline;
	int rootfd;
};

static void revert_free(struct revert *v)
{
	free(v->paths);
	arena_free(&v->arena);
	file_reader_free_p(&v->reader);
	mime_free(v->mime);
	baseline_reader_free_p(&v->baseline);
}
#define _cleanup_revert_ __attribute__((cleanup(revert_free)))

static bool revert_wanted(const struct revert *v, const char *path)
{
	for (size_t i = 0; i < v->n_only; i++) {
		size_t len = strlen(v->only[i]);

		while (len && v->only[i][len - 1] == '/')
			len--;
		if (strncmp(path, v->only[i], len) == 0 && (path[len] == '/' || path[len] == '\0'))
			return true;
	}
	return !v->n_only;
}

static int revert_collect(struct event *e, void *data)
{
	struct revert *v = data;

	if (e->baseline_id != v->r->info->id || !e->path || !revert_wanted(v, e->path))
		return 0;
	if (v->n == REVERT_MAX) {
		v->r->unlooked++;
		return 0;
	}
	v->paths[v->n] = arena_strdup(&v->arena, e->path);
	return v->paths[v->n++] ? 0 : -ENOMEM;
}

static int revert_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* 0 and *ret_exists; another errno when it cannot be told. Content is read only when metadata is as base has it. */
static int revert_read(struct revert *v, const char *path, const struct record *base, attr_mask mask,
		       struct record *ret, bool *ret_exists)
{
	_cleanup_close_ int dirfd = -1;
	enum change change;
	const char *name;
	int err = file_open_parent(v->rootfd, path, &dirfd, &name);

	if (!err)
		err = file_read_meta(v->reader, &v->r->scratch, dirfd, name, ret);
	*ret_exists = !err;
	if (err)
		return err == -ENOENT || err == -ENOTDIR || err == -ELOOP ? 0 : err;
	if (base && !compare_records(base, ret, mask & ~REVERT_CONTENT, &change))
		file_read_content(v->reader, &v->r->scratch, dirfd, name, mask, ret);
	return 0;
}

static int revert_event(struct revert *v, const char *path, const struct record *base, attr_mask mask)
{
	_cleanup_event_ struct event *e = event_new(EVENT_CHANGE);
	struct record last;
	bool exists;

	if (!e)
		return -ENOMEM;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->path = arena_strdup(&e->arena, path);
	e->baseline = arena_strdup(&e->arena, v->r->info->name);
	e->baseline_id = v->r->info->id;
	e->change = CHANGE_REVERTED;
	e->status = STATUS_REVERTED;
	e->process_why = "found by check";
	e->count = 1;
	if (!history_last_state(v->r->reads, v->r->info->id, path, &v->r->scratch, &exists, &last) && exists)
		e->has_before = record_dup(&e->arena, &last, &e->before);
	if (base)
		e->has_after = record_dup(&e->arena, base, &e->after);
	if (e->has_before && e->has_after)
		e->attributes = attr_compare(&e->before, &e->after, mask);
	if (!e->path || !e->baseline)
		return -ENOMEM;
	recorder_queue(v->r, e);
	return 0;
}

static int revert_path(struct revert *v, const char *path)
{
	struct record base, now;
	enum change change;
	attr_mask mask = 0;
	bool exists;
	int err;

	arena_reset(&v->r->scratch);
	if (scope_match(&v->scope, path, &mask) != SCOPE_IN)
		return 0;
	err = baseline_lookup(v->baseline, path, &v->r->scratch, &base);
	if (err && err != -ENOENT)
		return err;
	if (revert_read(v, path, err ? NULL : &base, mask, &now, &exists) || exists == (err == -ENOENT))
		return 0;
	if (exists && compare_records(&base, &now, mask, &change))
		return 0;
	return revert_event(v, path, err ? NULL : &base, mask);
}

static int revert_open(struct revert *v)
{
	struct read_options options = { .algo = v->r->info->algo, .hash_size = v->r->c->conf->limits.hash_size };
	_cleanup_json_ json_t *json = json_loads(v->r->info->scope, 0, NULL);
	int err = json ? scope_from_json(&v->arena, json, &v->scope) : -EBADMSG;

	if (!err)
		err = mime_new(&v->mime);
	options.mime = v->mime;
	if (!err)
		err = file_reader_new(&options, &v->reader);
	if (!err)
		err = baseline_reader_new(v->r->reads, v->r->info->id, &v->baseline);
	return err;
}

int recorder_revert(struct recorder *r, int rootfd, const char *const *only, size_t n_only)
{
	_cleanup_revert_ struct revert v = { .r = r, .only = only, .n_only = n_only, .rootfd = rootfd };
	struct history_filter open = { .open_only = true, .kinds = 1u << EVENT_CHANGE, .baseline = r->info->name };
	int err;

	recorder_flush(r);
	if (r->off || r->o.read_only)
		return 0;
	v.paths = calloc(REVERT_MAX, sizeof(*v.paths));
	if (!v.paths)
		return -ENOMEM;
	err = history_each(r->reads, &open, revert_collect, &v);
	if (!err && v.n)
		err = revert_open(&v);
	if (err)
		return err;
	qsort(v.paths, v.n, sizeof(*v.paths), revert_order);
	for (size_t i = 0; i < v.n && !err; i++) {
		if (!i || !streq(v.paths[i], v.paths[i - 1]))
			err = revert_path(&v, v.paths[i]);
	}
	return err;
}

/* --- what to say */

uint64_t recorder_stored(const struct recorder *r)
{
	return r ? r->stored : 0;
}

uint64_t recorder_reverted(const struct recorder *r)
{
	return r ? r->reverted : 0;
}

void recorder_summary(const struct recorder *r, struct buf *b)
{
	if (!r || r->o.read_only)
		return;
	if (r->off) {
		buf_str(b, "NOT recorded in history: ");
		text_sanitize(b, r->why.data ? r->why.data : "", strcspn(r->why.data ? r->why.data : "", "\n"));
		buf_str(b, "\n");
		return;
	}
	if (r->stored + r->known + r->reverted == 0)
		return;
	cmd_number(b, r->stored);
	buf_str(b, " recorded in history, ");
	cmd_number(b, r->known);
	buf_str(b, " were open there already, ");
	cmd_number(b, r->reverted);
	buf_str(b, " closed as they were again\n");
	if (r->unlooked) {
		cmd_number(b, r->unlooked);
		buf_str(b, " more open ones were not looked at again\n");
	}
}
