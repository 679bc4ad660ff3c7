/*
 * Merges what comes in numbers before it reaches the store: opens of one file by one process image, and files that came
 * and went in one folder. Each is told once a second at most, with a count. Bounded: when the table is full everything
 * in it is told early. Runs on the live thread.
 */
#include "fim/live-internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

#define MERGE_WINDOW NSEC_PER_SEC

struct merge {
	struct path_node node; /* who and what, as text; owned */
	struct merge *next;    /* in order of their coming */
	enum event_kind kind;
	char *path;
	struct process *process;
	int32_t pid;
	uint64_t first; /* boot ns */
	uint64_t count;
};

static void merge_free(struct merge *m)
{
	free((char *)m->node.path);
	free(m->path);
	if (m->process)
		process_unref(m->process);
	free(m);
}

static void merge_tell(struct live *l, const struct merge *m)
{
	struct event *e = tell_new(l, m->kind, m->path, m->process, m->first);

	if (!e) {
		l->counters.errors++;
		return;
	}
	e->count = m->count;
	if (m->kind == EVENT_CHANGE) {
		e->change = CHANGE_TRANSIENT;
		e->status = STATUS_REVERTED;
	}
	if (!m->process)
		e->process_why = m->pid ? "the process was gone before it could be read" : "the sensor does not tell";
	tell_emit(l, e);
}

uint64_t merge_flush(struct live *l, uint64_t now, bool all)
{
	struct merge *m;

	while ((m = l->merge_first)) {
		if (!all && m->first + MERGE_WINDOW > now)
			return m->first + MERGE_WINDOW;
		l->merge_first = m->next;
		if (!m->next)
			l->merge_tail = &l->merge_first;
		pathmap_remove(&l->merged, &m->node);
		merge_tell(l, m);
		merge_free(m);
	}
	return UINT64_MAX;
}

/* Takes over key. */
static void merge_add(struct live *l, struct buf *key, enum event_kind kind, const char *path, struct process *process,
		      int32_t pid)
{
	struct merge *m = key->failed ? NULL : (struct merge *)pathmap_find(&l->merged, key->data);

	if (m) {
		m->count++;
		return;
	}
	if (l->merged.n >= LIVE_MERGED_MAX)
		merge_flush(l, 0, true);
	m = calloc(1, sizeof(*m));
	if (m)
		*m = (struct merge){
			.kind = kind, .path = strdup(path), .pid = pid, .first = clock_boot_ns(), .count = 1
		};
	if (!m || !m->path || key->failed) {
		l->counters.errors++;
		free(m ? m->path : NULL);
		free(m);
		return;
	}
	m->node.path = TAKE_PTR(key->data);
	if (process)
		m->process = process_ref(process);
	pathmap_add(&l->merged, &m->node);
	*l->merge_tail = m;
	l->merge_tail = &m->next;
}

static void merge_who(struct buf *key, const struct process *p, int32_t pid)
{
	if (p)
		buf_printf(key, "%d.%llu.%u ", p->pid, (unsigned long long)p->start_ns, p->exec_count);
	else
		buf_printf(key, "%d ", pid);
}

void merge_open(struct live *l, const struct fs_event *e)
{
	_cleanup_buf_ struct buf key = BUF_INIT;

	l->counters.opens++;
	buf_str(&key, "open ");
	/* All opens of a host are too many to tell processes of one program apart. */
	if (l->conf->opens == CONF_OPENS_ALL && e->process && e->process->known & PROCESS_EXE)
		buf_printf(&key, "%s ", e->process->exe);
	else
		merge_who(&key, e->process, e->pid);
	buf_str(&key, e->path);
	merge_add(l, &key, EVENT_OPEN, e->path, e->process, e->pid);
}

void merge_transient(struct live *l, const char *path, const struct facts *facts)
{
	_cleanup_buf_ struct buf key = BUF_INIT, dir = BUF_INIT;

	l->counters.transient++;
	live_dirname(&dir, path);
	buf_str(&key, "transient ");
	merge_who(&key, facts->process, facts->pid);
	buf_str(&key, dir.failed ? "/" : dir.data);
	merge_add(l, &key, EVENT_CHANGE, dir.failed ? "/" : dir.data, facts->process, facts->pid);
}
