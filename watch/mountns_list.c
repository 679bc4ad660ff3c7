/*
 * The list of mount namespaces, and which of a container's is its own. Its caller holds the lock; no system calls.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "watch/mountns-internal.h"

static void ns_drop(struct mountns *m, struct ns *n)
{
	HASH_DEL(m->list, n);
	m->untold -= n->untold;
	free(n);
}

/* Those that were made after it stay what they are. */
void ns_free(struct mountns *m, struct ns *n)
{
	for (struct ns *i = m->list; i && !n->second; i = i->hh.next)
		i->left |= i->second && streq(i->container, n->container);
	ns_drop(m, n);
}

static bool is_before(const struct ns *a, const struct ns *b)
{
	return a->born < b->born || (a->born == b->born && a->order < b->order);
}

/*
 * Which is the container's own: the first. The runtime's, that a process of the container comes from, is before it:
 * that one counts only among others like it.
 */
static void ns_sort(struct mountns *m, const char *container)
{
	const struct ns *first = NULL, *entered = NULL;

	for (const struct ns *i = m->list; i; i = i->hh.next) {
		if (!streq(i->container, container))
			continue;
		if (!first || is_before(i, first))
			first = i;
		if (i->entered && (!entered || is_before(i, entered)))
			entered = i;
	}
	for (struct ns *i = m->list; i; i = i->hh.next)
		if (streq(i->container, container))
			i->second = i->left || i != (i->entered ? entered : first);
}

bool ns_has(const struct ns *n, int32_t pid)
{
	for (unsigned i = 0; i < MIN(n->n_pids, (unsigned)PIDS_MAX); i++)
		if (n->pids[i] == pid)
			return true;
	return false;
}

/* The first one stays: as a rule it lives longest. */
void ns_note(struct ns *n, int32_t pid)
{
	if (ns_has(n, pid))
		return;
	n->pids[n->n_pids < PIDS_MAX ? n->n_pids : 1 + n->n_pids % (PIDS_MAX - 1)] = pid;
	n->n_pids++;
}

struct ns *ns_find(struct mountns *m, const char *container, uint64_t ino)
{
	struct ns *n;

	HASH_FIND(hh, m->list, &ino, sizeof(ino), n);
	return n && streq(n->container, container) ? n : NULL;
}

static void ns_update(struct mountns *m, struct ns *n, const struct seen *s)
{
	bool older = !n->id && (s->id || s->born < n->born);

	if (older) {
		n->id = s->id;
		n->born = s->born;
	}
	if (older || (s->entered && !n->entered)) {
		n->entered |= s->entered;
		ns_sort(m, n->container);
	}
}

int ns_put(struct mountns *m, const char *container, const struct seen *s, int32_t pid)
{
	struct ns *n;

	HASH_FIND(hh, m->list, &s->ino, sizeof(s->ino), n);
	/* The number of one that is gone was given away. */
	if (n && (!streq(n->container, container) || (s->id && n->id && n->id != s->id))) {
		ns_free(m, n);
		n = NULL;
	}
	if (n) {
		ns_update(m, n, s);
		ns_note(n, pid);
		return 0;
	}
	n = HASH_COUNT(m->list) < m->max ? calloc(1, sizeof(*n)) : NULL;
	if (!n)
		return -ENOSPC;
	*n = (struct ns){ .ino = s->ino, .id = s->id, .born = s->born, .entered = s->entered, .order = m->order++ };
	snprintf(n->container, sizeof(n->container), "%s", container);
	ns_note(n, pid);
	HASH_ADD(hh, m->list, ino, sizeof(n->ino), n);
	if (!n->hh.tbl) {
		free(n);
		return -ENOSPC;
	}
	ns_sort(m, container);
	return 1;
}
