/*
 * holdfast trust learn: programs that history has as unexpected, listed for a person to look at, and with --yes trusted
 * by their digests. What stands at the path now is read again: only what is still there with the digest that was seen
 * can be learned, and what some source has come to vouch for meanwhile is left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uthash.h>

#include "cmd/trust.h"
#include "db/history.h"
#include "event/json.h"
#include "exec/trust_load.h"
#include "lib/clock.h"
#include "lib/text.h"

#define LEARN_MAX     10000 /* programs in one run */
#define LEARN_DEFAULT (7 * 24 * 3600 * NSEC_PER_SEC)

struct learn_options {
	uint64_t since;
	bool yes;
	const char *reason, *until, *control;
};

#define AT(member) offsetof(struct learn_options, member)
static const struct cmd_option learn_options[] = {
	{ "since", 0, OPTION_TIME, "TIME", "from then on: 2026-01-31, or how long ago (default 7d)", AT(since) },
	{ "yes", 'y', OPTION_FLAG, NULL, "trust all that is listed as new", AT(yes) },
	{ "reason", 'r', OPTION_STRING, "TEXT", "why; wanted with --yes, and kept", AT(reason) },
	{ "until", 0, OPTION_STRING, "TIME", "only until then (2026-01-31, or in how long: 7d)", AT(until) },
	{ "control", 0, OPTION_STRING, "FILE", "control socket of the monitor", AT(control) },
};

enum learn_state { LEARN_NEW, LEARN_CHANGED, LEARN_GONE, LEARN_TRUSTED, LEARN_DENIED };
static const char *const learn_states[] = {
	[LEARN_NEW] = "new",	     [LEARN_CHANGED] = "changed", [LEARN_GONE] = "gone",
	[LEARN_TRUSTED] = "trusted", [LEARN_DENIED] = "denied",
};

/* One program, by its digest; history comes newest first. */
struct program {
	uint8_t digest[TRUSTED_DIGEST_SIZE];
	const char *path, *exe, *user;
	uint64_t first, last, count, size;
	enum learn_state state;
	UT_hash_handle hh;
};

struct learn {
	struct cmd *c;
	const struct learn_options *o;
	struct arena arena;
	struct program *programs; /* in order of insertion: the newest first */
	size_t n, n_new;
	struct trust_loaded trust;
	struct exec_hash *hash;
	struct exec_digests *digests;
};

static void learn_free(struct learn *k)
{
	HASH_CLEAR(hh, k->programs);
	arena_free(&k->arena);
	trust_loaded_free(&k->trust);
	exec_hash_free(k->hash);
	free(k->digests);
}
#define _cleanup_learn_ __attribute__((cleanup(learn_free)))

/* --- what history has */

static int learn_event(struct event *e, void *data)
{
	struct learn *k = data;
	struct program *p = NULL;

	if (e->verdict != EXEC_UNEXPECTED || !e->path || !e->has_after || !(e->after.have & ATTR_BIT(ATTR_DIGEST)) ||
	    e->after.digest_len != TRUSTED_DIGEST_SIZE)
		return 0;
	HASH_FIND(hh, k->programs, e->after.digest, TRUSTED_DIGEST_SIZE, p);
	if (!p) {
		if (k->n == LEARN_MAX)
			return -E2BIG;
		p = arena_zalloc(&k->arena, sizeof(*p));
		if (!p)
			return -ENOMEM;
		memcpy(p->digest, e->after.digest, sizeof(p->digest));
		p->path = arena_strdup(&k->arena, e->path);
		p->exe = e->process && e->process->exe ? arena_strdup(&k->arena, e->process->exe) : NULL;
		p->user = e->process && e->process->known & PROCESS_IDS ? user_name(e->process->uid) : NULL;
		p->size = e->after.size;
		p->last = e->time;
		if (!p->path)
			return -ENOMEM;
		HASH_ADD(hh, k->programs, digest, TRUSTED_DIGEST_SIZE, p);
		k->n++;
	}
	p->first = e->time;
	p->count++;
	return 0;
}

/* --- what stands there now */

static enum learn_state learn_look(struct learn *k, const struct program *p)
{
	_cleanup_close_ int fd = open(p->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	struct trust_answer answer;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return LEARN_GONE;
	if (exec_hash_fd(k->hash, fd, (uint64_t)st.st_size, trust_algos(k->trust.trust),
			 trust_package_algo(k->trust.trust, p->path), k->digests) < 0 ||
	    memcmp(k->digests->digest[EXEC_DIGEST], p->digest, sizeof(p->digest)) != 0)
		return LEARN_CHANGED;
	trust_ask(k->trust.trust, p->path, &st, k->digests, NULL, &answer);
	if (answer.denied)
		return LEARN_DENIED;
	return answer.source == TRUST_NONE ? LEARN_NEW : LEARN_TRUSTED;
}

static int learn_judge(struct learn *k)
{
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	int r = trust_load(k->c->conf, k->c->conf, &k->c->db, NULL, NULL, &k->trust, &warnings);

	if (r < 0)
		return r;
	r = exec_hash_new(&k->hash);
	k->digests = malloc(sizeof(*k->digests));
	if (r < 0 || !k->digests)
		return r < 0 ? r : -ENOMEM;
	for (struct program *p = k->programs; p; p = p->hh.next) {
		p->state = learn_look(k, p);
		k->n_new += p->state == LEARN_NEW;
	}
	return 0;
}

/* --- for people */

static void learn_json(struct learn *k, const struct program *p)
{
	_cleanup_buf_ struct buf hex = BUF_INIT;
	json_t *o = json_object();

	buf_hex(&hex, p->digest, sizeof(p->digest));
	json_put_string(o, "kind", "unexpected");
	json_put_string(o, "path", p->path);
	json_put_string(o, "digest", hex.failed ? NULL : hex.data);
	json_object_set_new(o, "size", json_u64(p->size));
	json_object_set_new(o, "count", json_u64(p->count));
	json_object_set_new(o, "first", json_time(p->first));
	json_object_set_new(o, "last", json_time(p->last));
	json_put_string(o, "exe", p->exe);
	json_put_string(o, "user", p->user);
	json_put_string(o, "state", learn_states[p->state]);
	out_json(&k->c->out, o);
}

static void learn_list(struct learn *k)
{
	static const char *const titles[] = { "STATE", "COUNT", "LAST", "SHA-256", "USER", "PATH" };
	_cleanup_table_ struct table t = TABLE_INIT;

	table_init(&t, titles, ARRAY_SIZE(titles), 2);
	for (const struct program *p = k->programs; p; p = p->hh.next) {
		_cleanup_buf_ struct buf hex = BUF_INIT;
		char last[TEXT_TIME_MAX];

		if (p->state == LEARN_TRUSTED && !k->c->verbose)
			continue;
		if (k->c->json) {
			learn_json(k, p);
			continue;
		}
		buf_hex(&hex, p->digest, k->c->verbose ? sizeof(p->digest) : 8);
		text_time(last, p->last, 0);
		table_cell(&t, learn_states[p->state]);
		table_printf(&t, "%llu", (unsigned long long)p->count);
		table_cell(&t, last);
		table_cell(&t, hex.data);
		table_cell(&t, p->user);
		table_cell(&t, p->path);
	}
	if (!k->c->json && t.n)
		table_print(&t, &k->c->out, "");
}

static int learn_store(struct learn *k)
{
	_cleanup_trust_change_ struct trust_change t;
	int status = trust_change_begin(&t, k->c, k->o->reason, k->o->until, k->o->control), r = 0;

	for (const struct program *p = k->programs; p && !status && !r; p = p->hh.next)
		if (p->state == LEARN_NEW)
			r = trust_change_add(&t, p->digest, p->path);
	if (r)
		return cmd_fail(r, NULL, "trust");
	return status ? status : trust_change_store(&t);
}

static int learn_find(struct learn *k)
{
	_cleanup_db_ struct db *d = NULL;
	struct history_filter filter = { .since = k->o->since ? k->o->since : clock_real_ns() - LEARN_DEFAULT,
					 .kinds = 1u << EVENT_EXEC };
	int status = cmd_load(k->c), r;

	if (status)
		return status;
	cmd_tell(k->o->control ? k->o->control : k->c->conf->control, "flush", NULL);
	status = cmd_open(k->c, DB_READ, &d);
	if (status)
		return status;
	r = history_each(d, &filter, learn_event, k);
	if (r == -E2BIG)
		return cmd_fail(r, NULL, "more than %d programs: take a shorter --since", LEARN_MAX);
	return r ? cmd_fail_db(r, d, "history") : 0;
}

static int trust_learn(struct cmd *c)
{
	_cleanup_learn_ struct learn k = { .c = c, .o = c->options };
	int status, r;

	if (c->n_args)
		return cmd_usage(c, "no arguments are wanted");
	if (k.o->yes && (!k.o->reason || !*k.o->reason))
		return cmd_usage(c, "--yes wants --reason TEXT: it is kept");
	status = learn_find(&k);
	if (status)
		return status;
	r = learn_judge(&k);
	if (r)
		return cmd_fail(r, NULL, "trust");
	if (!c->quiet)
		learn_list(&k);
	if (k.o->yes && k.n_new)
		return learn_store(&k);
	if (!c->json && !c->quiet && k.n_new)
		out_printf(
			&c->out,
			"%zu new; nothing was changed. Look at each, then trust them one by one (holdfast trust add) "
			"or all of them (--yes)\n",
			k.n_new);
	else if (!c->json && !c->quiet)
		out_str(&c->out, "nothing new\n");
	return 0;
}

const struct command command_trust_learn = {
	.name = "learn",
	.usage = "[--since TIME] [--yes --reason TEXT [--until TIME]]",
	.summary = "what was seen to run and nobody vouches for; --yes trusts it",
	.details =
		"State: new (it is still there, and would be learned), changed (another file stands there now), gone, "
		"trusted (with -v:\n"
		"some source vouches for it by now). Only what is new is learned, by its digest.\n"
		"\n"
		"exit status: 0, else sysexits(3): 66 no store, 74 the store failed.\n",
	.options = learn_options,
	.n_options = ARRAY_SIZE(learn_options),
	.options_size = sizeof(struct learn_options),
	.run = trust_learn,
};
