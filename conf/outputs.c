/* Items of `outputs`: what a type cannot do without. No state; the thread that loads. */
#include "conf/outputs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/schema.h"
#include "lib/util.h"

/* What a type cannot do without. */
static void check_members(const struct conf_output *o, const struct node *n, struct errors *e)
{
	const struct {
		enum conf_output_type type;
		bool missing;
		const char *text;
	} rules[] = {
		{ o->type, o->type == CONF_OUTPUT_NONE, "has no `type`" },
		{ CONF_OUTPUT_FILE, !o->path, "type file wants `path`" },
		{ CONF_OUTPUT_UNIX, !o->path, "type unix wants `path`" },
		{ CONF_OUTPUT_PROGRAM, !o->command.n, "type program wants `command`" },
		{ CONF_OUTPUT_PROGRAM, o->command.n && o->command.items[0][0] != '/',
		  "`command` begins with the absolute path of a program" },
		{ CONF_OUTPUT_HTTP, !o->url, "type http wants `url`" },
		{ CONF_OUTPUT_HTTP, o->url && strncmp(o->url, "http://", 7) != 0 && strncmp(o->url, "https://", 8) != 0,
		  "`url` begins with https:// or http://" },
		{ CONF_OUTPUT_SYSLOG,
		  o->address && strncmp(o->address, "udp://", 6) != 0 && strncmp(o->address, "tcp://", 6) != 0,
		  "`address` begins with udp:// or tcp://" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		if (rules[i].type == o->type && rules[i].missing)
			errors_add(e, n->line, n->column, "outputs: %s", rules[i].text);
	}
}

/* Its own name, or its type and how many came before. */
static int check_name(struct conf *c, struct conf_output *o, const struct node *n, struct errors *e)
{
	char name[64];
	bool group;

	if (!o->name) {
		const struct conf_key *k = conf_schema_find("outputs[].", "type", &group);

		snprintf(name, sizeof(name), "%s-%zu", k->words[o->type], c->n_outputs + 1);
		o->name = arena_strdup(&c->arena, name);
		if (!o->name)
			return -ENOMEM;
	}
	for (size_t i = 0; i < c->n_outputs; i++) {
		if (streq(c->outputs[i].name, o->name))
			errors_add(e, n->line, n->column, "outputs: two of the same `name`");
	}
	if (strchr(o->name, '/') || o->name[0] == '.')
		errors_add(e, n->line, n->column, "outputs: `name` has no '/' and does not begin with '.'");
	return 0;
}

int output_check(struct conf *c, struct conf_output *o, const struct node *n, struct errors *e)
{
	check_members(o, n, e);
	return check_name(c, o, n, e);
}
