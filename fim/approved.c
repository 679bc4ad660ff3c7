/*
 * Changes that were approved before they happened. The live thread keeps the approvals in force and reads them anew
 * when it is told to; an approval that runs out needs no telling. Reads the store, never writes to it.
 */
#include "fim/live-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "db/approvals.h"
#include "lib/text.h"
#include "lib/util.h"

struct approved {
	struct arena arena;
	struct approval *items;
	size_t n;
};

static int approved_take(const struct approval *a, void *data)
{
	struct approved *k = data;
	struct approval *copy;

	if (k->n == APPROVALS_MAX)
		return 0;
	if (!k->items)
		k->items = arena_alloc(&k->arena, APPROVALS_MAX * sizeof(*k->items));
	if (!k->items)
		return -ENOMEM;
	copy = &k->items[k->n];
	*copy = *a;
	copy->path = arena_strdup(&k->arena, a->path);
	copy->user = arena_strdup(&k->arena, a->user);
	copy->reason = arena_strdup(&k->arena, a->reason);
	if (!copy->path || !copy->user || !copy->reason)
		return -ENOMEM;
	k->n++;
	return 0;
}

void approved_free(struct approved *k)
{
	if (k)
		arena_free(&k->arena);
	free(k);
}

void approved_load(struct live *l)
{
	struct approved *k = calloc(1, sizeof(*k));
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_db_ struct db *db = NULL;
	int r = k ? db_open(l->o.db, DB_READ, &db, &err) : -ENOMEM;

	if (r == 0) {
		r = approvals_each(db, false, clock_real_ns(), approved_take, k);
		if (r < 0)
			buf_str(&err, db_error(db));
	}
	if (r < 0) {
		log_error("the approvals could not be read: %s", err.len ? err.data : strerror(-r));
		approved_free(k);
		return;
	}
	approved_free(l->approved);
	l->approved = k;
	l->counters.approvals = k->n;
}

/* When it happened, first and last event; what no event told of is as old as the file says, or unknown. */
static bool approved_times(const struct facts *f, const struct change_parts *c, uint64_t *ret_first, uint64_t *ret_last)
{
	uint64_t offset = clock_real_ns() - clock_boot_ns();

	if (f->ops) {
		*ret_first = f->first + offset;
		*ret_last = f->last + offset;
		return true;
	}
	if (!c->after || !(c->after->have & ATTR_BIT(ATTR_CTIME)))
		return false;
	*ret_first = *ret_last = (uint64_t)c->after->ctime;
	return true;
}

bool approved_change(const struct live *l, const struct facts *f, const struct change_parts *c, struct buf *ret_cause)
{
	const struct approved *k = l->approved;
	const struct record *after = c->after && c->after->have & ATTR_BIT(ATTR_DIGEST) ? c->after : NULL;
	const uint8_t *digest = after ? after->digest : NULL;
	size_t len = after ? after->digest_len : 0;
	uint64_t first, last;

	if (!k || !k->n || c->status != STATUS_OPEN || !approved_times(f, c, &first, &last))
		return false;
	for (size_t i = 0; i < k->n; i++) {
		const struct approval *a = &k->items[i];

		if (!approval_covers(a, c->path, first, digest, len) ||
		    !approval_covers(a, c->path, last, digest, len) ||
		    (c->path2 && !approval_covers(a, c->path2, last, digest, len)))
			continue;
		approval_cause(a, ret_cause);
		return true;
	}
	return false;
}
