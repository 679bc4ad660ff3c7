/* holdfast watch: the monitor in the foreground. Everything it does is daemon/daemon.h. */
#include <string.h>

#include "cmd/command.h"
#include "daemon/daemon.h"

struct watch_command_options {
	uint64_t seconds;
	const char *sensor, *control, *rules;
	bool force;
	uint64_t session;
};

#define AT(member) offsetof(struct watch_command_options, member)
static const struct cmd_option watch_rows[] = {
	{ "for", 0, OPTION_DURATION, "TIME", "end after so long (90, 5m, 2h)", AT(seconds) },
	{ "sensor", 0, OPTION_STRING, "NAME", "fanotify or inotify (default: the best that works here)", AT(sensor) },
	{ "rules", 0, OPTION_STRING, "FILE", "rules of this file or folder, not those of the configuration",
	  AT(rules) },
	{ "control", 0, OPTION_STRING, "FILE", "the control socket (default: control in the configuration)",
	  AT(control) },
	{ "force", 0, OPTION_FLAG, NULL, "enforce though nobody vouches for init, a shell, sshd or this program",
	  AT(force) },
	{ "session", 0, OPTION_NUMBER, "ID", "to try enforcing: what cannot be held up is judged in this session alone",
	  AT(session) },
};

/*
 * The monitor's own writing must cause no events, so the folder of the store is not watched. Guarded paths in it would
 * be out of sight without anybody noticing: refused.
 */
static int watch_store_apart(const struct cmd *c)
{
	const char *slash = strrchr(c->db.path, '/');
	size_t len = slash ? (size_t)(slash - c->db.path) : 0;

	for (size_t i = 0; slash && i < c->conf->scope.n_paths; i++) {
		const char *path = c->conf->scope.paths[i].path;

		if (strncmp(path, c->db.path, len) || (path[len] != '/' && path[len] != '\0'))
			continue;
		log_error(
			"the store %s lies in a folder that holds guarded files (%s): nothing in it could be watched; "
			"give the store a folder of its own",
			c->db.path, path);
		return EX_CONFIG;
	}
	return 0;
}

static int watch(struct cmd *c)
{
	const struct watch_command_options *o = c->options;
	struct daemon_options options = { 0 };
	int status;

	if (c->n_args > 1)
		return cmd_usage(c, "just one NAME");
	if (o->sensor && !streq(o->sensor, "fanotify") && !streq(o->sensor, "inotify"))
		return cmd_usage(c, "--sensor %s: want fanotify or inotify", o->sensor);
	status = cmd_load(c);
	if (!status)
		status = watch_store_apart(c);
	if (status)
		return status;
	options = (struct daemon_options){
		.conf = c->conf,
		.conf_file = c->conf_is_default ? NULL : c->conf->file,
		.baseline = c->n_args ? c->args[0] : "host",
		.sensor = o->sensor,
		.seconds = (o->seconds + NSEC_PER_SEC - 1) / NSEC_PER_SEC,
		.json = c->json,
		.colour = c->out.colour,
		.quiet = c->quiet,
		.rules = o->rules,
		.control = o->control,
		.force = o->force,
		.session = (int32_t)MIN(o->session, (uint64_t)INT32_MAX),
	};
	return daemon_run(&options);
}

const struct command command_watch = {
	.name = "watch",
	.usage = "[NAME] [--for TIME] [--sensor NAME] [--rules FILE] [--control FILE] [--force] [--session ID]",
	.summary = "run the monitor in the foreground",
	.details = "Guards the files of baseline NAME (\"host\" when left out) and prints each change with who made "
		   "it. SIGHUP reloads the\n"
		   "configuration; SIGTERM and SIGINT end it with everything stored.\n"
		   "\n"
		   "exit status: 0 ended as asked, else sysexits(3): 66 no such baseline, 74 the store cannot be read "
		   "or trusted,\n"
		   "77 permission, 78 configuration.\n",
	.options = watch_rows,
	.n_options = ARRAY_SIZE(watch_rows),
	.options_size = sizeof(struct watch_command_options),
	.run = watch,
};
