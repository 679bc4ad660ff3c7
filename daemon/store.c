/*
 * What has to hold before anything is watched: one monitor for each database, a database that can be trusted, a
 * baseline that is signed. Everything that does not hold is said with what to do about it, and nothing is ever made
 * anew in silence. Runs on the main thread before any other exists; leaves no connection open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/monitor.h"
#include "db/baseline.h"
#include "db/history.h"

static int store_exit(int r)
{
	switch (r) {
	case -ENOENT:
		return EX_NOINPUT;
	case -EACCES:
	case -EPERM:
		return EX_NOPERM;
	default:
		return EX_IOERR;
	}
}

static const char *store_dir_end(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash : path;
}

static int store_paths(struct monitor *m)
{
	const char *path = m->conf->store.path;
	size_t len = (size_t)(store_dir_end(path) - path);

	m->db = (struct db_options){
		.path = path,
		.key = m->conf->store.key,
		.head = m->conf->store.head,
		.sync_full = m->conf->store.sync == CONF_SYNC_FULL,
	};
	m->state_dir = len ? strndup(path, len) : strdup(*path == '/' ? "/" : ".");
	return m->state_dir ? 0 : EX_OSERR;
}

static void store_say_locked(int fd)
{
	char pid[32] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
	log_error("another monitor is running on this database%s%s: stop it first, or give another --db",
		  *pid ? ", pid " : "", pid);
}

/* The lock goes with the process; the file stays, so that there is no moment in which two can hold different files. */
static int store_lock(struct monitor *m)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;

	if (asprintf(&path, "%s/" CONF_LOCK, m->state_dir) < 0) {
		path = NULL;
		return EX_OSERR;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		log_error("%s: %s%s", path, strerror(errno),
			  errno == ENOENT ? ": take a baseline first (holdfast init)" : "");
		return store_exit(-errno);
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		store_say_locked(fd);
		return EX_TEMPFAIL;
	}
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		log_warn("%s: %s", path, strerror(errno));
	m->lock = TAKE_FD(fd);
	return 0;
}

int store_public_key(struct monitor *m, struct sign_key **ret)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_free_ char *path = NULL;
	int r;

	if (m->db.key)
		path = strdup(m->db.key);
	else if (asprintf(&path, "%s/signing.key", m->state_dir) < 0)
		path = NULL;
	if (!path)
		return EX_OSERR;
	r = sign_key_load_public(path, ret, &err);
	if (r == 0)
		return 0;
	log_error("the key that signs baselines and history cannot be read: %s. Nothing can be verified without it: "
		  "put it "
		  "back from a backup",
		  err.len ? err.data : strerror(-r));
	return store_exit(r == -ENOENT ? -EIO : r);
}

static int store_load_scope(struct monitor *m, const char *text, struct arena *a, struct scope *ret)
{
	json_t *json = json_loads(text, 0, NULL);
	int r = json ? scope_from_json(a, json, ret) : -EBADMSG;

	json_decref(json);
	if (r == 0)
		return 0;
	log_error("baseline %s: what it covers cannot be read", m->baseline);
	return EX_IOERR;
}

static int store_check_baseline(struct monitor *m, struct db *db, const struct sign_key *pub)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	struct baseline_info info;
	int r = baseline_find(db, m->baseline, &arena, &info);

	if (r == -ENOENT) {
		log_error("there is no baseline \"%s\" in %s: take one with holdfast init", m->baseline, m->db.path);
		return EX_NOINPUT;
	}
	if (r == 0)
		r = baseline_check_signature(db, info.id, pub, &err);
	if (r < 0) {
		log_error("baseline \"%s\" cannot be trusted: %s. It was changed by something else than holdfast: find "
			  "out "
			  "by what, then put the database back from a backup or take a new baseline with holdfast init",
			  m->baseline, err.len ? err.data : db_error(db));
		return EX_IOERR;
	}
	return store_load_scope(m, info.scope, &m->scope_arena, &m->scope);
}

static int store_old_gap(struct event *e, void *data)
{
	struct monitor *m = data;

	if (m->n_old_gaps == MONITOR_OLD_GAPS_MAX)
		return 0;
	if (m->n_old_gaps % 64 == 0) {
		struct event **more = realloc(m->old_gaps, (m->n_old_gaps + 64) * sizeof(*more));

		if (!more)
			return -ENOMEM;
		m->old_gaps = more;
	}
	m->old_gaps[m->n_old_gaps++] = event_ref(e);
	return 0;
}

static int store_check_history(struct monitor *m, struct db *db, const struct sign_key *pub)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = history_check_head(db, pub, &err);

	if (r < 0) {
		log_error("the history cannot be trusted: %s. Rows were removed or an older database was put in place: "
			  "find "
			  "out by whom; holdfast baseline verify tells more",
			  err.len ? err.data : db_error(db));
		return EX_IOERR;
	}
	r = history_last_alive(db, &m->last_alive, &m->last_clean);
	if (r == 0)
		r = history_open_gaps(db, store_old_gap, m);
	if (r == 0)
		return 0;
	log_error("%s: %s", m->db.path, db_error(db));
	return EX_IOERR;
}

static int store_open(struct monitor *m, struct db **ret)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = db_open(&m->db, DB_WRITE, ret, &err);

	if (r == 0)
		return 0;
	log_error("%s", err.len ? err.data : strerror(-r));
	return store_exit(r);
}

int store_read_scope(struct monitor *m, struct arena *a, struct scope *ret)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_db_ struct db *db = NULL;
	struct baseline_info info;
	int r = db_open(&m->db, DB_READ, &db, &err);

	if (r == 0)
		r = baseline_find(db, m->baseline, &arena, &info);
	return r < 0 ? store_exit(r) : store_load_scope(m, info.scope, a, ret);
}

int store_check(struct monitor *m)
{
	_cleanup_db_ struct db *db = NULL;
	_cleanup_sign_key_ struct sign_key *pub = NULL;
	int status = store_paths(m);

	if (!status)
		status = store_lock(m);
	if (!status)
		status = store_open(m, &db);
	if (!status)
		status = store_public_key(m, &pub);
	if (!status)
		status = store_check_baseline(m, db, pub);
	if (!status)
		status = store_check_history(m, db, pub);
	if (status)
		store_release(m);
	return status;
}

void store_release(struct monitor *m)
{
	for (size_t i = 0; i < m->n_old_gaps; i++)
		event_unref(m->old_gaps[i]);
	free(m->old_gaps);
	m->old_gaps = NULL;
	m->n_old_gaps = 0;
	cleanup_close(&m->lock);
	m->lock = -1;
	free(m->state_dir);
	m->state_dir = NULL;
	arena_free(&m->scope_arena);
}
