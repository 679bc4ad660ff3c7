/*
 * What an output with a network tells its process (role sink) and hears from it: where to post and how, as one body, so
 * that the process needs no file of ours. Both sides use this.
 */
#ifndef ALERT_POST_H
#define ALERT_POST_H

#include "lib/buf.h"

#define POST_HEADERS_MAX 64

/* Outcomes in ROLE_POSTED. */
enum post_outcome {
	POST_DONE,
	POST_REFUSED, /* it will never be taken */
	POST_FAILED,  /* another time, perhaps */
	POST_LATE,    /* the same: no answer in time */
};

/* Strings that end with NUL, borrowed. */
struct post_settings {
	uint64_t timeout; /* ns */
	const char *url; /* http://, https://; udp://, tcp://: syslog */
	const char *headers[POST_HEADERS_MAX];
	size_t n_headers;
	const char *ca, *cert, *key; /* PEM; NULL: none */
};

void post_settings_encode(const struct post_settings *s, struct buf *ret);
/* -EBADMSG. */
int post_settings_decode(const void *data, size_t len, struct post_settings *ret);

#endif
