/* Every operation of tests/watch/ops.c on one type of file system, under one sensor. */
#ifndef TESTS_WATCH_ROWS_H
#define TESTS_WATCH_ROWS_H

/* sensor: as watch_start. base: a folder for mount point and image. Skips the test when the type is not to be had. */
void rows_run(const char *sensor, const char *base, const char *type);
/* Runs a function in a child: 0 or the errno it failed with. */
int rows_in_child(int (*run)(void), int *ret_pid);

#endif
