/*
 * Environments, read on the connector's thread as soon as an exec is told: many processes are gone when their verdict
 * is handed over. One entry for a number of process ids; who comes later takes it, and the other's is unknown.
 */
#include "daemon/exec_environment.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec/environment.h"
#include "lib/clock.h"
#include "lib/util.h"

#define ENTRIES 4096

struct started {
	int32_t pid;
	uint64_t ino; /* of its program */
	bool known;
	char *said; /* NULL: nothing */
};

struct exec_environment {
	int proc;
	pthread_mutex_t lock; /* never held over I/O */
	struct started entries[ENTRIES];
};

int exec_environment_new(struct exec_environment **ret)
{
	struct exec_environment *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	pthread_mutex_init(&x->lock, NULL);
	x->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (x->proc < 0) {
		exec_environment_free(x);
		return -ENOENT;
	}
	*ret = x;
	return 0;
}

void exec_environment_free(struct exec_environment *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < ENTRIES; i++)
		free(x->entries[i].said);
	if (x->proc >= 0)
		close(x->proc);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

/* Without asking any server: only the number is wanted. */
static uint64_t inode_of(int proc, int32_t pid)
{
	struct statx stx;
	char path[40];

	snprintf(path, sizeof(path), "%d/exe", pid);
	return statx(proc, path, AT_STATX_DONT_SYNC, STATX_INO, &stx) < 0 ? 0 : stx.stx_ino;
}

static void read_now(struct exec_environment *x, struct started *now)
{
	struct environment e = { .said = BUF_INIT };

	now->known = environment_read(x->proc, now->pid, &e) == 0;
	now->ino = now->known ? inode_of(x->proc, now->pid) : 0;
	now->said = e.said.len ? TAKE_PTR(e.said.data) : NULL;
	buf_free(&e.said);
}

bool exec_environment_note(struct exec_environment *x, int32_t pid, const struct bpf_proc_event *told)
{
	struct started *n = &x->entries[(uint32_t)pid % ENTRIES], now = { .pid = pid };
	char *old;

	if (told && told->plain_environ) {
		now.known = true;
		now.ino = told->exe_ino;
	} else {
		read_now(x, &now);
	}
	pthread_mutex_lock(&x->lock);
	old = n->said;
	*n = now;
	pthread_mutex_unlock(&x->lock);
	free(old);
	return now.said != NULL;
}

/* An overlay has numbers of its own, and a script runs as its interpreter. */
static bool is_of(const struct started *n, const struct gate_verdict *v)
{
	return n->pid == v->pid && n->known && (n->ino == v->ino || v->type == EXEC_TYPE_SCRIPT || v->container);
}

const char *exec_environment_of(struct exec_environment *x, const struct gate_verdict *v, struct arena *a)
{
	const struct started *n = &x->entries[(uint32_t)v->pid % ENTRIES];
	const char *said = EVENT_ENVIRONMENT_UNKNOWN;

	if (v->verdict == EXEC_DENIED)
		return NULL;
	pthread_mutex_lock(&x->lock);
	if (v->seen && is_of(n, v))
		said = n->said ? arena_strdup(a, n->said) : NULL;
	pthread_mutex_unlock(&x->lock);
	return said;
}
