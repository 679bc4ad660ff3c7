/*
 * The field table: what rules, output templates and their manual can name, one row a field. Falco's fields as far as
 * this program can have them, and its own under "hf.". Types, getters and what a value rests on (sensors, and why it
 * is not the exact thing) are columns of the table; the type check, the compiler, the classification and the list in
 * the manual are made from them.
 */
#ifndef EVENT_FIELD_H
#define EVENT_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

enum field_type {
	FIELD_STRING,
	FIELD_NUMBER, /* signed, 64 bits */
	FIELD_BOOL,
	FIELD_FLAGS, /* names with | between: "O_CREAT|O_WRONLY" */
	FIELD_IP,    /* 16 bytes, IPv4 as ::ffff:a.b.c.d */
	FIELD_NET,   /* the same bytes, compared with networks */
	FIELD_BYTES,
	FIELD_TYPE_COUNT
};

/* What it costs to get the value. */
enum field_class {
	FIELD_FACE,    /* known before the event: from the face alone */
	FIELD_EVENT,   /* in the event */
	FIELD_PROCESS, /* in its process record */
	FIELD_LINEAGE, /* in the records of its ancestors */
	FIELD_FETCH,   /* read when a rule asks, once for the event */
	FIELD_CLASS_COUNT
};

enum field_argument {
	ARG_NONE,
	ARG_INDEX_OPTIONAL, /* proc.aname, proc.aname[2] */
	ARG_INDEX,	    /* proc.aexe[2] */
	ARG_KEY_OPTIONAL,   /* proc.env, proc.env[HOME] */
	ARG_KEY,	    /* container.mount.dest[/proc*] */
};

/* How well this node can evaluate something. */
enum quality { QUALITY_EXACT, QUALITY_APPROXIMATE, QUALITY_BLIND, QUALITY_COUNT };
extern const char *const quality_names[QUALITY_COUNT];

/* What a node has to know things by: a set of bits. */
enum sensor {
	SENSOR_CHANGES,		/* creations, writes, renames, removals, attributes (fanotify) */
	SENSOR_OPENS_SENSITIVE, /* opens of the files that the configuration calls sensitive */
	SENSOR_OPENS_RULES,	/* opens of the paths and programs that rules name */
	SENSOR_OPENS,		/* every open */
	SENSOR_EXEC,		/* program starts (proc connector) */
	SENSOR_EXEC_BPF,	/* program starts from inside the kernel: memory files and short lives too */
	SENSOR_PROC,		/* /proc of the process: environment, capabilities, namespace ids, cgroup */
	SENSOR_RUNTIME,		/* the container runtime: image, privileges, mounts, pod */
	SENSOR_LAYERS,		/* the layers of a container's file system */
	SENSOR_SYSCALL,		/* system calls as they are made */
	SENSOR_NETWORK,		/* connections */
	SENSOR_LOOKS,		/* the kernel's list of connections, looked at again and again */
	SENSOR_SESSIONS,	/* records of logins, su, sudo (audit) */
	SENSOR_BASELINE,	/* a baseline to compare with */
	SENSOR_TRUST,		/* verdicts over programs */
	SENSOR_COUNT
};
typedef uint32_t sensor_mask;
#define SENSOR_BIT(s) (1u << (s))
struct sensor_info {
	const char *name;
	const char *help;
	const char *missing; /* "... because" what it means that this node has none */
};
extern const struct sensor_info sensor_table[SENSOR_COUNT];
/* -EINVAL when unknown. */
int sensor_by_name(const char *name, enum sensor *ret);

/*
 * A face of an event: the system call it stands for. Rules speak of calls; an event tells what became of a file, which
 * may have taken several (a file that was replaced was written and renamed). Rules see the event once for each face.
 */
enum face {
	FACE_OPEN_READ,
	FACE_OPEN_DIR, /* a folder, to list it */
	FACE_OPEN_WRITE,
	FACE_CREATE,
	FACE_MKDIR,
	FACE_MKNOD,
	FACE_SYMLINK,
	FACE_LINK,
	FACE_UNLINK,
	FACE_RMDIR,
	FACE_RENAME,
	FACE_CHMOD,
	FACE_CHOWN,
	FACE_XATTR,
	FACE_UTIME,
	FACE_EXEC,
	FACE_NONE,    /* stands for no call: a gap, an alert, a note */
	FACE_CALL,    /* any other call: event.call, or fields set from outside */
	FACE_OPENED,  /* a call that opens, told as one, by the path that it came to */
	FACE_WRITTEN, /* the same by the path as it was written, when that is another */
	FACE_COUNT
};
#define FACE_NAMES_MAX 6
#define FACES_MAX      6 /* of one event */
struct face_info {
	const char *names[FACE_NAMES_MAX]; /* values of evt.type, the first one is what is printed */
	char typechar;
	bool read, write;
	enum quality quality;
	sensor_mask needs;
	const char *why; /* when not exact */
};
extern const struct face_info face_table[FACE_COUNT];
#define FACE_BIT(f) (1u << (f))
/* What an open is seen as when it is not told as a call. */
#define FACES_OPEN                                                                                                     \
	(FACE_BIT(FACE_OPEN_READ) | FACE_BIT(FACE_OPEN_DIR) | FACE_BIT(FACE_OPEN_WRITE) | FACE_BIT(FACE_CREATE))
static inline bool face_is_opened(enum face face)
{
	return face == FACE_OPENED || face == FACE_WRITTEN;
}
_Static_assert(FACE_COUNT <= 32, "a word holds them");
/* What a call is seen as without being told itself. FACE_NONE: nothing. */
enum face face_of_call(const struct call_info *call);
/* Fills ret; the number of faces, at least 1. */
unsigned event_faces(const struct event *e, enum face ret[FACES_MAX]);

struct field_item {
	const char *s; /* bytes with a NUL behind; NULL for numbers */
	uint32_t len;
	uint32_t hash; /* of s; 0: not worked out yet */
	int64_t number;
};

/* No, one or several values. No value: unknown or not there; every comparison with it is false. */
struct field_value {
	uint32_t n;
	const struct field_item *items;
	struct field_item one;
};

/* What is read on demand. Zero and NULL: not known. Filled by a field_fetch function, borrowed for the event. */
struct field_extra {
	const char *environ; /* as in /proc/PID/environ */
	uint32_t environ_len;
	bool have_caps;
	uint64_t cap_inheritable, cap_permitted, cap_effective;
	int32_t vpid, vpgid; /* in the innermost pid namespace */
	const char *package; /* that brought the file or program */
	const char *layer;
	uint64_t first_seen;	 /* real ns */
	const char *link_source; /* another name of the inode that was linked */
	bool emptied;		 /* the file that was written is empty */
};

enum field_group { GROUP_ENVIRON, GROUP_STATUS, GROUP_PACKAGE, GROUP_LAYER, GROUP_LINK, GROUP_FILE, GROUP_COUNT };

/* A field with its argument, as written in a rule. */
struct field_ref {
	const struct field_info *info;
	const char *arg; /* NULL without */
	uint32_t index;	 /* arg as a number */
};

#define FIELD_SCRATCH 65536 /* bytes for values that are put together; what does not fit is cut, and counted */

/*
 * One event as rules see it, with what was fetched for it. Belongs to one thread, is used again and again; nothing is
 * allocated after field_view_new.
 */
struct field_view {
	uint32_t told; /* FACE_BIT of what is told as calls too, for rules that ask for those; kept from event to event
			*/
	const struct event *event;
	enum face face;
	/* What the event stands for: as event_faces says, unless whoever began the view knows better. */
	unsigned n_faces;
	enum face faces[FACES_MAX];
	uint64_t number;					     /* evt.num: counts events */
	void (*fetch)(struct field_view *v, enum field_group group); /* NULL: nothing can be read */
	void *fetch_data;
	struct field_extra extra;
	uint32_t fetched; /* 1u << group */
	/* Set from outside (tests, replay); valid until the next field_view_begin. They outvote the event. */
	const struct field_preset *presets;
	size_t n_presets;
	uint64_t cut; /* values that did not fit */
	size_t used;
	char scratch[FIELD_SCRATCH] __attribute__((aligned(8)));
};

struct field_preset {
	const struct field_info *info;
	const char *arg;
	struct field_value value;
};

struct field_info {
	const char *name;
	enum field_type type;
	enum field_class class;
	enum field_argument argument;
	/* Of several values a comparison wants any (an ancestor, either end of a connection), not all of them. */
	bool any;
	enum quality quality; /* at best */
	sensor_mask needs;    /* for that */
	const char *why;      /* when not exact */
	void (*get)(struct field_view *v, const struct field_ref *ref, struct field_value *ret);
	const char *help;
};

extern const struct field_info field_table[];
extern const size_t field_count;

/* NULL when unknown. len: of the name, which needs no NUL. */
const struct field_info *field_by_name(const char *name, size_t len);
/* The nearest name, or NULL. */
const char *field_nearest(const char *name);

struct field_view *field_view_new(void);
void field_view_free(struct field_view *v);
/* Points v at an event; what was fetched for the one before is forgotten. */
void field_view_begin(struct field_view *v, const struct event *e);
/* The value, from presets or the getter. Borrowed from the event, the view and ret itself. */
void field_get(struct field_view *v, const struct field_ref *ref, struct field_value *ret);
uint32_t field_hash(const char *s, size_t len); /* never 0 */
/* For values that are put together. Room for len bytes and a NUL in the view's scratch: at most *len, which is cut to
 * what there is. */
char *field_room(struct field_view *v, size_t *len);
/* Room for n values of one field, NULL when there is none. */
struct field_item *field_items(struct field_view *v, size_t n);

/* Appends the value for people: escaped, "<NA>" without one. */
void field_print(struct buf *b, const struct field_info *info, const struct field_value *value);

/* Text to a preset's value by the field's type; strings are borrowed. -EINVAL when it is none of that type. */
int field_parse(const struct field_info *info, const char *text, struct arena *a, struct field_value *ret);
/* "10.0.0.0/8", "::1": 16 bytes and the length of the prefix in bits of those. -EINVAL. */
int field_parse_net(const char *text, uint8_t ret[16], unsigned *ret_prefix);

DEFINE_CLEANUP(struct field_view *, field_view_free)

#endif
