/*
 * listmount(2) and statmount(2), as include/uapi/linux/mount.h has them (Linux 6.18): headers may be older than the
 * kernel. No state; nothing that is mounted is touched.
 */
#include "watch/mountid.h"

#include <fcntl.h>
#include <stdlib.h>
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

uint64_t mountid_first(uint64_t ns)
{
	struct request q = { .size = sizeof(q), .mount = LIST_ROOT, .ns = ns };
	uint64_t first;

	return syscall(CALL_LISTMOUNT, &q, &first, 1, 0) == 1 ? first : 0;
}

static void add(struct mountids *l, uint64_t mount)
{
	struct request q = { .size = sizeof(q), .mount = mount, .param = STAT_MOUNT_BASIC, .ns = l->ns };
	struct basics s;

	if (syscall(CALL_STATMOUNT, &q, &s, sizeof(s), 0) == 0 && s.mask & STAT_MOUNT_BASIC)
		l->list[l->n++] = (struct mountid){ s.id, mount };
}

static int by_id(const void *a, const void *b)
{
	const struct mountid *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void read_all(struct mountids *l)
{
	struct request q = { .size = sizeof(q), .mount = LIST_ROOT, .ns = l->ns };
	uint64_t list[LIST_ROUND];
	long n = LIST_ROUND;

	for (int round = 0; l->ns && round < LIST_MAX && n == LIST_ROUND; round++) {
		struct mountid *more;

		n = syscall(CALL_LISTMOUNT, &q, list, ARRAY_SIZE(list), 0);
		more = n > 0 ? realloc(l->list, (l->n + (size_t)n) * sizeof(*more)) : NULL;
		if (!more)
			break;
		l->list = more;
		for (long i = 0; i < n; i++)
			add(l, list[i]);
		q.param = list[n - 1];
	}
	if (l->n)
		qsort(l->list, l->n, sizeof(*l->list), by_id);
}

uint64_t mountids_find(struct mountids *ids, int id)
{
	const struct mountid key = { .id = (uint32_t)id }, *found;

	if (!ids->read)
		read_all(ids);
	ids->read = true;
	found = ids->n ? bsearch(&key, ids->list, ids->n, sizeof(key), by_id) : NULL;
	return found ? found->mount : 0;
}

void mountids_free(struct mountids *ids)
{
	free(ids->list);
}
