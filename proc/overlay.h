/* The options of an overlay, as the tables of mounts show them. No state; any thread. */
#ifndef PROC_OVERLAY_H
#define PROC_OVERLAY_H

#include <stdbool.h>

/*
 * fn for each folder that the super options of an overlay name, in their order: as whoever mounted it called it, which
 * may be no path of this mount namespace, or none from "/". options is as in mountinfo and is cut up.
 */
void overlay_each_layer(char *options, void (*fn)(const char *path, bool upper, void *data), void *data);

#endif
