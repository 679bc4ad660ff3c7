/*
 * Fuzz target: a fanotify event buffer. Whatever the bytes, the decoder ends, stays inside, and what it points at is
 * there with its whole length.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "watch/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
	if (!good)
		abort();
}

static void check_inside(const uint8_t *data, size_t size, const void *p, size_t len)
{
	const uint8_t *at = p;

	check(!p || (at >= data && at <= data + size && len <= (size_t)(data + size - at)));
}

static void check_name(const uint8_t *data, size_t size, const char *name, uint32_t len)
{
	check_inside(data, size, name, (size_t)len + 1);
	check(!name || (len > 0 && strlen(name) == len && !strchr(name, '/')));
}

static void check_fid(const uint8_t *data, size_t size, const struct decode_fid *fid)
{
	check_inside(data, size, fid->key, fid->len);
	check(!fid->key || (fid->len > DECODE_FSID_LEN + 8 && fid->len <= DECODE_KEY_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct decode_event ev;
	size_t at = 0, before = 0;
	int r;

	while ((r = decode_next(data, size, &at, &ev)) > 0) {
		check(at > before && at <= size);
		before = at;
		check_fid(data, size, &ev.dir);
		check_fid(data, size, &ev.new_dir);
		check_fid(data, size, &ev.target);
		check_name(data, size, ev.name, ev.name_len);
		check_name(data, size, ev.new_name, ev.new_name_len);
	}
	check(r == -EBADMSG || (r == 0 && at == size));
	return 0;
}
