/* Executable mappings on their way from the kernel to the gate: on the thread "mappings". */
#include "daemon/exec_mapped.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watch/mappings.h"

struct exec_mapped {
	struct monitor *m;
	struct gate *gate;
	struct mappings *mappings;
};

bool exec_concerns(const struct monitor *m, int32_t pid)
{
	pid_t session = m->o->session ? getsid(pid) : 0;

	return session == m->o->session || (session < 0 && errno == ESRCH);
}

static void on_mapped(int32_t pid, uint64_t address, void *data)
{
	struct exec_mapped *x = data;

	if (exec_concerns(x->m, pid))
		gate_look_at_mapping(x->gate, pid, address);
}

static void on_lost(uint64_t n, void *data)
{
	struct exec_mapped *x = data;

	gate_look_lost(x->gate, n);
}

struct exec_mapped *exec_mapped_start(struct monitor *m, struct gate *g)
{
	_cleanup_buf_ struct buf detail = BUF_INIT;
	struct exec_mapped *x;
	int r;

	if (m->conf->exec.libraries != CONF_LIBRARIES_ALL)
		return NULL;
	x = calloc(1, sizeof(*x));
	r = x ? 0 : -ENOMEM;
	if (r == 0) {
		x->m = m;
		x->gate = g;
		r = mappings_start(&(struct mappings_hooks){ on_mapped, on_lost, x }, &x->mappings);
	}
	if (r == 0)
		return x;
	free(x);
	buf_printf(&detail, "libraries that are loaded later are not seen: perf events: %s", strerror(-r));
	gapbook_open(m->gaps, GAP_WEAK_SENSOR, "program starts", detail.data, 0, 0);
	return NULL;
}

void exec_mapped_stop(struct exec_mapped *x)
{
	if (!x)
		return;
	mappings_stop(x->mappings);
	free(x);
}
