/*
 * holdfast trust: which programs may run, or may not, because somebody says so. Entries are rows of the store, sealed
 * with the baselines; every change is a note in history, and a running monitor is told. One thread, one connection, one
 * transaction for each run.
 */
#include "cmd/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/control.h"
#include "db/history.h"
#include "event/json.h"
#include "exec/hash.h"
#include "exec/trust_file.h"
#include "exec/trust_load.h"
#include "lib/clock.h"
#include "lib/text.h"

#define ASK_TIMEOUT  (5 * NSEC_PER_SEC)
#define LOAD_TIMEOUT (60 * NSEC_PER_SEC)

/* --- changes */

int trust_change_begin(struct trust_change *t, struct cmd *c, const char *reason, const char *until,
		       const char *control)
{
	*t = (struct trust_change){ .c = c, .reason = reason, .control = control, .now = clock_real_ns() };
	if (!reason || !*reason)
		return cmd_usage(c, "--reason TEXT is wanted: it is kept");
	if (strlen(reason) > 4096)
		return cmd_usage(c, "--reason: 4096 bytes at most");
	return until ? cmd_until(c, until, &t->until) : 0;
}

void trust_change_end(struct trust_change *t)
{
	arena_free(&t->arena);
	free(t->items);
	buf_free(&t->user);
}

int trust_change_add(struct trust_change *t, const uint8_t *digest, const char *path)
{
	struct trusted *e;

	if (t->n == TRUSTED_MAX)
		return -E2BIG;
	if (t->n == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		struct trusted *more = reallocarray(t->items, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->items = more;
		t->room = room;
	}
	e = &t->items[t->n];
	*e = (struct trusted){ .kind = !digest	   ? TRUSTED_PATH
				       : t->denies ? TRUSTED_DENIED
						   : TRUSTED_DIGEST,
			       .digest = digest ? arena_dup(&t->arena, digest, TRUSTED_DIGEST_SIZE) : NULL,
			       .path = path ? arena_strdup(&t->arena, path) : NULL };
	if ((digest && !e->digest) || (path && !e->path))
		return -ENOMEM;
	t->n++;
	return 0;
}

static int add_rows(struct trust_change *t, struct db *d, size_t *ret_added)
{
	int r = 0;

	for (size_t i = 0; i < t->n && r >= 0; i++) {
		struct trusted *e = &t->items[i];

		e->reason = t->reason;
		e->added = t->now;
		e->until = t->until;
		e->added_by = t->user.data;
		r = trusted_add(d, e, &e->id);
		*ret_added += r == 0;
	}
	return r < 0 ? r : 0;
}

/* In a transaction: rows and the note that tells of them. */
static int store(struct trust_change *t, struct db *d, const char *verb,
		 int (*apply)(struct trust_change *t, struct db *d, size_t *ret_n), size_t *ret_n)
{
	_cleanup_buf_ struct buf note = BUF_INIT;
	int r = db_begin(d);

	if (r)
		return r;
	cmd_user(&t->user);
	r = t->user.failed ? -ENOMEM : apply(t, d, ret_n);
	buf_printf(&note, "trust: %zu entr%s %s: %s", *ret_n, *ret_n == 1 ? "y" : "ies", verb, t->reason);
	if (!r && *ret_n)
		r = note.failed ? -ENOMEM : cmd_note(d, note.data);
	if (!r)
		r = db_commit(d);
	if (r)
		db_rollback(d);
	return r;
}

static uint64_t loaded_of(const char *socket, const char *request, const char *key)
{
	_cleanup_json_ json_t *reply = NULL, *body = json_pack("{s:s}", "request", request);
	_cleanup_buf_ struct buf err = BUF_INIT;
	const json_t *from = NULL;
	int r = body ? control_call(socket, body, ASK_TIMEOUT, &reply, &err) : -ENOMEM;

	if (r && r != -ENOENT && r != -ECONNREFUSED)
		log_warn("the running monitor was not told: %s", err.len ? err.data : strerror(-r));
	if (r == 0)
		from = streq(request, "status") ? json_object_get(reply, "exec") : reply;
	return (uint64_t)json_integer_value(json_object_get(from, key));
}

bool trust_asked(const struct cmd *c)
{
	return trust_asks(c->conf, CONF_TRUST_EXPLICIT);
}

void trust_tell_monitor(struct cmd *c, const char *control)
{
	const char *socket = control ? control : c->conf->control;
	uint64_t end = clock_mono_ns() + LOAD_TIMEOUT, wanted = loaded_of(socket, "trust", "load");

	while (wanted && loaded_of(socket, "status", "trust_loaded") < wanted) {
		if (clock_mono_ns() > end) {
			log_warn("the running monitor was told, but has not loaded it yet");
			return;
		}
		poll(NULL, 0, 20);
	}
}

int trust_change_apply(struct trust_change *t, const char *verb,
		       int (*apply)(struct trust_change *t, struct db *d, size_t *ret_n))
{
	_cleanup_sign_key_ struct sign_key *key = NULL;
	_cleanup_db_ struct db *d = NULL;
	size_t n = 0;
	int status = cmd_open(t->c, DB_WRITE, &d), r;

	if (!status)
		status = cmd_sign(t->c, d, false, &key);
	if (status)
		return status;
	r = store(t, d, verb, apply, &n);
	if (r)
		return cmd_fail_db(r, d, "nothing was changed");
	trust_tell_monitor(t->c, t->control);
	if (!t->c->quiet && !t->c->json)
		out_printf(&t->c->out, "%zu entr%s %s%s\n", n, n == 1 ? "y" : "ies", verb,
			   n < t->n ? ", the others were there already" : "");
	return 0;
}

static void warn_unasked(const struct trust_change *t)
{
	if (t->denies ? t->c->conf->exec.mode == CONF_EXEC_OFF : !trust_asked(t->c))
		log_warn(t->denies ? "exec.mode of the configuration is off: nothing judges program starts"
				   : "exec.trust of the configuration does not name \"explicit\": nobody asks these "
				     "entries");
}

int trust_change_store(struct trust_change *t)
{
	int status = trust_change_apply(t, t->denies ? "denied" : "added", add_rows);

	if (!status)
		warn_unasked(t);
	return status;
}

int trust_hash_file(const char *path, uint8_t ret[TRUSTED_DIGEST_SIZE])
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	_cleanup_exec_hash_ struct exec_hash *h = NULL;
	_cleanup_free_ struct exec_digests *d = malloc(sizeof(*d));
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EISDIR;
	r = d ? exec_hash_new(&h) : -ENOMEM;
	if (r == 0)
		r = exec_hash_fd(h, fd, (uint64_t)st.st_size, 0, NULL, d);
	if (r == 0)
		memcpy(ret, d->digest[EXEC_DIGEST], TRUSTED_DIGEST_SIZE);
	return r == -EFBIG || r == -ENODATA ? -EBUSY : r;
}

/* --- add */

struct trust_add_options {
	struct option_list digests, paths;
	const char *from, *reason, *until, *control;
};

#define AT(member) offsetof(struct trust_add_options, member)
static const struct cmd_option add_options[] = {
	{ "digest", 0, OPTION_LIST, "HEX", "a program by its SHA-256; may be given again", AT(digests) },
	{ "path", 0, OPTION_LIST, "GLOB", "whatever stands there, now and later; may be given again", AT(paths) },
	{ "from", 0, OPTION_STRING, "FILE", "a list: lines of sha256sum, absolute paths or globs", AT(from) },
	{ "reason", 'r', OPTION_STRING, "TEXT", "why; wanted, and kept", AT(reason) },
	{ "until", 0, OPTION_STRING, "TIME", "only until then (2026-01-31, or in how long: 7d)", AT(until) },
	{ "control", 0, OPTION_STRING, "FILE", "control socket of the monitor", AT(control) },
};
#undef AT

static int add_digest(struct trust_change *t, const char *text)
{
	uint8_t digest[TRUSTED_DIGEST_SIZE];
	const char *wrong = trust_digest_parse(text, strlen(text), digest);
	int r;

	if (wrong)
		return cmd_usage(t->c, "--digest %.80s: %s", text, wrong);
	r = trust_change_add(t, digest, NULL);
	return r ? cmd_fail(r, NULL, "--digest %s", text) : 0;
}

static int add_path(struct trust_change *t, const char *path)
{
	int r;

	if (*path != '/')
		return cmd_usage(t->c, "--path %s: want an absolute path or glob", path);
	r = trust_change_add(t, NULL, path);
	return r ? cmd_fail(r, NULL, "--path %s", path) : 0;
}

static int add_file(struct trust_change *t, const char *name)
{
	_cleanup_free_ char *path = realpath(name, NULL);
	uint8_t digest[TRUSTED_DIGEST_SIZE];
	int r = path ? trust_hash_file(path, digest) : -errno;

	if (r == -EBUSY)
		return cmd_fail(r, NULL, "%s changes while it is read", name);
	if (r == -EISDIR)
		return cmd_fail(r, NULL, "%s is no regular file", name);
	if (r == 0)
		r = trust_change_add(t, digest, path);
	return r ? cmd_fail(r, NULL, "%s", name) : 0;
}

static int read_list(const char *name, struct buf *ret)
{
	_cleanup_close_ int fd = open(name, O_RDONLY | O_CLOEXEC);
	char bytes[16384];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		buf_add(ret, bytes, (size_t)n);
		if (ret->len > TRUST_FILE_MAX)
			return -EFBIG;
	}
	return n < 0 ? -errno : ret->failed ? -ENOMEM : 0;
}

static int add_list(struct trust_change *t, const char *name)
{
	_cleanup_buf_ struct buf text = BUF_INIT, said = BUF_INIT, shown = BUF_INIT;
	_cleanup_errors_ struct errors errors = ERRORS_INIT;
	struct trust_line *lines;
	size_t n;
	int r = read_list(name, &text);

	if (r == 0)
		r = trust_file_parse(text.data ? text.data : "", text.len, &t->arena, &errors, &lines, &n);
	if (r)
		return cmd_fail(r, NULL, "%s", name);
	if (errors_any(&errors)) {
		text_escape(&shown, name, strlen(name));
		errors_write(&errors, shown.failed ? "" : shown.data, &said);
		fprintf(stderr, "%s", said.failed ? "out of memory\n" : said.data);
		return EX_DATAERR;
	}
	for (size_t i = 0; i < n && r == 0; i++)
		r = trust_change_add(t, lines[i].digest, lines[i].path);
	return r ? cmd_fail(r, NULL, "%s", name) : 0;
}

static int add_all(struct trust_change *t, const struct trust_add_options *o)
{
	int status = 0;

	for (size_t i = 0; i < o->digests.n && !status; i++)
		status = add_digest(t, o->digests.items[i]);
	for (size_t i = 0; i < o->paths.n && !status; i++)
		status = add_path(t, o->paths.items[i]);
	for (int i = 0; i < t->c->n_args && !status; i++)
		status = add_file(t, t->c->args[i]);
	if (!status && o->from)
		status = add_list(t, o->from);
	return status ? status : trust_change_store(t);
}

static int trust_add(struct cmd *c)
{
	const struct trust_add_options *o = c->options;
	_cleanup_trust_change_ struct trust_change t;
	int status = trust_change_begin(&t, c, o->reason, o->until, o->control);

	if (!status && !c->n_args && !o->digests.n && !o->paths.n && !o->from)
		status = cmd_usage(c, "what? Give FILEs, --digest, --path or --from");
	return status ? status : add_all(&t, o);
}

static const struct command trust_add_command = {
	.name = "add",
	.usage = "[FILE]... [--digest HEX]... [--path GLOB]... [--from FILE] --reason TEXT [--until TIME]",
	.summary = "trust programs by their content, or by their path",
	.details = "A FILE is trusted by its SHA-256 as it is now, wherever it lies then. A path is trusted whatever "
		   "stands there: for programs\n"
		   "that change by themselves, in folders that only root writes to.\n"
		   "\n"
		   "exit status: 0 added, else sysexits(3): 65 errors in the list, 66 no such file, 74 the store "
		   "failed.\n",
	.options = add_options,
	.n_options = ARRAY_SIZE(add_options),
	.options_size = sizeof(struct trust_add_options),
	.run = trust_add,
};

/* --- deny */

static const struct cmd_option deny_options[] = {
	{ "digest", 0, OPTION_LIST, "HEX", "a program by its SHA-256; may be given again",
	  offsetof(struct trust_add_options, digests) },
	{ "reason", 'r', OPTION_STRING, "TEXT", "why; wanted, and kept", offsetof(struct trust_add_options, reason) },
	{ "until", 0, OPTION_STRING, "TIME", "only until then (2026-01-31, or in how long: 7d)",
	  offsetof(struct trust_add_options, until) },
	{ "control", 0, OPTION_STRING, "FILE", "control socket of the monitor",
	  offsetof(struct trust_add_options, control) },
};

static int trust_deny(struct cmd *c)
{
	const struct trust_add_options *o = c->options;
	_cleanup_trust_change_ struct trust_change t;
	int status = trust_change_begin(&t, c, o->reason, o->until, o->control);

	t.denies = true;
	if (!status && !c->n_args && !o->digests.n)
		status = cmd_usage(c, "what? Give FILEs or --digest");
	return status ? status : add_all(&t, o);
}

static const struct command trust_deny_command = {
	.name = "deny",
	.usage = "[FILE]... [--digest HEX]... --reason TEXT [--until TIME]",
	.summary = "refuse programs by their content, whoever else vouches for them",
	.details = "A FILE is denied by its SHA-256 as it is now, wherever it lies then. Where program starts are only "
		   "observed, it is killed\n"
		   "as soon as its start is seen.\n"
		   "\n"
		   "exit status: 0 denied, else sysexits(3): 66 no such file, 74 the store failed.\n",
	.options = deny_options,
	.n_options = ARRAY_SIZE(deny_options),
	.options_size = sizeof(struct trust_add_options),
	.run = trust_deny,
};

static const struct command *const trust_commands[] = {
	&command_trust_list, &trust_add_command, &trust_deny_command, &command_trust_remove, &command_trust_learn,
};

const struct command command_trust = {
	.name = "trust",
	.usage = "COMMAND",
	.summary = "programs that may run, or may not, because somebody says so",
	.sub = trust_commands,
	.n_sub = ARRAY_SIZE(trust_commands),
};
