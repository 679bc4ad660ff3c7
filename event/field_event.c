/*
 * Getters of what the event itself says: the call it stands for, its file, the baseline. Run inside rule evaluation:
 * no allocation, no system call.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "event/field_get.h"
#include "lib/text.h"
#include "lib/util.h"

static const struct face_info *face(const struct field_view *v)
{
	return &face_table[v->face];
}

/* NULL when the event is none. */
static const struct event_call *call(const struct field_view *v)
{
	return v->face == FACE_CALL || face_is_opened(v->face) ? v->event->call : NULL;
}

static const struct call_open *opened(const struct field_view *v)
{
	return face_is_opened(v->face) && v->event->call ? v->event->call->open : NULL;
}

/* Of an open, not told as a call. */
static bool is_open(const struct field_view *v)
{
	return face(v)->read || face(v)->write;
}

/* The path of the file as this face has it. */
static const char *path_of(const struct field_view *v)
{
	if (v->face == FACE_WRITTEN && opened(v))
		return opened(v)->written;
	return v->face == FACE_NONE ? NULL : v->event->path;
}

FIELD_GETTER(get_nothing)
{
}

FIELD_GETTER(get_evt_num)
{
	field_set_number(ret, (int64_t)v->number);
}

/* Several names mean that the event cannot tell which of them it was. */
FIELD_GETTER(get_evt_type)
{
	const char *const *names = face(v)->names;
	struct field_item *items;
	uint32_t n = 0;

	if (call(v)) {
		field_set_string(ret, call(v)->info->name);
		return;
	}
	items = field_items(v, FACE_NAMES_MAX);
	for (; items && n < FACE_NAMES_MAX && names[n]; n++)
		items[n] = (struct field_item){ .s = names[n], .len = (uint32_t)strlen(names[n]) };
	ret->n = n;
	ret->items = items;
}

FIELD_GETTER(get_evt_dir)
{
	field_set_string(ret, "<");
}

FIELD_GETTER(get_evt_category)
{
	if (call(v))
		field_set_string(ret, call(v)->info->category);
	else if (v->face < FACE_NONE)
		field_set_string(ret, v->face == FACE_EXEC ? "process" : "file");
}

FIELD_GETTER(get_evt_time)
{
	size_t len = TEXT_TIME_MAX;
	char *s = field_room(v, &len);

	if (len < TEXT_TIME_MAX)
		return;
	text_time(s, v->event->time, 9);
	field_set_string(ret, s);
}

FIELD_GETTER(get_evt_rawtime)
{
	field_set_number(ret, (int64_t)v->event->time);
}

FIELD_GETTER(get_evt_count)
{
	field_set_number(ret, (int64_t)MAX(v->event->count, (uint64_t)1));
}

/* Of files and programs only what succeeded is ever seen. */
FIELD_GETTER(get_evt_res)
{
	size_t len = 8;

	if (call(v))
		field_set_string(ret, call_result(call(v), field_room(v, &len), len + 1));
	else if (v->face < FACE_NONE)
		field_set_string(ret, "SUCCESS");
}

FIELD_GETTER(get_evt_rawres)
{
	if (call(v))
		field_set_number(ret, call(v)->result);
	else if (v->face < FACE_NONE)
		field_set_number(ret, 0);
}

FIELD_GETTER(get_evt_failed)
{
	if (call(v))
		field_set_number(ret, call(v)->result < 0);
	else if (v->face < FACE_NONE)
		field_set_number(ret, 0);
}

FIELD_GETTER(get_is_open_read)
{
	if (opened(v))
		field_set_number(ret, (opened(v)->flags & O_ACCMODE) != O_WRONLY);
	else if (is_open(v))
		field_set_number(ret, face(v)->read);
}

FIELD_GETTER(get_is_open_write)
{
	if (opened(v))
		field_set_number(ret, (opened(v)->flags & O_ACCMODE) != O_RDONLY);
	else if (is_open(v))
		field_set_number(ret, face(v)->write);
}

FIELD_GETTER(get_is_open_create)
{
	if (opened(v))
		field_set_number(ret, opened(v)->created);
	else if (is_open(v))
		field_set_number(ret, v->face == FACE_CREATE);
}

/* A file that was created and may be executed. */
FIELD_GETTER(get_is_open_exec)
{
	const struct record *r = field_record(v);

	if (opened(v))
		field_set_number(ret, (opened(v)->mode & 0111) != 0);
	else if (is_open(v))
		field_set_number(ret, v->face == FACE_CREATE && field_has(r, ATTR_MODE) && r->mode & 0111);
}

static bool truncated(const struct event *e)
{
	return e->has_before && e->has_after && field_has(&e->before, ATTR_SIZE) && field_has(&e->after, ATTR_SIZE) &&
	       e->after.size < e->before.size;
}

/* evt.arg.NAME, evt.arg[NAME]: of calls alone. */
FIELD_GETTER(get_arg_call)
{
	static const char prefix[] = "evt.arg.";
	const char *name = ref->arg ? ref->arg : ref->info->name + strlen(prefix);

	if (call(v) && v->event->socket && (streq(name, "tuple") || streq(name, "addr")))
		field_socket_name(v, ret);
	else if (call(v))
		field_set_string(ret, call_arg(call(v), name));
}

/* Of an access the size before is not known: one that is empty now was cut. */
static bool was_emptied(struct field_view *v)
{
	if (v->event->kind == EVENT_ACCESS)
		return field_need(v, GROUP_FILE) && v->extra.emptied;
	return truncated(v->event);
}

FIELD_GETTER(get_arg_flags)
{
	if (call(v))
		get_arg_call(v, ref, ret);
	else if (v->face == FACE_OPEN_READ)
		field_set_string(ret, "O_RDONLY");
	else if (v->face == FACE_OPEN_DIR)
		field_set_string(ret, "O_DIRECTORY|O_RDONLY");
	else if (v->face == FACE_CREATE)
		field_set_string(ret, "O_CREAT|O_WRONLY");
	else if (v->face == FACE_OPEN_WRITE)
		field_set_string(ret, was_emptied(v) ? "O_TRUNC|O_WRONLY" : "O_WRONLY");
}

/* Of a change the mode that came of it: whether the call's argument said just that is not known. */
FIELD_GETTER(get_arg_mode)
{
	const struct record *r = field_record(v);
	size_t len = CALL_MODE_TEXT;
	char *s;

	if (call(v)) {
		get_arg_call(v, ref, ret);
		return;
	}
	if (!field_has(r, ATTR_MODE) || (v->face != FACE_CHMOD && v->face != FACE_CREATE && v->face != FACE_MKDIR))
		return;
	s = field_room(v, &len);
	if (len >= CALL_MODE_TEXT)
		field_set_bytes(ret, s, call_mode_text(r->mode, s));
}

FIELD_GETTER(get_arg_path)
{
	if (call(v))
		get_arg_call(v, ref, ret);
	else if (v->face == FACE_MKDIR || v->face == FACE_UNLINK || v->face == FACE_RMDIR || v->face == FACE_MKNOD ||
		 v->face == FACE_XATTR)
		field_set_string(ret, v->event->path);
}

FIELD_GETTER(get_arg_name)
{
	if (call(v))
		get_arg_call(v, ref, ret);
	else if (v->face == FACE_UNLINK || v->face == FACE_RMDIR || is_open(v))
		field_set_string(ret, v->event->path);
}

FIELD_GETTER(get_arg_filename)
{
	if (opened(v))
		field_set_string(ret, opened(v)->written);
	else if (call(v))
		get_arg_call(v, ref, ret);
	else if (v->face == FACE_CHMOD || v->face == FACE_CREATE || v->face == FACE_EXEC)
		field_set_string(ret, v->event->path);
}

FIELD_GETTER(get_arg_oldpath)
{
	if (call(v)) {
		get_arg_call(v, ref, ret);
		return;
	}
	if (v->face == FACE_RENAME && v->event->change == CHANGE_RENAMED)
		field_set_string(ret, v->event->path);
	else if (v->face == FACE_LINK && field_need(v, GROUP_LINK))
		field_set_string(ret, v->extra.link_source);
}

FIELD_GETTER(get_arg_newpath)
{
	if (call(v)) {
		get_arg_call(v, ref, ret);
		return;
	}
	if (v->face == FACE_RENAME && v->event->change == CHANGE_RENAMED)
		field_set_string(ret, v->event->path2);
	else if (v->face == FACE_RENAME || v->face == FACE_LINK)
		field_set_string(ret, v->event->path);
}

FIELD_GETTER(get_arg_target)
{
	const struct record *r = field_record(v);

	if (call(v)) {
		get_arg_call(v, ref, ret);
		return;
	}
	if (v->face == FACE_SYMLINK && field_has(r, ATTR_TARGET))
		field_set_string(ret, r->target);
}

FIELD_GETTER(get_arg_linkpath)
{
	if (call(v)) {
		get_arg_call(v, ref, ret);
		return;
	}
	if (v->face == FACE_SYMLINK)
		field_set_string(ret, v->event->path);
}

/* "request=PTRACE_ATTACH pid=1" */
static void join_args(struct field_view *v, const struct event_call *c, struct field_value *ret)
{
	size_t room = CALL_ARGS * (CALL_TEXT_MAX + 32), used = 0;
	char *s = field_room(v, &room);

	for (size_t i = 0; i < CALL_ARGS; i++)
		if (c->args[i] && used < room)
			used += (size_t)snprintf(s + used, room - used, "%s%s=%s", used ? " " : "",
						 c->info->args[i].name, c->args[i]);
	field_set_bytes(ret, s, MIN(used, room ? room - 1 : 0));
}

FIELD_GETTER(get_evt_args)
{
	if (call(v))
		join_args(v, call(v), ret);
	else
		field_set_string(ret, v->event->path);
}

FIELD_GETTER(get_fd_num)
{
	if (opened(v))
		field_set_number(ret, MAX(call(v)->result, (int64_t)-1));
	else if (is_open(v))
		field_set_number(ret, 0);
	else if (call(v) && v->event->socket && call(v)->fd >= 0)
		field_set_number(ret, call(v)->fd);
}

FIELD_GETTER(get_fd_name)
{
	if (v->event->socket)
		field_socket_name(v, ret);
	else
		field_set_string(ret, path_of(v));
}

FIELD_GETTER(get_fd_nameraw)
{
	if (opened(v))
		field_set_string(ret, opened(v)->raw);
}

FIELD_GETTER(get_fd_directory)
{
	const char *path = path_of(v);
	const char *slash = path ? strrchr(path, '/') : NULL;
	size_t len;
	char *s;

	if (!slash)
		return;
	len = slash == path ? 1 : (size_t)(slash - path);
	s = field_room(v, &len);
	memcpy(s, path, len);
	s[len] = '\0';
	field_set_bytes(ret, s, len);
}

FIELD_GETTER(get_fd_filename)
{
	const char *path = path_of(v);
	const char *slash = path ? strrchr(path, '/') : NULL;

	if (slash)
		field_set_string(ret, slash + 1);
}

FIELD_GETTER(get_fd_type)
{
	if (opened(v))
		field_set_string(ret, opened(v)->is_dir ? "directory" : "file");
	else if (face(v)->typechar)
		field_set_string(ret, face(v)->typechar == 'd' ? "directory" : "file");
	else
		field_socket_type(v, ret);
}

FIELD_GETTER(get_fd_typechar)
{
	if (opened(v))
		field_set_string(ret, opened(v)->is_dir ? "d" : "f");
	else if (face(v)->typechar)
		field_set_bytes(ret, &face(v)->typechar, 1);
	else
		field_socket_typechar(v, ret);
}

FIELD_GETTER(get_fd_ino)
{
	const struct record *r = field_record(v);

	if (field_has(r, ATTR_INO))
		field_set_number(ret, (int64_t)r->ino);
}

FIELD_GETTER(get_fd_dev)
{
	const struct record *r = field_record(v);

	if (field_has(r, ATTR_DEV))
		field_set_number(ret, (int64_t)r->dev);
}
