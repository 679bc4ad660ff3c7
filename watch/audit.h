/*
 * Records of the kernel's audit, read from its multicast group (AUDIT_NLGRP_READLOG, Linux 3.16, CAP_AUDIT_READ):
 * whoever has the audit for itself (auditd) loses nothing by it. Only the initial network namespace is told.
 */
#ifndef WATCH_AUDIT_H
#define WATCH_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "watch/sessions.h"

#define AUDIT_TEXT_MAX 8970 /* MAX_AUDIT_MESSAGE_LENGTH of linux/audit.h */

/* --- decoding (audit_decode.c): no state, any bytes */

/*
 * text: of one record, as "audit(1700000000.123:42): pid=1 uid=0 auid=1000 ses=3 msg='op=login ... res=success'". 1: it
 * tells of a deed; 0: of none, serial is set; -EBADMSG.
 */
int audit_decode(uint16_t type, const char *text, size_t len, struct session_note *ret, uint64_t *ret_serial);
/* The program's name decides what a session that it opens is: su, sudo, become; SESSION_OPEN for others. */
enum session_op audit_program_op(const char *path);

/* --- the socket */

struct audit_reader;

struct audit_stats {
	uint64_t records, told; /* all that came; those that were deeds */
	uint64_t lost;		/* dropped for want of room, and serials that never came */
};

/*
 * enable: auditing is switched on when it is off, and off again by audit_close. 0, or a negative errno with text in
 * err. A kernel without it: -EPROTONOSUPPORT.
 */
int audit_open(bool enable, struct audit_reader **ret, struct buf *err);
void audit_close(struct audit_reader *a);
int audit_fd(const struct audit_reader *a);
/* Reads what waits, at most some hundred records. */
void audit_read(struct audit_reader *a, void (*fn)(const struct session_note *n, void *data), void *data);
void audit_get_stats(const struct audit_reader *a, struct audit_stats *ret);
/* Whether the kernel makes records at all: 1, 0, or a negative errno. */
int audit_enabled(const struct audit_reader *a);

DEFINE_CLEANUP(struct audit_reader *, audit_close)

#endif
