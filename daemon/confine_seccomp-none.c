/* A build without libseccomp filters no system calls. */
#include <errno.h>

#include "daemon/confine.h"
#include "lib/util.h"

int confine_seccomp(struct buf *err _unused_)
{
	return -EOPNOTSUPP;
}
