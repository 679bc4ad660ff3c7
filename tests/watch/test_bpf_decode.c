/* Records of the BPF programs, of any bytes (watch/bpf_decode). */
#include "tests/test.h"

#include <errno.h>
#include <string.h>

#include "watch/bpf.h"

struct wire {
	struct bpf_record r;
	char data[64];
};

static int decode(const struct wire *w, size_t len, struct arena *a, struct bpf_proc_event *ret)
{
	return bpf_decode_proc(w, len, a, ret);
}

static void test_decode(void **state)
{
	static const char data[] = "a\0b\0true\0bin\0usr\0home\0";
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct wire w = {
		.r = { .kind = BPF_RECORD_EXEC, .tgid = 7, .ppid = 1, .argv_len = 4, .exe_len = 13, .cwd_len = 5 }
	};
	size_t all = sizeof(w.r) + 22;
	struct bpf_proc_event e;

	(void)state;
	memcpy(w.data, data, sizeof(data));
	w.r.tty_major = 136;
	w.r.tty_minor = 3;
	w.r.vpid = 2;
	w.r.vpgid = 1;
	w.r.cap_effective = 1 << 21;
	w.r.loginuid = UINT32_MAX;
	w.r.session = 9;
	w.r.flags = BPF_HAS_LOGIN;
	assert_int_equal(decode(&w, all, &a, &e), 0);
	assert_string_equal(e.told.exe, "/usr/bin/true");
	assert_string_equal(e.told.cwd, "/home");
	assert_int_equal(e.told.cmdline_len, 4);
	assert_string_equal(e.told.tty, "pts/3");
	assert_true(e.told.known & PROCESS_STANDING && e.told.vpid == 2 && e.told.vpgid == 1);
	assert_int_equal(e.told.cap_effective, 1 << 21);
	assert_true(e.told.known & PROCESS_NO_LOGINUID && e.told.known & PROCESS_SESSION);
	assert_false(e.told.known & (PROCESS_LOGINUID | PROCESS_CGROUP));
	for (size_t len = 0; len < all; len++)
		assert_int_equal(decode(&w, len, &a, &e), -EBADMSG);
	/* No name at all is the root; one without its end is nothing. */
	w.r.cwd_len = 0;
	assert_int_equal(decode(&w, all, &a, &e), 0);
	assert_string_equal(e.told.cwd, "/");
	w.r.cwd_len = 3;
	assert_int_equal(decode(&w, all, &a, &e), 0);
	assert_false(e.told.known & PROCESS_CWD);
	w.r.exe_len = UINT32_MAX;
	assert_int_equal(decode(&w, all, &a, &e), -EBADMSG);
	w.r.exe_len = 13;
	w.r.kind = BPF_RECORD_KINDS;
	assert_int_equal(decode(&w, all, &a, &e), -EBADMSG);
	w.r.kind = BPF_RECORD_EXIT;
	w.r.tgid = 0;
	assert_int_equal(decode(&w, all, &a, &e), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
