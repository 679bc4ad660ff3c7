/*
 * Fuzz target: a configuration from hostile bytes. What is accepted must also survive the scope's own round trip, and
 * matching against it must end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const paths[] = {
	"/", "/etc", "/etc/passwd", "/home/bob/.ssh/id_rsa", "/usr/bin/x~", "/a/b/c/d/e/f"
};

static void check(int good)
{
	if (!good)
		abort();
}

static void check_scope(const struct conf *c)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct scope back = { 0 };
	json_t *json = scope_to_json(&c->scope);

	check(json != NULL);
	check(scope_from_json(&a, json, &back) == 0);
	check(back.n_paths == c->scope.n_paths && back.n_exclude == c->scope.n_exclude);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		attr_mask before = 0, after = 0;

		check(scope_match(&c->scope, paths[i], &before) == scope_match(&back, paths[i], &after));
		check(before == after);
		conf_is_sensitive(c, paths[i]);
	}
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf errors = BUF_INIT;
	_cleanup_conf_ struct conf *c = NULL;
	int r = conf_parse("fuzz", (const char *)data, size, &c, &errors);

	if (r < 0) {
		check(!c && errors.len > 0 && errors.data[errors.len - 1] == '\n');
		return 0;
	}
	check(c && errors.len == 0);
	check_scope(c);
	return 0;
}
