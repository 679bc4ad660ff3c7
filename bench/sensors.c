/*
 * Sensors for bench/sensor, opened once each. What they attach is found among the descriptors of this process, and
 * taken away and attached again: opening takes a second, that some milliseconds.
 */
#include "bench/sensors.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/util.h"
#include "watch/bpf_calls.h"
#include "watch/bpf_opens.h"
#include "watch/bpf_policy.h"
#include "watch/connector.h"
#include "watch/policy_world.h"

static struct proc_table *table;
static struct connector *connector;
static struct bpf_exits exits[SENSORS];
static struct bpf_calls *calls[3];
static struct bpf_opens *opens[2];
static struct bpf_policy *policy;

static void fail(const struct buf *err)
{
	fprintf(stderr, "%s\n", err && err->data ? err->data : strerror(errno));
	exit(77);
}

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* What any program there costs, whatever it does. */
static void load_empty(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr prog = {
		.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
		.insns = (uintptr_t)insns,
		.insn_cnt = ARRAY_SIZE(insns),
		.license = (uintptr_t) "GPL",
	};
	union bpf_attr link = { .raw_tracepoint = { .name = (uintptr_t) "sys_exit" } };
	int fd = sys_bpf(BPF_PROG_LOAD, &prog);

	link.raw_tracepoint.prog_fd = (uint32_t)fd;
	if (fd < 0 || sys_bpf(BPF_RAW_TRACEPOINT_OPEN, &link) < 0)
		fail(NULL);
}

static void load_procs(void)
{
	_cleanup_buf_ struct buf err = BUF_INIT;

	if (proc_table_new("/proc", 32768, &table) < 0 ||
	    connector_start(&(struct connector_options){ .procs = table, .source = CONNECTOR_BPF }, &connector, &err) <
		    0)
		fail(&err);
}

static struct bpf_calls *open_calls(enum sensor sensor, bool files, bool sockets)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct bpf_calls_wants wants = { .calls = calloc(call_count, sizeof(bool)) };
	struct bpf_calls *ret = NULL;

	for (size_t i = 0; i < call_count; i++)
		wants.calls[i] = call_has_socket(&call_table[i]) ? sockets : files;
	if (bpf_calls_open(&exits[sensor], &wants, 0, &ret, &err) < 0)
		fail(&err);
	free(wants.calls);
	return ret;
}

/* All that are about no socket. */
static void load_calls(void)
{
	calls[0] = open_calls(CALLS, true, false);
}

static void load_sockets(void)
{
	calls[1] = open_calls(SOCKETS, false, true);
}

/* Names that nobody opens, each asked about in all ways. */
static struct bpf_opens *open_opens(enum sensor sensor)
{
	static const struct bpf_opens_row rows[] = {
		{ BPF_OPENS_FILE, "hf-none", 7, (1U << BPF_OPENS_CLASSES) - 1 },
		{ BPF_OPENS_WAY, "hf-nowhere", 10, (1U << BPF_OPENS_CLASSES) - 1 },
	};
	struct bpf_opens_wants wants = { .rows = rows, .n = ARRAY_SIZE(rows) };
	_cleanup_buf_ struct buf err = BUF_INIT;

	struct bpf_opens *ret = NULL;

	if (bpf_opens_open(&exits[sensor], &wants, 0, &ret, &err) < 0)
		fail(&err);
	return ret;
}

static void load_opens(void)
{
	opens[0] = open_opens(OPENS);
}

static void load_exits(void)
{
	calls[2] = open_calls(EXITS, true, true);
	opens[1] = open_opens(EXITS);
}

/* Policies that ask about all there is; none is against loopback, but each is looked at for it. */
static void load_policy(void)
{
	static const char text[] =
		"network: {protect: [], policies: [{image: 'docker.io/*', deny: any}, {user: 64123, deny: any},"
		"{program: /bin/true, deny: any}, {allow: ['*.example.org', '127.0.0.0/8'], deny: "
		"'192.0.2.0/24:80-90'}]}";
	_cleanup_(policy_table_free_p) struct policy_table *t = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_conf_ struct conf *conf = NULL;
	static struct policy_world world;

	if (conf_parse("bench", text, strlen(text), &conf, &err) < 0 || bpf_policy_open(&policy, &err) < 0)
		fail(&err);
	policy_world_read(conf, "/", &world);
	if (policy_table_new(conf, &world, 1, &t) < 0 || bpf_policy_fill(policy, t, true) < 0)
		exit(1);
	bpf_policy_switch(policy, t);
}

static void (*const load[SENSORS])(void) = {
	[EMPTY] = load_empty, [PROCS] = load_procs, [CALLS] = load_calls,   [SOCKETS] = load_sockets,
	[OPENS] = load_opens, [EXITS] = load_exits, [POLICY] = load_policy,
};

/* --- switching */

#define LINKS_MAX 64

/* A place where a program is attached, by a descriptor: with that on another file it is not. */
static struct link {
	int fd, prog;
	int sensor;
	char name[64];	      /* of a tracepoint; else: */
	uint32_t attach_type; /* of a cgroup's */
} links[LINKS_MAX];
static size_t n_links;
static int nowhere, cgroups;

static void add_link(int fd, int sensor)
{
	struct link *l = &links[n_links];
	struct bpf_link_info info = { .type = 0 };
	union bpf_attr get = { .info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = (uintptr_t)&info } };
	union bpf_attr open = { .prog_id = 0 };

	info.raw_tracepoint.tp_name = (uintptr_t)l->name;
	info.raw_tracepoint.tp_name_len = sizeof(l->name);
	for (size_t i = 0; i < n_links; i++)
		if (links[i].fd == fd)
			return;
	if (sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &get) < 0)
		fail(NULL);
	if (info.type != BPF_LINK_TYPE_RAW_TRACEPOINT && info.type != BPF_LINK_TYPE_CGROUP)
		fail(NULL);
	open.prog_id = info.prog_id;
	l->attach_type = info.type == BPF_LINK_TYPE_CGROUP ? info.cgroup.attach_type : 0;
	l->fd = fd;
	l->sensor = sensor;
	l->prog = sys_bpf(BPF_PROG_GET_FD_BY_ID, &open);
	if (l->prog < 0 || ++n_links == LINKS_MAX)
		fail(NULL);
}

/* Those that were not there before are this sensor's. */
static void find_links(int sensor)
{
	char path[32], what[64];

	for (int fd = 0; fd < 1024; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, what, sizeof(what) - 1);
		what[MAX(n, 0)] = '\0';
		if (streq(what, "anon_inode:bpf_link") || streq(what, "anon_inode:bpf-raw-tracepoint"))
			add_link(fd, sensor);
	}
}

static int attach(const struct link *l)
{
	union bpf_attr at = { .raw_tracepoint = { .name = (uintptr_t)l->name, .prog_fd = (uint32_t)l->prog } };
	union bpf_attr in = { .link_create = { .prog_fd = (uint32_t)l->prog, .target_fd = (uint32_t)cgroups } };
	int fd;

	in.link_create.attach_type = l->attach_type;
	if (!*l->name)
		return sys_bpf(BPF_LINK_CREATE, &in);
	fd = sys_bpf(BPF_RAW_TRACEPOINT_OPEN, &at);
	at.raw_tracepoint.name = 0; /* typed ones know */
	return fd < 0 ? sys_bpf(BPF_RAW_TRACEPOINT_OPEN, &at) : fd;
}

void sensors_switch(unsigned int sensors)
{
	static unsigned int on = (1 << SENSORS) - 1;

	for (size_t i = 0; i < n_links; i++) {
		const struct link *l = &links[i];
		bool wanted = sensors >> l->sensor & 1;
		int fd;

		if (wanted == (on >> l->sensor & 1))
			continue;
		fd = wanted ? attach(l) : nowhere;
		if (fd < 0 || dup2(fd, l->fd) < 0)
			fail(NULL);
		if (wanted)
			close(fd);
	}
	on = sensors;
}

/* --- the reader */

/* Records that nobody takes would cost less. */
static void on_call(const struct bpf_call_event *e, void *data)
{
	*(uint64_t *)data += e->count;
}

static void *reader(void *data)
{
	uint64_t told = 0;

	(void)data;
	for (;;) {
		struct pollfd fds[ARRAY_SIZE(calls)];

		for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
			fds[i] = (struct pollfd){ .fd = bpf_calls_fd(calls[i]), .events = POLLIN };
		poll(fds, ARRAY_SIZE(fds), -1);
		for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
			bpf_calls_take(calls[i], 1024, on_call, &told);
	}
	return NULL;
}

/* The root of the unified hierarchy, mounted or not (Linux 5.2). */
static int open_cgroups(void)
{
	int fs = (int)syscall(SYS_fsopen, "cgroup2", 1 /* FSOPEN_CLOEXEC */);

	if (fs < 0 || syscall(SYS_fsconfig, fs, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) < 0)
		fail(NULL);
	return (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, 0);
}

void sensors_open(void)
{
	pthread_t thread;

	nowhere = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cgroups = open_cgroups();
	for (int s = 0; s < SENSORS; s++) {
		load[s]();
		find_links(s);
	}
	sensors_switch(0);
	if (pthread_create(&thread, NULL, reader, NULL) != 0)
		exit(1);
}
