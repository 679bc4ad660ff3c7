/*
 * What a program start costs: posix_spawn and wait of a tiny static program (bench/tiny) on a file system of its own,
 * with nothing listening, with a bare permission listener that answers at once, under the gate enforcing with a warm
 * cache, and under fapolicyd (where it is installed, integrity by sha256, the same programs trusted); in rounds that
 * take turns.
 * Prints what a start takes and what each adds to it, and the gate's ratio to the bare listener: medians over the
 * rounds, each compared within itself. Many short rounds say more than a few long ones where the machine's speed
 * changes.
 *
 * usage: bench/exec [ROUNDS [STARTS [PROGRAMS]]]     (as root; PROGRAMS: how many different copies are started in turn)
 *        bench/exec spawn PROGRAM RATE SECONDS       starts it so often a second, and says how often it was late
 *
 * The file system is an ext3, and fapolicyd is told to watch that type alone, in a mount namespace that has no other:
 * without that it is left out.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/digest.h"
#include "lib/util.h"
#include "tests/exec/rig.h"
#include "watch/mounts.h"

#define PROGRAMS_MAX 4000
#define PEER_PID     "/run/fapolicyd.pid"

enum config { NOTHING, BARE, GATE, PEER, CONFIGS };

static const char *names[PROGRAMS_MAX + 1];

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Microseconds of one start, the median of a round: what the host of a virtual machine takes away would weigh in a
 * mean. */
static double measure(struct rig *r, unsigned starts, unsigned programs)
{
	double *us = calloc(starts, sizeof(*us)), median;

	for (unsigned i = 0; us && i < starts; i++) {
		uint64_t begin = clock_mono_ns();
		int status = rig_run(r, names[i % programs], NULL);

		us[i] = (double)(clock_mono_ns() - begin) / 1000;
		if (status != 0) {
			fprintf(stderr, "bench/exec: %s: %d\n", names[i % programs], status);
			exit(1);
		}
	}
	if (!us)
		exit(1);
	qsort(us, starts, sizeof(*us), by_value);
	median = us[starts / 2];
	free(us);
	return median;
}

/* --- fapolicyd: its folders are replaced in this mount namespace */

static bool write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	return f && fputs(text, f) >= 0 && fclose(f) == 0;
}

static bool write_trust(struct rig *r, const char *path, unsigned programs)
{
	FILE *f = fopen(path, "we");
	struct digest *d = NULL;

	if (!f || digest_new(DIGEST_SHA256, &d) < 0)
		return false;
	for (unsigned i = 0; i < programs; i++) {
		FILE *p = fopen(rig_path(r, names[i]), "re");
		uint8_t digest[DIGEST_MAX];
		uint64_t n;

		if (!p || digest_fd(d, fileno(p), UINT64_MAX, digest, &n, NULL, NULL) < 0)
			return false;
		fclose(p);
		fprintf(f, "%s %llu ", rig_path(r, names[i]), (unsigned long long)n);
		for (int k = 0; k < 32; k++)
			fprintf(f, "%02x", digest[k]);
		fputc('\n', f);
	}
	digest_free(d);
	return fclose(f) == 0;
}

/* What it watches it finds by type: there must be no other file system of ours. */
static bool is_alone(const struct rig *r)
{
	struct mount_table t;
	bool alone = true;

	if (mounts_read("/proc/self/mountinfo", &t, NULL) < 0)
		return false;
	for (size_t i = 0; i < t.n; i++)
		alone &= !streq(t.mounts[i].fstype, "ext3") || streq(t.mounts[i].point, r->mnt);
	mounts_free(&t);
	return alone;
}

/* NULL, or why it is left out. */
static const char *peer_prepare(struct rig *r, unsigned programs)
{
	char path[128], text[1024];

	if (access("/usr/sbin/fapolicyd", X_OK) < 0)
		return "not installed";
	if (access(PEER_PID, F_OK) == 0)
		return "one runs already";
	if (!is_alone(r))
		return "there are other file systems of its type";
	snprintf(text, sizeof(text),
		 "mkdir -p %s/etc/trust.d %s/etc/rules.d %s/var /var/lib/fapolicyd && mount --bind %s/etc "
		 "/etc/fapolicyd && "
		 "mount -t tmpfs none /var/lib/fapolicyd && chown -R fapolicyd:fapolicyd /var/lib/fapolicyd && "
		 "mount -t tmpfs -o mode=755 none /run && mkdir /run/fapolicyd && chown fapolicyd /run/fapolicyd",
		 r->dir, r->dir, r->dir, r->dir);
	if (system(text) != 0)
		return "its folders cannot be replaced";
	snprintf(path, sizeof(path), "%s/etc/fapolicyd.conf", r->dir);
	if (!write_text(path, "permissive = 0\nnice_val = 14\nq_size = 2048\nuid = root\ngid = root\n"
			      "do_stat_report = 0\ndetailed_report = 0\ndb_max_size = 50\nsubj_cache_size = 1549\n"
			      "obj_cache_size = 8191\nwatch_fs = ext3\ntrust = file\nintegrity = sha256\n"
			      "syslog_format = rule,dec,perm,auid,pid,exe,:,path,ftype,trust\nrpm_sha256_only = 0\n"
			      "allow_filesystem_mark = 0\n"))
		return "its configuration cannot be written";
	snprintf(path, sizeof(path), "%s/etc/compiled.rules", r->dir);
	write_text(path, "allow perm=any all : trust=1\ndeny perm=execute all : all\nallow perm=open all : all\n");
	snprintf(path, sizeof(path), "%s/etc/fapolicyd.trust", r->dir);
	if (!write_trust(r, path, programs))
		return "its list cannot be written";
	rig_program(r, "untrusted", 0, 99);
	return NULL;
}

static pid_t peer_pid(void)
{
	FILE *f = fopen(PEER_PID, "re");
	int pid = 0;

	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static void peer_stop(void)
{
	pid_t pid = peer_pid();

	if (pid <= 0 || kill(pid, SIGTERM) < 0)
		return;
	for (int i = 0; i < 300 && kill(pid, 0) == 0; i++)
		usleep(10000);
	kill(pid, SIGKILL);
	unlink(PEER_PID);
}

/* Runs when it refuses what is not on its list. */
static bool peer_start(struct rig *r)
{
	if (system("/usr/sbin/fapolicyd >/dev/null 2>&1") != 0)
		return false;
	for (int i = 0; i < 1000; i++) {
		if (rig_run(r, "untrusted", NULL) == -EPERM)
			return true;
		usleep(10000);
	}
	peer_stop();
	return false;
}

/* --- rounds */

static double round_of(struct rig *r, enum config config, unsigned starts, unsigned programs)
{
	const struct rig_options gate = { .enforce = true, .good = names }, bare = { .bare = true };
	double us;

	if ((config == BARE && rig_start(r, &bare) < 0) || (config == GATE && rig_start(r, &gate) < 0) ||
	    (config == PEER && !peer_start(r))) {
		fprintf(stderr, "bench/exec: a listener does not start\n");
		exit(1);
	}
	measure(r, programs, programs); /* warm */
	us = measure(r, starts, programs);
	if (config == GATE)
		rig_stop(r);
	rig_kill(r);
	if (config == PEER)
		peer_stop();
	return us;
}

/* Of values that it sorts; at: a quarter, two or three of them. */
static double quartile(double *values, unsigned n, unsigned at)
{
	qsort(values, n, sizeof(*values), by_value);
	return values[(uint64_t)(n - 1) * at / 4];
}

static void print_quartiles(const char *what, double *values, unsigned n, const char *unit)
{
	double low = quartile(values, n, 1), high = quartile(values, n, 3);

	printf("%-24s %7.2f%s  (half of the rounds: %.2f to %.2f)\n", what, quartile(values, n, 2), unit, low, high);
}

/*
 * Rounds stand side by side: the machine is another one from minute to minute, and what a round says of two is compared
 * within it.
 */
static void compare(struct rig *r, unsigned rounds, unsigned starts, unsigned programs, unsigned configs)
{
	static const char *const what[] = { "nothing", "bare listener", "gate", "fapolicyd" };
	double *us[CONFIGS] = { NULL }, *added[CONFIGS] = { NULL }, *ratio = calloc(rounds, sizeof(double));

	for (unsigned c = 0; c < configs; c++) {
		us[c] = calloc(rounds, sizeof(double));
		added[c] = calloc(rounds, sizeof(double));
		if (!us[c] || !added[c] || !ratio)
			exit(1);
	}
	for (unsigned i = 0; i < rounds; i++) {
		for (unsigned c = 0; c < configs; c++)
			us[c][i] = round_of(r, c, starts, programs);
		for (unsigned c = 0; c < configs; c++)
			added[c][i] = us[c][i] - us[NOTHING][i];
		ratio[i] = us[GATE][i] / us[BARE][i];
	}
	for (unsigned c = 0; c < configs; c++) {
		print_quartiles(what[c], us[c], rounds, " us");
		if (c != NOTHING)
			print_quartiles("  adds", added[c], rounds, " us");
	}
	print_quartiles("gate to bare listener", ratio, rounds, "");
	printf("programs %u  gate/bare median %.2f", programs, quartile(ratio, rounds, 2));
	if (configs > PEER)
		printf("  gate/fapolicyd %.2f", quartile(added[GATE], rounds, 2) / quartile(added[PEER], rounds, 2));
	putchar('\n');
	for (unsigned c = 0; c < configs; c++) {
		free(us[c]);
		free(added[c]);
	}
	free(ratio);
}

/* --- a steady rate */

static int spawn(char *program, unsigned rate, unsigned seconds)
{
	uint64_t begin = clock_mono_ns(), late = 0, failed = 0, n = (uint64_t)rate * seconds;
	char *argv[] = { program, NULL };

	for (uint64_t i = 0; i < n; i++) {
		uint64_t due = begin + i * NSEC_PER_SEC / rate, now = clock_mono_ns();
		int status = 0;
		pid_t pid;

		if (now < due)
			usleep((useconds_t)((due - now) / 1000));
		else
			late += now - due > 100 * NSEC_PER_MSEC;
		if (posix_spawn(&pid, program, NULL, NULL, argv, NULL) != 0 || waitpid(pid, &status, 0) < 0 || status)
			failed++;
	}
	printf("%llu starts in %.1f s, %llu late, %llu failed\n", (unsigned long long)n,
	       (double)(clock_mono_ns() - begin) / (double)NSEC_PER_SEC, (unsigned long long)late,
	       (unsigned long long)failed);
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 7, starts = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	unsigned programs = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
	const char *unable, *without;
	char text[200];
	struct rig r;

	if (argc == 5 && streq(argv[1], "spawn"))
		return spawn(argv[2], MAX((unsigned)atoi(argv[3]), 1u), (unsigned)atoi(argv[4]));
	unable = rig_setup(&r, "ext3");
	if (unable || rounds == 0 || programs == 0 || programs > PROGRAMS_MAX) {
		fprintf(stderr, "bench/exec: %s\n", unable ? unable : "see the usage in bench/exec.c");
		return 77;
	}
	for (unsigned i = 0; i < programs; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%04u", i);
		names[i] = strdup(name);
		rig_program(&r, names[i], 0, i + 100);
	}
	usleep(50000);
	without = peer_prepare(&r, programs);
	if (!without && !peer_start(&r))
		without = "it does not start here";
	peer_stop();
	if (without)
		printf("fapolicyd left out: %s\n", without);
	compare(&r, rounds, starts, programs, without ? PEER : CONFIGS);
	umount2("/etc/fapolicyd", 0);
	snprintf(text, sizeof(text), "rm -rf %s/etc %s/var", r.dir, r.dir);
	if (system(text) != 0)
		fprintf(stderr, "bench/exec: something is left in %s\n", r.dir);
	for (unsigned i = 0; i < programs; i++)
		unlink(rig_path(&r, names[i]));
	rig_teardown(&r);
	return 0;
}
