/* What the tests of policies of the network share. */
#ifndef TESTS_WATCH_POLICY_H
#define TESTS_WATCH_POLICY_H

#include "tests/test.h"

#include <string.h>

#include "conf/conf.h"
#include "lib/buf.h"

static inline struct conf *parse(const char *text)
{
	_cleanup_buf_ struct buf errors = BUF_INIT;
	struct conf *c = NULL;

	if (conf_parse("f", text, strlen(text), &c, &errors) != 0)
		fail_msg("refused: %s%s", text, errors.data);
	return c;
}

#endif
