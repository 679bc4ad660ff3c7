/* Which programs the next start of the monitor needs, and whether the manager keeps the group. Main thread. */
#include "daemon/exec_keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/handover.h"
#include "exec/script.h"

#define KEEP_FILES 3

struct needed {
	char *path;
	struct stat st; /* of the file that is exempt; st_ino 0: none */
};

struct exec_keep {
	struct monitor *m;
	struct gate *gate;
	struct exec_trust *trust;
	struct needed files[KEEP_FILES];
	bool kept;
};

static char *loader_of(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char head[SCRIPT_HEAD_MAX];
	struct script_kind kind;
	ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head));

	if (n <= 0)
		return NULL;
	script_sniff(head, (size_t)n, &kind);
	return *kind.interpreter ? realpath(kind.interpreter, NULL) : NULL;
}

static bool is_vouched_for(struct exec_keep *k, const char *path, struct stat *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_free_ struct exec_digests *d = malloc(sizeof(*d));
	_cleanup_trust_ struct trust *t = exec_trust_ref(k->trust);
	_cleanup_exec_hash_ struct exec_hash *h = NULL;
	struct trust_answer answer;

	if (!d || fd < 0 || fstat(fd, ret) < 0 || !S_ISREG(ret->st_mode) || exec_hash_new(&h) < 0)
		return false;
	if (exec_hash_fd(h, fd, (uint64_t)ret->st_size, trust_algos(t), trust_package_algo(t, path), d) < 0)
		return false;
	trust_ask(t, path, ret, d, NULL, &answer);
	return answer.source != TRUST_NONE;
}

static bool exempt(struct exec_keep *k, struct needed *f, bool insist)
{
	struct stat st;

	if (!f->path || lstat(f->path, &st) < 0)
		return true; /* not on this host, or not now: it cannot be started either way */
	if (st.st_dev == f->st.st_dev && st.st_ino == f->st.st_ino)
		return true;
	if (!is_vouched_for(k, f->path, &st) && !insist)
		return false;
	if (gate_exempt(k->gate, f->path) < 0)
		return false;
	f->st = st;
	return true;
}

static void set_kept(struct exec_keep *k, bool kept)
{
	if (kept == k->kept)
		return;
	if (kept)
		kept = handover_store(k->m, gate_group(k->gate));
	else
		handover_remove(k->m);
	gate_keep(k->gate, kept);
	watchdog_hold(k->m->watchdog, kept);
	k->kept = kept;
}

void exec_keep_look(struct exec_keep *k)
{
	bool good = true;

	for (size_t i = 0; i < KEEP_FILES; i++)
		good &= exempt(k, &k->files[i], false);
	set_kept(k, good);
}

int exec_keep_new(struct monitor *m, struct gate *g, struct exec_trust *trust, struct exec_keep **ret)
{
	struct exec_keep *k;
	bool good = true;
	int notify;

	if (!m->watchdog || !handover_release(m, &notify))
		return 0;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	*k = (struct exec_keep){ .m = m, .gate = g, .trust = trust };
	k->files[0].path = realpath("/proc/self/exe", NULL);
	k->files[1].path = loader_of("/proc/self/exe");
	k->files[2].path = realpath("/usr/lib/systemd/systemd-executor", NULL);
	/* These run already: who insisted on this start may want the next one. */
	for (size_t i = 0; i < KEEP_FILES; i++)
		good &= exempt(k, &k->files[i], m->o->force);
	set_kept(k, good);
	*ret = k;
	return 0;
}

void exec_keep_free(struct exec_keep *k)
{
	for (size_t i = 0; k && i < KEEP_FILES; i++)
		free(k->files[i].path);
	free(k);
}
