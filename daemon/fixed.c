/*
 * Keys of the configuration that parts are made with and do not change while they run. A reload says which of them
 * differ from what is in force, rather than leave somebody believing that they took effect. No state.
 */
#include <string.h>

#include "daemon/monitor.h"
#include "lib/text.h"
#include "lib/util.h"

enum fixed_kind { FIXED_NUMBER, FIXED_TEXT };

#define NUMBER(name)                                                                                                   \
	{                                                                                                              \
#name, FIXED_NUMBER, offsetof(struct conf, name), sizeof(((struct conf *)0)->name)                     \
	}
#define TEXT(name)                                                                                                     \
	{                                                                                                              \
#name, FIXED_TEXT, offsetof(struct conf, name), 0                                                      \
	}

static const struct {
	const char *key;
	enum fixed_kind kind;
	size_t at, size;
} fixed_keys[] = {
	TEXT(store.path),
	TEXT(store.key),
	TEXT(store.head),
	NUMBER(store.max_size),
	NUMBER(store.max_age),
	NUMBER(store.commit_interval),
	NUMBER(store.sync),
	NUMBER(limits.hash_threads),
	NUMBER(limits.hash_size),
	NUMBER(limits.queue),
	NUMBER(limits.processes),
	NUMBER(exec.mode),
	NUMBER(exec.trust),
	NUMBER(exec.images),
	NUMBER(exec.deadline),
	NUMBER(exec.stall),
	NUMBER(exec.fail),
	NUMBER(exec.max_size),
	NUMBER(exec.scripts),
	NUMBER(exec.ungated),
	NUMBER(sensors.bpf),
	NUMBER(sensors.ring),
	NUMBER(sensors.overlays),
	NUMBER(users.record),
	NUMBER(users.audit),
	TEXT(control),
};

static bool fixed_differs(size_t i, const struct conf *a, const struct conf *b)
{
	const char *x = (const char *)a + fixed_keys[i].at, *y = (const char *)b + fixed_keys[i].at;
	const char *s, *t;

	if (fixed_keys[i].kind == FIXED_NUMBER)
		return memcmp(x, y, fixed_keys[i].size) != 0;
	memcpy(&s, x, sizeof(s));
	memcpy(&t, y, sizeof(t));
	return s && t ? !streq(s, t) : s != t;
}

void fixed_report(const struct conf *in_force, const struct conf *read)
{
	_cleanup_buf_ struct buf keys = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(fixed_keys); i++)
		if (fixed_differs(i, in_force, read))
			buf_printf(&keys, "%s%s", keys.len ? ", " : "", fixed_keys[i].key);
	if (keys.len && !keys.failed)
		log_warn("takes effect when the monitor is started again: %s", keys.data);
}
