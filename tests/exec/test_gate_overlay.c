/* The gate and overlays: asked about the layers' files, and, as older kernels have it, about the overlay's own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/exec/rig.h"
#include "tests/test.h"

static struct rig rig;
static const char *unable;
static const char *const good[] = { "good", "interpreter", "script", NULL };

static void start(const struct rig_options *o)
{
	struct rig_options with = *o;

	with.good = good;
	assert_int_equal(rig_start(&rig, &with), 0);
}

static int prepare(void **state _unused_)
{
	char text[200];

	unable = rig_setup(&rig, "ext4");
	if (unable) {
		print_message("skipped: %s\n", unable);
		return 0;
	}
	rig_program(&rig, "good", 3, 1);
	rig_program(&rig, "bad", 4, 2);
	rig_program(&rig, "interpreter", 5, 3);
	snprintf(text, sizeof(text), "#!%s\n", rig_path(&rig, "interpreter"));
	rig_file(&rig, "script", text, 0755);
	return 0;
}

static int clean(void **state _unused_)
{
	static const char *const names[] = { "good", "bad", "interpreter", "script" };

	for (size_t i = 0; !unable && i < ARRAY_SIZE(names); i++)
		unlink(rig_path(&rig, names[i]));
	rig_teardown(&rig);
	return 0;
}

static int after(void **state _unused_)
{
	rig_kill(&rig);
	return 0;
}

static unsigned times_told(const char *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < rig.shared->n && i < RIG_SEEN_MAX; i++) {
		const char *path = rig.shared->seen[i].path, *end = path + strlen(path);

		n += strlen(path) >= strlen(name) && strcmp(end - strlen(name), name) == 0;
	}
	return n;
}

/* As a runtime mounts it for a container: /proc has a file of the overlay, the kernel asks about the layer's. */
static void test_overlay(void **state _unused_)
{
	char text[600];

	if (unable)
		skip();
	snprintf(text, sizeof(text),
		 "cd %s && mkdir lower upper work merged && cp good bad lower && cp good lower/up && cp script "
		 "lower/run && "
		 "mount -t overlay o -o lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work merged && chmod 700 "
		 "merged/up",
		 rig.mnt, rig.mnt, rig.mnt, rig.mnt);
	if (system(text) != 0)
		skip();
	for (int enforce = 1; enforce >= 0; enforce--) {
		start(&(struct rig_options){ .enforce = enforce, .mounts = true, .scripts = GATE_SCRIPTS_REPORT });
		assert_int_equal(rig_run(&rig, "merged/good", NULL), 3);
		assert_int_equal(rig_run(&rig, "merged/up", NULL), 3);
		assert_int_equal(rig_run(&rig, "merged/run", NULL), 5);
		assert_int_equal(rig_run(&rig, "merged/bad", NULL), enforce ? -EPERM : 4);
		rig_stop(&rig);
		assert_int_equal(rig.shared->stats.late + rig.shared->stats.swapped, 0);
		assert_int_equal(times_told("/good"), 1);
		assert_int_equal(times_told("/up"), 1);
		assert_int_equal(times_told("/run"), 1);
		assert_int_equal(times_told("/bad"), 1);
	}
	snprintf(text, sizeof(text), "cd %s && umount merged && rm -r lower upper work merged", rig.mnt);
	assert_int_equal(system(text), 0);
}

/* As where the kernel does not ask about the layer's: who has that open or mapped for writing is known all the same. */
static void test_overlay_alone(void **state _unused_)
{
	const struct rig_seen *seen;
	char text[600];
	void *map;
	int fd;

	if (unable)
		skip();
	snprintf(text, sizeof(text),
		 "cd %s && mkdir lower upper work merged && cp good bad lower && mount -t overlay o -o "
		 "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work merged && cp good merged/up",
		 rig.mnt, rig.mnt, rig.mnt, rig.mnt);
	if (system(text) != 0)
		skip();
	start(&(struct rig_options){ .enforce = true, .only = "merged" });
	assert_int_equal(rig_run(&rig, "merged/good", NULL), 3);
	assert_int_equal(rig_run(&rig, "merged/up", NULL), 3);
	assert_int_equal(rig_run(&rig, "merged/bad", NULL), -EPERM);
	seen = rig_wait(&rig, "/up", GATE_MAIN, 30000);
	assert_true(seen && seen->leased);
	/* Mapped for writing, and closed: the overlay's own file shows nothing of it. */
	fd = open(rig_path(&rig, "merged/up"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	close(fd);
	assert_true(rig_run(&rig, "merged/up", NULL) < 0);
	munmap(map, 4096);
	assert_int_equal(rig_run(&rig, "merged/up", NULL), 3);
	rig_stop(&rig);
	assert_true(rig.shared->stats.writers > 0);
	snprintf(text, sizeof(text), "cd %s && umount merged && rm -r lower upper work merged", rig.mnt);
	assert_int_equal(system(text), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_overlay, after),
		cmocka_unit_test_teardown(test_overlay_alone, after),
	};

	alarm(170);
	return cmocka_run_group_tests(tests, prepare, clean);
}
