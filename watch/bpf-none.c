/* In place of watch/bpf.c where it is built without libbpf: there are no BPF programs, and it says so. */
#include <errno.h>
#include <string.h>

#include "watch/bpf.h"
#include "watch/bpf_calls.h"
#include "watch/bpf_dns.h"
#include "watch/bpf_opens.h"
#include "watch/bpf_policy.h"

int bpf_procs_open(size_t ring, struct bpf_procs **ret, struct buf *err)
{
	(void)ring;
	(void)ret;
	buf_str(err, "BPF: this program was built without it");
	return -ENOTSUP;
}

void bpf_procs_close(struct bpf_procs *b)
{
	(void)b;
}

int bpf_procs_fd(const struct bpf_procs *b)
{
	(void)b;
	return -1;
}

void bpf_procs_prompt(struct bpf_procs *b, enum bpf_prompt prompt)
{
	(void)b;
	(void)prompt;
}

void bpf_procs_doze(struct bpf_procs *b, bool dozing)
{
	(void)b;
	(void)dozing;
}

int bpf_procs_take(struct bpf_procs *b, unsigned int max, void (*fn)(const struct bpf_proc_event *e, void *data),
		   void *data)
{
	(void)b;
	(void)max;
	(void)fn;
	(void)data;
	return 0;
}

void bpf_procs_lost(const struct bpf_procs *b, uint64_t ret[BPF_RECORD_KINDS])
{
	(void)b;
	for (int i = 0; i < BPF_RECORD_KINDS; i++)
		ret[i] = 0;
}

bool bpf_procs_uring_files(const struct bpf_procs *b, int32_t pid, uint64_t start_ns)
{
	(void)b;
	(void)pid;
	(void)start_ns;
	return false;
}

int bpf_procs_guard(struct bpf_procs *b, const char *pin, struct bpf_sender *ret)
{
	(void)b;
	(void)pin;
	(void)ret;
	return -ENOTSUP;
}

bool bpf_procs_stopped(struct bpf_procs *b, struct bpf_sender *ret)
{
	(void)b;
	(void)ret;
	return false;
}

int bpf_procs_refuse(struct bpf_procs *b, bool on, int32_t session)
{
	(void)b;
	(void)on;
	(void)session;
	return -ENOTSUP;
}

int bpf_procs_gate(struct bpf_procs *b, int group)
{
	(void)b;
	(void)group;
	return -ENOTSUP;
}

int bpf_procs_caller(struct bpf_procs *b, uint64_t dev, uint64_t ino)
{
	(void)b;
	(void)dev;
	(void)ino;
	return -ENOTSUP;
}

int bpf_calls_open(struct bpf_exits *exits, const struct bpf_calls_wants *wants, size_t ring, struct bpf_calls **ret,
		   struct buf *err)
{
	(void)exits;
	(void)wants;
	(void)ring;
	(void)ret;
	buf_str(err, "BPF: this program was built without it");
	return -ENOTSUP;
}

void bpf_calls_close(struct bpf_calls *b)
{
	(void)b;
}

void bpf_calls_want(struct bpf_calls *b, const struct bpf_calls_wants *wants)
{
	(void)b;
	(void)wants;
}

int bpf_calls_fd(const struct bpf_calls *b)
{
	(void)b;
	return -1;
}

int bpf_calls_take(struct bpf_calls *b, unsigned int max, void (*fn)(const struct bpf_call_event *e, void *data),
		   void *data)
{
	(void)b;
	(void)max;
	(void)fn;
	(void)data;
	return 0;
}

bool bpf_calls_datagram_ends(const struct bpf_calls *b)
{
	(void)b;
	return false;
}

int bpf_calls_adopt(struct bpf_calls *b, const struct event_socket *s, int32_t pid, uint64_t start_ns)
{
	(void)b;
	(void)s;
	(void)pid;
	(void)start_ns;
	return -ENOTSUP;
}

bool bpf_calls_ends(const struct bpf_calls *b)
{
	(void)b;
	return false;
}

bool bpf_calls_uring(const struct bpf_calls *b)
{
	(void)b;
	return false;
}

bool bpf_calls_counted(struct bpf_calls *b, void (*fn)(const struct bpf_call_event *e, void *data), void *data)
{
	(void)b;
	(void)fn;
	(void)data;
	return false;
}

void bpf_calls_lost(const struct bpf_calls *b, uint64_t ret[BPF_CALL_PROGRAMS])
{
	(void)b;
	memset(ret, 0, BPF_CALL_PROGRAMS * sizeof(*ret));
}

int bpf_dns_open(struct bpf_dns_reader **ret, struct buf *err)
{
	(void)ret;
	buf_str(err, "BPF: this program was built without it");
	return -ENOTSUP;
}

void bpf_dns_close(struct bpf_dns_reader *d)
{
	(void)d;
}

int bpf_dns_fd(const struct bpf_dns_reader *d)
{
	(void)d;
	return -1;
}

bool bpf_dns_queries(const struct bpf_dns_reader *d)
{
	(void)d;
	return false;
}

int bpf_dns_take(struct bpf_dns_reader *d, unsigned int max, void (*fn)(const struct bpf_dns_packet *p, void *data),
		 void *data)
{
	(void)d;
	(void)max;
	(void)fn;
	(void)data;
	return 0;
}

uint64_t bpf_dns_lost(const struct bpf_dns_reader *d)
{
	(void)d;
	return 0;
}

int bpf_policy_open(struct bpf_policy **ret, struct buf *err)
{
	(void)ret;
	buf_str(err, "BPF: this program was built without it");
	return -ENOTSUP;
}

void bpf_policy_close(struct bpf_policy *b)
{
	(void)b;
}

bool bpf_policy_learns(const struct bpf_policy *b)
{
	(void)b;
	return false;
}

int bpf_policy_fd(const struct bpf_policy *b)
{
	(void)b;
	return -1;
}

int bpf_policy_fill(struct bpf_policy *b, const struct policy_table *t, bool enforce)
{
	(void)b;
	(void)t;
	(void)enforce;
	return -ENOTSUP;
}

int bpf_policy_container(struct bpf_policy *b, const struct policy_table *t, const struct container *c)
{
	(void)b;
	(void)t;
	(void)c;
	return -ENOTSUP;
}

void bpf_policy_switch(struct bpf_policy *b, const struct policy_table *t)
{
	(void)b;
	(void)t;
}

int bpf_policy_name(struct bpf_policy *b, uint64_t domain, const uint8_t address[SOCKET_ADDRESS], uint64_t ns)
{
	(void)b;
	(void)domain;
	(void)address;
	(void)ns;
	return -ENOTSUP;
}

int bpf_policy_take(struct bpf_policy *b, unsigned int max, void (*fn)(const struct bpf_policy_event *e, void *data),
		    void *data)
{
	(void)b;
	(void)max;
	(void)fn;
	(void)data;
	return 0;
}

bool bpf_policy_counted(struct bpf_policy *b, void (*fn)(const struct bpf_policy_event *e, void *data), void *data)
{
	(void)b;
	(void)fn;
	(void)data;
	return false;
}

void bpf_policy_get_counts(const struct bpf_policy *b, struct bpf_policy_counts *ret)
{
	(void)b;
	*ret = (struct bpf_policy_counts){ .judged = 0 };
}

uint64_t bpf_policy_denied(const struct bpf_policy *b, int32_t tid, const struct event_socket *s)
{
	(void)b;
	(void)tid;
	(void)s;
	return 0;
}

int bpf_opens_open(struct bpf_exits *exits, const struct bpf_opens_wants *wants, size_t ring, struct bpf_opens **ret,
		   struct buf *err)
{
	(void)exits;
	(void)wants;
	(void)ring;
	(void)ret;
	buf_str(err, "BPF: this program was built without it");
	return -ENOTSUP;
}

void bpf_opens_close(struct bpf_opens *b)
{
	(void)b;
}

int bpf_opens_fd(const struct bpf_opens *b)
{
	(void)b;
	return -1;
}

int bpf_opens_take(struct bpf_opens *b, unsigned int max, void (*fn)(const struct bpf_open_event *e, void *data),
		   void *data)
{
	(void)b;
	(void)max;
	(void)fn;
	(void)data;
	return 0;
}

uint64_t bpf_opens_lost(const struct bpf_opens *b)
{
	(void)b;
	return 0;
}
