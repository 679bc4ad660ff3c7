/*
 * The table of file system types. Constant data and look-ups, any thread. Magic numbers are those of linux/magic.h and
 * of the file systems' own sources for what is missing there.
 */
#include "lib/fstype.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "lib/util.h"

const char *const fstype_class_names[FSTYPE_CLASS_COUNT] = {
	[FSTYPE_DISK] = "disk",	      [FSTYPE_MEMORY] = "memory", [FSTYPE_OVERLAY] = "overlay",
	[FSTYPE_REMOTE] = "remote",   [FSTYPE_PSEUDO] = "pseudo", [FSTYPE_FUSE] = "fuse",
	[FSTYPE_UNKNOWN] = "unknown",
};

/* The first row of a magic number gives the name when only the number is known. */
static const struct fstype fstype_table[] = {
	{ "ext4", 0xef53, FSTYPE_DISK },
	{ "ext3", 0, FSTYPE_DISK },
	{ "ext2", 0, FSTYPE_DISK },
	{ "xfs", 0x58465342, FSTYPE_DISK },
	{ "btrfs", 0x9123683e, FSTYPE_DISK },
	{ "bcachefs", 0xca451a4e, FSTYPE_DISK },
	{ "zfs", 0x2fc12fc1, FSTYPE_DISK },
	{ "f2fs", 0xf2f52010, FSTYPE_DISK },
	{ "nilfs2", 0x3434, FSTYPE_DISK },
	{ "jfs", 0x3153464a, FSTYPE_DISK },
	{ "reiserfs", 0x52654973, FSTYPE_DISK },
	{ "squashfs", 0x73717368, FSTYPE_DISK },
	{ "erofs", 0xe0f5e1e2, FSTYPE_DISK },
	{ "cramfs", 0x28cd3d45, FSTYPE_DISK },
	{ "romfs", 0x7275, FSTYPE_DISK },
	{ "iso9660", 0x9660, FSTYPE_DISK },
	{ "udf", 0x15013346, FSTYPE_DISK },
	{ "vfat", 0x4d44, FSTYPE_DISK },
	{ "msdos", 0, FSTYPE_DISK },
	{ "exfat", 0x2011bab0, FSTYPE_DISK },
	{ "ntfs", 0x5346544e, FSTYPE_DISK },
	{ "ntfs3", 0x7366746e, FSTYPE_DISK },
	{ "minix", 0x137f, FSTYPE_DISK },
	{ "hfsplus", 0x482b, FSTYPE_DISK },
	{ "ubifs", 0x24051905, FSTYPE_DISK },
	{ "jffs2", 0x72b6, FSTYPE_DISK },
	{ "tmpfs", 0x01021994, FSTYPE_MEMORY },
	{ "devtmpfs", 0, FSTYPE_MEMORY },
	{ "ramfs", 0x858458f6, FSTYPE_MEMORY },
	{ "rootfs", 0, FSTYPE_MEMORY },
	{ "overlay", 0x794c7630, FSTYPE_OVERLAY },
	{ "aufs", 0x61756673, FSTYPE_OVERLAY },
	{ "ecryptfs", 0xf15f, FSTYPE_OVERLAY },
	{ "nfs", 0x6969, FSTYPE_REMOTE },
	{ "nfs4", 0, FSTYPE_REMOTE },
	{ "cifs", 0xff534d42, FSTYPE_REMOTE },
	{ "smb3", 0xfe534d42, FSTYPE_REMOTE },
	{ "smbfs", 0x517b, FSTYPE_REMOTE },
	{ "ceph", 0x00c36400, FSTYPE_REMOTE },
	{ "9p", 0x01021997, FSTYPE_REMOTE },
	{ "afs", 0x5346414f, FSTYPE_REMOTE },
	{ "coda", 0x73757245, FSTYPE_REMOTE },
	{ "lustre", 0x0bd00bd0, FSTYPE_REMOTE },
	{ "gpfs", 0x47504653, FSTYPE_REMOTE },
	{ "gfs2", 0x01161970, FSTYPE_REMOTE },
	{ "ocfs2", 0x7461636f, FSTYPE_REMOTE },
	{ "orangefs", 0x20030528, FSTYPE_REMOTE },
	{ "vboxsf", 0x786f4256, FSTYPE_REMOTE },
	{ "fuse.sshfs", 0, FSTYPE_REMOTE },
	{ "fuse.glusterfs", 0, FSTYPE_REMOTE },
	{ "fuse.ceph-fuse", 0, FSTYPE_REMOTE },
	{ "fuse.s3fs", 0, FSTYPE_REMOTE },
	{ "fuse.rclone", 0, FSTYPE_REMOTE },
	{ "fuse.davfs", 0, FSTYPE_REMOTE },
	{ "davfs", 0, FSTYPE_REMOTE },
	{ "fuse", 0x65735546, FSTYPE_FUSE },
	{ "fuseblk", 0, FSTYPE_FUSE },
	{ "virtiofs", 0, FSTYPE_FUSE },
	{ "proc", 0x9fa0, FSTYPE_PSEUDO },
	{ "sysfs", 0x62656572, FSTYPE_PSEUDO },
	{ "cgroup", 0x0027e0eb, FSTYPE_PSEUDO },
	{ "cgroup2", 0x63677270, FSTYPE_PSEUDO },
	{ "devpts", 0x1cd1, FSTYPE_PSEUDO },
	{ "debugfs", 0x64626720, FSTYPE_PSEUDO },
	{ "tracefs", 0x74726163, FSTYPE_PSEUDO },
	{ "securityfs", 0x73636673, FSTYPE_PSEUDO },
	{ "selinuxfs", 0xf97cff8c, FSTYPE_PSEUDO },
	{ "smackfs", 0x43415d53, FSTYPE_PSEUDO },
	{ "bpf", 0xcafe4a11, FSTYPE_PSEUDO },
	{ "pstore", 0x6165676c, FSTYPE_PSEUDO },
	{ "efivarfs", 0xde5e81e4, FSTYPE_PSEUDO },
	{ "configfs", 0x62656570, FSTYPE_PSEUDO },
	{ "fusectl", 0x65735543, FSTYPE_PSEUDO },
	{ "binfmt_misc", 0x42494e4d, FSTYPE_PSEUDO },
	{ "mqueue", 0x19800202, FSTYPE_PSEUDO },
	{ "hugetlbfs", 0x958458f6, FSTYPE_PSEUDO },
	{ "autofs", 0x0187, FSTYPE_PSEUDO },
	{ "nsfs", 0x6e736673, FSTYPE_PSEUDO },
	{ "sockfs", 0x534f434b, FSTYPE_PSEUDO },
	{ "pipefs", 0x50495045, FSTYPE_PSEUDO },
	{ "rpc_pipefs", 0x67596969, FSTYPE_PSEUDO },
	{ "nfsd", 0x6e667364, FSTYPE_PSEUDO },
	{ "binder", 0x6c6f6f70, FSTYPE_PSEUDO },
	{ "resctrl", 0x07655821, FSTYPE_PSEUDO },
};

static const struct fstype fstype_unknown = { "unknown", 0, FSTYPE_UNKNOWN };

const struct fstype *fstype_by_magic(uint64_t magic)
{
	/* f_type is a signed word: magic numbers with the top bit set come sign-extended on some architectures. */
	for (size_t i = 0; i < ARRAY_SIZE(fstype_table); i++)
		if (fstype_table[i].magic && fstype_table[i].magic == (uint32_t)magic)
			return &fstype_table[i];
	return &fstype_unknown;
}

const struct fstype *fstype_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(fstype_table); i++)
		if (streq(fstype_table[i].name, name))
			return &fstype_table[i];
	if (!strncmp(name, "fuse.", 5))
		return fstype_by_name("fuse");
	return &fstype_unknown;
}

int fstype_of_fd(int fd, const struct fstype **ret)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return -errno;
	*ret = fstype_by_magic((uint64_t)st.f_type);
	return 0;
}
