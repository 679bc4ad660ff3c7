/*
 * Runs a fuzz target over every file of the folders given, without arguments over its corpus in the source tree.
 * Links with any fuzz_*.c; needs no fuzzer.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (8 * MIB)

static int replay_file(int dirfd, const char *name)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ uint8_t *data = malloc(INPUT_MAX);
	_cleanup_free_ uint8_t *exact = NULL;
	size_t size = 0;
	ssize_t n = 1;

	if (fd < 0 || !data)
		return -1;
	while (n > 0 && size < INPUT_MAX) {
		n = read(fd, data + size, INPUT_MAX - size);
		if (n < 0)
			return -1;
		size += (size_t)n;
	}
	/* A copy of just that size, so that a sanitizer sees a read past the end. */
	exact = malloc(MAX(size, (size_t)1));
	if (!exact)
		return -1;
	memcpy(exact, data, size);
	LLVMFuzzerTestOneInput(exact, size);
	return 0;
}

/* Number of files run, -1 when one could not be read. */
static int replay_folder(const char *folder)
{
	_cleanup_closedir_ DIR *dir = opendir(folder);
	const struct dirent *entry;
	int n = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (replay_file(dirfd(dir), entry->d_name) < 0)
			return -1;
		n++;
	}
	return n;
}

int main(int argc, char **argv)
{
	char corpus[] = FUZZ_CORPUS "/" FUZZ_TARGET;
	char *own[] = { corpus };
	char **folders = argc > 1 ? argv + 1 : own;
	int n_folders = argc > 1 ? argc - 1 : 1;

	for (int i = 0; i < n_folders; i++) {
		int n = replay_folder(folders[i]);

		if (n <= 0) {
			fprintf(stderr, "%s: %s\n", folders[i], n < 0 ? strerror(errno) : "no files");
			return 1;
		}
		printf("%s: %d inputs\n", folders[i], n);
	}
	return 0;
}
