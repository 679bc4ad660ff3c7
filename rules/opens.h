/*
 * Which opens rules ask for: terms, one of which every such event has that a rule can match. Taken from the compiled
 * conditions, so that a sensor need not tell of every open there is.
 */
#ifndef RULES_OPENS_H
#define RULES_OPENS_H

#include "rules/rules.h"

#define OPENS_RULE_MAX 1024 /* terms of one rule; with more it is as one without */
#define OPENS_ALL_MAX  4096 /* of all rules together */

enum open_what {
	OPEN_PATH,  /* the whole path */
	OPEN_FILE,  /* the file's own name */
	OPEN_COMM,  /* the name of the program, as far as the kernel keeps it (15 bytes) */
	OPEN_BELOW, /* how the path begins */
	OPEN_WAY,   /* the same, and then the name of the file or of a folder on the way to it */
	OPEN_EACH,  /* nothing: every open of the class */
	OPEN_WHATS
};

/*
 * What kind of open it is: for reading, known by its file; or a call, by what it was given, whether it succeeded or
 * not. Of those that a condition has together the last says it all.
 */
enum open_class {
	OPEN_READ,
	OPEN_CALL,    /* any call that names a path */
	OPEN_WRITE,   /* for writing */
	OPEN_MAKE,    /* O_CREAT or O_TRUNC */
	OPEN_PROGRAM, /* with a mode for a new file that lets it be run */
	OPEN_UP,      /* two dots in the path as it was written */
	OPEN_CLASSES
};
#define OPEN_BIT(class) (1u << (class))

struct open_term {
	enum open_what what;
	enum open_class class;
	const char *s; /* bytes, not ended by a NUL; of the rule set */
	uint32_t len;
	const char *name; /* of OPEN_WAY */
	uint32_t name_len;
};

/* Of one rule. Terms NULL: it asks for opens, and nothing in it bounds which. */
struct rule_opens {
	bool asks;  /* for opens at all */
	bool dirs;  /* of folders for reading too */
	bool calls; /* for the calls, told as such: terms have none of OPEN_READ */
	const struct open_term *terms;
	uint32_t n;
};
const struct rule_opens *rule_opens(const struct rule *rule);

/* Those of all enabled rules, each once. */
struct opens {
	struct open_term *terms; /* malloc; sorted */
	size_t n;
	size_t first[OPEN_WHATS + 1]; /* terms of one kind stand together */
	bool dirs;
	uint32_t classes; /* OPEN_BIT of those of the terms */
	size_t rules;	  /* that ask and are bounded */
	size_t left_out;  /* rules whose terms found no room */
};
/* Borrows from r. -ENOMEM. */
int rules_opens(const struct rules *r, struct opens *ret);
void opens_free(struct opens *o);
bool opens_equal(const struct opens *a, const struct opens *b);
/*
 * One of the terms is the open's, which has these classes (OPEN_BIT); comm may be NULL: not known, any. path may be
 * NULL: there is none.
 */
bool opens_match(const struct opens *o, uint32_t classes, const char *path, size_t len, const char *comm);

#endif
