/* Whether this kernel tells of what happens through an overlay on the file system of its layers (Linux 6.5 and later).
 */
#ifndef WATCH_OVERLAY_H
#define WATCH_OVERLAY_H

/*
 * 1: it does, 0: it does not, a negative errno: no overlay of our own could be made and marked. Tries it in a child
 * with a mount namespace of its own, a few milliseconds, at most a few seconds. Not for a process that holds a gate's
 * group.
 */
int overlay_events(void);

#endif
