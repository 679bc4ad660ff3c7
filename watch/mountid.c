/*
 * listmount(2) and statmount(2), as include/uapi/linux/mount.h has them (Linux 6.18): headers may be older than the
 * kernel. No state; nothing that is mounted is touched.
 */
#include "watch/mountid.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/util.h"

#define GET_MNTNS_ID	 _IOR(0xb7, 0x5, uint64_t) /* Linux 6.11 */
#define CALL_STATMOUNT	 457			   /* everywhere; Linux 6.8 */
#define CALL_LISTMOUNT	 458
#define LIST_ROOT	 UINT64_MAX
#define STAT_MOUNT_BASIC 0x2
#define LIST_ROUND	 256
#define LIST_MAX	 400 /* rounds: as many mounts as a namespace may have by default */

struct request {
	uint32_t size, spare;
	uint64_t mount, param, ns;
};

struct basics {
	uint32_t size, options;
	uint64_t mask;
	uint32_t dev_major, dev_minor;
	uint64_t magic;
	uint32_t sb_flags, fstype;
	uint64_t mount, parent;
	uint32_t id, parent_id; /* as in mountinfo */
	uint64_t more[64];
};

uint64_t mountid_namespace(int dirfd, const char *path, uint64_t *ret_ino)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	uint64_t id;

	if (fd < 0 || fstat(fd, &st) < 0 || ioctl(fd, GET_MNTNS_ID, &id) < 0)
		return 0;
	*ret_ino = st.st_ino;
	return id;
}

static bool has_id(uint64_t ns, uint64_t mount, int id)
{
	struct request q = { .size = sizeof(q), .mount = mount, .param = STAT_MOUNT_BASIC, .ns = ns };
	struct basics s;

	return syscall(CALL_STATMOUNT, &q, &s, sizeof(s), 0) == 0 && s.mask & STAT_MOUNT_BASIC && s.id == (uint32_t)id;
}

uint64_t mountid_of(uint64_t ns, int id)
{
	struct request q = { .size = sizeof(q), .mount = LIST_ROOT, .ns = ns };
	uint64_t list[LIST_ROUND];

	for (int round = 0; ns && round < LIST_MAX; round++) {
		long n = syscall(CALL_LISTMOUNT, &q, list, ARRAY_SIZE(list), 0);

		for (long i = 0; i < n; i++)
			if (has_id(ns, list[i], id))
				return list[i];
		if (n < (long)ARRAY_SIZE(list))
			break;
		q.param = list[n - 1];
	}
	return 0;
}
