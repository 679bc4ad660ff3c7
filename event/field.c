/*
 * Faces, sensors and views: the frame around the field table (event/field_table.c). A view belongs to one thread;
 * nothing here allocates once it is made.
 */
#include "event/field.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event/field_get.h"
#include "lib/text.h"

const char *const quality_names[QUALITY_COUNT] = { "exact", "approximate", "blind" };

const struct sensor_info sensor_table[SENSOR_COUNT] = {
	[SENSOR_CHANGES] = { "changes", "creations, writes, renames, removals and changed attributes of files",
			     "no sensor for changes of files" },
	[SENSOR_OPENS_SENSITIVE] = { "opens-sensitive", "opens of files that the configuration calls sensitive",
				     "no sensor for opens" },
	[SENSOR_OPENS_RULES] = { "opens-rules", "opens of the paths, names and programs that rules ask for",
				 "opens are seen of files in `sensitive` only" },
	[SENSOR_OPENS] = { "opens", "every open of a file", "opens are seen of files in `sensitive` only" },
	[SENSOR_EXEC] = { "exec", "program starts", "no sensor for program starts" },
	[SENSOR_EXEC_BPF] = { "exec-bpf", "program starts from inside the kernel, memory files and short lives too",
			      "/proc is read after the start: a short-lived process is gone by then" },
	[SENSOR_PROC] = { "proc", "/proc of the process: environment, capabilities, namespaces, cgroup",
			  "/proc of other processes cannot be read" },
	[SENSOR_RUNTIME] = { "runtime", "the container runtime: image, privileges, mounts, pod",
			     "containers are not looked at" },
	[SENSOR_LAYERS] = { "layers", "the layers of a container's file system",
			    "layers of containers are not looked at" },
	[SENSOR_SYSCALL] = { "syscall", "system calls as they are made", "no sensor for system calls" },
	[SENSOR_NETWORK] = { "network", "connections", "no sensor for the network" },
	[SENSOR_LOOKS] = { "looks", "connections that are there when it is looked, every second or less often",
			   "connections are not looked for" },
	[SENSOR_SESSIONS] = { "sessions", "records of logins, su and sudo (the kernel's audit)",
			      "no audit records: sessions are told from utmp, wtmp, btmp and the process table alone" },
	[SENSOR_BASELINE] = { "baseline", "a baseline to compare with", "no baseline" },
	[SENSOR_TRUST] = { "trust", "verdicts over programs", "programs are not judged" },
};

#define NEEDS_CHANGES SENSOR_BIT(SENSOR_CHANGES)
const struct face_info face_table[FACE_COUNT] = {
	[FACE_OPEN_READ] = { { "openat", "open", "openat2" },
			     'f',
			     true,
			     false,
			     QUALITY_EXACT,
			     SENSOR_BIT(SENSOR_OPENS),
			     NULL },
	[FACE_OPEN_DIR] = { { "openat", "open", "openat2" },
			    'd',
			    true,
			    false,
			    QUALITY_EXACT,
			    SENSOR_BIT(SENSOR_OPENS),
			    NULL },
	[FACE_OPEN_WRITE] = { { "openat", "open", "openat2" }, 'f', false, true, QUALITY_EXACT, NEEDS_CHANGES, NULL },
	[FACE_CREATE] = { { "openat", "open", "openat2", "creat" },
			  'f',
			  false,
			  true,
			  QUALITY_EXACT,
			  NEEDS_CHANGES,
			  NULL },
	[FACE_MKDIR] = { { "mkdirat", "mkdir" }, 'd', false, false, QUALITY_EXACT, NEEDS_CHANGES, NULL },
	[FACE_MKNOD] = { { "mknodat", "mknod" }, 'f', false, false, QUALITY_EXACT, NEEDS_CHANGES, NULL },
	[FACE_SYMLINK] = { { "symlinkat", "symlink" },
			   'f',
			   false,
			   false,
			   QUALITY_APPROXIMATE,
			   NEEDS_CHANGES,
			   "the link is seen once it is there, its target read then; attempts that fail are not seen" },
	[FACE_LINK] = { { "linkat", "link" },
			'f',
			false,
			false,
			QUALITY_APPROXIMATE,
			NEEDS_CHANGES,
			"only the new name is reported; the old one is looked for by device and inode" },
	[FACE_UNLINK] = { { "unlinkat", "unlink" }, 'f', false, false, QUALITY_EXACT, NEEDS_CHANGES, NULL },
	[FACE_RMDIR] = { { "unlinkat", "rmdir" }, 'd', false, false, QUALITY_EXACT, NEEDS_CHANGES, NULL },
	[FACE_RENAME] = { { "renameat2", "renameat", "rename" },
			  'f',
			  false,
			  false,
			  QUALITY_EXACT,
			  NEEDS_CHANGES,
			  NULL },
	[FACE_CHMOD] = { { "fchmodat", "chmod", "fchmod", "fchmodat2" },
			 'f',
			 false,
			 false,
			 QUALITY_APPROXIMATE,
			 NEEDS_CHANGES,
			 "the mode that came of it is seen, not the call; attempts that fail are not" },
	[FACE_CHOWN] = { { "fchownat", "chown", "fchown", "lchown" },
			 'f',
			 false,
			 false,
			 QUALITY_APPROXIMATE,
			 NEEDS_CHANGES,
			 "the owner that came of it is seen, not the call" },
	[FACE_XATTR] = { { "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr" },
			 'f',
			 false,
			 false,
			 QUALITY_APPROXIMATE,
			 NEEDS_CHANGES,
			 "the attributes that came of it are seen, not the call" },
	[FACE_UTIME] = { { "utimensat", "utime", "utimes", "futimesat" },
			 'f',
			 false,
			 false,
			 QUALITY_APPROXIMATE,
			 NEEDS_CHANGES,
			 "the times that came of it are seen, not the call" },
	[FACE_EXEC] = { { "execve", "execveat" }, 'f', false, false, QUALITY_EXACT, SENSOR_BIT(SENSOR_EXEC), NULL },
	[FACE_NONE] = { { NULL }, 0, false, false, QUALITY_EXACT, 0, NULL },
	[FACE_CALL] = { { NULL }, 0, false, false, QUALITY_BLIND, 0, NULL },
	[FACE_OPENED] = { { NULL }, 0, false, false, QUALITY_BLIND, 0, NULL },
	[FACE_WRITTEN] = { { NULL }, 0, false, false, QUALITY_BLIND, 0, NULL },
};

enum face face_of_call(const struct call_info *call)
{
	for (unsigned face = 0; face < FACE_NONE; face++)
		for (unsigned i = 0; i < FACE_NAMES_MAX && face_table[face].names[i]; i++)
			if (streq(face_table[face].names[i], call->name))
				return face;
	return FACE_NONE;
}

int sensor_by_name(const char *name, enum sensor *ret)
{
	for (unsigned i = 0; i < SENSOR_COUNT; i++) {
		if (streq(name, sensor_table[i].name)) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

/* --- faces */

struct faces {
	enum face *list;
	unsigned n;
};

static void face_add(struct faces *f, enum face face)
{
	if (f->n < FACES_MAX)
		f->list[f->n++] = face;
}

static char event_type(const struct event *e)
{
	const struct record *r = e->has_after ? &e->after : e->has_before ? &e->before : NULL;

	return r && r->have & ATTR_BIT(ATTR_TYPE) ? r->type : 'f';
}

static void faces_added(const struct event *e, struct faces *f)
{
	static const char types[] = "fdlpsbc";
	static const enum face faces[] = { FACE_CREATE, FACE_MKDIR, FACE_SYMLINK, FACE_MKNOD,
					   FACE_MKNOD,	FACE_MKNOD, FACE_MKNOD };
	char type = event_type(e);
	const char *at = strchr(types, type);
	uint32_t have = e->has_after ? e->after.have : 0;

	/* A second name: nothing was written. */
	if (type == 'f' && have & ATTR_BIT(ATTR_NLINK) && e->after.nlink > 1)
		face_add(f, FACE_LINK);
	else
		face_add(f, at && type ? faces[at - types] : FACE_CREATE);
	if (type == 'f' && have & ATTR_BIT(ATTR_MODE) && e->after.mode & 06111)
		face_add(f, FACE_CHMOD); /* one of the two did it */
}

static void faces_attributes(const struct event *e, struct faces *f)
{
	static const struct {
		attr_mask attributes;
		enum face face;
	} rows[] = {
		{ ATTR_BIT(ATTR_MODE), FACE_CHMOD },
		{ ATTR_BIT(ATTR_UID) | ATTR_BIT(ATTR_GID), FACE_CHOWN },
		{ ATTR_BIT(ATTR_XATTRS) | ATTR_BIT(ATTR_ACL) | ATTR_BIT(ATTR_CAPS) | ATTR_BIT(ATTR_SELINUX),
		  FACE_XATTR },
		{ ATTR_BIT(ATTR_MTIME), FACE_UTIME },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* After a write the times say nothing of their own. */
		if (e->attributes & rows[i].attributes && (rows[i].face != FACE_UTIME || !f->n))
			face_add(f, rows[i].face);
	}
}

static void faces_change(const struct event *e, struct faces *f)
{
	switch (e->change) {
	case CHANGE_ADDED:
		faces_added(e, f);
		return;
	case CHANGE_REMOVED:
		face_add(f, event_type(e) == 'd' ? FACE_RMDIR : FACE_UNLINK);
		return;
	case CHANGE_RENAMED:
		face_add(f, FACE_RENAME);
		return;
	case CHANGE_CHANGED:
	case CHANGE_REVERTED:
	case CHANGE_REPLACED:
		face_add(f, event_type(e) == 'l' ? FACE_SYMLINK : FACE_OPEN_WRITE);
		if (e->change == CHANGE_REPLACED)
			face_add(f, FACE_RENAME);
		faces_attributes(e, f);
		return;
	case CHANGE_ATTRIBUTES:
		faces_attributes(e, f);
		return;
	case CHANGE_TRANSIENT:
	case CHANGE_COUNT:
		return;
	}
}

static void faces_opened(const struct event *e, struct faces *f)
{
	const char *path = e->host_path ? e->host_path : e->path, *written = e->call->open->written;

	if (path)
		face_add(f, FACE_OPENED);
	if (written && (!path || !streq(path, written)))
		face_add(f, FACE_WRITTEN);
}

unsigned event_faces(const struct event *e, enum face ret[FACES_MAX])
{
	struct faces f = { ret, 0 };

	if (e->call && e->call->open)
		faces_opened(e, &f);
	else if (e->call)
		face_add(&f, FACE_CALL);
	else if (e->kind == EVENT_CHANGE)
		faces_change(e, &f);
	else if (e->kind == EVENT_OPEN)
		face_add(&f, FACE_OPEN_READ);
	else if (e->kind == EVENT_EXEC && e->verdict != EXEC_DENIED && /* a denied one failed */
		 e->exec_type != EXEC_TYPE_LIBRARY)
		face_add(&f, FACE_EXEC);
	if (!f.n)
		face_add(&f, FACE_NONE);
	return f.n;
}

/* --- values */

uint32_t field_hash(const char *s, size_t len)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)s[i]) * 16777619u;
	return h ? h : 1;
}

void field_set_bytes(struct field_value *ret, const char *s, size_t len)
{
	ret->one = (struct field_item){ .s = s, .len = (uint32_t)len };
	ret->items = &ret->one;
	ret->n = 1;
}

void field_set_string(struct field_value *ret, const char *s)
{
	if (s)
		field_set_bytes(ret, s, strlen(s));
}

void field_set_number(struct field_value *ret, int64_t n)
{
	ret->one = (struct field_item){ .number = n };
	ret->items = &ret->one;
	ret->n = 1;
}

char *field_room(struct field_view *v, size_t *len)
{
	size_t free_bytes = sizeof(v->scratch) - v->used;
	char *s = v->scratch + v->used;

	if (*len + 1 > free_bytes) {
		*len = free_bytes - 1;
		v->cut++;
	}
	v->used += MIN(*len + 1, free_bytes - 1);
	return s;
}

struct field_item *field_items(struct field_view *v, size_t n)
{
	size_t start = (v->used + 7) & ~(size_t)7, room = n * sizeof(struct field_item);

	if (start + room >= sizeof(v->scratch)) {
		v->cut++;
		return NULL;
	}
	v->used = start + room;
	return (struct field_item *)(void *)(v->scratch + start);
}

bool field_need(struct field_view *v, enum field_group group)
{
	if (!(v->fetched & 1u << group) && v->fetch)
		v->fetch(v, group);
	v->fetched |= 1u << group;
	return true;
}

/* --- views */

struct field_view *field_view_new(void)
{
	return calloc(1, sizeof(struct field_view));
}

void field_view_free(struct field_view *v)
{
	free(v);
}

void field_view_begin(struct field_view *v, const struct event *e)
{
	v->event = e;
	v->n_faces = event_faces(e, v->faces);
	v->face = FACE_NONE;
	v->number++;
	v->presets = NULL;
	v->n_presets = 0;
	v->used = 0;
	if (v->fetched) {
		v->fetched = 0;
		memset(&v->extra, 0, sizeof(v->extra));
	}
}

static const struct field_preset *find_preset(const struct field_view *v, const struct field_ref *ref)
{
	for (size_t i = 0; i < v->n_presets; i++) {
		const struct field_preset *p = &v->presets[i];

		if (p->info == ref->info && !p->arg == !ref->arg && (!p->arg || streq(p->arg, ref->arg)))
			return p;
	}
	return NULL;
}

void field_get(struct field_view *v, const struct field_ref *ref, struct field_value *ret)
{
	const struct field_preset *preset = v->n_presets ? find_preset(v, ref) : NULL;

	ret->n = 0;
	ret->items = &ret->one;
	if (preset) {
		ret->n = preset->value.n;
		ret->one = preset->value.one;
		ret->items = preset->value.n == 1 ? &ret->one : preset->value.items;
		return;
	}
	ref->info->get(v, ref, ret);
}

/* --- text */

static void print_ip(struct buf *b, const struct field_item *item)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	char text[INET6_ADDRSTRLEN];

	if (memcmp(item->s, mapped, sizeof(mapped)) == 0)
		inet_ntop(AF_INET, item->s + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, item->s, text, sizeof(text));
	buf_str(b, text);
}

static void print_item(struct buf *b, const struct field_info *info, const struct field_item *item)
{
	switch (info->type) {
	case FIELD_NUMBER:
		buf_printf(b, "%lld", (long long)item->number);
		return;
	case FIELD_BOOL:
		buf_str(b, item->number ? "true" : "false");
		return;
	case FIELD_IP:
	case FIELD_NET:
		print_ip(b, item);
		return;
	case FIELD_STRING:
	case FIELD_FLAGS:
	case FIELD_BYTES:
	case FIELD_TYPE_COUNT:
		text_escape(b, item->s, item->len);
		return;
	}
}

void field_print(struct buf *b, const struct field_info *info, const struct field_value *value)
{
	/* Names of one call: the first is the usual one. */
	uint32_t n = info->class == FIELD_FACE ? MIN(value->n, 1u) : value->n;

	if (!n)
		buf_str(b, "<NA>");
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			buf_char(b, ',');
		print_item(b, info, &value->items[i]);
	}
}

int field_parse_net(const char *text, uint8_t ret[16], unsigned *ret_prefix)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long prefix;
	bool v4;
	char *end;

	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	v4 = inet_pton(AF_INET, address, ret + 12) == 1;
	if (v4)
		memcpy(ret, mapped, sizeof(mapped));
	else if (inet_pton(AF_INET6, address, ret) != 1)
		return -EINVAL;
	*ret_prefix = 128;
	if (!slash)
		return 0;
	if (slash[1] < '0' || slash[1] > '9')
		return -EINVAL;
	prefix = strtoul(slash + 1, &end, 10);
	if (*end || prefix > (v4 ? 32 : 128))
		return -EINVAL;
	*ret_prefix = (unsigned)prefix + (v4 ? 96 : 0);
	return 0;
}

static int parse_number(const char *text, struct field_value *ret)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 0);
	if (errno || end == text || *end)
		return -EINVAL;
	field_set_number(ret, n);
	return 0;
}

int field_parse(const struct field_info *info, const char *text, struct arena *a, struct field_value *ret)
{
	uint8_t *address;
	unsigned prefix;

	if (info->type == FIELD_NUMBER)
		return parse_number(text, ret);
	if (info->type == FIELD_BOOL) {
		if (!streq(text, "true") && !streq(text, "false"))
			return -EINVAL;
		field_set_number(ret, streq(text, "true"));
		return 0;
	}
	if (info->type != FIELD_IP && info->type != FIELD_NET) {
		field_set_string(ret, text);
		return 0;
	}
	address = arena_alloc(a, 16);
	if (!address)
		return -ENOMEM;
	if (field_parse_net(text, address, &prefix) < 0 || prefix != 128)
		return -EINVAL;
	field_set_bytes(ret, (const char *)address, 16);
	return 0;
}
