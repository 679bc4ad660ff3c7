/*
 * What the commands do alike: find the configuration and the store, open it, load keys, turn errors into messages and
 * sysexits. One thread; no state of its own.
 */
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "daemon/control.h"
#include "db/history.h"
#include "event/event.h"
#include "lib/clock.h"
#include "lib/text.h"

#define TELL_TIMEOUT (2 * NSEC_PER_SEC)

static const struct {
	int err, status;
} status_table[] = {
	{ EINVAL, EX_USAGE },	       { ENOENT, EX_NOINPUT },
	{ ENOTDIR, EX_NOINPUT },       { EEXIST, EX_CANTCREAT },
	{ EACCES, EX_NOPERM },	       { EPERM, EX_NOPERM },
	{ ENOKEY, EX_NOPERM },	       { EBUSY, EX_TEMPFAIL },
	{ ENOMEM, EX_OSERR },	       { EAGAIN, EX_OSERR },
	{ EMFILE, EX_OSERR },	       { ECANCELED, 130 },
	{ ENOENT, EX_NOINPUT },	       { ECONNREFUSED, EX_UNAVAILABLE },
	{ ETIMEDOUT, EX_UNAVAILABLE },
};

int cmd_status(int err)
{
	for (size_t i = 0; i < ARRAY_SIZE(status_table); i++) {
		if (status_table[i].err == -err)
			return status_table[i].status;
	}
	return EX_IOERR;
}

/* A text may have several lines (one for each error): each becomes a message. */
static void cmd_say(const char *what, const struct buf *text, int err)
{
	const char *p = text && text->len ? text->data : NULL;

	if (!p) {
		log_error("%s%s%s", what, *what ? ": " : "", strerror(-err));
		return;
	}
	while (*p) {
		size_t len = strcspn(p, "\n");

		if (len)
			log_error("%s%s%.*s", what, *what ? ": " : "", (int)MIN(len, (size_t)4096), p);
		p += len + (p[len] == '\n');
	}
}

int cmd_fail(int err, const struct buf *text, const char *fmt, ...)
{
	char what[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	cmd_say(what, text, err);
	return cmd_status(err);
}

int cmd_fail_db(int err, struct db *d, const char *what)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	buf_str(&text, db_error(d));
	return cmd_fail(err, &text, "%s", what);
}

int cmd_usage(const struct cmd *c, const char *fmt, ...)
{
	char what[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	log_error("%s (see holdfast %s%s%s%s--help)", what, c->family ? c->family->name : "", c->family ? " " : "",
		  c->command ? c->command->name : "", c->command ? " " : "");
	return EX_USAGE;
}

/* --- configuration and where things are */

/* FOLDER_OF(path)/name, in a. */
static const char *cmd_beside(struct arena *a, const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	size_t dir = slash ? (size_t)(slash - path) + 1 : 0, len = strlen(name);
	char *s = arena_alloc(a, dir + len + 1);

	if (s) {
		memcpy(s, path, dir);
		memcpy(s + dir, name, len + 1);
	}
	return s;
}

/* --db moves the key and the head file along, unless the configuration puts them somewhere of its own. */
static bool cmd_override(struct conf *conf, const char *db_path)
{
	static const char *const names[] = { "signing.key", "holdfast.head" };
	const char **files[] = { &conf->store.key, &conf->store.head };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		const char *beside = cmd_beside(&conf->arena, conf->store.path, names[i]);

		if (!beside)
			return false;
		if (db_path && *files[i] && streq(*files[i], beside))
			*files[i] = NULL;
	}
	if (db_path) {
		_cleanup_free_ char *absolute = cmd_absolute(db_path, false);

		conf->store.path = absolute ? arena_strdup(&conf->arena, absolute) : NULL;
		if (!conf->store.path)
			return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (!*files[i])
			*files[i] = cmd_beside(&conf->arena, conf->store.path, names[i]);
		if (!*files[i])
			return false;
	}
	return true;
}

static int cmd_conf(struct cmd *c)
{
	_cleanup_buf_ struct buf errors = BUF_INIT;
	const char *file = c->conf_file ? c->conf_file : CONF_DEFAULT_PATH;
	int r = conf_load(file, &c->conf, &errors);

	if (r == 0)
		return 0;
	if (!c->conf_file && (r == -ENOENT || r == -ENOTDIR || r == -EACCES)) {
		if (r == -EACCES)
			log_warn("%s cannot be read by this user: built-in defaults are used", file);
		c->conf_is_default = true;
		r = conf_default(&c->conf);
		return r ? cmd_fail(r, NULL, "configuration") : 0;
	}
	cmd_say("", &errors, r);
	return r == -EACCES || r == -EPERM ? EX_NOPERM : EX_CONFIG;
}

int cmd_load(struct cmd *c)
{
	int status;

	if (c->conf)
		return 0;
	status = cmd_conf(c);
	if (status)
		return status;
	if (!cmd_override(c->conf, c->db_path))
		return cmd_fail(-ENOMEM, NULL, "configuration");
	c->key = c->conf->store.key;
	c->db = (struct db_options){
		.path = c->conf->store.path,
		.key = c->conf->store.key,
		.head = c->conf->store.head,
		.sync_full = c->conf->store.sync == CONF_SYNC_FULL,
	};
	return 0;
}

int cmd_open(struct cmd *c, enum db_mode mode, struct db **ret)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int status = cmd_load(c);
	int r;

	if (status)
		return status;
	r = db_open(&c->db, mode, ret, &err);
	if (r == 0)
		return 0;
	status = cmd_fail(r, &err, "%s", err.len ? "" : c->db.path);
	if (status == EX_NOPERM && geteuid() != 0)
		log_error("the store belongs to root: run this as root, or name a copy of it with --db");
	return status;
}

int cmd_sign(struct cmd *c, struct db *d, bool make, struct sign_key **ret)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = sign_key_load(c->key, make, ret, &err);

	if (r)
		return cmd_fail(r, &err, "%s", err.len ? "" : c->key);
	history_set_key(d, *ret);
	return 0;
}

int cmd_public(struct cmd *c, struct sign_key **ret)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = sign_key_load_public(c->key, ret, &err);

	if (r == 0)
		return 0;
	cmd_fail(r, &err, "%s", err.len ? "" : c->key);
	log_error("without the public key nothing in %s can be verified", c->db.path);
	return r == -EACCES || r == -EPERM ? EX_NOPERM : EX_IOERR;
}

int cmd_find(struct db *d, const char *name, const struct sign_key *pub, struct arena *a, struct baseline_info *ret)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = baseline_find(d, name, a, ret);

	if (r == -ENOENT) {
		log_error(
			"there is no baseline '%s': take one with `holdfast init %s`, or see `holdfast baseline list`",
			name, name);
		return EX_NOINPUT;
	}
	if (r)
		return cmd_fail_db(r, d, "baseline");
	if (!streq(ret->state, "signed")) {
		log_error("baseline %s was never finished (state %s): take it again with `holdfast init %s --replace`",
			  name, ret->state, name);
		return EX_IOERR;
	}
	r = baseline_check_signature(d, ret->id, pub, &err);
	if (r) {
		cmd_fail(r, &err, "BASELINE %s IS NOT TO BE TRUSTED", name);
		return EX_IOERR;
	}
	r = history_check_head(d, pub, &err);
	if (r) {
		cmd_fail(r, &err, "HISTORY IS NOT TO BE TRUSTED");
		log_error("`holdfast baseline verify` says more; nothing is baselined anew unasked");
		return EX_IOERR;
	}
	return 0;
}

/* --- arguments */

const char *cmd_argument(const struct cmd *c, const char *what)
{
	if (c->n_args == 1)
		return c->args[0];
	cmd_usage(c, c->n_args ? "just one %s" : "which? %s is missing", what);
	return NULL;
}

bool cmd_name_valid(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@+-";
	size_t len = strlen(name);

	return len && len <= 64 && strspn(name, allowed) == len && *name != '-' && *name != '.';
}

bool cmd_is_name(const char *arg)
{
	return *arg && !strchr(arg, '/') && !streq(arg, ".") && !streq(arg, "..");
}

static char *cmd_join(const char *dir, const char *name)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_str(&b, dir);
	if (*name) {
		if (!b.len || b.data[b.len - 1] != '/')
			buf_char(&b, '/');
		buf_str(&b, name);
	}
	return b.failed ? NULL : TAKE_PTR(b.data);
}

char *cmd_absolute(const char *arg, bool rooted)
{
	_cleanup_free_ char *copy = strdup(arg), *parent = NULL, *cwd = NULL;
	char *slash, *name;
	size_t len;

	if (!copy)
		return NULL;
	if (rooted)
		return *arg == '/' ? TAKE_PTR(copy) : cmd_join("/", arg);
	len = strlen(copy);
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	slash = strrchr(copy, '/');
	name = slash ? slash + 1 : copy;
	if (streq(name, "") || streq(name, ".") || streq(name, ".."))
		parent = realpath(copy, NULL);
	else if (!slash || slash == copy)
		parent = realpath(slash ? "/" : ".", NULL);
	else {
		*slash = '\0';
		parent = realpath(copy, NULL);
		*slash = '/';
	}
	if (parent)
		return cmd_join(parent, streq(name, ".") || streq(name, "..") ? "" : name);
	/* A folder that is not there, or a path longer than PATH_MAX: by text. */
	if (*copy == '/')
		return TAKE_PTR(copy);
	cwd = getcwd(NULL, 0);
	return cwd ? cmd_join(cwd, copy) : NULL;
}

/* --- people */

static bool cmd_loginuid(uint32_t *ret)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/loginuid", "re");
	unsigned uid;

	if (!f || fscanf(f, "%u", &uid) != 1 || uid == UINT32_MAX)
		return false;
	*ret = uid;
	return true;
}

static void cmd_account(struct buf *b, uint32_t uid)
{
	const char *name = user_name(uid);

	if (name)
		text_escape(b, name, strlen(name));
	else
		buf_printf(b, "%u", uid);
}

void cmd_user(struct buf *b)
{
	const char *sudo = getenv("SUDO_USER");
	uint32_t login;

	cmd_account(b, getuid());
	if (cmd_loginuid(&login) && login != getuid()) {
		buf_str(b, " (login ");
		cmd_account(b, login);
		buf_char(b, ')');
	}
	if (sudo && *sudo && strlen(sudo) <= 64) {
		buf_str(b, " (sudo ");
		text_escape(b, sudo, strlen(sudo));
		buf_char(b, ')');
	}
}

static int note_add(struct db *d, const char *text)
{
	_cleanup_event_ struct event *e = event_new(EVENT_NOTE);
	_cleanup_buf_ struct buf user = BUF_INIT;

	if (!e)
		return -ENOMEM;
	cmd_user(&user);
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->text = text;
	e->user = user.data;
	return history_add(d, e);
}

int cmd_note(struct db *d, const char *text)
{
	int r = db_begin(d);

	if (r)
		return r;
	r = note_add(d, text);
	if (!r)
		r = db_commit(d);
	if (r)
		db_rollback(d);
	return r;
}

int cmd_until(const struct cmd *c, const char *text, uint64_t *ret)
{
	uint64_t now = clock_real_ns(), span, until;

	if (text_parse_duration(text, &span) == 0)
		until = now + span;
	else if (text_parse_time(text, now, &until))
		return cmd_usage(c, "--until %s: want a time (2026-01-31, 2026-01-31T12:00:00Z) or in how long (7d)",
				 text);
	if (until <= now)
		return cmd_usage(c, "--until %s: that is past", text);
	*ret = until;
	return 0;
}

int cmd_tell(const char *socket, const char *what, const char *path)
{
	_cleanup_json_ json_t *request = json_object(), *reply = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r;

	json_object_set_new(request, "request", json_string(what));
	if (path)
		json_object_set_new(request, "path", json_string(path));
	r = control_call(socket, request, TELL_TIMEOUT, &reply, &err);
	if (r && r != -ENOENT && r != -ECONNREFUSED)
		log_warn("the running monitor was not told: %s", err.len ? err.data : strerror(-r));
	return r;
}

void cmd_number(struct buf *b, uint64_t n)
{
	char digits[32];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			buf_char(b, ',');
		buf_char(b, digits[i]);
	}
}

void cmd_json_unref(json_t **j)
{
	json_decref(*j);
}
