/*
 * System calls that rules can be asked about: one row each, from which the sensor's filter, the fields evt.type and
 * evt.arg.*, and the list of what a node sees are made.
 */
#ifndef EVENT_CALL_H
#define EVENT_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/socket.h"
#include "lib/arena.h"

#define CALL_ARGS	6
#define CALL_TEXTS	2 /* arguments that are strings, at most */
#define CALL_TEXT_MAX	256
#define CALL_NUMBER_MAX 512 /* of a system call */

enum call_arg_type {
	CALL_ARG_NONE, /* not told */
	CALL_ARG_NUMBER,
	CALL_ARG_HEX,
	CALL_ARG_TEXT, /* bytes up to a NUL, cut at CALL_TEXT_MAX; whole where the call is about paths */
	CALL_ARG_PATH, /* the same, from the root of the process, without "." and "..", links as they were written */
	CALL_ARG_UID,  /* account name, else the number */
	CALL_ARG_PTRACE,
	CALL_ARG_BPF,
	CALL_ARG_DOMAIN,
	CALL_ARG_CLONE,	     /* CLONE_* of setns and unshare, joined by | */
	CALL_ARG_MODE,	     /* S_I* of chmod, the same way */
	CALL_ARG_OPEN_FLAGS, /* O_* of open, joined by | */
	CALL_ARG_PROT,	     /* PROT_* of mmap and mprotect */
	CALL_ARG_INODE_REQUEST,
	CALL_ARG_INODE_FLAGS, /* FS_*_FL; of FS_IOC_FSSETXATTR those that mean the same */
	CALL_ARG_TYPES
};

enum call_filter {
	CALL_ALL,
	CALL_RAW_SOCKETS, /* packet sockets and raw ones */
	CALL_INODE_FLAGS, /* ioctl that sets flags of a file (chattr) */
	CALL_PATHS,	  /* about files by their paths */
	CALL_OPEN,	  /* told by a program of its own */
	CALL_CODE,	  /* mprotect that makes memory executable */
	CALL_CODE_NEW,	  /* mmap of executable memory that is no file's */
	/* From here on the call is about a socket, and is told with it. */
	CALL_CONNECT,
	CALL_ACCEPT,
	CALL_LOCAL,	   /* bind, listen */
	CALL_SEND,	   /* of a datagram to another peer than the one before */
	CALL_RECEIVE,	   /* from another peer, or with its data where a rule asks for that */
	CALL_DUP,	   /* onto a standard stream */
	CALL_END,	   /* of a TCP connection, which is no call */
	CALL_QUERY,	   /* of DNS, which is none either, and is told by programs of its own */
	CALL_DATAGRAM_END, /* of a UDP socket, one for each peer; no call */
	CALL_INHERIT,	   /* of a connection by another program; no call: a start, or what hands on descriptors */
};

/* Descriptors of others that a call brings. */
enum call_hands_on {
	CALL_HANDS_NOTHING,
	CALL_HANDS_RESULT,   /* the one that it returns */
	CALL_HANDS_MESSAGE,  /* those in the control data of a message */
	CALL_HANDS_MESSAGES, /* the same of as many messages as it returns */
};

/* Where the call has the address of a socket. */
enum call_address { CALL_ADDRESS_NONE, CALL_ADDRESS_1, CALL_ADDRESS_4, CALL_ADDRESS_MSGHDR };

struct call_info {
	int number; /* of this architecture; -1: it is no call, but told as one */
	const char *name, *category;
	enum call_filter filter;
	struct {
		const char *name;
		enum call_arg_type type;
	} args[CALL_ARGS];
	enum call_address address;
	enum socket_op op; /* SOCKET_OP_NONE: what it does to a socket is no event of its own */
	bool of_file;	   /* the first argument is a descriptor, or the only path: the file's path is told with it */
	enum call_hands_on hands_on;
	bool is_change;	   /* what came of it is seen as a change of the file too: see rules_ask_call */
	uint8_t uring;	   /* operation of io_uring that does the same (IORING_OP_*), 0: none */
};

/* What it leaves behind is found by a look at all sockets too. */
static inline bool call_is_looked_for(const struct call_info *c)
{
	return c->filter == CALL_CONNECT || c->filter == CALL_ACCEPT || c->filter == CALL_LOCAL;
}

static inline bool call_has_socket(const struct call_info *c)
{
	return c->filter >= CALL_CONNECT;
}

static inline bool call_arg_is_text(enum call_arg_type type)
{
	return type == CALL_ARG_TEXT || type == CALL_ARG_PATH;
}

extern const struct call_info call_table[];
extern const size_t call_count;

/* The same calls of 32-bit programs; a call may have several numbers there. */
struct call_compat {
	int number; /* -1: this architecture has none */
	const char *name;
};
extern const struct call_compat call_compat_table[];
extern const size_t call_compat_count;
/* And those that they make through socketcall(2), by its first argument; NULL where nobody asks. */
#define CALL_SOCKETCALL	 102
#define CALL_SOCKETCALLS 21
extern const char *const call_of_socketcall[CALL_SOCKETCALLS];

/* NULL when the sensor does not know it. */
const struct call_info *call_by_name(const char *name, size_t len);

/* Of CALL_OPEN: what was opened, by what is written in the call. */
struct call_open {
	uint32_t flags, mode; /* as the call has them; mode 0 when no file could be made */
	bool is_dir;	      /* it is a folder, or should be one */
	bool created;	      /* the call made the file */
	const char *raw;      /* as it was written; NULL: nothing could be read */
	const char *written;  /* absolute, see CALL_ARG_PATH; as it was written when where it begins is not known */
};

/* One call that returned. */
struct event_call {
	const struct call_info *info;
	int64_t result;		      /* negative errno */
	int32_t fd;		      /* of a socket; -1: it is about none */
	const struct call_open *open; /* NULL: it is of another kind */
	const char *args[CALL_ARGS];  /* for people and rules; NULL where there is none */
};

/* raw: the arguments as the kernel got them; texts of those that are strings, in their order. NULL: out of memory. */
const struct event_call *call_new(struct arena *a, const struct call_info *info, const uint64_t raw[CALL_ARGS],
				  const char *const texts[CALL_TEXTS], int64_t result);
/* One of CALL_OPEN, and what it opened, which is copied. NULL: out of memory. */
const struct event_call *call_new_open(struct arena *a, const struct call_info *info, const struct call_open *open,
				       int64_t result);
/* The argument of that name, NULL when there is none. */
const char *call_arg(const struct event_call *c, const char *name);
#define CALL_MODE_TEXT 128
/* "S_IXUSR|S_ISUID", empty when nothing is set. Its length. */
size_t call_mode_text(uint32_t mode, char ret[CALL_MODE_TEXT]);
/* "SUCCESS", "EPERM", "524". */
const char *call_result(const struct event_call *c, char *buf, size_t size);

#endif
