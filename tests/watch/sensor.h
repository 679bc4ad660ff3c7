/*
 * What the tests of the sensors share: a mount namespace of their own, file systems on loop images, a running sensor,
 * and what it told so far.
 */
#ifndef TESTS_WATCH_SENSOR_H
#define TESTS_WATCH_SENSOR_H

#include <pthread.h>

#include "lib/buf.h"
#include "watch/watch.h"

struct sensor {
	struct conf *conf;
	struct queue *queue;
	struct watch *watch;
	struct buf err;
	struct arena arena;
	struct fs_event *events; /* all so far */
	size_t n, room;
	pthread_mutex_t lock; /* of the gaps */
	struct arena gap_arena;
	struct watch_gap gaps[256];
	size_t n_gaps;
};

/* Goes on in a mount namespace of its own, or says why not and exits 77. */
void sensor_own_namespace(void);
/* Why the kernel or our rights do not allow fanotify on file systems; NULL when they do. */
const char *sensor_lacks_fanotify(void);
/* The folder of the test, below /tmp, with a tmpfs of its own mounted on it where that is allowed: setup and teardown.
 */
extern char sensor_base[64];
int sensor_setup(void **state);
int sensor_teardown(void **state);
/* Path below it; good until the eighth call after. */
const char *at(const char *fmt, ...) _printf_(1, 2);
/* The shell is the one who does it: the sensor does not tell what the test itself does. */
void sh(const char *fmt, ...) _printf_(1, 2);
/*
 * A fresh file system of that type at `point` (made); `image` is the file that holds it, NULL for tmpfs. 0, or a
 * negative errno with *ret_why.
 */
int sensor_mount(const char *type, const char *image, const char *point, const char **ret_why);

/* yaml is printf-like. Fails the test when it does not start. */
void sensor_start(struct sensor *s, const char *kind, size_t queue, bool small, const char *yaml, ...) _printf_(5, 6);
/* As sensor_start, but with the error of watch_start. */
int sensor_try(struct sensor *s, const char *kind, size_t queue, bool small, const char *yaml);
void sensor_reload(struct sensor *s, const char *yaml, ...) _printf_(2, 3);
void sensor_stop(struct sensor *s);
/* Forgets what came so far, after what is on its way has arrived. */
void sensor_settle(struct sensor *s);
/* Takes what is in the queue; true when something was. */
bool sensor_take(struct sensor *s);
/* Waits until an event of the path with all of ops (together with others of the same path and pid) came. pid -1: any.
 */
bool sensor_wait(struct sensor *s, const char *path, uint32_t ops, int pid);
/* All ops of the path that came so far. */
uint32_t sensor_ops(struct sensor *s, const char *path, int pid);
/* Fails the test when it does not come. */
void expect(struct sensor *s, const char *path, uint32_t ops);
const struct fs_event *sensor_find(struct sensor *s, const char *path, uint32_t ops);
bool sensor_wait_gap(struct sensor *s, enum gap_reason reason, const char *scope, bool closed);
void sensor_dump(struct sensor *s);
void sensor_write(const char *path, const char *content);
void sensor_run(const char *command);

#endif
