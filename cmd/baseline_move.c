/*
 * holdfast baseline export and import: a baseline as one self-contained, signed file. One thread, one connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/command.h"

struct move_options {
	const char *output, *name, *key;
};

#define AT(member) offsetof(struct move_options, member)
static const struct cmd_option export_rows[] = {
	{ "output", 'o', OPTION_STRING, "FILE", "write there instead of to standard output", AT(output) },
};

static const struct cmd_option import_rows[] = {
	{ "name", 0, OPTION_STRING, "NAME", "store it under this name instead of the one in the file", AT(name) },
	{ "key", 0, OPTION_STRING, "FILE", "public key that must have signed it", AT(key) },
};

/* A file of its own, renamed to path when it is complete: a failed export leaves no half one. */
static int export_file(struct db *d, int64_t id, const char *path, struct buf *err)
{
	_cleanup_free_ char *temporary = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = baseline_export(d, id, fd, err);
	if (!r && (fsync(fd) || rename(temporary, path)))
		r = -errno;
	if (r)
		unlink(temporary);
	return r;
}

static int export(struct cmd *c)
{
	const struct move_options *o = c->options;
	const char *name = cmd_argument(c, "NAME");
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_sign_key_ struct sign_key *pub = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_db_ struct db *d = NULL;
	struct baseline_info info;
	int status, r;

	if (!name)
		return EX_USAGE;
	if (!o->output && c->out.terminal)
		return cmd_usage(c, "not to a terminal: give -o FILE, or redirect");
	status = cmd_open(c, DB_READ, &d);
	if (!status)
		status = cmd_public(c, &pub);
	if (!status)
		status = cmd_find(d, name, pub, &arena, &info);
	if (status)
		return status;
	if (o->output && !streq(o->output, "-")) {
		r = export_file(d, info.id, o->output, &err);
		if (r && !err.len) {
			cmd_fail(r, NULL, "%s", o->output);
			return EX_CANTCREAT;
		}
	} else {
		r = baseline_export(d, info.id, STDOUT_FILENO, &err);
	}
	return r && r != -EPIPE ? cmd_fail(r, &err, "export of %s", name) : 0;
}

/* --key may name the public file itself. */
static int import_key(const char *path, struct sign_key **ret)
{
	_cleanup_free_ char *copy = strdup(path);
	_cleanup_buf_ struct buf err = BUF_INIT;
	size_t len = strlen(path);
	int r;

	if (!copy)
		return cmd_fail(-ENOMEM, NULL, "import");
	if (len > 4 && streq(copy + len - 4, ".pub"))
		copy[len - 4] = '\0';
	r = sign_key_load_public(copy, ret, &err);
	return r ? cmd_fail(r, &err, "--key %s", path) : 0;
}

static int import(struct cmd *c)
{
	const struct move_options *o = c->options;
	const char *file = cmd_argument(c, "FILE");
	_cleanup_sign_key_ struct sign_key *own = NULL, *pub = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT, text = BUF_INIT;
	_cleanup_close_ int opened = -1;
	_cleanup_db_ struct db *d = NULL;
	int fd = STDIN_FILENO, status, r;

	if (!file)
		return EX_USAGE;
	if (o->name && !cmd_name_valid(o->name))
		return cmd_usage(c, "'%s' is no name for a baseline", o->name);
	if (o->key && (status = import_key(o->key, &pub)))
		return status;
	if (!streq(file, "-")) {
		fd = opened = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd < 0)
			return cmd_fail(-errno, NULL, "%s", file);
	}
	status = cmd_open(c, DB_CREATE, &d);
	if (!status)
		status = cmd_sign(c, d, true, &own);
	if (status)
		return status;
	r = baseline_import(d, fd, o->name, pub, own, &err);
	if (r) {
		status = cmd_fail(r, &err, "import of %s", file);
		return r == -EBADMSG || r == -EINVAL ? EX_DATAERR : status;
	}
	if (err.len) /* who signed it, when nobody said who should have */
		log_warn("%.*s", (int)strcspn(err.data, "\n"), err.data);
	buf_printf(&text, "baseline imported from a file%s%s", o->name ? " as " : "", o->name ? o->name : "");
	r = cmd_note(d, text.data);
	if (!r && !c->quiet && !c->json)
		out_printf(&c->out, "Imported%s%s.\n", o->name ? " as " : "", o->name ? o->name : "");
	return r ? cmd_fail_db(r, d, "history") : 0;
}

const struct command command_baseline_export = {
	.name = "export",
	.usage = "NAME [-o FILE]",
	.summary = "one self-contained, signed file",
	.options = export_rows,
	.n_options = ARRAY_SIZE(export_rows),
	.options_size = sizeof(struct move_options),
	.run = export,
};

const struct command command_baseline_import = {
	.name = "import",
	.usage = "FILE [--name NAME] [--key FILE]",
	.summary = "take in an exported baseline",
	.details = "The file is verified before anything is stored (65 when it is bad); FILE may be - for standard "
		   "input.\n",
	.options = import_rows,
	.n_options = ARRAY_SIZE(import_rows),
	.options_size = sizeof(struct move_options),
	.run = import,
};
