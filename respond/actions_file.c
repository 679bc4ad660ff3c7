/*
 * Actions about files: evidence of a process, quarantine, deny. Of the thread "respond". What is taken is found by what
 * was judged, never by its name alone (respond/file.h).
 */
#include <errno.h>
#include <string.h>

#include "lib/clock.h"
#include "respond/file.h"
#include "respond/internal.h"

static int entry_open(struct respond *r, struct response *x, struct quarantine *q, struct quarantine_entry *e)
{
	const struct conf_respond *c = &x->conf->respond;
	const struct quarantine_bounds bounds = { c->quarantine_entries, c->quarantine_size, c->quarantine_file };
	int err = quarantine_open(r->state_dir, true, &bounds, q);

	if (err < 0)
		return err;
	err = x->entry ? quarantine_continue(q, x->id, e) : quarantine_begin(q, x->id, e);
	if (err < 0) {
		quarantine_close(q);
		return err;
	}
	if (!x->entry)
		file_describe(x, e->meta);
	return 0;
}

static int entry_failed(struct buf *why, int err)
{
	if (err != -EDQUOT)
		return action_failed(why, err);
	buf_str(why, "the quarantine is full");
	return RESULT_FAILED;
}

int act_evidence(struct respond *r, struct response *x, const struct conf_step *step _unused_, struct buf *why)
{
	_cleanup_quarantine_ struct quarantine q = { .fd = -1 };
	struct quarantine_entry e;
	int err;

	if (x->target.pidfd < 0 || target_wait(&x->target, 0) == 0) {
		buf_str(why, "the process has ended");
		return RESULT_GONE;
	}
	action_say_process(x, why);
	if (action_is_dry(x))
		return RESULT_DRY_RUN;
	err = entry_open(r, x, &q, &e);
	if (err < 0)
		return entry_failed(why, err);
	err = quarantine_evidence(&e, &x->target);
	if (err == 0 || err == -EDQUOT) {
		int committed = quarantine_commit(&e);

		x->entry |= committed == 0;
		err = err ? err : committed;
	}
	quarantine_end(&e);
	return err < 0 ? entry_failed(why, err) : RESULT_DONE;
}

int act_quarantine(struct respond *r, struct response *x, const struct conf_step *step _unused_, struct buf *why)
{
	_cleanup_quarantine_ struct quarantine q = { .fd = -1 };
	_cleanup_(file_close) struct file f = FILE_INIT;
	struct quarantine_entry e;
	int result = file_find(r, x, &f, why), err;

	if (result != RESULT_COUNT)
		return result;
	if (action_is_dry(x))
		return RESULT_DRY_RUN;
	err = entry_open(r, x, &q, &e);
	if (err < 0)
		return entry_failed(why, err);
	err = quarantine_take(&e, &f.what, why);
	x->entry |= err == 0;
	quarantine_end(&e);
	if (err < 0)
		return err == -ENOENT ? RESULT_GONE : RESULT_FAILED;
	return RESULT_DONE;
}

int act_deny(struct respond *r, struct response *x, const struct conf_step *step _unused_, struct buf *why)
{
	_cleanup_(file_close) struct file f = FILE_INIT;
	_cleanup_buf_ struct buf hex = BUF_INIT, reason = BUF_INIT;
	uint64_t time = x->conf->respond.deny;
	int result = file_find(r, x, &f, why), err;

	if (result != RESULT_COUNT)
		return result;
	buf_hex(&hex, f.digest, sizeof(f.digest));
	buf_printf(why, "%ssha256 %s", why->len ? "; " : "", hex.failed ? "" : hex.data);
	if (action_is_dry(x) && r->o.deny)
		return RESULT_DRY_RUN;
	buf_printf(&reason, "ladder %s, response %llu: %s", x->ladder->name, (unsigned long long)x->id,
		   x->rule ? x->rule : "");
	err = !r->o.deny      ? -ENOSYS
	      : reason.failed ? -ENOMEM
			      : r->o.deny(f.digest, f.what.shown ? f.what.shown : f.what.path, reason.data,
					  time ? clock_real_ns() + time : 0, r->o.data);
	if (err == -ENOSYS) {
		buf_str(why, ": nothing judges program starts here");
		return RESULT_FAILED;
	}
	if (err == 1)
		buf_str(why, ", which is denied already");
	return err < 0 ? action_failed(why, err) : RESULT_DONE;
}
