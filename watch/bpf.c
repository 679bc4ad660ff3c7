/*
 * The BPF programs of watch/bpf: loading, attaching, and reading their ring. On the thread that opens, then on the one
 * that takes. The skeletons are made at build time.
 */
#include "watch/bpf.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "lib/cleanup.h"
#include "lib/util.h"
#include "proc/parse.h"
#include "watch/bpf-load.h"
#include "watch/bpf/proc.skel.h"

struct bpf_procs {
	struct proc_bpf *skeleton;
	struct bpf_ring ring;
	bool refuses;
	struct arena arena;

	/* Of bpf_procs_take. */
	void (*fn)(const struct bpf_proc_event *e, void *data);
	void *data;
};

static void on_record(void *ctx, const void *data, size_t len)
{
	struct bpf_procs *b = ctx;
	struct bpf_proc_event e;

	if (bpf_decode_proc(data, len, &b->arena, &e) == 0)
		b->fn(&e, b->data);
	arena_reset(&b->arena);
}

/* The skeleton is loaded without the programs of newer tracepoints where these are not there. */
static void leave_out(struct bpf_procs *b)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool uring = btf && btf__find_by_name_kind(btf, "btf_trace_io_uring_submit_req", BTF_KIND_TYPEDEF) > 0;

	b->refuses = btf && btf__find_by_name_kind(btf, "btf_trace_sched_prepare_exec", BTF_KIND_TYPEDEF) > 0;
	btf__free(btf);
	bpf_program__set_autoload(b->skeleton->progs.on_prepare, b->refuses);
	bpf_program__set_autoload(b->skeleton->progs.on_uring, uring);
}

static int start(struct bpf_procs *b, size_t ring)
{
	int r;

	b->skeleton = proc_bpf__open();
	if (!b->skeleton)
		return -errno;
	leave_out(b);
	r = bpf_ring_resize(b->skeleton->maps.ring, ring ? ring : BPF_RING_DEFAULT);
	b->skeleton->rodata->crowded = bpf_map__max_entries(b->skeleton->maps.ring) / 4;
	if (r == 0)
		r = proc_bpf__load(b->skeleton);
	if (r == 0)
		r = bpf_ring_open(&b->ring, b->skeleton->maps.ring, on_record, b);
	return r < 0 ? r : proc_bpf__attach(b->skeleton);
}

int bpf_procs_open(size_t ring, struct bpf_procs **ret, struct buf *err)
{
	_cleanup_(bpf_procs_close_p) struct bpf_procs *b = NULL;
	int r;

	r = bpf_load_begin(err);
	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	r = start(b, ring);
	if (r < 0)
		return bpf_load_failed(err, NULL, r);
	*ret = TAKE_PTR(b);
	return 0;
}

void bpf_procs_close(struct bpf_procs *b)
{
	if (!b)
		return;
	bpf_ring_close(&b->ring);
	proc_bpf__destroy(b->skeleton);
	arena_free(&b->arena);
	free(b);
}

int bpf_procs_fd(const struct bpf_procs *b)
{
	return b->ring.fd;
}

void bpf_procs_prompt(struct bpf_procs *b, enum bpf_prompt prompt)
{
	__atomic_store_n(&b->skeleton->bss->prompt, prompt, __ATOMIC_RELEASE);
}

void bpf_procs_doze(struct bpf_procs *b, bool dozing)
{
	__atomic_store_n(&b->skeleton->bss->dozing, dozing, __ATOMIC_SEQ_CST);
}

int bpf_procs_take(struct bpf_procs *b, unsigned int max, void (*fn)(const struct bpf_proc_event *e, void *data),
		   void *data)
{
	b->fn = fn;
	b->data = data;
	return (int)bpf_ring_take(&b->ring, max);
}

void bpf_procs_lost(const struct bpf_procs *b, uint64_t ret[BPF_RECORD_KINDS])
{
	for (size_t i = 0; i < BPF_RECORD_KINDS; i++)
		ret[i] = __atomic_load_n(&b->skeleton->bss->lost[i], __ATOMIC_RELAXED);
}

/* --- refusals */

static uint32_t kernel_dev(uint64_t dev)
{
	return major(dev) << 20 | minor(dev);
}

int bpf_procs_refuse(struct bpf_procs *b, bool on, int32_t session)
{
	if (!b->refuses || (on && !__atomic_load_n(&b->skeleton->bss->gate, __ATOMIC_ACQUIRE)))
		return -ENOTSUP;
	__atomic_store_n(&b->skeleton->bss->refuse_session, session, __ATOMIC_RELEASE);
	__atomic_store_n(&b->skeleton->bss->refusing, on, __ATOMIC_RELEASE);
	return 0;
}

int bpf_procs_gate(struct bpf_procs *b, int group)
{
	uint64_t args[] = { (uint64_t)group };
	LIBBPF_OPTS(bpf_test_run_opts, o, .ctx_in = args, .ctx_size_in = sizeof(args));
	int r = bpf_prog_test_run_opts(bpf_program__fd(b->skeleton->progs.set_gate), &o);

	if (r < 0)
		return r;
	return group >= 0 && o.retval ? -EBADF : 0;
}

int bpf_procs_caller(struct bpf_procs *b, uint64_t dev, uint64_t ino)
{
	struct bpf_file_id key = { .ino = ino, .dev = kernel_dev(dev) };
	uint8_t one = 1;

	return bpf_map_update_elem(bpf_map__fd(b->skeleton->maps.callers), &key, &one, BPF_ANY);
}

/* --- signals that nobody is told of */

static bool take_sender(int fd, uint32_t key, struct bpf_sender *ret)
{
	const struct bpf_sender none = { .mono_ns = 0 };

	if (bpf_map_lookup_elem(fd, &key, ret) < 0 || !ret->mono_ns)
		return false;
	ret->comm[sizeof(ret->comm) - 1] = '\0';
	bpf_map_update_elem(fd, &key, &none, BPF_ANY);
	return true;
}

/* Whatever lies there may be another's. */
static bool is_senders(int fd)
{
	struct bpf_map_info info = { .type = 0 };
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.type == BPF_MAP_TYPE_ARRAY &&
	       info.key_size == sizeof(uint32_t) && info.value_size == sizeof(struct bpf_sender);
}

int bpf_procs_guard(struct bpf_procs *b, const char *pin, struct bpf_sender *ret)
{
	_cleanup_close_ int before = bpf_obj_get(pin);

	if (before < 0 || !is_senders(before) || !take_sender(before, BPF_UNHEARD_KILL, ret))
		*ret = (struct bpf_sender){ .mono_ns = 0 };
	__atomic_store_n(&b->skeleton->bss->guarded, getpid(), __ATOMIC_RELEASE);
	if (before >= 0 && unlink(pin) < 0)
		return -errno;
	return bpf_obj_pin(bpf_map__fd(b->skeleton->maps.senders), pin) < 0 ? -errno : 0;
}

bool bpf_procs_uring_files(const struct bpf_procs *b, int32_t pid, uint64_t start_ns)
{
	uint64_t found;

	return __atomic_load_n(&b->skeleton->bss->has_uring_files, __ATOMIC_ACQUIRE) &&
	       bpf_map_lookup_elem(bpf_map__fd(b->skeleton->maps.uring_files), &pid, &found) == 0 &&
	       proc_tick(found) == start_ns;
}

bool bpf_procs_stopped(struct bpf_procs *b, struct bpf_sender *ret)
{
	return take_sender(bpf_map__fd(b->skeleton->maps.senders), BPF_UNHEARD_STOP, ret);
}
