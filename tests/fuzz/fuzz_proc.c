/*
 * Fuzz target: the files of /proc/PID the messages of the proc connector and the records of
 * the BPF programs, from hostile bytes. The first byte says
 * which parser the rest is for.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "proc/parse.h"
#include "watch/connector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
	if (!good)
		abort();
}

static void fuzz_stat(const char *data, size_t size)
{
	struct proc_stat st;
	char tty[32];

	if (proc_parse_stat(data, size, &st) < 0)
		return;
	check(memchr(st.comm, '\0', sizeof(st.comm)) != NULL);
	if (proc_tty_name(st.tty_nr, tty, sizeof(tty)) == 0)
		check(tty[0] && strlen(tty) < sizeof(tty) - 1);
	else
		check(!st.tty_nr);
}

static void fuzz_ids(const char *data, size_t size)
{
	struct process p = { 0 };

	check((proc_parse_ids(data, size, &p) == 0) == (p.known == PROCESS_IDS));
	p.known = 0;
	check((proc_parse_standing(data, size, &p) == 0) == (p.known == PROCESS_STANDING));
	check(!p.known || p.vpid > 0);
}

static void fuzz_u32(const char *data, size_t size)
{
	uint32_t v;

	if (proc_parse_u32(data, size, &v) == 0)
		check(size && data[0] >= '0' && data[0] <= '9');
}

/* The path is a part of the input, and begins with a slash. */
static void fuzz_cgroup(const char *data, size_t size)
{
	const char *path;
	size_t len;

	if (proc_parse_cgroup(data, size, &path, &len) < 0)
		return;
	check(path >= data && len > 0 && path + len <= data + size);
	check(path[0] == '/' && !memchr(path, '\n', len));
}

static void fuzz_messages(const char *data, size_t size)
{
	struct connector_msg m;
	size_t pos = 0, before = 0;

	for (; connector_decode(data, size, &pos, &m); before = pos)
		check(pos > before && pos <= size);
}

static void fuzz_bpf(const char *data, size_t size)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct bpf_proc_event e;

	if (bpf_decode_proc(data, size, &a, &e) < 0)
		return;
	check(e.told.pid > 0 && e.kind < BPF_RECORD_KINDS);
	if (e.told.known & PROCESS_EXE)
		check(e.told.exe[0] == '/');
	if (e.told.known & PROCESS_CMDLINE)
		check(e.told.cmdline_len && !e.told.cmdline[e.told.cmdline_len - 1]);
}

static void (*const targets[])(const char *data, size_t size) = { fuzz_stat,   fuzz_ids,      fuzz_u32,
								  fuzz_cgroup, fuzz_messages, fuzz_bpf };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size)
		targets[data[0] % ARRAY_SIZE(targets)]((const char *)data + 1, size - 1);
	return 0;
}
