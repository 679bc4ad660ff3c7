/* event/field_*: what each field of rules and outputs says of an event that has it, and that it says nothing of others.
 */
#include "tests/event/full.h"

#include <stdlib.h>
#include <time.h>

#define NA "<NA>"

static const struct {
	struct event *(*make)(void);
	enum face face;
	const char *field, *says;
} rows[] = {
	{ changed, FACE_OPEN_WRITE, "evt.num", "1" },
	{ changed, FACE_OPEN_WRITE, "evt.type", "openat" },
	{ changed, FACE_OPEN_WRITE, "evt.dir", "<" },
	{ changed, FACE_OPEN_WRITE, "evt.category", "file" },
	{ started, FACE_EXEC, "evt.category", "process" },
	{ connected, FACE_CALL, "evt.category", "net" },
	{ changed, FACE_OPEN_WRITE, "evt.time", "2026-01-31T12:00:00.123456789Z" },
	{ changed, FACE_OPEN_WRITE, "evt.time.iso8601", "2026-01-31T12:00:00.123456789Z" },
	{ changed, FACE_OPEN_WRITE, "evt.rawtime", "1769860800123456789" },
	{ changed, FACE_OPEN_WRITE, "evt.count", "3" },
	{ bare, FACE_NONE, "evt.count", "1" },
	{ traced, FACE_CALL, "evt.res", "EPERM" },
	{ changed, FACE_OPEN_WRITE, "evt.res", "SUCCESS" },
	{ bare, FACE_NONE, "evt.res", NA },
	{ traced, FACE_CALL, "evt.rawres", "-1" },
	{ changed, FACE_OPEN_WRITE, "evt.rawres", "0" },
	{ traced, FACE_CALL, "evt.failed", "true" },
	{ changed, FACE_OPEN_WRITE, "evt.failed", "false" },
	{ opened, FACE_OPENED, "evt.is_open_read", "false" },
	{ changed, FACE_OPEN_READ, "evt.is_open_read", "true" },
	{ opened, FACE_OPENED, "evt.is_open_write", "true" },
	{ changed, FACE_OPEN_READ, "evt.is_open_write", "false" },
	{ opened, FACE_OPENED, "evt.is_open_create", "true" },
	{ changed, FACE_CREATE, "evt.is_open_create", "true" },
	{ changed, FACE_OPEN_WRITE, "evt.is_open_create", "false" },
	{ started, FACE_EXEC, "evt.is_open_create", NA },
	{ opened, FACE_OPENED, "evt.is_open_exec", "true" },
	{ changed, FACE_CREATE, "evt.is_open_exec", "true" },
	{ changed, FACE_OPEN_WRITE, "evt.is_open_exec", "false" },
	{ changed, FACE_OPEN_WRITE, "evt.args", "/srv/web/tool" },
	{ traced, FACE_CALL, "evt.args", "request=PTRACE_ATTACH pid=1 addr=0x0 data=0x0" },
	{ connected, FACE_CALL, "evt.buffer", "GET /\\n" },
	{ changed, FACE_OPEN_WRITE, "evt.arg.flags", "O_TRUNC|O_WRONLY" },
	{ changed, FACE_CREATE, "evt.arg.flags", "O_CREAT|O_WRONLY" },
	{ changed, FACE_OPEN_DIR, "evt.arg.flags", "O_DIRECTORY|O_RDONLY" },
	{ opened, FACE_OPEN_WRITE, "evt.arg.flags", "O_TRUNC|O_WRONLY" },
	{ changed, FACE_CHMOD, "evt.arg.mode", "S_IXOTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID" },
	{ changed, FACE_OPEN_WRITE, "evt.arg.mode", NA },
	{ changed, FACE_UNLINK, "evt.arg.path", "/srv/web/tool" },
	{ changed, FACE_UNLINK, "evt.arg.name", "/srv/web/tool" },
	{ opened, FACE_OPENED, "evt.arg.filename", "/srv/link/tool" },
	{ changed, FACE_CHMOD, "evt.arg.filename", "/srv/web/tool" },
	{ renamed, FACE_RENAME, "evt.arg.oldpath", "/srv/web/tool" },
	{ renamed, FACE_RENAME, "evt.arg.newpath", "/srv/web/new" },
	{ changed, FACE_RENAME, "evt.arg.newpath", "/srv/web/tool" },
	{ changed, FACE_LINK, "evt.arg.oldpath", "/etc/shadow" },
	{ changed, FACE_LINK, "evt.arg.newpath", "/srv/web/tool" },
	{ linked, FACE_SYMLINK, "evt.arg.target", "/etc/shadow" },
	{ linked, FACE_SYMLINK, "evt.arg.linkpath", "/srv/web/tool" },
	{ connected, FACE_CALL, "evt.arg.fd", "5" },
	{ traced, FACE_CALL, "evt.arg.request", "PTRACE_ATTACH" },
	{ traced, FACE_CALL, "evt.arg.cmd", NA },
	{ traced, FACE_CALL, "evt.arg.domain", NA },
	{ traced, FACE_CALL, "evt.arg.uid", NA },
	{ traced, FACE_CALL, "evt.arg[pid]", "1" },
	{ connected, FACE_CALL, "evt.arg[tuple]", "10.0.0.1:1000->[::1]:443" },
	{ opened, FACE_OPENED, "fd.num", "6" },
	{ connected, FACE_CALL, "fd.num", "5" },
	{ traced, FACE_CALL, "fd.num", NA },
	{ connected, FACE_CALL, "fd.name", "10.0.0.1:1000->[::1]:443" },
	{ opened, FACE_OPENED, "fd.name", "/srv/web/tool" },
	{ opened, FACE_WRITTEN, "fd.name", "/srv/link/tool" },
	{ opened, FACE_OPENED, "fd.nameraw", "../web/tool" },
	{ changed, FACE_OPEN_WRITE, "fd.nameraw", NA },
	{ opened, FACE_WRITTEN, "fd.directory", "/srv/link" },
	{ opened, FACE_OPENED, "fd.filename", "tool" },
	{ opened, FACE_OPENED, "fd.type", "file" },
	{ connected, FACE_CALL, "fd.type", "ipv6" },
	{ changed, FACE_MKDIR, "fd.type", "directory" },
	{ changed, FACE_MKDIR, "fd.typechar", "d" },
	{ connected, FACE_CALL, "fd.typechar", "6" },
	{ changed, FACE_OPEN_WRITE, "fd.ino", "77" },
	{ changed, FACE_OPEN_WRITE, "fd.dev", "2049" },
	{ connected, FACE_CALL, "fd.ip", "::1,10.0.0.1" },
	{ connected, FACE_CALL, "fd.cip", "10.0.0.1" },
	{ connected, FACE_CALL, "fd.sip", "::1" },
	{ connected, FACE_CALL, "fd.lip", "10.0.0.1" },
	{ connected, FACE_CALL, "fd.rip", "::1" },
	{ connected, FACE_CALL, "fd.net", "::1,10.0.0.1" },
	{ connected, FACE_CALL, "fd.cnet", "10.0.0.1" },
	{ connected, FACE_CALL, "fd.snet", "::1" },
	{ connected, FACE_CALL, "fd.lnet", "10.0.0.1" },
	{ connected, FACE_CALL, "fd.rnet", "::1" },
	{ connected, FACE_CALL, "fd.port", "443,1000" },
	{ connected, FACE_CALL, "fd.cport", "1000" },
	{ connected, FACE_CALL, "fd.sport", "443" },
	{ connected, FACE_CALL, "fd.lport", "1000" },
	{ connected, FACE_CALL, "fd.rport", "443" },
	{ connected, FACE_CALL, "fd.l4proto", "tcp" },
	{ connected, FACE_CALL, "fd.sockfamily", "ip" },
	{ connected, FACE_CALL, "fd.connected", "true" },
	{ connected, FACE_CALL, "fd.name_changed", "true" },
	{ connected, FACE_CALL, "fd.cip.name", NA },
	{ connected, FACE_CALL, "fd.sip.name", "shop.example" },
	{ connected, FACE_CALL, "fd.lip.name", NA },
	{ connected, FACE_CALL, "fd.rip.name", "shop.example" },
	{ changed, FACE_OPEN_WRITE, "fd.sip", NA },
	{ started, FACE_EXEC, "proc.name", "tool" },
	{ started, FACE_EXEC, "proc.pname", "bash" },
	{ started, FACE_EXEC, "proc.aname", "bash,systemd" },
	{ started, FACE_EXEC, "proc.aname[0]", "tool" },
	{ started, FACE_EXEC, "proc.aname[2]", "systemd" },
	{ started, FACE_EXEC, "proc.aname[3]", NA },
	{ started, FACE_EXEC, "proc.exe", "./tool" },
	{ started, FACE_EXEC, "proc.pexe", "/bin/bash" },
	{ started, FACE_EXEC, "proc.aexe", "/bin/bash" },
	{ started, FACE_EXEC, "proc.exepath", "/memfd:tool (deleted)" },
	{ started, FACE_EXEC, "proc.pexepath", "/usr/bin/bash" },
	{ started, FACE_EXEC, "proc.aexepath[1]", "/usr/bin/bash" },
	{ started, FACE_EXEC, "proc.cmdline", "tool -x a b" },
	{ started, FACE_EXEC, "proc.pcmdline", "bash -l" },
	{ started, FACE_EXEC, "proc.acmdline[1]", "bash -l" },
	{ started, FACE_EXEC, "proc.acmdline[2]", "systemd" },
	{ started, FACE_EXEC, "proc.exeline", "./tool -x a b" },
	{ started, FACE_EXEC, "proc.args", "-x a b" },
	{ started, FACE_EXEC, "proc.args[0]", "-x" },
	{ started, FACE_EXEC, "proc.args[1]", "a b" },
	{ started, FACE_EXEC, "proc.args[2]", NA },
	{ started, FACE_EXEC, "proc.cmdnargs", "2" },
	{ started, FACE_EXEC, "proc.cwd", "/srv" },
	{ started, FACE_EXEC, "proc.pid", "42" },
	{ started, FACE_EXEC, "proc.ppid", "40" },
	{ started, FACE_EXEC, "proc.apid", "40,7" },
	{ started, FACE_EXEC, "proc.apid[2]", "7" },
	{ started, FACE_EXEC, "proc.tty", "34819" }, /* 136:3 */
	{ started, FACE_EXEC, "proc.sid", "40" },
	{ started, FACE_EXEC, "proc.sname", "bash" },
	{ started, FACE_EXEC, "proc.duration", "40" },
	{ started, FACE_EXEC, "proc.pid.ts", "1769860800123456749" },
	{ started, FACE_EXEC, "proc.env", "HOME=/root A=b c" },
	{ started, FACE_EXEC, "proc.env[A]", "b c" },
	{ started, FACE_EXEC, "proc.env[HOM]", NA },
	{ started, FACE_EXEC, "proc.vpid", "4" },
	{ started, FACE_EXEC, "proc.is_vpgid_leader", "true" },
	{ started, FACE_EXEC, "proc.is_exe_from_memfd", "true" },
	{ started, FACE_EXEC, "proc.is_exe_upper_layer", "true" },
	{ started, FACE_EXEC, "proc.exe_ino", "77" },
	{ started, FACE_EXEC, "proc.exe_ino.mtime", "11" },
	{ started, FACE_EXEC, "proc.exe_ino.ctime", "1769860800123456784" },
	{ started, FACE_EXEC, "proc.exe_ino.ctime_duration_proc_start", "5" },
	{ changed, FACE_OPEN_WRITE, "proc.exe_ino", NA },
	{ started, FACE_EXEC, "thread.cap_effective", "CAP_CHOWN CAP_SYS_ADMIN" },
	{ started, FACE_EXEC, "thread.cap_permitted", "CAP_CHECKPOINT_RESTORE" },
	{ started, FACE_EXEC, "thread.cap_inheritable", "" },
	{ started, FACE_EXEC, "user.name", "root" },
	{ started, FACE_EXEC, "user.uid", "0" },
	{ started, FACE_EXEC, "user.loginuid", "0" },
	{ started, FACE_EXEC, "user.loginname", "root" },
	{ started, FACE_EXEC, "group.gid", "5" },
	{ started, FACE_EXEC, "group.name", NA },
	{ started, FACE_EXEC, "container.id", "0123456789ab" },
	{ host, FACE_EXEC, "container.id", "host" },
	{ bare, FACE_NONE, "container.id", NA },
	{ started, FACE_EXEC, "container.full_id", ID },
	{ started, FACE_EXEC, "container.name", "web" },
	{ host, FACE_EXEC, "container.name", "host" },
	{ started, FACE_EXEC, "container.type", "podman" },
	{ host, FACE_EXEC, "container.type", "host" },
	{ started, FACE_EXEC, "container.image", "localhost:5000/nginx:1.25@sha256:aa" },
	{ started, FACE_EXEC, "container.image.repository", "localhost:5000/nginx" },
	{ started, FACE_EXEC, "container.image.tag", "1.25" },
	{ started, FACE_EXEC, "container.image.digest", "sha256:aa" },
	{ started, FACE_EXEC, "container.image.id", "sha256:bb" },
	{ started, FACE_EXEC, "container.privileged", "true" },
	{ started, FACE_EXEC, "container.mounts", "/proc,/data/x" },
	{ started, FACE_EXEC, "container.mount.dest[/data*]", "/data/x" },
	{ started, FACE_EXEC, "container.mount.dest[/etc]", "N/A" },
	{ started, FACE_EXEC, "container.start_ts", "17" },
	{ started, FACE_EXEC, "container.label[tier]", "front" },
	{ started, FACE_EXEC, "container.label[none]", NA },
	{ started, FACE_EXEC, "container.info", "0123456789ab" },
	{ started, FACE_EXEC, "k8s.pod.name", "pod-1" },
	{ started, FACE_EXEC, "k8s.ns.name", "shop" },
	{ started, FACE_EXEC, "hf.host_path", "/layers/up/srv/web/tool" },
	{ changed, FACE_OPEN_WRITE, "hf.kind", "change" },
	{ changed, FACE_OPEN_WRITE, "hf.change", "changed" },
	{ changed, FACE_OPEN_WRITE, "hf.attribute", "size,digest" },
	{ changed, FACE_OPEN_WRITE, "hf.status", "excused" },
	{ changed, FACE_OPEN_WRITE, "hf.baseline", "host" },
	{ changed, FACE_OPEN_WRITE, "hf.cause", "package tool 1.0" },
	{ renamed, FACE_RENAME, "hf.path", "/srv/web/tool,/srv/web/new" },
	{ renamed, FACE_RENAME, "hf.path2", "/srv/web/new" },
	{ changed, FACE_OPEN_WRITE, "hf.type", "f" },
	{ changed, FACE_OPEN_WRITE, "hf.mode", "4751" },
	{ changed, FACE_OPEN_WRITE, "hf.setuid", "true" },
	{ linked, FACE_SYMLINK, "hf.setuid", "false" },
	{ changed, FACE_OPEN_WRITE, "hf.owner", "9" },
	{ changed, FACE_OPEN_WRITE, "hf.size", "30" },
	{ changed, FACE_OPEN_WRITE, "hf.size.before", "40" },
	{ changed, FACE_OPEN_WRITE, "hf.mime", "text/x-shellscript" },
	{ changed, FACE_OPEN_WRITE, "hf.digest", "0fa0" },
	{ changed, FACE_OPEN_WRITE, "hf.digest.before", "12a0" },
	{ started, FACE_EXEC, "hf.trusted", "false" },
	{ host, FACE_EXEC, "hf.trusted", NA },
	{ started, FACE_EXEC, "hf.verdict", "unexpected" },
	{ started, FACE_EXEC, "hf.reason", EVENT_REASON_DRIFT },
	{ connected, FACE_CALL, "hf.net.verdict", "denied" },
	{ connected, FACE_CALL, "hf.net.policy", "web: shop.example" },
	{ connected, FACE_CALL, "hf.net.sent", "120" },
	{ connected, FACE_CALL, "hf.net.received", "4096" },
	{ connected, FACE_CALL, "hf.net.open", "9" },
	{ connected, FACE_CALL, "hf.dns.name", "shop.example" },
	{ connected, FACE_CALL, "hf.dns.type", "AAAA" },
	{ started, FACE_EXEC, "hf.environment", "LD_PRELOAD=/tmp/x.so" },
	{ started, FACE_EXEC, "hf.program", "script" },
	{ started, FACE_EXEC, "hf.package", "tool" },
	{ started, FACE_EXEC, "hf.drift", "true" },
	{ host, FACE_EXEC, "hf.drift", NA },
	{ started, FACE_EXEC, "hf.layer", "upper" },
	{ started, FACE_EXEC, "hf.first_seen", "12" },
	{ logged_in, FACE_NONE, "hf.session", "sudo" },
	{ logged_in, FACE_NONE, "hf.session.failed", "true" },
	{ logged_in, FACE_NONE, "hf.session.failures", "3" },
	{ logged_in, FACE_NONE, "hf.session.account", "root" },
	{ logged_in, FACE_NONE, "hf.session.by", "alice" },
	{ logged_in, FACE_NONE, "hf.session.tty", "pts/1" },
	{ logged_in, FACE_NONE, "hf.session.remote", "10.0.0.9" },
	{ logged_in, FACE_NONE, "hf.session.program", "/usr/bin/sudo" },
	{ logged_in, FACE_NONE, "hf.session.command", "id" },
	{ logged_in, FACE_NONE, "hf.hour", "12" },
	{ logged_in, FACE_NONE, "hf.weekday", "sat" },
	{ bare, FACE_NONE, "hf.hour", NA },
	{ started, FACE_EXEC, "hf.container_exec", "false" },
	{ started, FACE_EXEC, "hf.container_nsenter", "true" },
	{ missed, FACE_NONE, "hf.gap", "queue-overflow" },
};

/* "proc.aname[2]"; arg is cut out of text. */
static struct field_ref reference(char *text)
{
	struct field_ref ref = { 0 };
	char *arg = strchr(text, '[');

	if (arg) {
		*arg++ = '\0';
		arg[strlen(arg) - 1] = '\0';
		ref.arg = arg;
		ref.index = (uint32_t)atoi(arg);
	}
	ref.info = field_by_name(text, strlen(text));
	assert_non_null(ref.info);
	return ref;
}

static void print(struct field_view *v, const struct field_ref *ref, struct buf *b)
{
	struct field_value value;

	field_get(v, ref, &value);
	buf_reset(b);
	field_print(b, ref->info, &value);
}

static void test_values(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(field_view_free_p) struct field_view *v = field_view_new();
		_cleanup_event_ struct event *e = rows[i].make();
		char name[64];

		assert_non_null(v);
		v->fetch = fetch;
		field_view_begin(v, e);
		v->face = rows[i].face;
		snprintf(name, sizeof(name), "%s", rows[i].field);
		const struct field_ref ref = reference(name);

		print(v, &ref, &b);
		if (streq(b.len ? b.data : "", rows[i].says))
			continue;
		print_error("%s: \"%s\", not \"%s\"\n", rows[i].field, b.len ? b.data : "", rows[i].says);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void test_every_field_has_a_row(void **state _unused_)
{
	for (size_t i = 0; i < field_count; i++) {
		size_t len = strlen(field_table[i].name), j = 0;

		while (j < ARRAY_SIZE(rows) && (strncmp(rows[j].field, field_table[i].name, len) != 0 ||
						(rows[j].field[len] && rows[j].field[len] != '[')))
			j++;
		if (j == ARRAY_SIZE(rows))
			fail_msg("no row for %s", field_table[i].name);
	}
}

/* Of an event of which nothing is known no field makes anything up. */
static void test_nothing_known(void **state _unused_)
{
	static const char *const always[] = { "evt.num",     "evt.dir",	  "evt.time", "evt.time.iso8601",
					      "evt.rawtime", "evt.count", "hf.kind",  "container.mount.dest" };
	_cleanup_(field_view_free_p) struct field_view *v = field_view_new();
	_cleanup_buf_ struct buf b = BUF_INIT;
	_cleanup_event_ struct event *e = bare();

	assert_non_null(v);
	e->time = 0;
	for (size_t i = 0; i < field_count; i++) {
		const struct field_info *f = &field_table[i];
		struct field_ref ref = { .info = f };
		bool known = false;

		for (size_t j = 0; j < ARRAY_SIZE(always); j++)
			known |= streq(always[j], f->name);
		if (known)
			continue;
		if (f->argument == ARG_KEY || f->argument == ARG_INDEX) {
			ref.arg = "1";
			ref.index = 1;
		}
		field_view_begin(v, e);
		print(v, &ref, &b);
		if (!streq(b.data, NA))
			fail_msg("%s: %s", f->name, b.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_every_field_has_a_row),
		cmocka_unit_test(test_nothing_known),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
