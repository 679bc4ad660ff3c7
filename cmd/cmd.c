/*
 * The command table, and the one parser of argv: getopt_long fed from the options tables, help printed from the same
 * rows. Runs on the main thread before any other exists.
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "lib/clock.h"
#include "lib/text.h"

static const struct command *const commands[] = {
	&command_init,	  &command_check,   &command_accept,  &command_baseline, &command_watch,
	&command_status,  &command_history, &command_explain, &command_doctor,	 &command_quarantine,
	&command_release, &command_rules,   &command_trust,
};

#define COMMON(member) offsetof(struct cmd, member)
static const struct cmd_option common_options[] = {
	{ "config", 'c', OPTION_STRING, "FILE", "configuration (default " CONF_DEFAULT_PATH ")", COMMON(conf_file) },
	{ "db", 0, OPTION_STRING, "FILE", "the store, instead of the configuration's store.path", COMMON(db_path) },
	{ "json", 0, OPTION_FLAG, NULL, "one JSON object a line", COMMON(json) },
	{ "quiet", 'q', OPTION_FLAG, NULL, "say nothing but errors", COMMON(quiet) },
	{ "verbose", 'v', OPTION_FLAG, NULL, "say more", COMMON(verbose) },
	{ "help", 'h', OPTION_FLAG, NULL, "this text", COMMON(help) },
	{ "version", 0, OPTION_FLAG, NULL, "print the version", COMMON(version) },
};

/* --- help */

static void help_options(struct out *o, const struct cmd_option *rows, size_t n)
{
	_cleanup_table_ struct table t = TABLE_INIT;
	char letter[8];

	table_init(&t, NULL, 2, 0);
	for (size_t i = 0; i < n; i++) {
		snprintf(letter, sizeof(letter), rows[i].letter ? "-%c, " : "    ", rows[i].letter);
		table_printf(&t, "%s--%s%s%s", letter, rows[i].name, rows[i].argument ? " " : "",
			     rows[i].argument ? rows[i].argument : "");
		table_cell(&t, rows[i].help);
	}
	table_print(&t, o, "  ");
}

static void help_command(struct out *o, const struct command *family, const struct command *command)
{
	out_printf(o, "usage: holdfast %s%s%s%s%s\n", family ? family->name : "", family ? " " : "", command->name,
		   *command->usage ? " " : "", command->usage);
	out_printf(o, "%s\n", command->summary);
	if (command->details) {
		out_str(o, "\n");
		out_str(o, command->details);
	}
	if (command->n_sub) {
		_cleanup_table_ struct table t = TABLE_INIT;

		table_init(&t, NULL, 2, 0);
		for (size_t i = 0; i < command->n_sub; i++) {
			table_printf(&t, "%s %s", command->sub[i]->name, command->sub[i]->usage);
			table_cell(&t, command->sub[i]->summary);
		}
		out_str(o, "\ncommands:\n");
		table_print(&t, o, "  ");
	}
	if (command->n_options) {
		out_str(o, "\noptions:\n");
		help_options(o, command->options, command->n_options);
	}
	out_str(o, "\ncommon options:\n");
	help_options(o, common_options, ARRAY_SIZE(common_options));
}

static void help_overview(struct out *o)
{
	_cleanup_table_ struct table t = TABLE_INIT;

	out_str(o, "usage: holdfast [OPTION...] COMMAND [ARGUMENT...]\n"
		   "Takes baselines of files, watches them live, says who changed what, keeps the "
		   "history.\n\ncommands:\n");
	table_init(&t, NULL, 2, 0);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		table_cell(&t, commands[i]->name);
		table_cell(&t, commands[i]->summary);
	}
	table_print(&t, o, "  ");
	out_str(o, "\ncommon options:\n");
	help_options(o, common_options, ARRAY_SIZE(common_options));
	out_str(o, "\n`holdfast COMMAND --help` says more; the manual is holdfast(8).\n");
}

/* --- parsing */

#define OPTION_ROWS 32
#define OPTION_BASE 256 /* getopt's value of row n is OPTION_BASE + n */

/* The rows of common and own options as getopt wants them. */
struct parse {
	struct option longs[OPTION_ROWS + 1];
	char shorts[OPTION_ROWS * 2 + 3];
	const struct cmd_option *rows[OPTION_ROWS];
	void *bases[OPTION_ROWS];
	const char *names[OPTION_ROWS];
	size_t n;
};

static void parse_add(struct parse *p, const struct cmd_option *rows, size_t n, void *base)
{
	for (size_t i = 0; i < n && p->n < OPTION_ROWS; i++, p->n++) {
		char letter[] = { rows[i].letter, rows[i].letter && rows[i].argument ? ':' : '\0', '\0' };

		p->rows[p->n] = &rows[i];
		p->bases[p->n] = base;
		p->names[p->n] = rows[i].name;
		p->longs[p->n] = (struct option){
			.name = rows[i].name,
			.has_arg = rows[i].argument ? required_argument : no_argument,
			.val = OPTION_BASE + (int)p->n,
		};
		strcat(p->shorts, letter); /* at most two characters a row: sized for it */
	}
}

static const struct cmd_option *parse_row(const struct parse *p, int val, void **ret_base)
{
	for (size_t i = 0; i < p->n; i++) {
		if (val == OPTION_BASE + (int)i || (val && val == p->rows[i]->letter)) {
			*ret_base = p->bases[i];
			return p->rows[i];
		}
	}
	return NULL;
}

static int parse_list(struct option_list *l, const char *item)
{
	const char **items = realloc(l->items, (l->n + 1) * sizeof(*items));

	if (!items)
		return -ENOMEM;
	l->items = items;
	l->items[l->n++] = item;
	return 0;
}

static int parse_number(const char *s, uint64_t *ret)
{
	char *end;

	errno = 0;
	if (*s < '0' || *s > '9')
		return -EINVAL;
	*ret = strtoull(s, &end, 10);
	return errno ? -errno : *end ? -EINVAL : 0;
}

static int parse_value(const struct cmd_option *row, void *base, const char *value)
{
	void *member = (char *)base + row->offset;

	switch (row->type) {
	case OPTION_FLAG:
		*(bool *)member = true;
		return 0;
	case OPTION_STRING:
		*(const char **)member = value;
		return 0;
	case OPTION_LIST:
		return parse_list(member, value);
	case OPTION_NUMBER:
		return parse_number(value, member);
	case OPTION_TIME:
		return text_parse_time(value, clock_real_ns(), member);
	case OPTION_DURATION:
		return text_parse_duration(value, member);
	}
	return -EINVAL;
}

static const char *const option_wants[] = {
	[OPTION_NUMBER] = "a number",
	[OPTION_TIME] = "a time (2026-01-31, 2026-01-31T12:00:00Z, @SECONDS) or how long ago (90s, 2h, 7d)",
	[OPTION_DURATION] = "a duration (250ms, 90s, 2h, 7d)",
};

static int parse_unknown(const struct cmd *c, const struct parse *p, const char *arg)
{
	char word[128];
	const char *near;
	size_t len;

	if (strncmp(arg, "--", 2) != 0)
		return cmd_usage(c, "unknown option '-%c'", optopt ? optopt : arg[1]);
	len = MIN(strcspn(arg + 2, "="), sizeof(word) - 1);
	memcpy(word, arg + 2, len);
	word[len] = '\0';
	for (size_t i = 0; i < p->n; i++) {
		if (streq(word, p->names[i]))
			return cmd_usage(c, "option --%s takes no argument", word);
	}
	near = text_nearest(word, p->names, p->n);
	return near ? cmd_usage(c, "unknown option --%s: did you mean --%s?", word, near)
		    : cmd_usage(c, "unknown option --%s", word);
}

/* argv[0] is the word before. first_word: stop at the first word that is no option. Status, or 0. */
static int parse_args(struct cmd *c, int argc, char **argv, bool first_word)
{
	struct parse p = { .shorts = "" };
	int val, r;

	strcpy(p.shorts, first_word ? "+:" : ":");
	parse_add(&p, common_options, ARRAY_SIZE(common_options), c);
	if (!first_word)
		parse_add(&p, c->command->options, c->command->n_options, c->options);
	opterr = 0;
	optind = 0; /* GNU: start afresh */
	while ((val = getopt_long(argc, argv, p.shorts, p.longs, NULL)) != -1) {
		void *base = NULL;
		const struct cmd_option *row = parse_row(&p, val == ':' ? optopt : val, &base);

		if (val == '?' || !row)
			return parse_unknown(c, &p, argv[optind - 1]);
		if (val == ':')
			return cmd_usage(c, "option --%s wants %s", row->name, row->argument);
		r = parse_value(row, base, optarg);
		if (r == -ENOMEM)
			return cmd_fail(r, NULL, "--%s", row->name);
		if (r)
			return cmd_usage(c, "--%s %s: want %s", row->name, optarg, option_wants[row->type]);
	}
	return 0;
}

static int unknown_word(const struct cmd *c, const char *word, const char *const *names, size_t n)
{
	const char *near = text_nearest(word, names, n);

	return near ? cmd_usage(c, "unknown command '%s': did you mean '%s'?", word, near)
		    : cmd_usage(c, "unknown command '%s'", word);
}

static const struct command *find_command(const struct cmd *c, const char *word)
{
	const char *names[ARRAY_SIZE(commands)];

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (streq(word, commands[i]->name))
			return commands[i];
		names[i] = commands[i]->name;
	}
	unknown_word(c, word, names, ARRAY_SIZE(names));
	return NULL;
}

static const struct command *find_sub(const struct cmd *c, const char *word)
{
	const struct command *family = c->command;
	const char *names[16];

	for (size_t i = 0; i < family->n_sub; i++) {
		if (streq(word, family->sub[i]->name))
			return family->sub[i];
		names[i] = family->sub[i]->name;
	}
	unknown_word(c, word, names, family->n_sub);
	return NULL;
}

/* --- running */

static int show(struct cmd *c)
{
	if (c->version)
		out_str(&c->out, "holdfast " PACKAGE_VERSION "\n");
	else if (c->command)
		help_command(&c->out, c->family, c->command);
	else
		help_overview(&c->out);
	return 0;
}

static void free_lists(struct cmd *c)
{
	for (size_t i = 0; i < c->command->n_options; i++) {
		const struct cmd_option *row = &c->command->options[i];

		if (row->type == OPTION_LIST)
			free(((struct option_list *)((char *)c->options + row->offset))->items);
	}
}

static int run_leaf(struct cmd *c, int argc, char **argv)
{
	union {
		max_align_t align;
		char bytes[COMMAND_OPTIONS_MAX];
	} options;
	int status;

	memset(&options, 0, sizeof(options));
	c->options = &options;
	status = parse_args(c, argc, argv, false);
	if (!status && (c->help || c->version)) {
		status = show(c);
	} else if (!status) {
		c->n_args = argc - optind;
		c->args = argv + optind;
		log_set_level(c->verbose ? LOG_LEVEL_DEBUG : c->quiet ? LOG_LEVEL_WARN : LOG_LEVEL_INFO);
		status = c->command->run(c);
	}
	free_lists(c);
	return status;
}

static int run(struct cmd *c, int argc, char **argv)
{
	const struct command *sub;
	int status = parse_args(c, argc, argv, true);

	if (status)
		return status;
	argc -= optind;
	argv += optind;
	if (argc && streq(argv[0], "help")) {
		c->help = true;
		argc--;
		argv++;
	}
	if (!argc || c->version)
		return c->help || c->version ? show(c) : cmd_usage(c, "no command given");
	c->command = find_command(c, argv[0]);
	if (!c->command)
		return EX_USAGE;
	if (!c->command->n_sub)
		return run_leaf(c, argc, argv);
	status = parse_args(c, argc, argv, true);
	if (status)
		return status;
	argc -= optind;
	argv += optind;
	if (!argc)
		return c->help ? show(c) : cmd_usage(c, "%s what?", c->command->name);
	sub = find_sub(c, argv[0]);
	if (!sub)
		return EX_USAGE;
	c->family = c->command;
	c->command = sub;
	return run_leaf(c, argc, argv);
}

/* A closed descriptor 0, 1 or 2 would be given to the next file opened: the store, say, and take our messages. */
static bool standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
			return false;
	}
	return true;
}

int cmd_main(int argc, char **argv)
{
	struct cmd c = { 0 };
	int status, lost;

	if (!standard_fds())
		return EX_OSERR;
	/* A reader of stdout that goes away must not end a check that still records. */
	signal(SIGPIPE, SIG_IGN);
	out_init(&c.out, STDOUT_FILENO);
	status = run(&c, argc, argv);
	lost = out_finish(&c.out);
	conf_unrefp(&c.conf);
	return lost ? lost : status;
}
