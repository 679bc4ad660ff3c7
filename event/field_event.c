/*
 * Getters of what the event itself says: the call it stands for, its file, the baseline. Run inside rule evaluation:
 * no allocation, no system call.
 */
#include <string.h>
#include <sys/stat.h>

#include "event/field_get.h"
#include "lib/text.h"
#include "lib/util.h"

static const struct face_info *face(const struct field_view *v)
{
	return &face_table[v->face];
}

static bool is_open(const struct field_view *v)
{
	return face(v)->read || face(v)->write;
}

/* The file as it is now, else as it was. */
static const struct record *newest(const struct field_view *v)
{
	const struct event *e = v->event;

	return e->has_after ? &e->after : e->has_before ? &e->before : NULL;
}

static bool has(const struct record *r, enum attr a)
{
	return r && r->have & ATTR_BIT(a);
}

static FIELD_GETTER(put_path)
{
	(void)ref;
	field_set_string(ret, v->event->path);
}

FIELD_GETTER(get_nothing)
{
	(void)v;
	(void)ref;
	(void)ret;
}

FIELD_GETTER(get_evt_num)
{
	(void)ref;
	field_set_number(ret, (int64_t)v->number);
}

/* Several names mean that the event cannot tell which of them it was. */
FIELD_GETTER(get_evt_type)
{
	const char *const *names = face(v)->names;
	struct field_item *items = field_items(v, FACE_NAMES_MAX);
	uint32_t n = 0;

	(void)ref;
	for (; items && n < FACE_NAMES_MAX && names[n]; n++)
		items[n] = (struct field_item){ .s = names[n], .len = (uint32_t)strlen(names[n]) };
	ret->n = n;
	ret->items = items;
}

FIELD_GETTER(get_evt_dir)
{
	(void)v;
	(void)ref;
	field_set_string(ret, "<");
}

FIELD_GETTER(get_evt_category)
{
	(void)ref;
	if (v->face != FACE_NONE && v->face != FACE_CALL)
		field_set_string(ret, v->face == FACE_EXEC ? "process" : "file");
}

FIELD_GETTER(get_evt_time)
{
	size_t len = TEXT_TIME_MAX;
	char *s = field_room(v, &len);

	(void)ref;
	if (len < TEXT_TIME_MAX)
		return;
	text_time(s, v->event->time, 9);
	field_set_string(ret, s);
}

FIELD_GETTER(get_evt_rawtime)
{
	(void)ref;
	field_set_number(ret, (int64_t)v->event->time);
}

FIELD_GETTER(get_evt_count)
{
	(void)ref;
	field_set_number(ret, (int64_t)MAX(v->event->count, (uint64_t)1));
}

/* Only what succeeded is ever seen. */
FIELD_GETTER(get_evt_res)
{
	(void)ref;
	if (v->face != FACE_NONE && v->face != FACE_CALL)
		field_set_string(ret, "SUCCESS");
}

FIELD_GETTER(get_evt_rawres)
{
	(void)ref;
	if (v->face != FACE_NONE && v->face != FACE_CALL)
		field_set_number(ret, 0);
}

FIELD_GETTER(get_evt_failed)
{
	(void)ref;
	if (v->face != FACE_NONE && v->face != FACE_CALL)
		field_set_number(ret, 0);
}

FIELD_GETTER(get_is_open_read)
{
	(void)ref;
	if (is_open(v))
		field_set_number(ret, face(v)->read);
}

FIELD_GETTER(get_is_open_write)
{
	(void)ref;
	if (is_open(v))
		field_set_number(ret, face(v)->write);
}

FIELD_GETTER(get_is_open_create)
{
	(void)ref;
	if (is_open(v))
		field_set_number(ret, v->face == FACE_CREATE);
}

/* A file that was created and may be executed. */
FIELD_GETTER(get_is_open_exec)
{
	const struct record *r = newest(v);

	(void)ref;
	if (is_open(v))
		field_set_number(ret, v->face == FACE_CREATE && has(r, ATTR_MODE) && r->mode & 0111);
}

static bool truncated(const struct event *e)
{
	return e->has_before && e->has_after && has(&e->before, ATTR_SIZE) && has(&e->after, ATTR_SIZE) &&
	       e->after.size < e->before.size;
}

FIELD_GETTER(get_arg_flags)
{
	(void)ref;
	if (v->face == FACE_OPEN_READ)
		field_set_string(ret, "O_RDONLY");
	else if (v->face == FACE_CREATE)
		field_set_string(ret, "O_CREAT|O_WRONLY");
	else if (v->face == FACE_OPEN_WRITE)
		field_set_string(ret, truncated(v->event) ? "O_TRUNC|O_WRONLY" : "O_WRONLY");
}

static const struct {
	uint16_t bit;
	const char *name;
} mode_names[] = {
	{ S_IXOTH, "S_IXOTH" }, { S_IWOTH, "S_IWOTH" }, { S_IROTH, "S_IROTH" }, { S_IXGRP, "S_IXGRP" },
	{ S_IWGRP, "S_IWGRP" }, { S_IRGRP, "S_IRGRP" }, { S_IXUSR, "S_IXUSR" }, { S_IWUSR, "S_IWUSR" },
	{ S_IRUSR, "S_IRUSR" }, { S_ISVTX, "S_ISVTX" }, { S_ISGID, "S_ISGID" }, { S_ISUID, "S_ISUID" },
};

/* The mode that came of it: whether the call's argument said just that is not known. */
FIELD_GETTER(get_arg_mode)
{
	const struct record *r = newest(v);
	size_t len = ARRAY_SIZE(mode_names) * 8;
	char *s, *at;

	(void)ref;
	if (!has(r, ATTR_MODE) || (v->face != FACE_CHMOD && v->face != FACE_CREATE && v->face != FACE_MKDIR))
		return;
	s = field_room(v, &len);
	if (len < ARRAY_SIZE(mode_names) * 8)
		return;
	at = s;
	for (size_t i = 0; i < ARRAY_SIZE(mode_names); i++) {
		if (!(r->mode & mode_names[i].bit))
			continue;
		if (at != s)
			*at++ = '|';
		at = stpcpy(at, mode_names[i].name);
	}
	field_set_bytes(ret, s, (size_t)(at - s));
}

FIELD_GETTER(get_arg_path)
{
	if (v->face == FACE_MKDIR || v->face == FACE_UNLINK || v->face == FACE_RMDIR || v->face == FACE_MKNOD ||
	    v->face == FACE_XATTR)
		put_path(v, ref, ret);
}

FIELD_GETTER(get_arg_name)
{
	if (v->face == FACE_UNLINK || v->face == FACE_RMDIR || is_open(v))
		put_path(v, ref, ret);
}

FIELD_GETTER(get_arg_filename)
{
	if (v->face == FACE_CHMOD || v->face == FACE_CREATE || v->face == FACE_EXEC)
		put_path(v, ref, ret);
}

FIELD_GETTER(get_arg_oldpath)
{
	if (v->face == FACE_RENAME && v->event->change == CHANGE_RENAMED)
		put_path(v, ref, ret);
	else if (v->face == FACE_LINK && field_need(v, GROUP_LINK))
		field_set_string(ret, v->extra.link_source);
}

FIELD_GETTER(get_arg_newpath)
{
	if (v->face == FACE_RENAME && v->event->change == CHANGE_RENAMED)
		field_set_string(ret, v->event->path2);
	else if (v->face == FACE_RENAME || v->face == FACE_LINK)
		put_path(v, ref, ret);
}

FIELD_GETTER(get_arg_target)
{
	const struct record *r = newest(v);

	(void)ref;
	if (v->face == FACE_SYMLINK && has(r, ATTR_TARGET))
		field_set_string(ret, r->target);
}

FIELD_GETTER(get_arg_linkpath)
{
	if (v->face == FACE_SYMLINK)
		put_path(v, ref, ret);
}

FIELD_GETTER(get_evt_args)
{
	put_path(v, ref, ret);
}

FIELD_GETTER(get_fd_num)
{
	(void)ref;
	if (is_open(v))
		field_set_number(ret, 0);
}

FIELD_GETTER(get_fd_name)
{
	if (v->face != FACE_NONE)
		put_path(v, ref, ret);
}

FIELD_GETTER(get_fd_directory)
{
	const char *path = v->event->path;
	const char *slash = path && v->face != FACE_NONE ? strrchr(path, '/') : NULL;
	size_t len;
	char *s;

	(void)ref;
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
	const char *path = v->event->path;
	const char *slash = path && v->face != FACE_NONE ? strrchr(path, '/') : NULL;

	(void)ref;
	if (slash)
		field_set_string(ret, slash + 1);
}

FIELD_GETTER(get_fd_type)
{
	(void)ref;
	if (face(v)->typechar)
		field_set_string(ret, face(v)->typechar == 'd' ? "directory" : "file");
}

FIELD_GETTER(get_fd_typechar)
{
	(void)ref;
	if (face(v)->typechar)
		field_set_bytes(ret, &face(v)->typechar, 1);
}

FIELD_GETTER(get_fd_ino)
{
	const struct record *r = newest(v);

	(void)ref;
	if (has(r, ATTR_INO))
		field_set_number(ret, (int64_t)r->ino);
}

FIELD_GETTER(get_fd_dev)
{
	const struct record *r = newest(v);

	(void)ref;
	if (has(r, ATTR_DEV))
		field_set_number(ret, (int64_t)r->dev);
}

/* --- our own */

FIELD_GETTER(get_hf_kind)
{
	(void)ref;
	field_set_string(ret, event_kind_names[v->event->kind]);
}

FIELD_GETTER(get_hf_change)
{
	(void)ref;
	if (v->event->kind == EVENT_CHANGE)
		field_set_string(ret, change_names[v->event->change]);
}

FIELD_GETTER(get_hf_status)
{
	(void)ref;
	if (v->event->kind == EVENT_CHANGE)
		field_set_string(ret, status_names[v->event->status]);
}

FIELD_GETTER(get_hf_attribute)
{
	struct field_item *items = v->event->kind == EVENT_CHANGE ? field_items(v, ATTR_COUNT) : NULL;
	uint32_t n = 0;

	(void)ref;
	for (unsigned i = 0; items && i < ATTR_COUNT; i++) {
		const char *name = attr_table[i].name;

		if (v->event->attributes & ATTR_BIT(i))
			items[n++] = (struct field_item){ .s = name, .len = (uint32_t)strlen(name) };
	}
	ret->n = n;
	ret->items = items;
}

FIELD_GETTER(get_hf_baseline)
{
	(void)ref;
	field_set_string(ret, v->event->baseline);
}

FIELD_GETTER(get_hf_cause)
{
	(void)ref;
	field_set_string(ret, v->event->cause);
}

/* Of a rename both: a rule that guards a place means files that come to it and that leave it. */
FIELD_GETTER(get_hf_path)
{
	const struct event *e = v->event;
	bool both = e->kind == EVENT_CHANGE && e->change == CHANGE_RENAMED && e->path && e->path2;
	struct field_item *items = both ? field_items(v, 2) : NULL;

	put_path(v, ref, ret);
	if (!items)
		return;
	items[0] = ret->one;
	items[1] = (struct field_item){ .s = e->path2, .len = (uint32_t)strlen(e->path2) };
	ret->items = items;
	ret->n = 2;
}

FIELD_GETTER(get_hf_path2)
{
	(void)ref;
	field_set_string(ret, v->event->path2);
}

static void put_digest(struct field_view *v, const struct record *r, struct field_value *ret)
{
	static const char digits[] = "0123456789abcdef";
	size_t len = r ? (size_t)r->digest_len * 2 : 0;
	char *s;

	if (!has(r, ATTR_DIGEST) || !len)
		return;
	s = field_room(v, &len);
	for (size_t i = 0; i < len / 2; i++) {
		s[2 * i] = digits[r->digest[i] >> 4];
		s[2 * i + 1] = digits[r->digest[i] & 15];
	}
	s[len] = '\0';
	field_set_bytes(ret, s, len);
}

FIELD_GETTER(get_hf_digest)
{
	(void)ref;
	if (v->event->has_after)
		put_digest(v, &v->event->after, ret);
}

FIELD_GETTER(get_hf_digest_before)
{
	(void)ref;
	if (v->event->has_before)
		put_digest(v, &v->event->before, ret);
}

FIELD_GETTER(get_hf_mode)
{
	const struct record *r = newest(v);
	size_t len = 4;
	char *s;

	(void)ref;
	if (!has(r, ATTR_MODE))
		return;
	s = field_room(v, &len);
	for (size_t i = 0; i < len; i++)
		s[i] = (char)('0' + (r->mode >> (9 - 3 * i) & 7));
	s[len] = '\0';
	field_set_bytes(ret, s, len);
}

/* Of a regular file: set on a folder it only hands on the group. */
FIELD_GETTER(get_hf_setuid)
{
	const struct record *r = v->event->has_after ? &v->event->after : NULL;

	(void)ref;
	if (has(r, ATTR_MODE) && has(r, ATTR_TYPE))
		field_set_number(ret, r->type == 'f' && r->mode & (S_ISUID | S_ISGID));
}

FIELD_GETTER(get_hf_type)
{
	const struct record *r = newest(v);

	(void)ref;
	if (has(r, ATTR_TYPE))
		field_set_bytes(ret, &r->type, 1);
}

FIELD_GETTER(get_hf_size)
{
	(void)ref;
	if (v->event->has_after && has(&v->event->after, ATTR_SIZE))
		field_set_number(ret, (int64_t)v->event->after.size);
}

FIELD_GETTER(get_hf_size_before)
{
	(void)ref;
	if (v->event->has_before && has(&v->event->before, ATTR_SIZE))
		field_set_number(ret, (int64_t)v->event->before.size);
}

FIELD_GETTER(get_hf_owner)
{
	const struct record *r = newest(v);

	(void)ref;
	if (has(r, ATTR_UID))
		field_set_number(ret, r->uid);
}

FIELD_GETTER(get_hf_mime)
{
	const struct record *r = newest(v);

	(void)ref;
	if (has(r, ATTR_MIME))
		field_set_string(ret, r->mime);
}

FIELD_GETTER(get_hf_reason)
{
	(void)ref;
	field_set_string(ret, v->event->reason);
}

FIELD_GETTER(get_hf_gap)
{
	(void)ref;
	if (v->event->kind == EVENT_GAP)
		field_set_string(ret, gap_reason_names[v->event->gap_reason]);
}

/* Not known of a program that was not judged. */
FIELD_GETTER(get_hf_trusted)
{
	(void)ref;
	if (v->event->kind == EVENT_EXEC && v->event->verdict != EXEC_UNJUDGED)
		field_set_number(ret, v->event->verdict == EXEC_ALLOWED);
}

FIELD_GETTER(get_hf_verdict)
{
	(void)ref;
	if (v->event->kind == EVENT_EXEC)
		field_set_string(ret, exec_verdict_names[v->event->verdict]);
}

FIELD_GETTER(get_hf_package)
{
	(void)ref;
	if (field_need(v, GROUP_PACKAGE))
		field_set_string(ret, v->extra.package);
}

FIELD_GETTER(get_hf_drift)
{
	(void)ref;
	if (field_need(v, GROUP_LAYER) && v->extra.have_drift)
		field_set_number(ret, v->extra.drift);
}

FIELD_GETTER(get_hf_layer)
{
	(void)ref;
	if (field_need(v, GROUP_LAYER))
		field_set_string(ret, v->extra.layer);
}

FIELD_GETTER(get_hf_first_seen)
{
	(void)ref;
	if (field_need(v, GROUP_PACKAGE) && v->extra.first_seen)
		field_set_number(ret, (int64_t)v->extra.first_seen);
}
