/* Headers, "#!" lines and command lines. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "exec/script.h"
#include "tests/test.h"

static void test_lines(void **state _unused_)
{
	static const struct {
		const char *text, *interpreter, *argument;
	} cases[] = {
		{ "#!/bin/sh\n", "/bin/sh", "" },
		{ "#!/bin/sh", "/bin/sh", "" },
		{ "#! /bin/sh -e  \nx", "/bin/sh", "-e" },
		{ "#!\t/usr/bin/env python3 -u\n", "/usr/bin/env", "python3 -u" },
		{ "#!\n/bin/sh", "", "" },
		{ "#!", "", "" },
		{ "#!   \n", "", "" },
	};
	struct script_kind k;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		script_sniff(cases[i].text, strlen(cases[i].text), &k);
		assert_int_equal(k.type, EXEC_TYPE_SCRIPT);
		assert_string_equal(k.interpreter, cases[i].interpreter);
		assert_string_equal(k.argument, cases[i].argument);
	}
	script_sniff("#", 1, &k);
	assert_int_equal(k.type, EXEC_TYPE_OTHER);
	script_sniff("", 0, &k);
	assert_int_equal(k.type, EXEC_TYPE_UNKNOWN);
	char b[5000];
	memset(b, 'a', sizeof(b));
	memcpy(b, "#!", 2);
	script_sniff(b, sizeof(b), &k);
	assert_int_equal(strlen(k.interpreter), SCRIPT_LINE_MAX - 2);
}

static void sniff_file(const char *path, struct script_kind *k)
{
	char b[SCRIPT_HEAD_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, b, sizeof(b));

	assert_true(n > 0);
	close(fd);
	script_sniff(b, (size_t)n, k);
}

static void test_elf(void **state _unused_)
{
	struct script_kind k;
	Elf64_Ehdr h = {
		.e_type = ET_EXEC, .e_phoff = sizeof(h), .e_phnum = 0xffff, .e_phentsize = sizeof(Elf64_Phdr)
	};

	sniff_file("/bin/ls", &k);
	assert_int_equal(k.type, EXEC_TYPE_DYNAMIC);
	assert_true(strstr(k.interpreter, "ld") != NULL);
	sniff_file(k.interpreter, &k);
	assert_int_equal(k.type, EXEC_TYPE_STATIC);
	assert_true(k.is_elf);
	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = ELFDATA2LSB;
	script_sniff(&h, sizeof(h), &k);
	assert_int_equal(k.type, EXEC_TYPE_OTHER);
	h.e_phoff = UINT64_MAX - 8;
	script_sniff(&h, sizeof(h), &k);
	assert_int_equal(k.type, EXEC_TYPE_OTHER);
}

#define ARGV(s) s, sizeof(s) - 1

static void test_argv(void **state _unused_)
{
	static const struct {
		const char *exe, *argv;
		size_t len;
		const char *script;
	} cases[] = {
		{ "/bin/sh", ARGV("sh\0x\0"), "x" },
		{ "/bin/sh", ARGV("sh\0x"), NULL }, /* cut: no end of the name */
		{ "/bin/sh", ARGV("sh\0"), NULL },
		{ "/bin/sh", ARGV(""), NULL },
		{ "/bin/bash", ARGV("bash\0-eu\0-o\0pipefail\0./run me\0y\0"), "./run me" },
		{ "/bin/bash", ARGV("bash\0--rcfile\0rc\0x\0"), "x" },
		{ "/bin/bash", ARGV("bash\0-c\0x\0"), NULL },
		{ "/bin/bash", ARGV("bash\0-xc\0x\0"), NULL },
		{ "/bin/dash", ARGV("-dash\0"), NULL },
		{ "/bin/sh", ARGV("sh\0--\0-x\0"), "-x" },
		{ "/bin/sh", ARGV("sh\0-\0x\0"), NULL },
		{ "/usr/bin/python3.11", ARGV("python3\0-W\0ignore\0-u\0a.py\0"), "a.py" },
		{ "/usr/bin/python3.11", ARGV("python3\0-Wignore\0a.py\0"), "a.py" },
		{ "/usr/bin/python3", ARGV("python3\0-m\0http\0"), NULL },
		{ "/lib64/ld-linux-x86-64.so.2", ARGV("ld.so\0./x\0y\0"), "./x" },
		{ "/lib/ld-musl-x86_64.so.1", ARGV("ld.so\0--library-path\0/l\0--list\0./x\0"), "./x" },
		{ "/lib/ld-linux.so.conf", ARGV("x\0y\0"), NULL },
		{ "/usr/bin/python3-config", ARGV("python3-config\0x\0"), NULL },
		{ "/usr/bin/perl", ARGV("perl\0-w\0-Ilib\0x.pl\0"), "x.pl" },
		{ "/usr/bin/perl", ARGV("perl\0-e\0print\0"), NULL },
		{ "/usr/bin/shred", ARGV("shred\0x\0"), NULL },
		{ "/usr/bin/cat", ARGV("cat\0x\0"), NULL },
		{ "/bin/busybox", ARGV("sh\0x\0"), "x" },
		{ "/bin/busybox", ARGV("/bin/ash\0-e\0x\0"), "x" },
		{ "/bin/busybox", ARGV("busybox\0sh\0x\0"), "x" },
		{ "/bin/busybox.static", ARGV("-sh\0x\0"), "x" },
		{ "/bin/busybox", ARGV("busybox\0sh\0-c\0x\0"), NULL },
		{ "/bin/busybox", ARGV("busybox\0busybox\0sh\0x\0"), "x" },
		{ "/bin/busybox", ARGV("cat\0x\0"), NULL },
		{ "/bin/busybox", ARGV("busybox\0"), NULL },
		{ "/bin/busybox", ARGV("busybox"), NULL },
		{ "/bin/busybox", ARGV(""), NULL },
		{ "", ARGV("cat\0x\0"), NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *s = script_from_argv(cases[i].exe, cases[i].argv, cases[i].len);

		if (!cases[i].script)
			assert_null(s);
		else
			assert_string_equal(s, cases[i].script);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_elf),
		cmocka_unit_test(test_argv),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
