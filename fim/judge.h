/*
 * What became of one path: pure decision, no I/O and no state. Everything that is known is in the input; what has to be
 * told is in the answer.
 */
#ifndef FIM_JUDGE_H
#define FIM_JUDGE_H

#include "event/event.h"

/* A path at some moment: there with this record, or not there. */
struct side {
	bool exists;
	struct record rec;
};

struct judge_input {
	const char *path;
	const char *from; /* it was renamed from there; NULL: not, or from a place that is not guarded */
	uint32_t ops;	  /* enum fs_op of the events that led here; 0: a rescan named it */
	attr_mask mask;
	struct side base, last, now; /* of path: in the baseline, as last known, as it is */
	struct side from_last, from_now;
	const uint8_t *prefix; /* growing files: digest of the first last.rec.size bytes as they are now; NULL: none */
};

struct judgement {
	bool tell; /* there is a change to tell */
	enum change change;
	enum deviation_status status;
	attr_mask attributes;
	const struct record *before, *after; /* point into the input; NULL: absent */
	bool renamed;			     /* tell it as from -> path, and from is known to be gone now */
	bool transient;			     /* came and went between two looks; counts, but is no change */
};

void judge_path(const struct judge_input *in, struct judgement *ret);

#endif
