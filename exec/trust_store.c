/*
 * Reading baselines for their digests, each piece verified as it is read. Runs on the thread that owns the connection,
 * before the gate starts or beside it; holds one chunk in memory.
 */
#include "exec/trust_store.h"

#include <errno.h>
#include <string.h>

#include "db/baseline.h"
#include "db/history.h"
#include "db/trusted.h"
#include "exec/script.h"
#include "lib/arena.h"
#include "lib/util.h"

struct loading {
	struct trust *t;
	struct db *db;
	const struct sign_key *pub;
	bool all_files;
	struct buf *warnings;

	const struct baseline_info *info; /* of the present baseline, as the next four */
	struct baseline_reader *reader;
	bool crowded;
	unsigned set;
	size_t digest_size;
	struct digest *blake;
	struct chunk chunk;
	struct buf scratch;
};

/* What a killed or damaged baseline leaves behind: its name, and the next one. */
static bool is_its_own(int r)
{
	return r == -EBADMSG || r == -ENOENT;
}

static int add_interpreter(struct loading *l, const struct entry *e)
{
	const char *interpreter = script_interpreter(e->name);
	int r = interpreter ? trust_add_interpreter(l->t, l->info->algo, e->rec.digest, interpreter,
						    l->info->kind == BASELINE_IMAGE)
			    : 0;

	if (r != -E2BIG)
		return r;
	if (!l->crowded)
		buf_printf(l->warnings,
			   "baseline %s: more interpreters than there is room for: copies of them under other "
			   "names are not known\n",
			   l->info->name);
	l->crowded = true;
	return 0;
}

static int add_chunk(struct loading *l)
{
	int r = 0;

	for (uint32_t i = 0; i < l->chunk.n && r == 0; i++) {
		const struct record *rec = &l->chunk.entries[i].rec;
		bool program;

		if (rec->type != 'f' || !(rec->have & ATTR_BIT(ATTR_DIGEST)) || rec->digest_len != l->digest_size)
			continue;
		program = rec->have & ATTR_BIT(ATTR_MODE) && rec->mode & 0111;
		if (l->all_files || program)
			r = trust_add_digest(l->t, l->set, rec->digest);
		if (r == 0 && program)
			r = add_interpreter(l, &l->chunk.entries[i]);
	}
	return r;
}

static int add_dir(int64_t id, const char *path, void *data)
{
	struct loading *l = data;
	int r = 0;

	for (uint32_t seq = 0; r == 0; seq++) {
		r = baseline_load_chunk(l->reader, id, path, seq, &l->chunk, l->blake, &l->scratch);
		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = add_chunk(l);
	}
	return r;
}

static int add_baseline(const struct baseline_info *info, void *data)
{
	struct loading *l = data;
	int r = baseline_check_signature(l->db, info->id, l->pub, l->warnings);

	if (r == -EBADMSG) {
		buf_printf(l->warnings, ": baseline %s vouches for nothing\n", info->name);
		return 0;
	}
	if (r == 0)
		r = baseline_reader_new(l->db, info->id, &l->reader);
	if (r == 0)
		r = trust_add_set(l->t, TRUST_BASELINES, info->name, info->algo, &l->set);
	if (r == 0 && info->kind == BASELINE_IMAGE)
		r = trust_set_image(l->t, l->set, info->image_digest, info->image_id, info->image_ref);
	if (r < 0)
		return r;
	l->info = info;
	l->crowded = false;
	l->digest_size = digest_table[info->algo].size;
	r = baseline_each_dir(l->reader, "/", add_dir, l);
	baseline_reader_free(TAKE_PTR(l->reader));
	if (r < 0 && is_its_own(r)) {
		buf_printf(l->warnings, "baseline %s was edited: what lies behind that vouches for nothing\n",
			   info->name);
		return 0;
	}
	return r;
}

int trust_add_baselines(struct trust *t, struct db *d, const struct sign_key *pub, bool all_files, struct buf *warnings)
{
	struct loading l = { .t = t, .db = d, .pub = pub, .all_files = all_files, .warnings = warnings };
	int r = digest_new(DIGEST_BLAKE2B512, &l.blake);

	if (r == 0)
		r = baseline_each(d, add_baseline, &l);
	digest_free(l.blake);
	arena_free(&l.chunk.arena);
	buf_free(&l.scratch);
	return r;
}

/* --- by hand */

struct explicit
{
	struct trust *t;
	bool trusts; /* else what denies alone is taken */
	unsigned set, denied;
	uint64_t next;
	struct buf *warnings;
};

_Static_assert(TRUSTED_DIGEST_SIZE == EXEC_DIGEST_SIZE, "one digest names a program");

static int add_entry(const struct trusted *e, void *data)
{
	struct explicit *x = data;
	int r = 0;

	if (e->kind == TRUSTED_DENIED)
		r = trust_add_digest(x->t, x->denied, e->digest);
	else if (x->trusts)
		r = e->kind == TRUSTED_DIGEST ? trust_add_digest(x->t, x->set, e->digest)
					      : trust_add_path(x->t, e->path);

	if (e->until && (!x->next || e->until < x->next))
		x->next = e->until;
	if (r != -E2BIG)
		return r;
	buf_printf(x->warnings, "trust entry %lld: more paths than there is room for, it vouches for nothing\n",
		   (long long)e->id);
	return 0;
}

int trust_add_explicit(struct trust *t, struct db *d, const struct sign_key *pub, bool trusts, uint64_t now,
		       uint64_t *ret_next, struct buf *warnings)
{
	struct explicit x = { .t = t, .trusts = trusts, .warnings = warnings };
	int r = history_check_head(d, pub, warnings);

	*ret_next = 0;
	if (r == -EBADMSG) {
		buf_str(warnings, ": nothing is trusted or denied by hand\n");
		return 0;
	}
	if (r == 0)
		r = trust_add_set(t, TRUST_EXPLICIT, "trusted by hand", EXEC_DIGEST, &x.set);
	if (r == 0)
		r = trust_add_set(t, TRUST_DENIED, "denied", EXEC_DIGEST, &x.denied);
	if (r == 0)
		r = trusted_each(d, false, now, add_entry, &x);
	*ret_next = x.next;
	return r;
}
