/*
 * The role unpack: decompresses layers of images and takes archives apart, from one end of a stream that comes with the
 * question and back into it. After it has loaded what decompresses it may do little but compute.
 */
#include <errno.h>
#include <string.h>

#include "daemon/role.h"
#include "fim/image_work.h"
#include "lib/util.h"

static int unpack_prepare(void)
{
	image_work_ready();
	return 0;
}

static int unpack_answer(const struct role_message *m, int body, struct role_message *ret)
{
	_cleanup_buf_ struct buf err = BUF_INIT, said = BUF_INIT;
	int r;

	if (m->type != ROLE_UNPACK || m->len != 2 || body < 0 || m->data[0] >= IMAGE_WORK_COUNT ||
	    m->data[1] >= DIGEST_ALGO_COUNT)
		return -EBADMSG;
	r = image_work_run((enum image_work)m->data[0], (enum digest_algo)m->data[1], body, &err);
	buf_u32(&said, (uint32_t)r);
	buf_add(&said, err.data, err.len);
	if (said.failed)
		return -ENOMEM;
	ret->type = ROLE_UNPACKED;
	ret->len = (uint32_t)MIN(said.len, sizeof(ret->data));
	memcpy(ret->data, said.data, ret->len);
	return 0;
}

const struct role_row role_unpack = {
	.name = "unpack",
	.comm = "hf-unpack",
	.prepare = unpack_prepare,
	.answer = unpack_answer,
	.no_network = true,
	.calls = role_calls_compute,
	.n_calls = ROLE_CALLS_COMPUTE,
	.memory = 512 * MIB, /* zstd may look back 128 MiB */
	.descriptors = 8,
	.processes = 0,
	.seconds = 3600,
};
