/* What came of each, decided and printed. */
#include "tests/system/evasion/run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static const char *const outcome_names[] = {
	[PREVENTED] = "denied",	    [KILLED] = "killed late", [TOLD] = "told",	   [AT_CHECK] = "check",
	[AT_FULL] = "check --full", [LIMIT] = "limit",	      [MISSED] = "MISSED",
};

/* Shown by programs of their own. */
static const char *const elsewhere[][2] = {
	{ "program written, reopened or mapped while it is judged", "tests/exec/test_races" },
	{ "verdict cache poisoned by mmap, libaio, utimes", "tests/exec/test_known" },
	{ "overlay: copy-up while it is judged, mapping kept over the start", "tests/exec/test_races" },
	{ "file system served by a process (FUSE), binfmt_misc", "tests/exec/test_escapes" },
	{ "#! script exchanged between start and interpreter", "tests/exec/test_script" },
	{ "write lease on a program, exhausted descriptors, flood of starts", "tests/system/test_hazards.sh" },
	{ "huge sparse program", "tests/system/test_exec.sh" },
	{ "monitor stopped, frozen, out of memory", "tests/system/test_hazards.sh" },
	{ "its child holds the group", "tests/exec/test_gate" },
	{ "queue flooded", "tests/system/test_loss.sh" },
	{ "pid used again", "tests/system/test_loss.sh" },
	{ "changes and starts in containers of podman", "tests/system/test_drift.sh, test_containers.sh" },
	{ "mounted anew after an unmount, or another disk in its place", "tests/system/test_exec.sh, test_ungated.sh" },
};

static enum outcome of_start(const struct cell *c)
{
	if (c->error == EPERM || c->error == ETXTBSY)
		return PREVENTED;
	if (c->ended && WIFSIGNALED(c->status) && WTERMSIG(c->status) == SIGKILL)
		return c->ran ? KILLED : PREVENTED;
	return c->told_ns ? TOLD : MISSED;
}

static enum outcome of_change(const struct cell *c)
{
	return c->told_ns ? TOLD : c->at_check ? AT_CHECK : c->at_full ? AT_FULL : MISSED;
}

static bool could_not(const struct row *r, const struct cell *c)
{
	return c->error && !(r->kind == STARTS && (c->error == EPERM || c->error == ETXTBSY));
}

enum outcome promised(const struct row *r, size_t fs)
{
	const enum outcome other[FILE_SYSTEMS] = { [3] = r->attack.worst_tmpfs, [4] = r->attack.worst_overlay };

	return other[fs] ? other[fs] : r->attack.worst;
}

static void decide(struct row *r, struct cell *c, size_t fs)
{
	c->outcome = r->kind == STARTS ? of_start(c) : of_change(c);
	if (c->outcome == MISSED && promised(r, fs) == LIMIT)
		c->outcome = LIMIT;
}

static void print_cell(const struct row *r, const struct cell *c)
{
	char text[24];
	bool early = c->told_ns <= c->done_ns;

	if (!c->tried)
		snprintf(text, sizeof(text), "-");
	else if (could_not(r, c))
		snprintf(text, sizeof(text), "not here");
	else if (c->outcome == TOLD && r->kind != STARTS)
		snprintf(text, sizeof(text), "%.0f ms%s", early ? 0 : (double)(c->told_ns - c->done_ns) / 1e6,
			 c->author ? "" : " ?");
	else if (c->outcome == PREVENTED && !c->error)
		snprintf(text, sizeof(text), "killed");
	else
		snprintf(text, sizeof(text), "%s", outcome_names[c->outcome]);
	printf(" %-12s", text);
}

static void print_peers(const struct matrix *m, const struct row *r)
{
	for (size_t p = 0; p < m->peer_count; p++) {
		unsigned seen = 0, of = 0;
		char text[16] = "-";

		for (size_t fs = 0; fs < FILE_SYSTEMS; fs++) {
			bool done = r->cells[fs].tried && !could_not(r, &r->cells[fs]);

			of += done;
			seen += done && r->cells[fs].peers >> p & 1;
		}
		if (m->peer_kinds[p] == PEER_OF_ALL || (m->peer_kinds[p] == PEER_OF_STARTS) == (r->kind == STARTS))
			snprintf(text, sizeof(text), "%u of %u", seen, of);
		printf(" %-12s", text);
	}
}

static unsigned print_row(const struct matrix *m, struct row *r, FILE *tsv)
{
	unsigned worse = 0;

	printf("%-48s", r->attack.name);
	for (size_t fs = 0; fs < FILE_SYSTEMS; fs++) {
		struct cell *c = &r->cells[fs];

		decide(r, c, fs);
		print_cell(r, c);
		if (!c->tried || could_not(r, c))
			continue;
		worse += c->outcome > promised(r, fs);
		if (tsv)
			fprintf(tsv, "%s %s %d\n", r->slug, fs_names[fs], c->outcome);
	}
	print_peers(m, r);
	putchar('\n');
	return worse;
}

/* What a reader has to be told about a row: what was not done, what is worse than promised, what a limit is. */
static void print_notes(const struct matrix *m, const struct row *r)
{
	for (size_t fs = 0; fs < FILE_SYSTEMS; fs++) {
		const struct cell *c = &r->cells[fs];

		if (!c->tried)
			continue;
		if (could_not(r, c))
			printf("not here: %s, %s: %s\n", r->attack.name, fs_names[fs], strerror(c->error));
		else if (c->outcome > promised(r, fs))
			printf("WRONG: %s, %s: %s, and %s is promised (pid %d, status %#x)\n", r->attack.name,
			       fs_names[fs], outcome_names[c->outcome], outcome_names[promised(r, fs)], c->pid,
			       (unsigned)c->status);
		else if (r->kind != STARTS && c->wrong_author && !c->author)
			printf("WRONG: %s, %s: told with another author than %d\n", r->attack.name, fs_names[fs],
			       c->pid);
		else if (r->kind == STARTS && c->outcome <= KILLED && !c->told_ns)
			printf("WRONG: %s, %s: %s, and nobody was told\n", r->attack.name, fs_names[fs],
			       outcome_names[c->outcome]);
	}
	for (size_t fs = 0; fs < FILE_SYSTEMS; fs++)
		if (r->attack.why && r->cells[fs].tried && r->cells[fs].outcome == LIMIT) {
			printf("limit: %s: %s\n", r->attack.name, r->attack.why);
			break;
		}
	(void)m;
}

static unsigned wrong_notes(const struct row *r)
{
	unsigned n = 0;

	for (size_t fs = 0; fs < FILE_SYSTEMS; fs++) {
		const struct cell *c = &r->cells[fs];

		if (!c->tried || could_not(r, c) || c->outcome > promised(r, fs))
			continue;
		n += r->kind == STARTS ? c->outcome <= KILLED && !c->told_ns : c->wrong_author && !c->author;
	}
	return n;
}

unsigned table_print(struct matrix *m, FILE *tsv)
{
	unsigned wrong = 0;

	printf("%-48s", "what is tried");
	for (size_t fs = 0; fs < FILE_SYSTEMS; fs++)
		printf(" %-12s", m->here[fs] ? fs_names[fs] : "(none)");
	for (size_t p = 0; p < m->peer_count; p++)
		printf(" %-12s", m->peers[p]);
	putchar('\n');
	for (size_t i = 0; i < m->n; i++)
		wrong += print_row(m, &m->rows[i], tsv);
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		printf("%-61s in %s\n", elsewhere[i][0], elsewhere[i][1]);
	printf("\nMS ms: told after so long; with ?: without its author. denied: not started. killed: before its first "
	       "instruction.\ncheck: found by the next holdfast check. Of starts: fapolicyd refused, auditd told of so "
	       "many.\n");
	for (size_t i = 0; i < m->n; i++) {
		print_notes(m, &m->rows[i]);
		wrong += wrong_notes(&m->rows[i]);
	}
	return wrong;
}
