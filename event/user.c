/*
 * Account names from passwd(5). Owns the tables and all names ever handed out; any thread, one mutex a table. The lock
 * is held over reading the file, so threads that answer permission events must not call it.
 */
#include "event/user.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <uthash.h>

#include "lib/clock.h"
#include "lib/util.h"

#define USER_NAMES_MAX	  65536 /* distinct names over the life of a table */
#define USER_ACCOUNTS_MAX 65536
#define USER_LINE_MAX	  4096
#define USER_NAME_MAX	  256

/* Kept for good, since callers borrow names for good. */
struct user_interned {
	UT_hash_handle hh;
	char name[];
};

struct user_account {
	UT_hash_handle hh;
	uint32_t uid;
	const char *name;
};

struct user_table {
	pthread_mutex_t lock;
	char *path;
	uint64_t interval_ns;
	uint64_t looked_ns; /* when the file was looked at last; 0: never */
	struct stat seen;   /* the file the accounts are from */
	struct user_account *accounts;
	struct user_interned *names;
};

int user_table_new(const char *path, uint64_t interval_ns, struct user_table **ret)
{
	_cleanup_(user_table_free_p) struct user_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->interval_ns = interval_ns;
	t->path = strdup(path);
	if (!t->path)
		return -ENOMEM;
	*ret = TAKE_PTR(t);
	return 0;
}

static void user_forget(struct user_table *t)
{
	struct user_account *account, *next;

	HASH_ITER(hh, t->accounts, account, next)
	{
		HASH_DEL(t->accounts, account);
		free(account);
	}
}

void user_table_free(struct user_table *t)
{
	struct user_interned *name, *next;

	if (!t)
		return;
	user_forget(t);
	HASH_ITER(hh, t->names, name, next)
	{
		HASH_DEL(t->names, name);
		free(name);
	}
	pthread_mutex_destroy(&t->lock);
	free(t->path);
	free(t);
}

static const char *user_intern(struct user_table *t, const char *name)
{
	size_t len = strlen(name);
	struct user_interned *interned;

	HASH_FIND(hh, t->names, name, len, interned);
	if (interned)
		return interned->name;
	if (HASH_COUNT(t->names) >= USER_NAMES_MAX)
		return NULL;
	interned = malloc(sizeof(*interned) + len + 1);
	if (!interned)
		return NULL;
	memcpy(interned->name, name, len + 1);
	HASH_ADD_KEYPTR(hh, t->names, interned->name, len, interned);
	return interned->name;
}

/* "name:x:uid:...": false when it is no account. */
static bool user_parse(char *line, const char **ret_name, uint32_t *ret_uid)
{
	char *rest = line, *name = strsep(&rest, ":"), *end;
	unsigned long uid;
	const char *field;

	if (!rest || !*name || strlen(name) > USER_NAME_MAX || strchr("#+-", *name))
		return false;
	strsep(&rest, ":");
	field = strsep(&rest, ":");
	if (!field || !rest || !isdigit((unsigned char)*field))
		return false;
	errno = 0;
	uid = strtoul(field, &end, 10);
	if (errno || *end || uid > UINT32_MAX)
		return false;
	*ret_name = name;
	*ret_uid = (uint32_t)uid;
	return true;
}

/* The first account of an uid names it, as getpwuid(3) has it. */
static void user_add(struct user_table *t, const char *name, uint32_t uid)
{
	struct user_account *account;

	HASH_FIND(hh, t->accounts, &uid, sizeof(uid), account);
	if (account || HASH_COUNT(t->accounts) >= USER_ACCOUNTS_MAX)
		return;
	name = user_intern(t, name);
	account = name ? malloc(sizeof(*account)) : NULL;
	if (!account)
		return;
	account->uid = uid;
	account->name = name;
	HASH_ADD(hh, t->accounts, uid, sizeof(account->uid), account);
}

static void user_load(struct user_table *t, FILE *f)
{
	char line[USER_LINE_MAX];
	bool cut = false;
	const char *name;
	uint32_t uid;

	user_forget(t);
	while (fgets(line, sizeof(line), f)) {
		bool rest = cut;

		cut = !strchr(line, '\n') && !feof(f);
		if (!rest && user_parse(line, &name, &uid))
			user_add(t, name, uid);
	}
}

static bool user_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Keeps what was known when the file cannot be read. */
static void user_refresh(struct user_table *t)
{
	_cleanup_fclose_ FILE *f = NULL;
	uint64_t now = clock_mono_ns();
	struct stat st;

	if (t->looked_ns && now - t->looked_ns < t->interval_ns)
		return;
	t->looked_ns = now;
	if (stat(t->path, &st) < 0 || !S_ISREG(st.st_mode) || user_same_file(&st, &t->seen))
		return;
	f = fopen(t->path, "re");
	if (!f || fstat(fileno(f), &st) < 0)
		return;
	user_load(t, f);
	t->seen = st;
}

const char *user_table_name(struct user_table *t, uint32_t uid)
{
	struct user_account *account;
	const char *name;

	pthread_mutex_lock(&t->lock);
	user_refresh(t);
	HASH_FIND(hh, t->accounts, &uid, sizeof(uid), account);
	name = account ? account->name : NULL;
	pthread_mutex_unlock(&t->lock);
	return name;
}

static struct user_table *user_passwd;
static pthread_once_t user_once = PTHREAD_ONCE_INIT;

static void user_init(void)
{
	user_table_new("/etc/passwd", NSEC_PER_SEC, &user_passwd);
}

const char *user_name(uint32_t uid)
{
	pthread_once(&user_once, user_init);
	return user_passwd ? user_table_name(user_passwd, uid) : NULL;
}

void user_text(uint32_t uid, char *ret, size_t size)
{
	const char *name = user_name(uid);

	if (name)
		snprintf(ret, size, "%s", name);
	else
		snprintf(ret, size, "%" PRIu32, uid);
}
