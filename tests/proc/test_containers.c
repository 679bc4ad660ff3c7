/* Who a container is: recorded trees of each runtime, hostile ones, the cache, its bounds, and what is read ahead. */
#include "proc/containers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/test.h"

#define A	    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define B	    "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define CGROUP_A    "/machine.slice/libpod-" A ".scope"
#define STORAGE	    "/var/lib/containers/storage"
#define WORK_FOLDER "work" /* of an overlay: what is moved into place lies there first */

static char root[] = "/tmp/holdfast-containers.XXXXXX";

/* --- trees */

static const char *at(const char *path)
{
	static char full[4][8192];
	static unsigned n;
	char *ret = full[n++ % 4];

	snprintf(ret, sizeof(full[0]), "%s%s", root, path);
	return ret;
}

static void make_folder(const char *path)
{
	char full[8192];

	snprintf(full, sizeof(full), "%s", at(path));
	for (char *p = full + strlen(root) + 1; *p; p++)
		if (*p == '/') {
			*p = '\0';
			if (mkdir(full, 0755) < 0)
				assert_int_equal(errno, EEXIST);
			*p = '/';
		}
	if (mkdir(full, 0755) < 0)
		assert_int_equal(errno, EEXIST);
}

static void make_file(const char *path, const char *text, size_t len)
{
	char folder[4096];
	FILE *f;

	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	make_folder(folder);
	f = fopen(at(path), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

static void make_text(const char *path, const char *text)
{
	make_file(path, text, strlen(text));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct containers *table(size_t max)
{
	const struct containers_options o = { .root = root, .procfs = "/proc", .max = max };
	struct containers *c = NULL;

	assert_int_equal(containers_new(&o, &c), 0);
	return c;
}

/* --- recorded trees */

static void build(const json_t *tree)
{
	const char *path;
	json_t *v;
	size_t i;

	json_object_foreach(json_object_get(tree, "files"), path, v)
	{
		char *text = json_is_string(v) ? strdup(json_string_value(v)) : json_dumps(v, 0);

		make_text(path, text);
		free(text);
	}
	json_array_foreach(json_object_get(tree, "folders"), i, v) make_folder(json_string_value(v));
	json_object_foreach(json_object_get(tree, "links"), path, v)
	{
		char folder[4096];

		snprintf(folder, sizeof(folder), "%s", path);
		*strrchr(folder, '/') = '\0';
		make_folder(folder);
		assert_int_equal(symlink(json_string_value(v), at(path)), 0);
	}
}

static void check_text(const char *file, const json_t *want, const char *key, const char *is)
{
	const char *s = json_string_value(json_object_get(want, key));

	if (!s == !is && (!s || strcmp(s, is) == 0))
		return;
	fail_msg("%s: %s is %s, not %s", file, key, is ? is : "NULL", s ? s : "NULL");
}

static void check_path(const char *want, const char *is)
{
	assert_non_null(is);
	assert_string_equal(is, at(want));
}

static void check_rest(const json_t *want, const struct container *c)
{
	const json_t *label = json_object_get(want, "label"), *mount = json_object_get(want, "mount"),
		     *privileged = json_object_get(want, "privileged"), *upper = json_object_get(want, "upper"),
		     *lowers = json_object_get(want, "lowers"), *started = json_object_get(want, "started");
	bool mounted = !mount;

	if (label)
		assert_string_equal(container_label(c, json_string_value(json_array_get(label, 0))),
				    json_string_value(json_array_get(label, 1)));
	for (uint32_t i = 0; i < c->n_mounts; i++)
		mounted |= mount && strcmp(c->mounts[i].dest, json_string_value(mount)) == 0;
	assert_true(mounted);
	assert_int_equal(c->have_privileged, privileged != NULL);
	assert_int_equal(c->privileged, json_is_true(privileged));
	if (started)
		assert_int_equal(c->started, json_integer_value(started));
	if (upper)
		check_path(json_string_value(upper), c->upper);
	for (size_t i = 0; i < json_array_size(lowers); i++)
		check_path(json_string_value(json_array_get(lowers, i)), c->lowers[i]);
}

static void check_container(const char *file, const json_t *want, const struct container *c)
{
	static const char *const keys[] = { "runtime",	    "id",	"name", "image",
					    "image_digest", "image_id", "pod",	"namespace" };
	const char *const values[] = { c->runtime,	c->id,	     c->name, c->image,
				       c->image_digest, c->image_id, c->pod,  c->namespace };
	const char *unknown = json_string_value(json_object_get(want, "unknown"));

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		check_text(file, want, keys[i], values[i]);
	if (unknown)
		assert_non_null(strstr(c->unknown ? c->unknown : "", unknown));
	else
		assert_null(c->unknown);
	check_rest(want, c);
}

static void check_tree(const char *file)
{
	json_t *tree = json_load_file(file, 0, NULL), *cgroup;
	size_t i;

	assert_non_null(tree);
	assert_non_null(json_object_get(tree, "origin"));
	setup(NULL);
	build(tree);
	json_array_foreach(json_object_get(tree, "cgroup"), i, cgroup)
	{
		_cleanup_containers_ struct containers *t = table(0);
		_cleanup_container_ struct container *c = containers_get(t, json_string_value(cgroup), 0, 0);

		assert_non_null(c);
		check_container(file, json_object_get(tree, "want"), c);
	}
	assert_true(i > 0);
	json_decref(tree);
	teardown(NULL);
}

static void test_recorded(void **state)
{
	static const char *const names[] = { "podman", "docker", "docker-kubelet", "containerd", "crio", "nspawn" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/containers/%s.json", TEST_DATA, names[i]);
		check_tree(file);
	}
}

/* docker writes a container down before it starts it, and with what it mounts when it has started it. */
static void test_docker_starts(void **state)
{
	static const char file[] = "/var/lib/docker/containers/" A "/config.v2.json",
			  made[] = "{\"ID\":\"" A
				   "\",\"State\":{\"StartedAt\":\"0001-01-01T00:00:00Z\"},\"HostsPath\":\"\","
				   "\"MountPoints\":{}}",
			  runs[] = "{\"ID\":\"" A "\",\"State\":{\"StartedAt\":\"2026-11-22T04:16:25.229834712Z\"},"
				   "\"HostsPath\":\"/x/hosts\",\"MountPoints\":{}}";
	_cleanup_containers_ struct containers *t = NULL;
	_cleanup_container_ struct container *before = NULL, *c = NULL;

	(void)state;
	make_text(file, made);
	t = table(0);
	before = containers_get(t, "/docker/" A, 0, 0);
	assert_false(before->have_mounts);
	make_text(file, runs);
	c = containers_get(t, "/docker/" A, 0, clock_boot_ns());
	assert_true(c->have_mounts);
	assert_int_equal(c->n_mounts, 1);
	assert_string_equal(c->mounts[0].dest, "/etc/hosts");
}

/* --- hostile */

static const struct {
	const char *containers, *images, *config;
	const char *name;    /* what is known all the same */
	const char *unknown; /* the reason holds this */
} hostile[] = {
	{ NULL, NULL, NULL, NULL, "no container runtime of this node keeps anything of it" },
	{ "", NULL, NULL, NULL, "is not JSON" },
	{ "[{\"id\":", NULL, NULL, NULL, "is not JSON" },
	{ "{}", NULL, NULL, NULL, "keeps anything" },
	{ "[1,null,[],{},{\"id\":7},\"" A "\"]", NULL, NULL, NULL, "keeps anything" },
	{ "[{\"id\":\"" A
	  "\",\"names\":7,\"image\":[],\"layer\":\"../../etc\",\"metadata\":\"{{{\",\"created\":\"x\"}]",
	  NULL, NULL, NULL, "name, image" },
	{ "[{\"id\":\"" A "\",\"names\":[\"web\"],\"image\":\"../../../../etc/passwd\"}]", "[]", NULL, "web",
	  "images.json: does not hold the image" },
	{ "[{\"id\":\"" A "\",\"names\":[\"web\"],\"image\":\"" B "\"}]",
	  "[{\"id\":\"" B "\",\"digest\":\"sha256:short\"}]", NULL, "web", "image" },
	{ "[{\"id\":\"" A "\",\"names\":[\"web\"]}]", NULL, "[]", "web", "image" },
	{ "[{\"id\":\"" A "\",\"names\":[\"web\"]}]", NULL,
	  "{\"annotations\":{\"a\":1,\"b\":\"\",\"io.kubernetes.cri-o.Labels\":\"[1\"},\"mounts\":[{},{\"destination\":"
	  "3},7],"
	  "\"linux\":{\"resources\":{\"devices\":[null,{}]}}}",
	  "web", "image" },
};

static void test_hostile(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		_cleanup_containers_ struct containers *t = NULL;
		_cleanup_container_ struct container *c = NULL;

		setup(NULL);
		if (hostile[i].containers)
			make_text(STORAGE "/overlay-containers/containers.json", hostile[i].containers);
		if (hostile[i].images)
			make_text(STORAGE "/overlay-images/images.json", hostile[i].images);
		if (hostile[i].config)
			make_text(STORAGE "/overlay-containers/" A "/userdata/config.json", hostile[i].config);
		t = table(0);
		c = containers_get(t, CGROUP_A, 0, 0);
		assert_non_null(c);
		assert_string_equal(c->id, A);
		assert_string_equal(c->runtime, "podman");
		if (!c->name != !hostile[i].name || (c->name && strcmp(c->name, hostile[i].name) != 0))
			fail_msg("%zu: name %s", i, c->name);
		if (!c->unknown || !strstr(c->unknown, hostile[i].unknown))
			fail_msg("%zu: unknown %s", i, c->unknown);
		assert_null(c->upper);
		teardown(NULL);
	}
}

/* What is no regular file is not opened to wait for; what is too large is not read; names are cut. */
static void test_not_files(void **state)
{
	_cleanup_containers_ struct containers *t = table(0);
	_cleanup_container_ struct container *c = NULL, *d = NULL;
	char *name = malloc(3 * CONTAINER_TEXT_MAX);
	int fd;

	(void)state;
	make_folder(STORAGE "/overlay-containers/" A "/userdata");
	assert_int_equal(mkfifo(at(STORAGE "/overlay-containers/" A "/userdata/config.json"), 0600), 0);
	fd = open(at(STORAGE "/overlay-containers/containers.json"), O_WRONLY | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 64 << 20), 0);
	close(fd);
	c = containers_get(t, CGROUP_A, 0, 0);
	assert_non_null(c);
	assert_non_null(strstr(c->unknown, "config.json: Invalid argument"));
	assert_non_null(strstr(c->unknown, "containers.json: File too large"));

	memset(name, 'n', 3 * CONTAINER_TEXT_MAX);
	name[3 * CONTAINER_TEXT_MAX - 1] = '\0';
	make_text(STORAGE "/overlay-containers/volatile-containers.json", "");
	{
		json_t *list = json_pack("[{s:s, s:[s]}]", "id", B, "names", name);
		char *text = json_dumps(list, 0);

		make_text(STORAGE "/overlay-containers/volatile-containers.json", text);
		free(text);
		json_decref(list);
	}
	d = containers_get(t, "/docker/" B, 0, 0);
	assert_non_null(d);
	assert_int_equal(strlen(d->name), CONTAINER_TEXT_MAX);
	free(name);
}

/* --- the cache */

static void add_container(const char *id, const char *name)
{
	char text[1024], path[512];

	snprintf(text, sizeof(text), "[{\"id\":\"%s\",\"names\":[\"%s\"],\"image\":\"" B "\",\"layer\":\"%s\"}]", id,
		 name, id);
	make_text(STORAGE "/overlay-containers/containers.json", text);
	make_text(STORAGE "/overlay-images/images.json",
		  "[{\"id\":\"" B "\",\"digest\":\"sha256:" B "\",\"names\":[\"x:1\"]}]");
	snprintf(path, sizeof(path), STORAGE "/overlay/%s/diff", id);
	make_folder(path);
	snprintf(path, sizeof(path), STORAGE "/overlay-containers/%s/userdata/config.json", id);
	make_text(path, "{\"mounts\":[]}");
}

static void remove_container(const char *id)
{
	char path[512];

	make_text(STORAGE "/overlay-containers/containers.json", "[]");
	snprintf(path, sizeof(path), STORAGE "/overlay-containers/%s", id);
	assert_int_equal(nftw(at(path), remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void test_stays(void **state)
{
	_cleanup_containers_ struct containers *t = table(0);
	_cleanup_container_ struct container *c = NULL, *again = NULL;

	(void)state;
	assert_null(containers_get(t, "/system.slice/cron.service", 0, 0));
	assert_null(containers_get(t, NULL, 0, 0));
	assert_null(containers_peek(t, CGROUP_A));
	add_container(A, "web");
	c = containers_get(t, CGROUP_A, 0, 0);
	assert_string_equal(c->name, "web");
	assert_null(c->unknown);
	remove_container(A);
	again = containers_get(t, CGROUP_A, 0, 0);
	assert_ptr_equal(c, again);
}

/* What was not there yet is looked for again, but not each time. */
static void test_again(void **state)
{
	_cleanup_containers_ struct containers *t = table(0);
	_cleanup_container_ struct container *c = containers_get(t, CGROUP_A, 0, 0);
	struct containers_stats s;
	uint64_t end = clock_mono_ns() + 10 * NSEC_PER_SEC;

	(void)state;
	assert_null(c->name);
	containers_get_stats(t, &s);
	assert_int_equal(s.unknown, 1);
	assert_int_equal(s.known, 0);
	assert_non_null(strstr(s.why, "no container runtime"));
	for (int i = 0; i < 100; i++)
		container_unref(containers_get(t, CGROUP_A, 0, 0));
	containers_get_stats(t, &s);
	assert_true(s.reads < 50);
	add_container(A, "web");
	do {
		container_unref(c);
		c = containers_get(t, CGROUP_A, 0, 0);
	} while (!c->name && clock_mono_ns() < end);
	assert_string_equal(c->name, "web");
}

/* What its runtime wrote before a program started is known for that start, however lately it was looked for in vain. */
static void test_start(void **state)
{
	_cleanup_containers_ struct containers *t = table(0);
	struct containers_stats s;

	(void)state;
	for (int i = 0; i < 200; i++) {
		_cleanup_container_ struct container *c = containers_get(t, CGROUP_A, 0, clock_boot_ns());

		assert_null(c->name);
		if (i == 8) {
			containers_get_stats(t, &s);
			assert_true(s.reads >= 8);
		}
	}
	containers_get_stats(t, &s);
	assert_true(s.reads < 100);
	for (char id = 'a'; id < 'g'; id++) {
		_cleanup_container_ struct container *before = NULL, *c = NULL;
		char name[CONTAINER_ID_LEN + 1], cgroup[128];

		memset(name, id, CONTAINER_ID_LEN);
		name[CONTAINER_ID_LEN] = '\0';
		snprintf(cgroup, sizeof(cgroup), "/machine.slice/libpod-%s.scope", name);
		before = containers_get(t, cgroup, 0, 0);
		assert_null(before->name);
		add_container(name, "web");
		c = containers_get(t, cgroup, 0, clock_boot_ns());
		assert_string_equal(c->name, "web");
	}
}

static void test_bound(void **state)
{
	_cleanup_containers_ struct containers *t = table(8);
	struct containers_stats s;

	(void)state;
	for (int i = 0; i < 100; i++) {
		char cgroup[128];

		snprintf(cgroup, sizeof(cgroup), "/docker/%064x", (unsigned)i);
		container_unref(containers_get(t, cgroup, 0, 0));
	}
	containers_get_stats(t, &s);
	assert_int_equal(s.known + s.unknown, 8);
	assert_int_equal(s.evicted, 92);
}

static void test_by_path(void **state)
{
	_cleanup_containers_ struct containers *t = table(0);
	_cleanup_container_ struct container *c = NULL;
	const struct {
		const char *path, *inner;
	} paths[] = {
		{ STORAGE "/overlay/" A "/diff/usr/bin/x", "/usr/bin/x" },
		{ STORAGE "/overlay/" A "/diff", "/" },
		{ STORAGE "/overlay/" A "/diffusion", NULL },
		{ STORAGE "/overlay/" A "/" WORK_FOLDER "/#1", NULL },
		{ STORAGE "/overlay/" B "/diff/usr/bin/x", NULL },
		{ "/", NULL },
	};

	(void)state;
	add_container(A, "web");
	c = containers_get(t, CGROUP_A, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const char *inner = NULL, *full = at(paths[i].path);
		_cleanup_container_ struct container *found = containers_by_path(t, full, &inner);
		bool upper;

		assert_ptr_equal(found, paths[i].inner ? c : NULL);
		if (found)
			assert_string_equal(inner, paths[i].inner);
		inner = container_inner_path(c, full, &upper);
		assert_int_equal(inner != NULL, paths[i].inner != NULL);
	}
}

/* The thread has read it before anybody asks, and it is gone when somebody does. */
static void test_ahead(void **state)
{
	_cleanup_containers_ struct containers *t = table(0);
	_cleanup_container_ struct container *c = NULL;
	uint64_t end = clock_mono_ns() + 10 * NSEC_PER_SEC;
	struct containers_stats s = { 0 };

	(void)state;
	make_folder(STORAGE "/overlay-containers");
	assert_int_equal(containers_start(t), 0);
	while (!s.stores && clock_mono_ns() < end)
		containers_get_stats(t, &s);
	add_container(A, "blink");
	while ((!c || !c->name) && clock_mono_ns() < end) {
		container_unref(c);
		c = containers_peek(t, CGROUP_A);
	}
	remove_container(A);
	container_unref(c);
	c = containers_get(t, CGROUP_A, 0, 0);
	assert_string_equal(c->name, "blink");
}

/* A hint is as good as a folder. */
static void test_hint(void **state)
{
	_cleanup_containers_ struct containers *t = table(0);
	_cleanup_container_ struct container *c = NULL;
	uint64_t end = clock_mono_ns() + 10 * NSEC_PER_SEC;

	(void)state;
	containers_hint(t, CGROUP_A, 0); /* nobody is there to take it */
	assert_int_equal(containers_start(t), 0);
	containers_hint(t, "/system.slice", 0);
	for (int i = 0; i < 1000; i++)
		containers_hint(t, CGROUP_A, 0);
	while (!c && clock_mono_ns() < end)
		c = containers_peek(t, CGROUP_A);
	assert_non_null(c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_hostile),
		TEST(test_docker_starts),
		TEST(test_not_files),
		TEST(test_stays),
		TEST(test_again),
		TEST(test_start),
		TEST(test_bound),
		TEST(test_by_path),
		TEST(test_ahead),
		TEST(test_hint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
