/*
 * Fuzz target: the files of a dpkg database. The first byte says which one the rest is: status, a pending update, the
 * digests or paths of an installed package, diversions. Loading ends without a crash, and twice in the same way.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/util.h"
#include "pkg/packages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STATUS "Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"

static char root[64];

static void put(const char *name, const void *data, size_t size)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/var/lib/dpkg/%s", root, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

static void wipe(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	if (system(command))
		abort();
}

static void make(void)
{
	static const char *const folders[] = {
		"", "/var", "/var/lib", "/var/lib/dpkg", "/var/lib/dpkg/info", "/var/lib/dpkg/updates"
	};
	char path[160];

	snprintf(root, sizeof(root), "/tmp/holdfast-fuzz.XXXXXX");
	if (!mkdtemp(root))
		abort();
	for (size_t i = 1; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s%s", root, folders[i]);
		if (mkdir(path, 0755))
			abort();
	}
	atexit(wipe);
}

static size_t load(bool lists)
{
	_cleanup_packages_ struct packages *p = NULL;
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	struct package_file f;

	if ((lists ? packages_load_lists : packages_load)(root, &p, &warnings) < 0)
		return 0;
	if (packages_find(p, "/usr/bin/tool", &f) == 0 && (!f.package || !f.version))
		abort();
	packages_version(p, "tool");
	return packages_files(p) + packages_count(p) + packages_skipped(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const files[] = { "status", "updates/0001", "info/tool.md5sums", "info/tool.list",
					     "diversions" };

	if (!root[0])
		make();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		put(files[i], STATUS, i ? 0 : sizeof(STATUS) - 1);
	if (size)
		put(files[data[0] % ARRAY_SIZE(files)], data + 1, size - 1);
	load(false);
	if (load(true) != load(true))
		abort();
	return 0;
}
