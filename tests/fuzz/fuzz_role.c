/*
 * Fuzz target: what comes from a role that was taken over by the bytes it was asked about: a datagram of any bytes, as
 * the messages of all of them. They are what the three askers take apart: a type of content, the outcome of a post, the
 * end of an unpacking.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fim/mime.h"
#include "lib/role.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
	if (!good)
		abort();
}

/* Goes to logs, gaps and terminals. */
static void check_printable(const char *text, size_t room)
{
	size_t len = strnlen(text, room);

	check(len < room);
	for (size_t i = 0; i < len; i++)
		check(text[i] >= ' ' && text[i] <= '~');
}

static void take_apart(const struct role_message *m)
{
	char text[ROLE_TEXT_MAX], type[MIME_TYPE_MAX];
	uint32_t number;

	check(m->len <= ROLE_DATA_MAX);
	if (role_said(m, &number, text) == 0)
		check_printable(text, sizeof(text));
	else
		check(m->len < sizeof(number));
	if (mime_said(m, type)) {
		check_printable(type, sizeof(type));
		check(strlen(type) == m->len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int ends[2] = { -1, -1 };
	static struct role_message m;
	int r;

	if (ends[0] < 0)
		check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	if (size == 0 || size > 65536)
		return 0;
	check(send(ends[0], data, size, MSG_NOSIGNAL) == (ssize_t)size);
	r = role_receive(ends[1], MSG_DONTWAIT, &m, NULL);
	check(r == 0 || r == -EBADMSG);
	if (r == 0)
		take_apart(&m);
	return 0;
}
