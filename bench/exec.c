/*
 * What a program start costs: posix_spawn and wait of a small program on a file system of its own, with nothing
 * listening, with a bare permission listener that answers at once, and under the gate enforcing with a warm cache; in
 * interleaved rounds. Prints medians and minima in microseconds, and the gate's ratio to the bare listener.
 *
 * usage: bench/exec [ROUNDS [STARTS [PROGRAMS]]]     (as root; PROGRAMS: how many different copies are started in turn)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/exec/rig.h"

#define PROGRAMS_MAX 4000

static const char *names[PROGRAMS_MAX + 1];

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Microseconds of one start, the mean over a round. */
static double measure(struct rig *r, unsigned starts, unsigned programs)
{
	uint64_t begin = clock_mono_ns();

	for (unsigned i = 0; i < starts; i++)
		if (rig_run(r, names[i % programs], NULL) != 0)
			exit(1);
	return (double)(clock_mono_ns() - begin) / starts / 1000;
}

static double round_of(struct rig *r, int config, unsigned starts, unsigned programs)
{
	const struct rig_options gate = { .enforce = true, .good = names }, bare = { .bare = true };
	double us;

	if (config > 0 && rig_start(r, config == 1 ? &bare : &gate) < 0)
		exit(1);
	measure(r, programs, programs); /* warm */
	us = measure(r, starts, programs);
	if (config == 2)
		rig_stop(r);
	rig_kill(r);
	return us;
}

int main(int argc, char **argv)
{
	static const char *const what[] = { "nothing", "bare listener", "gate" };
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 7, starts = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	unsigned programs = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
	double *us[3];
	struct rig r;
	const char *unable = rig_setup(&r, "ext4");

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
	for (int c = 0; c < 3; c++)
		us[c] = calloc(rounds, sizeof(double));
	for (unsigned i = 0; i < rounds; i++)
		for (int c = 0; c < 3; c++)
			us[c][i] = round_of(&r, c, starts, programs);
	for (int c = 0; c < 3; c++) {
		qsort(us[c], rounds, sizeof(double), by_value);
		printf("%-14s median %7.1f us  min %7.1f us\n", what[c], us[c][rounds / 2], us[c][0]);
	}
	printf("programs %u  gate/bare median %.2f  min %.2f  added %.1f us (bare %.1f)\n", programs,
	       us[2][rounds / 2] / us[1][rounds / 2], us[2][0] / us[1][0], us[2][rounds / 2] - us[0][rounds / 2],
	       us[1][rounds / 2] - us[0][rounds / 2]);
	for (unsigned i = 0; i < programs; i++)
		unlink(rig_path(&r, names[i]));
	rig_teardown(&r);
	return 0;
}
