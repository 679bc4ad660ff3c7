/*
 * Numbers of system calls as programs of the other width make them, which any program of an x86-64 kernel can by int
 * $0x80. A file of its own: the header's names are those of the other table. Constant; any thread.
 */
#if defined(__x86_64__)
#include <asm/unistd_32.h>
#endif

#include "event/call.h"
#include "lib/util.h"

#define ROW(name)                                                                                                      \
	{                                                                                                              \
		__NR_##name, #name                                                                                     \
	}

const struct call_compat call_compat_table[] = {
#if defined(__x86_64__)
	ROW(ptrace),
	ROW(process_vm_writev),
	ROW(process_vm_readv),
	ROW(setuid),
	{ __NR_setuid32, "setuid" },
	ROW(setgid),
	{ __NR_setgid32, "setgid" },
	ROW(setreuid),
	{ __NR_setreuid32, "setreuid" },
	ROW(setregid),
	{ __NR_setregid32, "setregid" },
	ROW(setresuid),
	{ __NR_setresuid32, "setresuid" },
	ROW(setresgid),
	{ __NR_setresgid32, "setresgid" },
	ROW(setfsuid),
	{ __NR_setfsuid32, "setfsuid" },
	ROW(setgroups),
	{ __NR_setgroups32, "setgroups" },
	ROW(capset),
	ROW(setns),
	ROW(unshare),
	ROW(mount),
	ROW(umount2),
	ROW(pivot_root),
	ROW(chroot),
	{ 429, "move_mount" }, /* the same everywhere */
	ROW(chmod),
	ROW(fchmod),
	ROW(fchmodat),
	{ 452, "fchmodat2" }, /* the same everywhere */
	ROW(symlink),
	ROW(symlinkat),
	ROW(link),
	ROW(linkat),
	ROW(ioctl),
	ROW(init_module),
	ROW(finit_module),
	ROW(delete_module),
	ROW(kexec_load),
	ROW(bpf),
	ROW(perf_event_open),
	ROW(userfaultfd),
	{ __NR_mmap2, "mmap" },
	ROW(mprotect),
	ROW(pkey_mprotect),
	ROW(keyctl),
	ROW(memfd_create),
	ROW(open_by_handle_at),
	ROW(socket),
	ROW(connect),
	ROW(accept4),
	ROW(listen),
	ROW(bind),
	ROW(sendto),
	ROW(sendmsg),
	ROW(sendmmsg),
	ROW(recvfrom),
	ROW(recvmsg),
	ROW(recvmmsg),
	{ 417, "recvmmsg" }, /* with times of 64 bits */
	{ 438, "pidfd_getfd" },
	ROW(dup),
	ROW(dup2),
	ROW(dup3),
#else
	{ -1, "none" },
#endif
};
const size_t call_compat_count = ARRAY_SIZE(call_compat_table);

/* linux/net.h */
const char *const call_of_socketcall[CALL_SOCKETCALLS] = {
	[1] = "socket",	   [2] = "bind",     [3] = "connect",  [4] = "listen",	 [5] = "accept",    [11] = "sendto",
	[12] = "recvfrom", [16] = "sendmsg", [17] = "recvmsg", [18] = "accept4", [19] = "recvmmsg",
	[20] = "sendmmsg",
};
