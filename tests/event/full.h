/* Events of each kind that have all there is to say. */
#ifndef TESTS_EVENT_FULL_H
#define TESTS_EVENT_FULL_H

#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "event/field.h"

#define NOON 1769860800123456789ULL /* 2026-01-31T12:00:00.123456789Z, a Saturday */
#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static inline struct process *make_process(struct process values, const char *comm, struct process *parent)
{
	struct process *p;

	strncpy(values.comm, comm, sizeof(values.comm) - 1);
	values.known |= PROCESS_COMM | PROCESS_PPID | PROCESS_START;
	values.ppid = parent ? parent->pid : 1;
	values.parent = parent;
	p = process_new(&values);
	assert_non_null(p);
	if (parent)
		process_unref(parent);
	return p;
}

/* systemd, a shell that leads the session, and what it runs, all with their arguments. */
static inline struct process *lineage(void)
{
	static const char shell[] = "/bin/bash\0-l", tool[] = "./tool\0-x\0a b";
	struct process *p = make_process((struct process){ .pid = 7 }, "systemd", NULL);

	p = make_process((struct process){ .known = PROCESS_EXE | PROCESS_CMDLINE,
					   .pid = 40,
					   .exe = "/usr/bin/bash",
					   .cmdline = shell,
					   .cmdline_len = sizeof(shell) },
			 "bash", p);
	return make_process((struct process){ .known = PROCESS_EXE | PROCESS_CMDLINE | PROCESS_CWD | PROCESS_IDS |
						       PROCESS_LOGINUID | PROCESS_SID | PROCESS_TTY | PROCESS_CGROUP,
					      .pid = 42,
					      .start_ns = 60,
					      .uid = 0,
					      .gid = 5,
					      .loginuid = 0,
					      .sid = 40,
					      .exe = "/memfd:tool (deleted)",
					      .cmdline = tool,
					      .cmdline_len = sizeof(tool),
					      .cwd = "/srv",
					      .tty = "pts/3",
					      .cgroup = "/x" },
			    "tool", p);
}

static inline struct container *container(void)
{
	static const struct container_mount mounts[] = { { "/proc", "/proc", "bind" }, { "/data/x", "/srv", "bind" } };
	struct container *c = container_new();

	assert_non_null(c);
	c->runtime = "podman";
	c->id = ID;
	c->name = "web";
	c->image = "localhost:5000/nginx:1.25@sha256:aa";
	c->image_digest = "sha256:aa";
	c->image_id = "sha256:bb";
	c->pod = "pod-1";
	c->namespace = "shop";
	c->labels[c->n_labels++] = (struct container_label){ "tier", "front" };
	c->have_privileged = c->privileged = true;
	c->have_mounts = true;
	c->mounts = mounts;
	c->n_mounts = 2;
	c->started = 17;
	c->upper = "/layers/up";
	return c;
}

static inline struct event *base(enum event_kind kind)
{
	struct event *e = event_new(kind);

	assert_non_null(e);
	e->time = NOON;
	e->boot_time = 100;
	e->path = "/srv/web/tool";
	e->process = lineage();
	e->count = 1;
	return e;
}

static inline struct record record(void)
{
	return (struct record){ .have = ATTR_BIT(ATTR_COUNT) - 1,
				.type = 'f',
				.mode = 04751,
				.uid = 9,
				.size = 30,
				.mtime = 11,
				.ctime = (int64_t)NOON - 5,
				.dev = 2049,
				.ino = 77,
				.digest_len = 2,
				.digest = { 0x0f, 0xa0 },
				.mime = "text/x-shellscript" };
}

static inline struct event *changed(void)
{
	struct event *e = base(EVENT_CHANGE);

	e->change = CHANGE_CHANGED;
	e->status = STATUS_EXCUSED;
	e->attributes = ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_DIGEST);
	e->has_before = e->has_after = true;
	e->before = e->after = record();
	e->before.size = 40;
	e->before.digest[0] = 0x12;
	e->baseline = "host";
	e->cause = "package tool 1.0";
	e->count = 3;
	return e;
}

static inline struct event *renamed(void)
{
	struct event *e = base(EVENT_CHANGE);

	e->change = CHANGE_RENAMED;
	e->path2 = "/srv/web/new";
	return e;
}

static inline struct event *linked(void)
{
	struct event *e = base(EVENT_CHANGE);

	e->change = CHANGE_ADDED;
	e->has_after = true;
	e->after = record();
	e->after.type = 'l';
	e->after.target = "/etc/shadow";
	return e;
}

static inline struct event *started(void)
{
	struct event *e = base(EVENT_EXEC);

	e->container = container();
	e->host_path = "/layers/up/srv/web/tool";
	e->has_after = true;
	e->after = record();
	e->verdict = EXEC_UNEXPECTED;
	e->exec_type = EXEC_TYPE_SCRIPT;
	e->reason = EVENT_REASON_DRIFT;
	e->text = "LD_PRELOAD=/tmp/x.so";
	e->entry = ENTRY_NAMESPACES;
	return e;
}

static inline const struct event_call *call(struct event *e, const char *name, const uint64_t raw[CALL_ARGS],
					    int64_t result)
{
	const struct call_info *info = call_by_name(name, strlen(name));
	const struct event_call *c;

	assert_non_null(info);
	c = call_new(&e->arena, info, raw, (const char *const[CALL_TEXTS]){ NULL }, result);
	assert_non_null(c);
	return c;
}

static inline struct event *traced(void)
{
	struct event *e = base(EVENT_ACCESS);

	e->path = NULL;
	e->call = call(e, "ptrace", (const uint64_t[CALL_ARGS]){ 16, 1 }, -EPERM);
	return e;
}

/* A connection from 10.0.0.1:1000 to [::1]:443, which ended. */
static inline struct event *connected(void)
{
	static struct event_socket s = { .op = SOCKET_CLOSE,
					 .family = AF_INET6,
					 .type = SOCK_STREAM,
					 .protocol = IPPROTO_TCP,
					 .has_local = true,
					 .has_remote = true,
					 .connected = true,
					 .new_peer = true,
					 .local = { [10] = 0xff, 0xff, 10, 0, 0, 1 },
					 .remote = { [15] = 1 },
					 .local_port = 1000,
					 .remote_port = 443,
					 .remote_name = "shop.example",
					 .verdict = SOCKET_DENIED,
					 .policy = "web: shop.example",
					 .query = "shop.example",
					 .query_type = "AAAA",
					 .data = (const uint8_t *)"GET /\n",
					 .data_len = 6,
					 .sent = 120,
					 .received = 4096,
					 .open_ns = 9 };
	struct event *e = base(EVENT_CONNECTION);
	struct event_call *c;

	e->path = NULL;
	c = arena_dup(&e->arena, call(e, "connect", (const uint64_t[CALL_ARGS]){ 5 }, 0), sizeof(*c));
	c->fd = 5;
	e->call = c;
	e->socket = &s;
	return e;
}

static inline struct event *opened(void)
{
	static const struct call_open o = { .flags = O_WRONLY | O_CREAT,
					    .mode = 0755,
					    .created = true,
					    .raw = "../web/tool",
					    .written = "/srv/link/tool" };
	const struct call_info *info = call_by_name("openat", 6);
	struct event *e = base(EVENT_ACCESS);

	assert_non_null(info);
	e->call = call_new_open(&e->arena, info, &o, 6);
	assert_non_null(e->call);
	return e;
}

static inline struct event *logged_in(void)
{
	static const struct event_session s = { .op = SESSION_SUDO,
						.failed = true,
						.account = "root",
						.by = "alice",
						.tty = "pts/1",
						.remote = "10.0.0.9",
						.program = "/usr/bin/sudo",
						.command = "id",
						.failures = 3 };
	struct event *e = base(EVENT_SESSION);

	e->session = &s;
	return e;
}

static inline struct event *missed(void)
{
	struct event *e = base(EVENT_GAP);

	e->gap_reason = GAP_QUEUE_OVERFLOW;
	return e;
}

/* Of the host: the same without a container, in a cgroup that is none's. */
static inline struct event *host(void)
{
	return base(EVENT_EXEC);
}

/* Nothing is known but that it was. */
static inline struct event *bare(void)
{
	struct event *e = event_new(EVENT_NOTE);

	assert_non_null(e);
	return e;
}

/* What is read on demand. */
static inline void fetch(struct field_view *v, enum field_group group)
{
	static const char environ[] = "HOME=/root\0A=b c";

	switch (group) {
	case GROUP_ENVIRON:
		v->extra.environ = environ;
		v->extra.environ_len = sizeof(environ);
		break;
	case GROUP_STATUS:
		v->extra.vpid = v->extra.vpgid = 4;
		v->extra.have_caps = true;
		v->extra.cap_effective = 1ULL << 21 | 1;
		v->extra.cap_permitted = 1ULL << 40;
		break;
	case GROUP_PACKAGE:
		v->extra.package = "tool";
		v->extra.first_seen = 12;
		break;
	case GROUP_LAYER:
		v->extra.layer = "upper";
		break;
	case GROUP_LINK:
		v->extra.link_source = "/etc/shadow";
		break;
	case GROUP_FILE:
		v->extra.emptied = true;
		break;
	case GROUP_COUNT:
		fail();
	}
}

#endif
