/*
 * The process table: entries, their bounds, and the look-up. Any thread may ask; messages.c changes entries on the
 * connector's thread. Owns all entries and one reference on each one's newest snapshot. Must not call the system while
 * it holds the lock (the lock inherits priority: the connector's thread runs above those that ask).
 */
#include "proc/table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "proc/entries.h"

#include <utlist.h>

/* --- entries (lock held) */

struct entry *entry_live(struct proc_table *t, int32_t pid)
{
	struct entry *e;

	HASH_FIND(hh, t->live, &pid, sizeof(pid), e);
	return e;
}

struct entry *entry_ended(struct proc_table *t, int32_t pid)
{
	struct entry *e;

	HASH_FIND(hh, t->ended, &pid, sizeof(pid), e);
	return e;
}

static void entry_free(struct entry *e)
{
	process_unref(e->p);
	free(e->opened);
	free(e);
}

static size_t text_bytes(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

static size_t process_bytes(const struct process *p)
{
	return sizeof(*p) + sizeof(struct entry) + p->cmdline_len + text_bytes(p->exe) + text_bytes(p->cwd) +
	       text_bytes(p->cgroup) + text_bytes(p->tty);
}

/* What an entry holds counts as long as it is in one of the lists. */
static void entry_count(struct proc_table *t, struct entry *e)
{
	e->bytes = process_bytes(e->p);
	t->bytes += e->bytes;
}

static void live_remove(struct proc_table *t, struct entry *e)
{
	t->bytes -= e->bytes;
	HASH_DELETE(hh, t->live, e);
	DL_DELETE(t->live_list, e);
	t->stats.live--;
}

static void ended_remove(struct proc_table *t, struct entry *e)
{
	t->bytes -= e->bytes;
	HASH_DELETE(hh, t->ended, e);
	DL_DELETE(t->ended_list, e);
	t->stats.ended--;
}

/* False (and the entry is freed) when memory for the hash is out. */
static bool live_insert(struct proc_table *t, struct entry *e)
{
	HASH_ADD(hh, t->live, pid, sizeof(e->pid), e);
	if (!e->hh.tbl) {
		entry_free(e);
		return false;
	}
	DL_APPEND(t->live_list, e);
	entry_count(t, e);
	t->stats.live++;
	return true;
}

static bool ended_insert(struct proc_table *t, struct entry *e)
{
	HASH_ADD(hh, t->ended, pid, sizeof(e->pid), e);
	if (!e->hh.tbl) {
		entry_free(e);
		return false;
	}
	DL_APPEND(t->ended_list, e);
	entry_count(t, e);
	t->stats.ended++;
	return true;
}

static void make_room(struct proc_table *t)
{
	struct entry *e;

	while (t->stats.live + t->stats.ended >= t->max || (t->bytes > t->max * PROC_BYTES && t->live_list)) {
		if (t->ended_list) {
			e = t->ended_list;
			ended_remove(t, e);
		} else {
			e = t->live_list;
			live_remove(t, e);
		}
		entry_free(e);
		t->stats.evicted++;
	}
}

static void forget_old(struct proc_table *t, uint64_t now)
{
	struct entry *e;

	while ((e = t->ended_list) && now - e->ended_ns > PROC_ENDED_KEEP_NS) {
		ended_remove(t, e);
		entry_free(e);
	}
}

struct entry *entry_add(struct proc_table *t, struct process *p, bool exact)
{
	struct entry *e = entry_live(t, p->pid);

	if (e)
		entry_end(t, e);
	make_room(t);
	e = calloc(1, sizeof(*e));
	if (!e) {
		process_unref(p);
		return NULL;
	}
	e->pid = p->pid;
	e->p = p;
	e->exact = exact;
	e->stamp = ++t->stamp;
	return live_insert(t, e) ? e : NULL;
}

void entry_set(struct proc_table *t, struct entry *e, struct process *p)
{
	process_unref(e->p);
	e->p = p;
	t->bytes -= e->bytes;
	entry_count(t, e);
	e->stamp = ++t->stamp;
}

void entry_touch(struct proc_table *t, struct entry *e)
{
	DL_DELETE(t->live_list, e);
	DL_APPEND(t->live_list, e);
}

void entry_end(struct proc_table *t, struct entry *e)
{
	struct entry *older = entry_ended(t, e->pid);
	uint64_t now = clock_boot_ns();

	live_remove(t, e);
	if (older) {
		ended_remove(t, older);
		entry_free(older);
	}
	e->ended_ns = now;
	if (ended_insert(t, e))
		forget_old(t, now);
}

bool entry_revive(struct proc_table *t, struct entry *e)
{
	ended_remove(t, e);
	e->ended_ns = 0;
	e->stamp = ++t->stamp;
	return live_insert(t, e);
}

/* --- reading (lock not held) */

void table_tell_seen(const struct proc_table *t, const struct process *read)
{
	if (t->seen && read->known & PROCESS_CGROUP)
		t->seen(read->cgroup, read->pid, t->seen_data);
}

int table_read(struct proc_table *t, int32_t pid, unsigned int parts, struct arena *a, struct process *ret)
{
	_cleanup_close_ int dirfd = proc_open(t->procfd, pid);
	struct process p = { .pid = pid };
	int r = dirfd < 0 ? dirfd : proc_read_fd(dirfd, parts, a, &p);

	if (r == 0) {
		memcpy(ret, &p, sizeof(p));
		table_tell_seen(t, ret);
	}
	TABLE_LOCKED(t);
	t->stats.reads++;
	return r;
}

/*
 * One process and those of its ancestors that the table does not hold, nearest first. Stops at a parent younger than
 * its child: the pid was given away between the two reads.
 */
static unsigned int read_line(struct proc_table *t, int32_t pid, struct arena *a, struct process *line,
			      unsigned int max)
{
	unsigned int n = 0;

	while (n < max && pid > 0) {
		struct process *p = &line[n];

		if (n > 0) {
			TABLE_LOCKED(t);
			if (entry_live(t, pid))
				break;
		}
		if (table_read(t, pid, PROC_PART_ALL, a, p) < 0)
			break;
		if (!(p->known & PROCESS_START) || (n > 0 && p->start_ns > line[n - 1].start_ns))
			break;
		n++;
		pid = p->ppid;
	}
	return n;
}

/* Lock held: the entry of what was read, unless somebody else put it there meanwhile. */
static struct entry *insert_read(struct proc_table *t, const struct process *values)
{
	struct entry *e = entry_live(t, values->pid), *parent;
	struct process *p;

	if (e && snapshot_started(e->p, e->exact, values->start_ns))
		return e;
	parent = values->ppid > 0 ? entry_live(t, values->ppid) : NULL;
	p = snapshot_child(t, values, parent && parent->p->start_ns <= values->start_ns ? parent->p : NULL);
	return p ? entry_add(t, p, true) : NULL;
}

struct process *table_learn(struct proc_table *t, int32_t pid)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct process line[PROCESS_DEPTH_MAX];
	unsigned int n;
	struct entry *e;

	memset(line, 0, sizeof(line));
	n = read_line(t, pid, &a, line, ARRAY_SIZE(line));
	TABLE_LOCKED(t);
	e = entry_ended(t, pid);
	/* Gone; or not yet waited for; or its leader has left and other threads go on: all three are the one that
	 * ended. */
	if (e && (!n || snapshot_started(e->p, e->exact, line[0].start_ns)))
		return process_ref(e->p);
	if (!n) {
		t->stats.missed++;
		return NULL;
	}
	while (n-- > 0)
		e = insert_read(t, &line[n]);
	return e ? process_ref(e->p) : NULL;
}

/* The process held as old is no more. */
static void end_if_same(struct proc_table *t, const struct process *old)
{
	TABLE_LOCKED(t);
	struct entry *e = entry_live(t, old->pid);

	if (!e || e->p != old)
		return;
	entry_take_back(t, e);
	entry_end(t, e);
}

/* How sure what is held of a process is. */
struct trust {
	bool exact, unread, login_stale, fed;
};

/* Puts the refreshed values in place of old, unless messages were faster. A reference on the newest. */
static struct process *replace(struct proc_table *t, struct process *old, const struct process *values)
{
	TABLE_LOCKED(t);
	struct entry *e = entry_live(t, old->pid);
	struct process *p;

	if (!e || e->p != old)
		return process_ref(e ? e->p : old);
	e->exact = true;
	e->unread = 0;
	e->login_stale = false;
	if (!snapshot_same(old, values)) {
		p = snapshot_child(t, values, old->parent);
		if (p)
			entry_set(t, e, p);
	}
	return process_ref(e->p);
}

/*
 * Settles what was only told so far: start and login uid. The executable of a forked process is compared too:
 * CLONE_PARENT makes a child of the caller's parent, which the message names, so what was inherited may be of the wrong
 * process.
 */
static struct process *settle(struct proc_table *t, struct process *old, const struct trust *trust)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	unsigned int parts = PROC_PART_EXE | (trust->unread ? PROC_PART_REST : PROC_PART_STAT | PROC_PART_LOGIN);
	struct process now = { 0 }, all = { 0 }, v;
	bool other_exe;

	snapshot_values(old, &v);
	if (table_read(t, old->pid, parts, &a, &now) < 0 || !(now.known & PROCESS_START)) {
		if (!trust->fed)
			end_if_same(t, old);
		return replace(t, old, &v);
	}
	if (!snapshot_started(old, trust->exact, now.start_ns)) {
		end_if_same(t, old);
		return table_learn(t, old->pid);
	}
	v.start_ns = now.start_ns;
	if (trust->unread)
		snapshot_take_rest(&v, &now);
	else
		snapshot_take(&v, &now, PROC_PART_LOGIN);
	other_exe = now.known & PROCESS_EXE && !(old->known & PROCESS_EXE && streq(now.exe, old->exe));
	if ((!other_exe || trust->exact) && old->known & PROCESS_IDS && trust->fed)
		return replace(t, old, &v);
	if (table_read(t, old->pid, PROC_PART_ALL, &a, &all) == 0 && all.start_ns == now.start_ns) {
		v.exec_count += !trust->fed && other_exe;
		snapshot_take(&v, &all, PROC_PART_ALL);
	}
	return replace(t, old, &v);
}

struct process *table_settled(struct proc_table *t, int32_t pid)
{
	_cleanup_process_ struct process *old = NULL;
	struct trust trust = { 0 };
	struct entry *e;

	table_lock(t);
	e = entry_live(t, pid);
	if (e) {
		entry_touch(t, e);
		old = process_ref(e->p);
		trust = (struct trust){
			.exact = e->exact, .unread = e->unread, .login_stale = e->login_stale, .fed = t->fed
		};
	}
	table_unlock(&t);
	if (!old)
		return table_learn(t, pid);
	if (trust.exact && !trust.unread && !trust.login_stale && trust.fed)
		return TAKE_PTR(old);
	return settle(t, old, &trust);
}

/* The one that ended last; or one whose end is not told yet. */
static struct process *get_ended(struct proc_table *t, int32_t pid)
{
	TABLE_LOCKED(t);
	struct entry *e = entry_ended(t, pid);

	if (!e)
		e = entry_live(t, pid);
	return e ? process_ref(e->p) : NULL;
}

int table_catch_up(struct proc_table *t, uint64_t boot_ns, bool *ret_fed)
{
	int (*sync)(uint64_t boot_ns, void *data);
	void *data;

	table_lock(t);
	*ret_fed = t->fed;
	sync = t->sync;
	data = t->sync_data;
	table_unlock(&t);
	return *ret_fed && sync ? sync(boot_ns, data) : 0;
}

void proc_table_sync(struct proc_table *t)
{
	bool fed;

	table_catch_up(t, 0, &fed);
}

struct process *table_get(struct proc_table *t, int32_t pid, bool ended, bool fed)
{
	_cleanup_process_ struct process *live = NULL;

	if (ended && fed)
		return get_ended(t, pid);
	live = table_settled(t, pid);
	if (!ended)
		return TAKE_PTR(live);
	/* Nobody told of its end: had it not ended, it would be the live one just read. */
	return get_ended(t, pid);
}

struct process *proc_table_get(struct proc_table *t, int32_t pid, bool ended)
{
	bool fed;

	if (pid <= 0)
		return NULL;
	table_catch_up(t, 0, &fed);
	return table_get(t, pid, ended, fed);
}

/* --- life */

int proc_table_new(const char *procfs, size_t max, struct proc_table **ret)
{
	_cleanup_close_ int fd = open(procfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	pthread_mutexattr_t attr;
	struct proc_table *t;

	if (fd < 0)
		return -errno;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&t->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	t->max = MAX(max, (size_t)1);
	t->procfd = TAKE_FD(fd);
	*ret = t;
	return 0;
}

void proc_table_free(struct proc_table *t)
{
	if (!t)
		return;
	while (t->ended_list) {
		struct entry *e = t->ended_list;

		ended_remove(t, e);
		entry_free(e);
	}
	while (t->live_list) {
		struct entry *e = t->live_list;

		live_remove(t, e);
		entry_free(e);
	}
	for (size_t i = 0; i < EARLY_MAX; i++)
		free(t->early[i].path);
	for (size_t i = 0; i < PROC_IMAGES_MAX; i++)
		process_unref(t->images[i].p);
	prepared_close_all(t);
	grouped_free_all(t);
	while (t->unread_first != t->unread_end)
		close(t->unread[t->unread_first++ % UNREAD_MAX].dirfd);
	close(t->procfd);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void proc_table_set_fed(struct proc_table *t, bool fed)
{
	TABLE_LOCKED(t);
	t->fed = fed;
}

void proc_table_set_sync(struct proc_table *t, int (*sync)(uint64_t boot_ns, void *data), void *data)
{
	TABLE_LOCKED(t);
	t->sync = sync;
	t->sync_data = data;
}

void proc_table_set_seen(struct proc_table *t, void (*seen)(const char *cgroup, int32_t pid, void *data), void *data)
{
	t->seen = seen;
	t->seen_data = data;
}

void proc_table_get_stats(struct proc_table *t, struct proc_stats *ret)
{
	TABLE_LOCKED(t);
	*ret = t->stats;
}
