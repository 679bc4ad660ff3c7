/*
 * The role inspect: types of content by libmagic, of bytes that come with the question. Reads the magic database before
 * it gives up files; after that it may do little but compute.
 */
#include <errno.h>

#include "daemon/role.h"
#include "fim/mime.h"
#include "lib/util.h"

static struct {
	struct mime *mime;
	struct arena arena;
} inspect;

static int inspect_prepare(void)
{
	static const char script[] = "#!/bin/sh\n";
	int r = mime_new(&inspect.mime);

	/* The first question has the database read. */
	if (r == 0)
		mime_type(inspect.mime, &inspect.arena, script, strlen(script));
	return r;
}

static int inspect_answer(const struct role_message *m, int body _unused_, struct role_message *ret)
{
	const char *type;

	if (m->type != ROLE_TYPE_OF)
		return -EBADMSG;
	arena_reset(&inspect.arena);
	type = mime_type(inspect.mime, &inspect.arena, m->data, m->len);
	ret->type = ROLE_TYPE_IS;
	ret->len = type ? (uint32_t)MIN(strlen(type), sizeof(ret->data)) : 0;
	memcpy(ret->data, type ?: "", ret->len);
	return 0;
}

const struct role_row role_inspect = {
	.name = "inspect",
	.comm = "hf-inspect",
	.prepare = inspect_prepare,
	.answer = inspect_answer,
	.no_network = true,
	.calls = role_calls_compute,
	.n_calls = ROLE_CALLS_COMPUTE,
	.memory = 256 * MIB,
	.descriptors = 8,
	.processes = 0,
	.seconds = 30,
};
