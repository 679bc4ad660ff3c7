/* Fuzz target: audit records and files of utmp(5). Whatever the bytes, what is told is text that ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "watch/audit.h"
#include "watch/utmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
	if (!good)
		abort();
}

#define ENDS(member) check(strnlen(n->member, sizeof(n->member)) < sizeof(n->member))

static void on_note(const struct session_note *n, void *data)
{
	(void)data;
	check((unsigned)n->op < SESSION_OP_COUNT && n->record && n->source);
	ENDS(account);
	ENDS(by);
	ENDS(tty);
	ENDS(remote);
	ENDS(program);
	ENDS(command);
}

static void try_record(uint16_t type, const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + !size);
	struct session_note note;
	uint64_t serial = 0;
	int r;

	/* A copy of just this size, so that a sanitizer sees the first byte behind it. */
	check(text != NULL);
	memcpy(text, data, size);
	r = audit_decode(type, text, size, &note, &serial);
	check(r == 0 || r == 1 || r == -EBADMSG);
	if (r == 1)
		on_note(&note, NULL);
}

static void try_file(const char *name, const uint8_t *data, size_t size)
{
	_cleanup_(utmp_close_p) struct utmp_file *u = NULL;
	char folder[] = "/tmp/holdfast-fuzz.XXXXXX", path[64];
	_cleanup_close_ int fd = -1;

	check(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	check(utmp_open(path, 0, &u) == 0);
	check(utmp_read(u, on_note, NULL) == -ENOENT);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	check(utmp_read(u, on_note, NULL) >= 0);
	check(utmp_read(u, on_note, NULL) == 0);
	unlink(path);
	rmdir(folder);
}

/* The first two bytes are the type of the record; 0 to 2: a file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "utmp", "wtmp", "btmp" };
	uint16_t type;

	if (size < 2 || size > 65536)
		return 0;
	type = (uint16_t)(data[0] << 8 | data[1]);
	if (type < ARRAY_SIZE(names))
		try_file(names[type], data + 2, size - 2);
	else
		try_record(type, data + 2, size - 2);
	return 0;
}
