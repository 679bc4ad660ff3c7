/*
 * Programs without which nobody logs in or ends the monitor: looked at on the main thread before anything is held up,
 * and on the sensor's when a file system is about to be gated that was not there then.
 */
#include "daemon/exec_essential.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/exec_marks.h"
#include "daemon/exec_trust.h"
#include "watch/mounts.h"

struct essential {
	struct monitor *m;
	struct trust *t;
	uint64_t dev;
	struct exec_hash *h;
	struct exec_digests *d;
	struct buf *refused;
};

static void exec_check_path(const struct essential *e, const char *name)
{
	_cleanup_free_ char *path = realpath(name, NULL);
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
	struct stat st;
	uint64_t dev;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	dev = mounts_dev(fd, &st);
	if (!(e->dev ? dev == e->dev : exec_marks_covers(e->m, dev)))
		return;
	if (!exec_trust_vouches(e->t, e->h, e->d, path, fd, &st))
		buf_printf(e->refused, "%s%s", e->refused->len ? ", " : "", path);
}

int exec_essential_refused(struct monitor *m, struct trust *t, uint64_t dev, struct buf *refused)
{
	static const char *const essential[] = { "/sbin/init",
						 "/bin/sh",
						 "/bin/bash",
						 "/usr/sbin/sshd",
						 "/usr/lib/openssh/sshd-session",
						 "/bin/login",
						 "/bin/systemctl",
						 "/usr/lib/systemd/systemd-executor",
						 "/bin/kill",
						 "/usr/bin/sudo",
						 "/proc/self/exe" };
	_cleanup_exec_hash_ struct exec_hash *h = NULL;
	_cleanup_free_ struct exec_digests *d = calloc(1, sizeof(*d));
	struct essential e = { .m = m, .t = t, .dev = dev, .d = d, .refused = refused };
	struct script_kind self;
	struct passwd pw, *root;
	char text[4096];

	if (!d || exec_hash_new(&h) < 0)
		return -ENOMEM;
	e.h = h;
	for (size_t i = 0; i < ARRAY_SIZE(essential); i++)
		exec_check_path(&e, essential[i]);
	/* The last one was this program, if it lies there: its loader is everybody's. */
	script_sniff(d->head, d->head_len, &self);
	if (*self.interpreter)
		exec_check_path(&e, self.interpreter);
	if (getpwuid_r(0, &pw, text, sizeof(text), &root) == 0 && root && *root->pw_shell)
		exec_check_path(&e, root->pw_shell);
	return refused->failed ? -ENOMEM : 0;
}

int exec_check_essential(struct monitor *m, struct trust *t)
{
	_cleanup_buf_ struct buf refused = BUF_INIT;

	if (exec_essential_refused(m, t, 0, &refused) < 0)
		return EX_OSERR;
	if (refused.len == 0)
		return 0;
	if (m->o->force) {
		log_warn("nobody vouches for %s: the next start of these is refused", refused.data);
		return 0;
	}
	log_error("exec.mode is enforce, but nobody vouches for %s: nobody could log in or stop this monitor. Take a "
		  "baseline that holds them, widen exec.trust, trust them by hand (holdfast trust add), or insist "
		  "(--force)",
		  refused.data);
	return EX_CONFIG;
}
