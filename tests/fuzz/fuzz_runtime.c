/*
 * Fuzz target: what container runtimes keep of a container, and the cgroup paths that name it, from hostile bytes. The
 * first byte says which file the rest is the content of; the others hold what leads the reader to it.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/util.h"
#include "proc/runtime.h"
#include "tests/proc/tree.h"

#define ID	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define STORAGE "/var/lib/containers/storage"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	const char *path, *text;
} files[] = {
	{ STORAGE "/overlay-containers/containers.json",
	  "[{\"id\":\"" ID "\",\"names\":[\"web\"],\"image\":\"" ID "\",\"layer\":\"top\",\"metadata\":\"{}\"}]" },
	{ STORAGE "/overlay-images/images.json",
	  "[{\"id\":\"" ID "\",\"digest\":\"sha256:" ID "\",\"names\":[\"x:1\"]}]" },
	{ STORAGE "/overlay-containers/" ID "/userdata/config.json", "{\"mounts\":[],\"annotations\":{}}" },
	{ STORAGE "/overlay/top/lower", "l/LOWER" },
	{ "/var/lib/docker/containers/" ID "/config.v2.json", "{\"ID\":\"" ID "\"}" },
	{ "/run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID "/config.json", "{}" },
	{ "/proc/1/mountinfo", "1 0 0:1 / / rw - overlay overlay rw,lowerdir=/l1:/l2,upperdir=/u,workdir=/w\n" },
	{ "/run/systemd/machines/m", "NAME=m\nSERVICE=x\n" },
};

static struct tree tree;
static struct runtime_stores stores;
static int procfd = -1;

static void check(int good)
{
	if (!good)
		abort();
}

static void put(const char *path, const void *data, size_t size)
{
	char full[512], *slash;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", tree.root, path);
	for (slash = strchr(full + strlen(tree.root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	f = fopen(full, "we");
	check(f && fwrite(data, 1, size, f) == size);
	check(fclose(f) == 0);
}

static void end(void)
{
	close(procfd);
	runtime_stores_free(&stores);
	tree_remove(&tree);
}

static void begin(void)
{
	char path[128];

	tree_make(&tree);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		put(files[i].path, files[i].text, strlen(files[i].text));
	snprintf(path, sizeof(path), "%s" STORAGE "/overlay/top/diff", tree.root);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/proc", tree.root);
	procfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	check(procfd >= 0 && runtime_stores_init(&stores, tree.root, NULL, 0) == 0);
	atexit(end);
}

static void fuzz_cgroup(const uint8_t *data, size_t size)
{
	struct cgroup_container in[CGROUP_NEST_MAX];
	char *path = strndup((const char *)data, size);
	size_t n;

	check(path != NULL);
	n = cgroup_containers(path, in);
	check(n <= CGROUP_NEST_MAX);
	for (size_t i = 0; i < n; i++)
		check(in[i].id[0] && memchr(in[i].id, '\0', sizeof(in[i].id)));
	free(path);
}

/* Whatever the files say, what is made of it can be told. */
static void read_container(const char *id, enum cgroup_runtime hint)
{
	struct container *c = container_new();
	json_t *o;

	check(c && (c->id = arena_strdup(&c->arena, id)));
	check(runtime_read(&stores, hint, procfd, 1, c) >= 0);
	check(c->n_labels <= CONTAINER_LABELS_MAX && c->n_mounts <= CONTAINER_MOUNTS_MAX);
	o = container_json(c);
	check(o != NULL);
	json_decref(o);
	json_decref(container_labels_json(c));
	json_decref(container_mounts_json(c));
	container_unref(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t which = size ? data[0] % (ARRAY_SIZE(files) + 1) : 0;

	if (procfd < 0)
		begin();
	if (size == 0)
		return 0;
	if (which == ARRAY_SIZE(files)) {
		fuzz_cgroup(data + 1, size - 1);
		return 0;
	}
	put(files[which].path, data + 1, size - 1);
	read_container(ID, CGROUP_UNKNOWN);
	read_container("m", CGROUP_NSPAWN);
	put(files[which].path, files[which].text, strlen(files[which].text));
	return 0;
}
