/*
 * What the command files share: a row of the command table, the options table, and the context a command runs in.
 */
#ifndef CMD_COMMAND_H
#define CMD_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sysexits.h>

#include "cmd/print.h"
#include "conf/conf.h"
#include "db/baseline.h"
#include "db/db.h"
#include "db/sign.h"
#include "lib/log.h"
#include "lib/util.h"

enum option_type {
	OPTION_FLAG,	 /* bool */
	OPTION_STRING,	 /* const char * */
	OPTION_LIST,	 /* struct option_list: may be given again and again */
	OPTION_NUMBER,	 /* uint64_t */
	OPTION_TIME,	 /* uint64_t, real ns; a duration lies before now */
	OPTION_DURATION, /* uint64_t, ns */
};

struct option_list {
	const char **items; /* point into argv */
	size_t n;
};

struct cmd_option {
	const char *name;
	char letter; /* 0: none */
	enum option_type type;
	const char *argument; /* NULL for OPTION_FLAG */
	const char *help;
	size_t offset; /* of the member it sets: in struct cmd for common options, else in the command's own struct */
};

struct cmd;

/* One row of the command table. A row with `sub` is a family: the next word names a row of sub. */
struct command {
	const char *name;
	const char *usage;   /* arguments and options behind the name, "" for none */
	const char *summary; /* one line */
	const char *details; /* paragraphs for --help, or NULL */
	const struct cmd_option *options;
	size_t n_options;
	size_t options_size; /* of the struct that options' offsets speak of; at most COMMAND_OPTIONS_MAX */
	int (*run)(struct cmd *c);
	const struct command *const *sub;
	size_t n_sub;
};

#define COMMAND_OPTIONS_MAX 256

/* The context of one run. Returned by run(): the exit status (sysexits; check: 0 to 7). */
struct cmd {
	const struct command *family; /* NULL, or the row whose sub holds `command` */
	const struct command *command;
	const char *conf_file; /* -c */
	const char *db_path;   /* --db */
	bool json, quiet, verbose, help, version;
	int n_args;
	char **args;
	void *options; /* the command's own struct, zeroed, then filled from argv */
	struct out out;
	struct conf *conf;    /* after cmd_load */
	struct db_options db; /* after cmd_load */
	const char *key;      /* private key file, after cmd_load; lives in conf */
	bool conf_is_default; /* no configuration file was found or asked for */
};

extern const struct command command_init, command_check, command_accept, command_baseline, command_watch,
	command_status, command_history, command_explain, command_doctor, command_rules, command_trust;
extern const struct command command_quarantine, command_release;
extern const struct command command_baseline_export, command_baseline_import;

/* --- cmd/context.c */

/* The exit status for a negative errno. */
int cmd_status(int err);
/* Says it (log_error) and returns the exit status for err. text: what the failing function left, or NULL. */
int cmd_fail(int err, const struct buf *text, const char *fmt, ...) _printf_(3, 4);
/* The same with what the store says of its last failure. */
int cmd_fail_db(int err, struct db *d, const char *what);
/* Wrong use: says it with a pointer to --help; EX_USAGE. */
int cmd_usage(const struct cmd *c, const char *fmt, ...) _printf_(2, 3);
/* Configuration, and from it (and --db) where the store is. 0, or the exit status, with everything said. */
int cmd_load(struct cmd *c);
/* Opens the store. 0 or the exit status, with everything said. */
int cmd_open(struct cmd *c, enum db_mode mode, struct db **ret);
/* Loads the private key (made when absent and `make`) and hands it to the connection. 0 or the exit status. */
int cmd_sign(struct cmd *c, struct db *d, bool make, struct sign_key **ret);
/* The public key that signatures are checked with. 0 or the exit status. */
int cmd_public(struct cmd *c, struct sign_key **ret);
/*
 * Finds the baseline and checks its signature and the newest history batch with pub: a store that cannot be trusted is
 * never worked with. 0 or the exit status, with everything said.
 */
int cmd_find(struct db *d, const char *name, const struct sign_key *pub, struct arena *a, struct baseline_info *ret);
/* The one argument a command wants; else says so and NULL. */
const char *cmd_argument(const struct cmd *c, const char *what);
/* An EVENT_NOTE of who did what, in a transaction of its own. */
int cmd_note(struct db *d, const char *text);
/*
 * Tells a running monitor something: "flush" (and waits until everything it told so far is stored), or "forget": the
 * baseline was changed at path (UTF-8; NULL: at many, or replaced). Says what goes wrong, but not that there is no
 * monitor. 0 or a negative errno.
 */
int cmd_tell(const char *socket, const char *what, const char *path);
/* A moment to come: a time, or in how long. 0 or EX_USAGE, having said so. */
int cmd_until(const struct cmd *c, const char *text, uint64_t *ret);
/* Letters, digits, and "._:@+-", not first a "-" or "."; at most 64. */
bool cmd_name_valid(const char *name);
/* A NAME has no slash; anything else is a PATH. */
bool cmd_is_name(const char *arg);
/*
 * An absolute path for a PATH argument: with `rooted` as named inside the root folder, else from the working folder
 * with symbolic links in the folders above its last name followed. NULL when out of memory. Caller frees.
 */
char *cmd_absolute(const char *arg, bool rooted);
/* Who runs this, for the records: account, and login and sudo names when they differ. */
void cmd_user(struct buf *b);
/* 12,345 */
void cmd_number(struct buf *b, uint64_t n);

#define _cleanup_json_ __attribute__((cleanup(cmd_json_unref)))
void cmd_json_unref(json_t **j);

#endif
