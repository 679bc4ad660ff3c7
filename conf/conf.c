/*
 * Configuration snapshots: made from a file, from memory or from the defaults; then immutable, counted, and shared by
 * threads. Reads just the one file it is given and never waits for it.
 */
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/errors.h"
#include "conf/load.h"
#include "conf/node.h"
#include "conf/schema.h"
#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/text.h"
#include "lib/util.h"

#define FILE_SIZE_MAX (4 * MIB)

struct conf *conf_ref(struct conf *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void conf_unref(struct conf *c)
{
	struct arena arena;

	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	arena = c->arena;
	arena_free(&arena);
	free(c);
}

static int set_presets(struct conf *c)
{
	for (size_t i = 0; i < conf_schema_count; i++) {
		const struct conf_key *k = &conf_schema[i];
		_cleanup_buf_ struct buf why = BUF_INIT;
		int r;

		/* Items of lists have theirs set as they are read. */
		if (!k->preset || !conf_types[k->type].parse || strstr(k->key, "[]."))
			continue;
		r = conf_types[k->type].parse(&c->arena, k, k->preset, (char *)c + k->offset, &why);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Files whose default place is the folder of the database. */
static int set_beside(struct conf *c)
{
	const char *slash = strrchr(c->store.path, '/');
	int folder = (int)(slash - c->store.path);

	for (size_t i = 0; i < conf_schema_count; i++) {
		const struct conf_key *k = &conf_schema[i];
		const char **field = (const char **)(void *)((char *)c + k->offset);
		_cleanup_buf_ struct buf path = BUF_INIT;

		if (!k->beside || *field)
			continue;
		buf_printf(&path, "%.*s/%s", folder, c->store.path, k->beside);
		if (path.failed)
			return -ENOMEM;
		*field = arena_strdup(&c->arena, path.data);
		if (!*field)
			return -ENOMEM;
	}
	return 0;
}

static int exclude_own(struct conf *c, const char *folder, int len, const char *name)
{
	_cleanup_buf_ struct buf path = BUF_INIT;

	buf_printf(&path, "%.*s%s", len, folder, name);
	if (path.failed)
		return -ENOMEM;
	return strpbrk(path.data, "*?[\\") ? 0 : scope_add_exclude(&c->arena, &c->scope, path.data);
}

/* What we write as we run, when it lies within what is guarded, is no deviation of the host; signatures vouch for it.
 */
static int set_own(struct conf *c)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
	static const char *const beside[] = { CONF_LOCK, CONF_RESPOND, CONF_RESPOND CONF_NEW };
	static const char *const head[] = { "", CONF_NEW };
	int folder = (int)(strrchr(c->store.path, '/') - c->store.path), r = 0;

	if (scope_match(&c->scope, c->store.path, NULL) != SCOPE_IN)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(ends) && r == 0; i++)
		r = exclude_own(c, c->store.path, (int)strlen(c->store.path), ends[i]);
	for (size_t i = 0; i < ARRAY_SIZE(beside) && r == 0; i++)
		r = exclude_own(c, c->store.path, folder + 1, beside[i]);
	for (size_t i = 0; i < ARRAY_SIZE(head) && r == 0; i++)
		r = exclude_own(c, c->store.head, (int)strlen(c->store.head), head[i]);
	return r;
}

static int new_conf(struct conf **ret)
{
	_cleanup_conf_ struct conf *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	atomic_init(&c->refs, 1);
	r = set_presets(c);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

int conf_default(struct conf **ret)
{
	_cleanup_conf_ struct conf *c = NULL;
	int r = new_conf(&c);

	if (r == 0)
		r = set_beside(c);
	if (r == 0)
		*ret = TAKE_PTR(c);
	return r;
}

static int parse(const char *name, const char *text, size_t len, struct errors *e, struct conf **ret)
{
	_cleanup_arena_ struct arena nodes = ARENA_INIT;
	_cleanup_conf_ struct conf *c = NULL;
	const struct node *root = NULL;
	int r = new_conf(&c);

	if (r < 0)
		return r;
	c->file = arena_strdup(&c->arena, name);
	if (!c->file)
		return -ENOMEM;
	r = node_parse(&nodes, text, len, e, &root);
	if (r == 0)
		r = conf_load_nodes(c, root, e);
	if (r == 0)
		r = set_beside(c);
	if (r == 0)
		r = set_own(c);
	if (r == 0)
		*ret = TAKE_PTR(c);
	return r;
}

static int file_error(const char *name, int r, const char *text, struct buf *errors)
{
	text_escape(errors, name, strlen(name));
	buf_printf(errors, ": %s\n", text);
	return r;
}

int conf_parse(const char *name, const char *text, size_t len, struct conf **ret, struct buf *errors)
{
	_cleanup_errors_ struct errors e = ERRORS_INIT;
	int r;

	if (len > FILE_SIZE_MAX)
		return file_error(name, -EINVAL, "larger than 4 MiB", errors);
	r = parse(name, text, len, &e, ret);
	errors_write(&e, name, errors);
	return r == -ENOMEM ? file_error(name, r, "out of memory", errors) : r;
}

int conf_load(const char *path, struct conf **ret, struct buf *errors)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		return file_error(path, r, strerror(-r), errors);
	}
	if (!S_ISREG(st.st_mode))
		return file_error(path, -EINVAL, "not a regular file", errors);
	/* What is larger is refused where it stands. */
	r = io_read_all(fd, FILE_SIZE_MAX, &text);
	if (r < 0 && r != -EFBIG)
		return file_error(path, r, strerror(-r), errors);
	return conf_parse(path, text.data ? text.data : "", text.len, ret, errors);
}

bool conf_is_sensitive(const struct conf *c, const char *path)
{
	return scope_match(&c->sensitive_scope, path, NULL) == SCOPE_IN;
}
