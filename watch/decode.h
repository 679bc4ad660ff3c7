/*
 * What the kernel writes into a fanotify group that reports file handles (fanotify(7)), taken apart. Pure: bytes in,
 * one struct out, nothing allocated, any bytes are safe.
 */
#ifndef WATCH_DECODE_H
#define WATCH_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Names an object: fsid (8 bytes), then struct file_handle as it stands in the event. The whole of `key` is what tells
 * two objects apart. NULL: the event has none.
 */
struct decode_fid {
	const uint8_t *key;
	uint32_t len; /* of key */
};

#define DECODE_FSID_LEN	  8
#define DECODE_HANDLE_MAX 128 /* f_handle bytes: MAX_HANDLE_SZ */
#define DECODE_KEY_MAX	  (DECODE_FSID_LEN + 8 + DECODE_HANDLE_MAX)

struct decode_event {
	uint64_t mask; /* FAN_*; FAN_Q_OVERFLOW stands alone */
	int32_t pid;
	int32_t pidfd;	       /* -1 when there is none */
	struct decode_fid dir; /* folder of name (of the old name in a rename) */
	const char *name;      /* NULL: the event has no name, or is about the folder itself */
	uint32_t name_len;
	struct decode_fid new_dir; /* FAN_RENAME */
	const char *new_name;
	uint32_t new_name_len;
	struct decode_fid target; /* the object itself */
};

/*
 * The event at *offset; *offset moves behind it. 1; 0 at the end; -EBADMSG when what is there is no event (nothing
 * behind it can be read then). Pointers lead into buf. Unknown kinds of information are skipped.
 */
int decode_next(const void *buf, size_t len, size_t *offset, struct decode_event *ret);

#endif
