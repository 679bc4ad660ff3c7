/*
 * Program headers, "#!" lines and command lines of interpreters: pure functions over bounded bytes. No state; any
 * thread.
 */
#include "exec/script.h"

#include <ctype.h>
#include <elf.h>
#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "lib/util.h"

/* --- ELF */

struct elf_view {
	const uint8_t *p;
	size_t len;
	bool wide, big;
};

static uint64_t elf_number(const struct elf_view *v, uint64_t offset, unsigned size)
{
	uint64_t n = 0;

	if (offset > v->len || v->len - offset < size)
		return 0;
	for (unsigned i = 0; i < size; i++)
		n |= (uint64_t)v->p[offset + i] << 8 * (v->big ? size - 1 - i : i);
	return n;
}

#define ELF_FIELD(v, offset, type32, type64, member)                                                                   \
	((v)->wide ? elf_number(v, (offset) + offsetof(type64, member), sizeof(((type64 *)0)->member))                 \
		   : elf_number(v, (offset) + offsetof(type32, member), sizeof(((type32 *)0)->member)))

static void elf_interpreter(const struct elf_view *v, uint64_t ph, struct script_kind *ret)
{
	uint64_t at = ELF_FIELD(v, ph, Elf32_Phdr, Elf64_Phdr, p_offset);
	uint64_t size = ELF_FIELD(v, ph, Elf32_Phdr, Elf64_Phdr, p_filesz);

	if (at >= v->len)
		return;
	size = MIN(size, MIN((uint64_t)v->len - at, sizeof(ret->interpreter) - 1));
	memcpy(ret->interpreter, v->p + at, size);
	ret->interpreter[size] = '\0';
}

static void sniff_elf(const void *head, size_t len, struct script_kind *ret)
{
	const struct elf_view v = { head, len, ((const uint8_t *)head)[EI_CLASS] == ELFCLASS64,
				    ((const uint8_t *)head)[EI_DATA] == ELFDATA2MSB };
	uint64_t type = ELF_FIELD(&v, 0, Elf32_Ehdr, Elf64_Ehdr, e_type);
	uint64_t ph = ELF_FIELD(&v, 0, Elf32_Ehdr, Elf64_Ehdr, e_phoff);
	uint64_t n = ELF_FIELD(&v, 0, Elf32_Ehdr, Elf64_Ehdr, e_phnum);
	uint64_t each = ELF_FIELD(&v, 0, Elf32_Ehdr, Elf64_Ehdr, e_phentsize);

	ret->is_elf = true;
	ret->type = EXEC_TYPE_OTHER;
	/* The kernel takes no other size of entries; headers beyond the head are nothing a linker makes. */
	if ((type != ET_EXEC && type != ET_DYN) || each != (v.wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) ||
	    n == 0 || ph > len || n > (len - ph) / each)
		return;
	ret->type = EXEC_TYPE_STATIC;
	for (uint64_t i = 0; i < n; i++, ph += each) {
		if (ELF_FIELD(&v, ph, Elf32_Phdr, Elf64_Phdr, p_type) != PT_INTERP)
			continue;
		ret->type = EXEC_TYPE_DYNAMIC;
		elf_interpreter(&v, ph, ret);
		return;
	}
}

/* --- "#!" */

static void sniff_line(const char *s, size_t len, struct script_kind *ret)
{
	const char *end = memchr(s, '\n', len);
	size_t n;

	if (end)
		len = (size_t)(end - s);
	while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	for (; len > 0 && (*s == ' ' || *s == '\t'); len--)
		s++;
	for (n = 0; n < len && s[n] != ' ' && s[n] != '\t' && s[n]; n++)
		;
	memcpy(ret->interpreter, s, n);
	ret->interpreter[n] = '\0';
	for (s += n, len -= n; len > 0 && (*s == ' ' || *s == '\t'); len--)
		s++;
	n = strnlen(s, len);
	memcpy(ret->argument, s, n);
	ret->argument[n] = '\0';
}

void script_sniff(const void *head, size_t len, struct script_kind *ret)
{
	const char *s = head;

	memset(ret, 0, sizeof(*ret));
	ret->type = len ? EXEC_TYPE_OTHER : EXEC_TYPE_UNKNOWN;
	len = MIN(len, (size_t)SCRIPT_HEAD_MAX);
	if (len >= EI_NIDENT && memcmp(s, ELFMAG, SELFMAG) == 0) {
		sniff_elf(head, len, ret);
	} else if (len >= 2 && s[0] == '#' && s[1] == '!') {
		ret->type = EXEC_TYPE_SCRIPT;
		sniff_line(s + 2, MIN(len, (size_t)SCRIPT_LINE_MAX) - 2, ret);
	}
}

/* --- interpreters and their options */

struct interpreter {
	const char *name;
	bool versioned;		/* "python3.11" too */
	const char *with_value; /* option letters that take a value: the rest of the word, or the next word */
	const char *no_script;	/* option letters after which no file follows: the program is on the command line */
	const char *long_value; /* long options whose value is the next word, each between blanks */
};

#define LOADER_VALUES                                                                                                  \
	" --library-path --preload --audit --argv0 --inhibit-rpath --glibc-hwcaps-prepend --glibc-hwcaps-mask "

static const struct interpreter interpreters[] = {
	{ "sh", false, "oO", "cs", "" },
	{ "bash", false, "oO", "cs", " --rcfile --init-file " },
	{ "dash", false, "oO", "cs", "" },
	{ "ash", false, "oO", "cs", "" },
	{ "ksh", false, "oO", "cs", "" },
	{ "zsh", false, "oO", "cs", "" },
	{ "python", true, "WX", "cm", " --check-hash-based-pycs " },
	{ "perl", true, "IMm", "eE", "" },
	{ "ruby", true, "EIrKx", "e", "" },
	{ "lua", true, "l", "e", "" },
	{ "node", false, "r", "ep", " --require --import --loader " },
	{ "php", true, "cdz", "rBRFES", "" },
	{ "tclsh", true, "", "", "" },
	/* Dynamic loaders started by name: what they are given is the program. */
	{ "ld-linux.so", true, "", "", LOADER_VALUES },
	{ "ld-linux-x86-64.so", true, "", "", LOADER_VALUES },
	{ "ld-linux-aarch64.so", true, "", "", LOADER_VALUES },
	{ "ld-musl-x86_64.so", true, "", "", LOADER_VALUES },
	{ "ld-musl-aarch64.so", true, "", "", LOADER_VALUES },
};

static const struct interpreter *find_interpreter(const char *exe)
{
	const char *slash = strrchr(exe, '/');
	const char *name = slash ? slash + 1 : exe;

	for (size_t i = 0; i < ARRAY_SIZE(interpreters); i++) {
		size_t n = strlen(interpreters[i].name);

		if (strncmp(name, interpreters[i].name, n) != 0)
			continue;
		if (!name[n] || (interpreters[i].versioned && strspn(name + n, "0123456789.-") == strlen(name + n)))
			return &interpreters[i];
	}
	return NULL;
}

/* One program that is many, by the name under which it was started. */
static const char *multi_call(const char *exe)
{
	static const char *const names[] = { "busybox", "toybox" };
	const char *slash = strrchr(exe, '/');
	const char *name = slash ? slash + 1 : exe;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return names[i];
	return NULL;
}

const char *script_interpreter(const char *exe)
{
	const struct interpreter *in = find_interpreter(exe);

	return in ? in->name : multi_call(exe);
}

/*
 * The interpreter that was started, *word being its name then; a multi-call program believes the first of its arguments
 * that is not its own name.
 */
static const struct interpreter *started_interpreter(const char *exe, const char **word, const char *end)
{
	const char *w = *word;

	if (!multi_call(exe))
		return find_interpreter(exe);
	for (; w < end && memchr(w, '\0', (size_t)(end - w)); w += strlen(w) + 1) {
		*word = w;
		if (!multi_call(w))
			return find_interpreter(w[0] == '-' ? w + 1 : w);
	}
	return NULL;
}

/* A word between blanks, so that no part of one matches. */
static bool listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *s = list; (s = strstr(s, word)); s++)
		if (s > list && s[-1] == ' ' && s[n] == ' ')
			return true;
	return false;
}

enum option { OPTION_PLAIN, OPTION_VALUE, OPTION_NO_SCRIPT };

/* A word of option letters: "-eu", "-Wignore". */
static enum option read_letters(const struct interpreter *in, const char *word)
{
	for (const char *c = word + 1; *c; c++) {
		if (strchr(in->no_script, *c))
			return OPTION_NO_SCRIPT;
		if (strchr(in->with_value, *c))
			return c[1] ? OPTION_PLAIN : OPTION_VALUE;
	}
	return OPTION_PLAIN;
}

const char *script_from_argv(const char *exe, const char *argv, size_t len)
{
	const char *end = argv + len, *word = argv;
	const struct interpreter *in = started_interpreter(exe, &word, end);
	bool first = true, value = false;

	/* The last string must have its NUL, or it was cut and is no name of a file. */
	for (; in && word < end && memchr(word, '\0', (size_t)(end - word)); word += strlen(word) + 1) {
		enum option o;

		if (first || value) {
			first = value = false;
			continue;
		}
		if (word[0] != '-' && word[0] != '+')
			return word[0] ? word : NULL;
		if (!word[1])
			return NULL; /* "-": standard input */
		if (streq(word, "--")) {
			word += 3;
			return word < end && memchr(word, '\0', (size_t)(end - word)) && word[0] ? word : NULL;
		}
		if (word[1] == '-') {
			value = listed(in->long_value, word);
			continue;
		}
		o = read_letters(in, word);
		if (o == OPTION_NO_SCRIPT)
			return NULL;
		value = o == OPTION_VALUE;
	}
	return NULL;
}
