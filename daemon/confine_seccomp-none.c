/* A build without libseccomp filters no system calls. */
#include <errno.h>

#include "daemon/confine.h"
#include "lib/util.h"

int confine_seccomp(struct buf *err _unused_)
{
	return -EOPNOTSUPP;
}

void confine_role_seccomp_ready(void)
{
}

int confine_role_seccomp(const char *const *allowed _unused_, size_t n _unused_)
{
	return -EOPNOTSUPP;
}
