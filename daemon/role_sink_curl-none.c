/* The role sink in a build without libcurl: says so. */
#include <stdio.h>

#include "daemon/role_sink.h"

int sink_prepare(void)
{
	return 0;
}

enum post_outcome sink_settings(const struct post_settings *s _unused_, char why[160])
{
	snprintf(why, 160, "this program was built without libcurl");
	return POST_FAILED;
}

enum post_outcome sink_post(const struct buf *body _unused_, char why[160])
{
	return sink_settings(NULL, why);
}
