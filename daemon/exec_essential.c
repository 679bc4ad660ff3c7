/*
 * Programs without which nobody logs in or ends the monitor: looked at on the main thread, before anything is held up.
 */
#include "daemon/exec_essential.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/exec_marks.h"
#include "daemon/exec_trust.h"

static void exec_check_path(struct monitor *m, struct trust *t, struct exec_hash *h, struct exec_digests *d,
			    const char *name, struct buf *refused)
{
	_cleanup_free_ char *path = realpath(name, NULL);
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !exec_marks_covers(m, st.st_dev))
		return;
	if (!exec_trust_vouches(t, h, d, path, fd, &st))
		buf_printf(refused, "%s%s", refused->len ? ", " : "", path);
}

int exec_check_essential(struct monitor *m, struct trust *t)
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
	_cleanup_buf_ struct buf refused = BUF_INIT;
	_cleanup_free_ struct exec_digests *d = calloc(1, sizeof(*d));
	struct script_kind self;
	const struct passwd *root;

	if (!d || exec_hash_new(&h) < 0)
		return EX_OSERR;
	for (size_t i = 0; i < ARRAY_SIZE(essential); i++)
		exec_check_path(m, t, h, d, essential[i], &refused);
	/* The last one was this program: its loader is everybody's. */
	script_sniff(d->head, d->head_len, &self);
	if (*self.interpreter)
		exec_check_path(m, t, h, d, self.interpreter, &refused);
	root = getpwuid(0);
	if (root && *root->pw_shell)
		exec_check_path(m, t, h, d, root->pw_shell, &refused);
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
