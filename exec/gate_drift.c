/*
 * Programs in containers: which container a process is in, the policy for it, and whether what is started is in its
 * image. Runs on the workers, and on the file systems of nobody but procfs and the container runtimes' own files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/policy.h"
#include "exec/gate-internal.h"
#include "lib/cleanup.h"
#include "lib/hash.h"
#include "lib/util.h"
#include "proc/read.h"

/*
 * A runtime that enters a container has joined its cgroup before it gives up the host's files: what it starts until
 * then is of the host.
 */
static bool is_inside(int process)
{
	struct stat own, its;

	return stat("/", &own) == 0 && fstatat(process, "root", &its, 0) == 0 &&
	       (own.st_dev != its.st_dev || own.st_ino != its.st_ino);
}

static bool lies_at(const char *folder, const char *path, const struct file_id *id)
{
	char full[PATH_MAX];
	struct stat st;

	return folder && snprintf(full, sizeof(full), "%s%s", folder, path) < (int)sizeof(full) &&
	       lstat(full, &st) == 0 && st.st_dev == id->dev && st.st_ino == id->ino;
}

/* The file that the kernel calls path is one of the container's layers or volumes. */
static bool is_file_of(const struct container *c, const char *path, const struct file_id *id)
{
	if (!path)
		return false;
	if (lies_at(c->upper, path, id))
		return true;
	for (size_t i = 0; c->lowers && c->lowers[i]; i++)
		if (lies_at(c->lowers[i], path, id))
			return true;
	for (uint32_t i = 0; i < c->n_mounts; i++) {
		size_t len = strlen(c->mounts[i].dest);

		if (strncmp(path, c->mounts[i].dest, len) == 0 && path[len] == '/' &&
		    lies_at(c->mounts[i].source, path + len, id))
			return true;
	}
	return false;
}

/* Where starts are only told of, the process may be gone: then the table of processes knows where it was. */
static void place_late(struct gate *g, struct slot *s, const char *path)
{
	_cleanup_process_ struct process *p = g->o.procs ? proc_table_get(g->o.procs, s->pid, false) : NULL;

	s->unplaced = !p || !(p->known & PROCESS_CGROUP);
	if (s->unplaced)
		return;
	s->container = containers_get(g->o.containers, p->cgroup, 0, s->boot_ns);
	s->inside = s->container && is_file_of(s->container, path, &s->id);
}

void drift_place(struct gate *g, struct slot *s, const char *path)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_close_ int fd = -1;
	struct process p = { .pid = s->pid };

	if (!g->o.containers || s->container)
		return;
	fd = proc_open(g->proc, p.pid);
	if (fd < 0 || proc_read_fd(fd, PROC_PART_CGROUP, &a, &p) < 0) {
		place_late(g, s, path);
		return;
	}
	s->container = containers_get(g->o.containers, p.cgroup, p.pid, s->boot_ns);
	s->inside = s->container && (is_inside(fd) || is_file_of(s->container, path, &s->id));
}

/* --- policies */

/* A reference to what is in force, or NULL. */
static struct conf *conf_of(const struct gate *gate)
{
	struct gate *g = (struct gate *)(uintptr_t)gate;
	struct conf *conf;

	pthread_mutex_lock(&g->lock);
	conf = g->conf ? conf_ref(g->conf) : NULL;
	pthread_mutex_unlock(&g->lock);
	return conf;
}

enum conf_drift drift_mode(const struct gate *g, const struct slot *s, const char *path, bool *ret_concerned)
{
	_cleanup_conf_ struct conf *conf = s->inside ? conf_of(g) : NULL;
	const struct conf_policy *p = conf ? conf_policy_of(conf, s->container) : NULL;

	*ret_concerned = p && p->exec != CONF_DRIFT_OFF;
	return !p || conf_policy_matches(&p->exceptions, path) ? CONF_DRIFT_OFF : p->exec;
}

static uint64_t mix(uint64_t h, const char *s)
{
	return hash_bytes(h, s ?: "", s ? strlen(s) + 1 : 0);
}

uint64_t drift_key(const struct gate *g, const struct trust *t, const struct slot *s, enum conf_drift mode)
{
	const struct container *c = s->inside ? s->container : NULL;
	uint64_t h = hash_mix(g->seed, (uint64_t)mode + (c ? 8 : 0));

	if (!trust_has_images(t) && !s->layers)
		return 0;
	if (c) {
		h = mix(h, c->image_digest);
		h = mix(h, c->image_id);
		h = mix(h, c->image);
	}
	/* Generations are small numbers: no key makes one of another. */
	return h | 1ULL << 63;
}

bool drift_is_none(const struct gate *g, const struct trust *t, const struct slot *s, const struct judgement *j)
{
	_cleanup_conf_ struct conf *conf = NULL;

	/* Outside of containers nothing is refused there. */
	if (s->layers)
		return false;
	/* Who trusts or denies a program by hand does so anywhere. */
	if (!trust_has_images(t) || j->source == TRUST_EXPLICIT || j->reason == GATE_LISTED)
		return true;
	if (j->image)
		return false;
	conf = conf_of(g);
	return !conf || !conf->containers.n_policies;
}

/* --- judging */

void drift_judge(const struct gate *g, const struct slot *s, enum conf_drift mode, const struct trust *t,
		 const struct exec_digests *digests, struct judgement *j)
{
	struct trust_answer answer;
	int r;

	/* Who trusts a program by hand trusts it anywhere. */
	if (mode == CONF_DRIFT_OFF || j->source == TRUST_EXPLICIT)
		return;
	r = trust_ask_image(t, s->container, digests, &answer);
	/* Without a baseline of the image it is a program like others. */
	if (r < 0)
		return;
	if (r > 0) {
		j->reason = GATE_TRUSTED;
		j->verdict = EXEC_ALLOWED;
		j->source = answer.source;
		memcpy(j->why, answer.why, sizeof(j->why));
		return;
	}
	j->reason = GATE_DRIFT;
	j->source = TRUST_NONE;
	j->why[0] = '\0';
	j->verdict = mode == CONF_DRIFT_ENFORCE && g->o.enforce ? EXEC_DENIED : EXEC_UNEXPECTED;
}
