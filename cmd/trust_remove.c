/* holdfast trust remove: entries are marked as removed, with who did that and why. One thread, one transaction. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/trust.h"
#include "exec/trust_file.h"

struct trust_remove_options {
	struct option_list digests, paths;
	const char *reason, *control;
};

#define AT(member) offsetof(struct trust_remove_options, member)
static const struct cmd_option remove_options[] = {
	{ "digest", 0, OPTION_LIST, "HEX", "the entries of this digest; may be given again", AT(digests) },
	{ "path", 0, OPTION_LIST, "PATH", "the entries that name this path or glob; may be given again", AT(paths) },
	{ "reason", 'r', OPTION_STRING, "TEXT", "why; wanted, and kept", AT(reason) },
	{ "control", 0, OPTION_STRING, "FILE", "control socket of the monitor", AT(control) },
};
#undef AT

/* One thing that the command line names, and whether an entry was found for it. */
struct wanted {
	const char *text, *path; /* path NULL: by digest or number */
	uint8_t digest[TRUSTED_DIGEST_SIZE];
	bool by_digest, found;
	int64_t id;
};

struct removal {
	struct trust_change t;
	struct wanted *wanted;
	size_t n;
};

static bool is_wanted(struct removal *k, const struct trusted *e)
{
	bool any = false;

	for (size_t i = 0; i < k->n; i++) {
		struct wanted *w = &k->wanted[i];
		bool is = w->by_digest ? e->digest && memcmp(e->digest, w->digest, sizeof(w->digest)) == 0
			  : w->path    ? e->path && streq(e->path, w->path)
				       : e->id == w->id;

		w->found |= is;
		any |= is;
	}
	return any;
}

static int collect_entry(const struct trusted *e, void *data)
{
	struct removal *k = data;
	int r = is_wanted(k, e) ? trust_change_add(&k->t, e->digest, e->path) : 1;

	if (r == 0)
		k->t.items[k->t.n - 1].id = e->id;
	return r > 0 ? 0 : r;
}

static int parse_wanted(struct removal *k, const struct trust_remove_options *o)
{
	struct cmd *c = k->t.c;

	for (size_t i = 0; i < o->digests.n; i++) {
		struct wanted *w = &k->wanted[k->n++];
		const char *wrong;

		*w = (struct wanted){ .text = o->digests.items[i], .by_digest = true };
		wrong = trust_digest_parse(w->text, strlen(w->text), w->digest);
		if (wrong)
			return cmd_usage(c, "--digest %.80s: %s", w->text, wrong);
	}
	for (size_t i = 0; i < o->paths.n; i++)
		k->wanted[k->n++] = (struct wanted){ .text = o->paths.items[i], .path = o->paths.items[i] };
	for (int i = 0; i < c->n_args; i++) {
		struct wanted *w = &k->wanted[k->n++];
		char *end;

		*w = (struct wanted){ .text = c->args[i], .id = strtoll(c->args[i], &end, 10) };
		if (*w->text < '0' || *w->text > '9' || *end)
			return cmd_usage(c, "%s: want the number of an entry (holdfast trust list)", w->text);
	}
	return k->n ? 0 : cmd_usage(c, "what? Give numbers, --digest or --path");
}

static int trust_collect(struct removal *k)
{
	_cleanup_db_ struct db *d = NULL;
	int status = cmd_open(k->t.c, DB_READ, &d), r;

	if (status)
		return status;
	r = trusted_each(d, false, k->t.now, collect_entry, k);
	if (r)
		return cmd_fail_db(r, d, "trust");
	for (size_t i = 0; i < k->n; i++) {
		if (k->wanted[i].found)
			continue;
		log_error("%s: no such entry in force (holdfast trust list)", k->wanted[i].text);
		status = EX_NOINPUT;
	}
	return status;
}

static int remove_rows(struct trust_change *t, struct db *d, size_t *ret_removed)
{
	int r = 0;

	for (size_t i = 0; i < t->n && r == 0; i++)
		r = trusted_remove(d, t->items[i].id, t->user.data, t->reason, t->now);
	*ret_removed = r == 0 ? t->n : 0;
	return r;
}

static int trust_remove(struct cmd *c)
{
	const struct trust_remove_options *o = c->options;
	struct removal k = { 0 };
	int status = trust_change_begin(&k.t, c, o->reason, NULL, o->control);

	k.wanted = calloc(o->digests.n + o->paths.n + (size_t)c->n_args + 1, sizeof(*k.wanted));
	if (!status && !k.wanted)
		status = cmd_fail(-ENOMEM, NULL, "trust");
	if (!status)
		status = parse_wanted(&k, o);
	if (!status)
		status = trust_collect(&k);
	if (!status)
		status = trust_change_apply(&k.t, "removed", remove_rows);
	free(k.wanted);
	trust_change_end(&k.t);
	return status;
}

const struct command command_trust_remove = {
	.name = "remove",
	.usage = "[ID]... [--digest HEX]... [--path PATH]... --reason TEXT",
	.summary = "trust or deny them no more; who did that and why is kept",
	.details = "exit status: 0 removed, else sysexits(3): 66 no such entry, 74 the store failed.\n",
	.options = remove_options,
	.n_options = ARRAY_SIZE(remove_options),
	.options_size = sizeof(struct trust_remove_options),
	.run = trust_remove,
};
