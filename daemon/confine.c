/* Capabilities and privileges given up at the start. No state of its own: the kernel is asked when somebody wants to
 * know. */
#include "daemon/confine.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

#include <linux/capability.h>
#include <linux/seccomp.h>

#include <cap-ng.h>

#include "lib/log.h"
#include "lib/util.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

const struct confine_cap confine_caps[] = {
	{ CAP_SYS_ADMIN, "sys_admin" },		    /* fanotify marks, trusted xattrs, private mounts, namespaces */
	{ CAP_DAC_READ_SEARCH, "dac_read_search" }, /* reading every file, open_by_handle_at */
	{ CAP_DAC_OVERRIDE, "dac_override" },	    /* canary files, quarantine, freezing of cgroups */
	{ CAP_SYS_PTRACE, "sys_ptrace" },	    /* exe, cwd, descriptors of any process */
	{ CAP_SYS_CHROOT, "sys_chroot" },	    /* entering mount namespaces; an empty root for roles */
	{ CAP_SYS_NICE, "sys_nice" },		    /* threads that the node waits for */
	{ CAP_SYS_RESOURCE, "sys_resource" },	    /* limits of descriptors, watches, locked memory */
	{ CAP_NET_ADMIN, "net_admin" },		    /* proc connector, sockets of others, cgroup programs */
	{ CAP_AUDIT_READ, "audit_read" },	    /* records of logins */
	{ CAP_BPF, "bpf" },
	{ CAP_PERFMON, "perfmon" },
	{ CAP_KILL, "kill" },	/* watchdog, responses */
	{ CAP_LEASE, "lease" }, /* programs of any owner held still while they are judged */
	{ CAP_CHOWN, "chown" }, /* control socket; files out of quarantine as they were, and below */
	{ CAP_FOWNER, "fowner" },
	{ CAP_FSETID, "fsetid" },
	{ CAP_SETFCAP, "setfcap" },
	{ CAP_LINUX_IMMUTABLE, "linux_immutable" },
	{ CAP_SETUID, "setuid" }, /* commands of responses that run as somebody else, roles */
	{ CAP_SETGID, "setgid" },
};
const size_t confine_caps_count = ARRAY_SIZE(confine_caps);

static void drop_capabilities(void)
{
	bool bounded;
	int r;

	if (capng_get_caps_process() < 0) {
		log_error("capabilities cannot be read: none is given up");
		return;
	}
	bool had[ARRAY_SIZE(confine_caps)];

	for (size_t i = 0; i < ARRAY_SIZE(confine_caps); i++)
		had[i] = capng_have_capability(CAPNG_PERMITTED, confine_caps[i].cap);
	bounded = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < ARRAY_SIZE(confine_caps); i++)
		if (had[i])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
				     confine_caps[i].cap);
	r = capng_apply(bounded ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
	if (r < 0)
		log_error("capabilities are not given up (%d)", r);
}

void confine(void)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r;

	drop_capabilities();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		log_error("no_new_privs: %s", strerror(errno));
	r = confine_seccomp(&err);
	if (r < 0 && r != -EOPNOTSUPP)
		log_error("no filter of system calls: %s", err.len ? err.data : strerror(-r));
}

json_t *confine_status(void)
{
	json_t *o = json_object(), *caps = json_array();

	json_object_set_new(o, "no_new_privileges", json_boolean(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1));
	/* Of this thread; all have the same. */
	capng_get_caps_process();
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (capng_have_capability(CAPNG_PERMITTED, cap))
			json_array_append_new(caps, json_string(capng_capability_to_name(cap)));
	json_object_set_new(o, "capabilities", caps);
	json_object_set_new(o, "seccomp", json_boolean(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER));
	return o;
}
