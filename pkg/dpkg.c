/*
 * dpkg: /var/lib/dpkg/status (packages, versions, conffiles), updates/NNNN (paragraphs of status that a transaction
 * which still runs, or was killed, has not put there yet), info/NAME[:ARCH].md5sums (files), info/NAME[:ARCH].list (all
 * paths), diversions (files that another package pushed aside). Formats: deb-control(5), deb-md5sums(5),
 * dpkg-divert(1); updates/ is described in lib/dpkg/dbmodify.c of dpkg 1.21.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <uthash.h>

#include "lib/arena.h"
#include "lib/cleanup.h"
#include "pkg/reader.h"

#define ADMIN	    "var/lib/dpkg"
#define FILE_MAX    (64 * MIB)
#define MD5_HEX	    32
#define UPDATES_MAX 10000 /* dpkg itself stops at 9999 */

struct slice {
	const char *p;
	size_t len;
};

struct lines {
	const char *p, *end;
	unsigned number;
};

/* A diverted path and where the file of every other package lies now. */
struct diversion {
	const char *from, *to, *package;
	UT_hash_handle hh;
};

/* md5sums files are named by package and, for Multi-Arch: same, architecture. */
struct known {
	const char *name;
	int package;
	UT_hash_handle hh;
};

struct dpkg {
	struct packages *out;
	struct buf *warnings;
	struct arena arena;
	struct diversion *diversions;
	struct known *known;
};

static bool next_line(struct lines *l, struct slice *ret)
{
	if (l->p >= l->end)
		return false;
	const char *nl = memchr(l->p, '\n', (size_t)(l->end - l->p));
	*ret = (struct slice){ l->p, (size_t)((nl ? nl : l->end) - l->p) };
	l->p = nl ? nl + 1 : l->end;
	l->number++;
	return true;
}

static bool field(struct slice line, const char *name, struct slice *ret)
{
	size_t n = strlen(name);

	if (line.len <= n || strncasecmp(line.p, name, n) != 0 || line.p[n] != ':')
		return false;
	*ret = (struct slice){ line.p + n + 1, line.len - n - 1 };
	while (ret->len && (*ret->p == ' ' || *ret->p == '\t'))
		ret->p++, ret->len--;
	return true;
}

static bool hex16(const char *s, uint8_t ret[16])
{
	for (int i = 0; i < MD5_HEX; i++) {
		char c = s[i];
		int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
		if (v < 0)
			return false;
		ret[i / 2] = (uint8_t)(i % 2 ? ret[i / 2] | v : v << 4);
	}
	return true;
}

/* md5 NULL: listed without a digest. */
static int add_file(struct dpkg *d, int package, struct slice path, const uint8_t *md5, bool conffile)
{
	while (path.len && *path.p == '/')
		path.p++, path.len--;
	struct diversion *moved = NULL;
	HASH_FIND(hh, d->diversions, path.p, path.len, moved);
	/* The package that diverts keeps the name; the others' file lies at the new one. */
	if (moved) {
		const struct known *own = NULL;
		HASH_FIND_STR(d->known, moved->package, own);
		if (!own || own->package != package)
			path = (struct slice){ moved->to, strlen(moved->to) };
	}
	return packages_add_file(d->out, package, path.p, path.len, "MD5", md5, 16, conffile);
}

/* Three lines each: from, to, package (":" for a local diversion). */
static int load_diversions(struct dpkg *d, int admin)
{
	_cleanup_free_ char *data = NULL;
	size_t len;
	int r = package_read_file(admin, "diversions", FILE_MAX, &data, &len, NULL);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	struct lines l = { data, data + len, 0 };
	struct slice from, to, package;
	while (next_line(&l, &from)) {
		if (!next_line(&l, &to) || !next_line(&l, &package) || from.len < 2 || *from.p != '/' || to.len < 2 ||
		    *to.p != '/') {
			packages_skip(d->out, d->warnings, "/" ADMIN "/diversions", l.number,
				      "not three lines of path, path, package");
			return 0;
		}
		struct diversion *moved = arena_zalloc(&d->arena, sizeof(*moved)), *old = NULL;
		if (!moved)
			return -ENOMEM;
		moved->from = arena_strndup(&d->arena, from.p + 1, from.len - 1);
		moved->to = arena_strndup(&d->arena, to.p + 1, to.len - 1);
		moved->package = arena_strndup(&d->arena, package.p, package.len);
		if (!moved->from || !moved->to || !moved->package)
			return -ENOMEM;
		HASH_FIND_STR(d->diversions, moved->from, old);
		if (!old)
			HASH_ADD_KEYPTR(hh, d->diversions, moved->from, strlen(moved->from), moved);
	}
	return 0;
}

static int remember(struct dpkg *d, const char *name, int package)
{
	struct known *k = NULL;

	HASH_FIND_STR(d->known, name, k);
	if (k) {
		k->package = package;
		return 0;
	}
	k = arena_zalloc(&d->arena, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->name = name;
	k->package = package;
	HASH_ADD_KEYPTR(hh, d->known, name, strlen(name), k);
	return 0;
}

/* One paragraph of status, as far as it matters. conffiles: the lines of that field. */
struct paragraph {
	struct slice name, version, arch, status, conffiles;
	unsigned conffiles_line;
};

static int load_conffiles(struct dpkg *d, int package, const struct paragraph *g)
{
	struct lines l = { g->conffiles.p, g->conffiles.p + g->conffiles.len, g->conffiles_line };
	struct slice line;

	while (next_line(&l, &line)) {
		uint8_t md5[16];
		while (line.len && *line.p == ' ')
			line.p++, line.len--;
		/* "PATH MD5 [obsolete|remove-on-upgrade]"; "newconffile" stands for a digest that is not there yet. */
		const char *space = memchr(line.p, ' ', line.len);
		if (!space)
			continue;
		size_t rest = line.len - (size_t)(space + 1 - line.p);
		if (rest < MD5_HEX || !hex16(space + 1, md5)) {
			if (strncmp(space + 1, "newconffile", 11) != 0)
				packages_skip(d->out, d->warnings, "/" ADMIN "/status", l.number,
					      "conffile without an MD5 digest");
			continue;
		}
		int r = add_file(d, package, (struct slice){ line.p, (size_t)(space - line.p) }, md5, true);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Name and architecture as files in info/ have them for Multi-Arch: same. */
static char *qualified_name(struct dpkg *d, const struct paragraph *g)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_add(&b, g->name.p, g->name.len);
	buf_char(&b, ':');
	buf_add(&b, g->arch.p ? g->arch.p : "", g->arch.len);
	return b.failed ? NULL : arena_strndup(&d->arena, b.data, b.len);
}

static void forget(struct dpkg *d, const char *name, int package)
{
	struct known *k = NULL;

	HASH_FIND_STR(d->known, name, k);
	if (k && k->package == package)
		HASH_DEL(d->known, k);
}

/* The package's number; an earlier paragraph of the same one was superseded. */
static int paragraph_package(struct dpkg *d, const struct paragraph *g, const char *qualified)
{
	const char *version = g->version.p ? g->version.p : "";
	struct known *old = NULL;
	int r;

	HASH_FIND_STR(d->known, qualified, old);
	if (!old)
		return packages_add(d->out, g->name.p, g->name.len, version, g->version.len);
	r = packages_set_version(d->out, old->package, version, g->version.len);
	return r < 0 ? r : old->package;
}

/* Removed and not purged: its configuration files are still its own. */
static int load_residue(struct dpkg *d, const struct paragraph *g)
{
	int package = packages_add(d->out, g->name.p, g->name.len, g->version.p ? g->version.p : "", g->version.len);

	if (package < 0)
		return package;
	packages_set_residual(d->out, package);
	return load_conffiles(d, package, g);
}

static int end_paragraph(struct dpkg *d, const struct paragraph *g)
{
	/* "install ok installed", and what is in the middle of being upgraded: its files are there. */
	bool installed = g->status.len && !memmem(g->status.p, g->status.len, "config-files", 12) &&
			 !memmem(g->status.p, g->status.len, "not-installed", 13);
	struct known *old = NULL;

	if (!g->name.len)
		return 0;
	char *name = arena_strndup(&d->arena, g->name.p, g->name.len);
	char *qualified = qualified_name(d, g);
	if (!name || !qualified)
		return -ENOMEM;
	if (!installed) {
		HASH_FIND_STR(d->known, qualified, old);
		if (old) {
			int package = old->package;
			packages_drop(d->out, package);
			forget(d, qualified, package);
			forget(d, name, package);
		}
		return g->conffiles.len && packages_want_lists(d->out) ? load_residue(d, g) : 0;
	}
	int package = paragraph_package(d, g, qualified);
	if (package < 0)
		return package;
	packages_set_half(d->out, package, memmem(g->status.p, g->status.len, "half-installed", 14) != NULL);
	int r = remember(d, name, package);
	if (r == 0)
		r = remember(d, qualified, package);
	return r < 0 ? r : load_conffiles(d, package, g);
}

static int load_status(struct dpkg *d, const char *data, size_t len)
{
	static const struct {
		const char *name;
		size_t offset;
	} fields[] = { { "Package", offsetof(struct paragraph, name) },
		       { "Version", offsetof(struct paragraph, version) },
		       { "Architecture", offsetof(struct paragraph, arch) },
		       { "Status", offsetof(struct paragraph, status) } };
	struct lines l = { data, data + len, 0 };
	struct paragraph g = { 0 };
	struct slice line, value;
	bool in_conffiles = false;
	int r = 0;

	while (r == 0 && next_line(&l, &line)) {
		if (line.len == 0) {
			r = end_paragraph(d, &g);
			g = (struct paragraph){ 0 };
			continue;
		}
		if (*line.p == ' ' || *line.p == '\t') {
			if (in_conffiles)
				g.conffiles.len = (size_t)(line.p + line.len - g.conffiles.p);
			continue;
		}
		in_conffiles = field(line, "Conffiles", &value);
		if (in_conffiles) {
			g.conffiles = (struct slice){ l.p, 0 };
			g.conffiles_line = l.number;
		}
		for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
			if (field(line, fields[i].name, &value))
				*(struct slice *)((char *)&g + fields[i].offset) = value;
	}
	return r < 0 ? r : end_paragraph(d, &g);
}

static int update_name(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return len >= 1 && len <= 8 && strspn(e->d_name, "0123456789") == len;
}

/* One paragraph in each file, in the order of their names, newer than what status says. */
static int load_updates(struct dpkg *d, int admin)
{
	struct dirent **names = NULL;
	int n = scandirat(admin, "updates", &names, update_name, alphasort), r = 0;

	if (n < 0)
		return errno == ENOMEM ? -ENOMEM : 0;
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *data = NULL;
		char path[300];
		size_t len;

		snprintf(path, sizeof(path), "updates/%s", names[i]->d_name);
		free(names[i]);
		if (r == 0 && i < UPDATES_MAX && package_read_file(admin, path, FILE_MAX, &data, &len, NULL) == 0)
			r = load_status(d, data, len);
	}
	free(names);
	return r;
}

/* "MD5  PATH" lines, paths relative to the root. */
static int load_md5sums(struct dpkg *d, const char *file, const char *data, size_t len, int package)
{
	struct lines l = { data, data + len, 0 };
	struct slice line;
	int r = 0;

	while (r == 0 && next_line(&l, &line)) {
		uint8_t md5[16];
		if (line.len < MD5_HEX + 3 || !hex16(line.p, md5) || line.p[MD5_HEX] != ' ' ||
		    (line.p[MD5_HEX + 1] != ' ' && line.p[MD5_HEX + 1] != '*')) {
			packages_skip(d->out, d->warnings, file, l.number, "not \"MD5  path\"");
			continue;
		}
		r = add_file(d, package, (struct slice){ line.p + MD5_HEX + 2, line.len - MD5_HEX - 2 }, md5, false);
	}
	return r;
}

/* A path a line. */
static int load_list(struct dpkg *d, const char *file, const char *data, size_t len, int package)
{
	struct lines l = { data, data + len, 0 };
	struct slice line;
	int r = 0;

	while (r == 0 && next_line(&l, &line)) {
		if (!line.len || *line.p != '/') {
			packages_skip(d->out, d->warnings, file, l.number, "not a path");
			continue;
		}
		r = add_file(d, package, line, NULL, false);
	}
	return r;
}

static const struct info_kind {
	const char *suffix;
	bool lists; /* only where paths without a digest are wanted */
	int (*load)(struct dpkg *d, const char *file, const char *data, size_t len, int package);
} info_kinds[] = {
	{ ".md5sums", false, load_md5sums },
	{ ".list", true, load_list },
};

static int load_info_file(struct dpkg *d, int info, const char *file, const struct info_kind *kind)
{
	_cleanup_free_ char *data = NULL;
	struct known *k = NULL;
	uint64_t changed;
	size_t len;
	int r;

	HASH_FIND(hh, d->known, file, strlen(file) - strlen(kind->suffix), k);
	if (!k)
		return 0; /* of a package that is not installed */
	r = package_read_file(info, file, FILE_MAX, &data, &len, &changed);
	if (r < 0) {
		packages_skip(d->out, d->warnings, file, 0, strerror(-r));
		return r == -ENOMEM ? r : 0;
	}
	packages_note_touched(d->out, k->package, changed);
	return kind->load(d, file, data, len, k->package);
}

static int load_info(struct dpkg *d, int admin)
{
	_cleanup_close_ int fd = openat(admin, "info", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(dup(fd));
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *e; r == 0 && (e = readdir(dir));) {
		size_t len = strlen(e->d_name);
		for (size_t i = 0; r == 0 && i < ARRAY_SIZE(info_kinds); i++) {
			const struct info_kind *kind = &info_kinds[i];
			size_t cut = strlen(kind->suffix);
			if (kind->lists && !packages_want_lists(d->out))
				continue;
			if (len > cut && streq(e->d_name + len - cut, kind->suffix))
				r = load_info_file(d, fd, e->d_name, kind);
		}
	}
	return r;
}

static int load(struct packages *p, int rootfd, struct buf *warnings)
{
	struct dpkg d = { .out = p, .warnings = warnings };
	_cleanup_close_ int admin = openat(rootfd, ADMIN, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *status = NULL;
	size_t len;

	if (admin < 0)
		return errno == ENOENT ? 0 : -errno;
	int r = package_read_file(admin, "status", FILE_MAX, &status, &len, NULL);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = load_diversions(&d, admin);
	if (r == 0)
		r = load_status(&d, status, len);
	if (r == 0)
		r = load_updates(&d, admin);
	if (r == 0)
		r = load_info(&d, admin);
	HASH_CLEAR(hh, d.diversions);
	HASH_CLEAR(hh, d.known);
	arena_free(&d.arena);
	return r;
}

/* --- in the middle of a transaction */

/* The line of one md5sums file that names path. */
static int fresh_file(const struct packages *p, int info, const char *file, const char *path, struct package_file *ret)
{
	_cleanup_free_ char *data = NULL;
	uint64_t changed;
	struct lines l;
	struct slice line;
	size_t len;

	if (package_read_file(info, file, FILE_MAX, &data, &len, &changed) < 0)
		return -ENOENT;
	l = (struct lines){ data, data + len, 0 };
	while (next_line(&l, &line)) {
		if (line.len < MD5_HEX + 3 || !hex16(line.p, ret->digest) ||
		    !packages_same_path(p, line.p + MD5_HEX + 2, line.len - MD5_HEX - 2, path, strlen(path)))
			continue;
		ret->algo = "MD5";
		ret->digest_len = MD5_HEX / 2;
		return 0;
	}
	return -ENOENT;
}

static int fresh(const struct packages *p, int rootfd, uint64_t since, const char *path,
		 char ret_name[PACKAGE_NAME_MAX], struct package_file *ret)
{
	static const char suffix[] = ".md5sums";
	_cleanup_close_ int fd = openat(rootfd, ADMIN "/info", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(dup(fd));
	struct stat owner;
	int r = -ENOENT;

	if (!dir || fstat(fd, &owner) < 0)
		return -ENOENT;
	*ret = (struct package_file){ .package = ret_name, .version = "" };
	for (struct dirent *e; r == -ENOENT && (e = readdir(dir));) {
		size_t len = strlen(e->d_name), cut = sizeof(suffix) - 1;
		struct stat st;

		if (len <= cut || !streq(e->d_name + len - cut, suffix) ||
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != owner.st_uid ||
		    (uint64_t)st.st_ctim.tv_sec * NSEC_PER_SEC + (uint64_t)st.st_ctim.tv_nsec < since)
			continue;
		r = fresh_file(p, fd, e->d_name, path, ret);
		snprintf(ret_name, PACKAGE_NAME_MAX, "%.*s", (int)MIN(len - cut, (size_t)PACKAGE_NAME_MAX - 1),
			 e->d_name);
	}
	return r;
}

const struct package_format package_dpkg = {
	.name = "dpkg",
	.stamps = { ADMIN "/status", ADMIN "/info", ADMIN "/updates", ADMIN "/diversions" },
	.lock = ADMIN "/lock",
	.load = load,
	.fresh = fresh,
};
