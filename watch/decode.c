/*
 * Decoder of fanotify event buffers. Owns nothing, any thread. The bytes come from the kernel, but nothing here trusts
 * their lengths: the same code is fed by the fuzzer.
 */
#include "watch/decode.h"

#include <errno.h>
#include <string.h>
#include <sys/fanotify.h>

#include "lib/util.h"
#include "watch/fan.h"

/* Offsets inside a FID record behind its header: fsid, then file_handle {u32 bytes, i32 type, bytes[]}. */
#define FID_HANDLE_BYTES DECODE_FSID_LEN
#define FID_HANDLE_DATA	 (DECODE_FSID_LEN + 8)

/* *ret_rest: what follows the handle (the name). False when it does not fit. */
static bool decode_fid(const uint8_t *p, size_t len, struct decode_fid *ret, size_t *ret_rest)
{
	uint32_t handle_bytes;

	if (len < FID_HANDLE_DATA)
		return false;
	memcpy(&handle_bytes, p + FID_HANDLE_BYTES, sizeof(handle_bytes));
	if (handle_bytes > DECODE_HANDLE_MAX || handle_bytes > len - FID_HANDLE_DATA)
		return false;
	*ret_rest = FID_HANDLE_DATA + handle_bytes;
	/* The kernel writes an empty handle where the object has none (an overflow, a file system error). */
	if (handle_bytes)
		*ret = (struct decode_fid){ p, (uint32_t)*ret_rest };
	return true;
}

/* A name behind a handle ends with NUL; "." stands for the folder itself. */
static bool decode_name(const uint8_t *p, size_t len, const char **ret_name, uint32_t *ret_len)
{
	const uint8_t *end = memchr(p, '\0', len);

	if (!end || end == p || memchr(p, '/', (size_t)(end - p)))
		return false;
	if (end - p == 1 && p[0] == '.')
		return true;
	*ret_name = (const char *)p;
	*ret_len = (uint32_t)(end - p);
	return true;
}

static bool decode_info(uint8_t type, const uint8_t *p, size_t len, struct decode_event *ret)
{
	size_t rest;

	switch (type) {
	case FAN_EVENT_INFO_TYPE_FID:
		return decode_fid(p, len, &ret->target, &rest);
	case FAN_EVENT_INFO_TYPE_DFID:
		return decode_fid(p, len, &ret->dir, &rest);
	case FAN_EVENT_INFO_TYPE_DFID_NAME:
	case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
		return decode_fid(p, len, &ret->dir, &rest) &&
		       decode_name(p + rest, len - rest, &ret->name, &ret->name_len);
	case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
		return decode_fid(p, len, &ret->new_dir, &rest) &&
		       decode_name(p + rest, len - rest, &ret->new_name, &ret->new_name_len);
	case FAN_EVENT_INFO_TYPE_PIDFD:
		if (len < sizeof(ret->pidfd))
			return false;
		memcpy(&ret->pidfd, p, sizeof(ret->pidfd));
		return true;
	default:
		return true;
	}
}

int decode_next(const void *buf, size_t len, size_t *offset, struct decode_event *ret)
{
	const uint8_t *start = (const uint8_t *)buf + *offset, *p, *end;
	struct fanotify_event_metadata meta;
	size_t left = len - *offset;

	if (!left)
		return 0;
	if (left < sizeof(meta))
		return -EBADMSG;
	memcpy(&meta, start, sizeof(meta));
	if (meta.vers != FANOTIFY_METADATA_VERSION || meta.metadata_len < sizeof(meta) ||
	    meta.event_len < meta.metadata_len || meta.event_len > left)
		return -EBADMSG;
	*ret = (struct decode_event){ .mask = meta.mask, .pid = meta.pid, .pidfd = -1 };
	end = start + meta.event_len;
	for (p = start + meta.metadata_len; p < end;) {
		struct fanotify_event_info_header header;

		if ((size_t)(end - p) < sizeof(header))
			return -EBADMSG;
		memcpy(&header, p, sizeof(header));
		if (header.len < sizeof(header) || header.len > (size_t)(end - p) ||
		    !decode_info(header.info_type, p + sizeof(header), header.len - sizeof(header), ret))
			return -EBADMSG;
		p += header.len;
	}
	*offset += meta.event_len;
	return 1;
}
