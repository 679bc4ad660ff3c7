/* Output http in a build without libcurl: says so. */
#include <errno.h>

#include "alert/output.h"

static int none_open(struct output *o)
{
	return output_fail(o, -ENOTSUP, "this program was built without libcurl");
}

static int none_send(struct output *o, const struct buf *b, size_t n)
{
	(void)b;
	(void)n;
	return none_open(o);
}

const struct output_type output_http = {
	.name = "http",
	.on_disk = true,
	.open = none_open,
	.send = none_send,
	.close = output_close_fd,
};
