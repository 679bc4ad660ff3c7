/*
 * Fuzz target: an encoded record, and extended attributes, from hostile bytes. A record that is accepted has just one
 * encoding, and all of it can be shown.
 */
#include <stdlib.h>
#include <string.h>

#include "event/attr.h"
#include "event/attr_format.h"
#include "event/json.h"
#include "lib/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
	if (!good)
		abort();
}

static void check_shown(const struct record *r)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *o = attr_json(r, ATTR_ALL);

	for (unsigned i = 0; i < ATTR_COUNT; i++)
		attr_table[i].format(&text, r);
	check(o != NULL && !text.failed && text_utf8_valid(text.data ? text.data : "", text.len));
	json_decref(o);
}

static void check_record(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf again = BUF_INIT;
	struct record r;

	if (record_decode(data, size, &r) < 0)
		return;
	record_encode(&again, &r);
	check(again.len == size && memcmp(again.data, data, size) == 0);
	check(attr_compare(&r, &r, ATTR_ALL) == 0);
	check_shown(&r);
}

/* The bytes as the list of all xattrs, and as the value of one. */
static void check_xattrs(const uint8_t *data, size_t size)
{
	static const char *const names[] = { ATTR_XATTR_ACL_ACCESS, ATTR_XATTR_ACL_DEFAULT, ATTR_XATTR_CAPS,
					     ATTR_XATTR_SELINUX };
	_cleanup_buf_ struct buf list = BUF_INIT;
	struct record r = { .have = ATTR_BIT(ATTR_XATTRS), .xattrs = data, .xattrs_len = (uint32_t)size };

	check_shown(&r);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		buf_bytes(&list, names[i], strlen(names[i]));
		buf_bytes(&list, data, size);
	}
	r.xattrs = (const uint8_t *)list.data;
	r.xattrs_len = (uint32_t)list.len;
	check_shown(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > UINT16_MAX)
		return 0;
	check_record(data, size);
	check_xattrs(data, size);
	return 0;
}
