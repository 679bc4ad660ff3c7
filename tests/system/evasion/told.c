/* Who saw what: the monitor's output, followed by a thread while attacks go on; what checks and peers print. */
#include "tests/system/evasion/run.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"

static pthread_t follower;
static _Atomic bool ending;
static struct matrix *followed;
static int source = -1;

static bool names_process(const char *line, pid_t pid)
{
	char text[24];

	snprintf(text, sizeof(text), "\"pid\":%d,", pid);
	if (strstr(line, text))
		return true;
	snprintf(text, sizeof(text), "\"ppid\":%d,", pid);
	return strstr(line, text);
}

static void mark_told(struct cell *c, const char *line)
{
	if (names_process(line, c->pid))
		c->author = true;
	else if (strstr(line, "\"exe\":") && !c->author)
		c->wrong_author = true;
	if (!c->told_ns)
		c->told_ns = clock_mono_ns();
}

/* Starts are found by their process too: a memory file lies in no folder. */
static void mark_start(struct matrix *m, const char *line)
{
	for (size_t i = 0; i < m->n; i++)
		for (size_t fs = 0; m->rows[i].kind == STARTS && fs < FILE_SYSTEMS; fs++)
			if (m->rows[i].cells[fs].pid && names_process(line, m->rows[i].cells[fs].pid))
				mark_told(&m->rows[i].cells[fs], line);
}

static void mark_device(struct matrix *m, const char *line)
{
	for (size_t i = 0; i < m->n; i++)
		for (size_t fs = 0; m->rows[i].attack.device && fs < FILE_SYSTEMS; fs++) {
			char text[40];

			snprintf(text, sizeof(text), "%s\"", m->device[fs]);
			if (m->rows[i].cells[fs].tried && m->device[fs][0] && strstr(line, text)) {
				m->rows[i].cells[fs].author = true;
				mark_told(&m->rows[i].cells[fs], line);
			}
		}
}

static void take_line(struct matrix *m, const char *line)
{
	const char *const kinds[] = {
		[FILES] = "\"kind\":\"change\"", [SECRETS] = "\"kind\":\"open\"", [STARTS] = "\"kind\":\"exec\""
	};
	size_t fs;
	struct row *row = matrix_named(m, line, &fs);

	if (row && strstr(line, kinds[row->kind])) {
		if (row->kind != STARTS || !strstr(line, "\"verdict\":\"allowed\""))
			mark_told(&row->cells[fs], line);
	} else if (strstr(line, kinds[STARTS])) {
		if (!strstr(line, "\"verdict\":\"allowed\""))
			mark_start(m, line);
	} else if (strstr(line, "\"kind\":\"gap\"") && strstr(line, "device-written")) {
		mark_device(m, line);
	}
}

static void *follow(void *data)
{
	FILE *f = fdopen(source, "r");
	char *line = NULL, *part = NULL;
	size_t room = 0, len = 0, part_room = 0;

	(void)data;
	while (f && !ending) {
		ssize_t n = getline(&part, &part_room, f);

		if (n < 0) {
			clearerr(f);
			usleep(1000);
			continue;
		}
		if (len + (size_t)n + 1 > room) {
			char *more = realloc(line, room = len + (size_t)n + 1 + 4096);

			if (!more)
				break;
			line = more;
		}
		memcpy(line + len, part, (size_t)n + 1);
		len += (size_t)n;
		if (line[len - 1] != '\n')
			continue; /* the rest is still being written */
		take_line(followed, line);
		len = 0;
	}
	free(line);
	free(part);
	if (f)
		fclose(f);
	return NULL;
}

int told_start(struct matrix *m, const char *path)
{
	source = open(path, O_RDONLY | O_CLOEXEC);
	if (source < 0)
		return -errno;
	followed = m;
	return -pthread_create(&follower, NULL, follow, NULL);
}

void told_stop(void)
{
	ending = true;
	pthread_join(follower, NULL);
}

/* --- checks and peers */

static void mark_named(struct matrix *m, const char *line, unsigned what)
{
	size_t fs;
	struct row *row = matrix_named(m, line, &fs);

	/* A line about an open, which those who look at changes cause themselves, is about secrets alone. */
	if (!row || (what >= 2 && (strncmp(line, "OPEN", 4) == 0) != (row->kind == SECRETS)))
		return;
	if (what == 0)
		row->cells[fs].at_check = true;
	else if (what == 1)
		row->cells[fs].at_full = true;
	else if (row->kind != STARTS)
		row->cells[fs].peers |= 1u << (what - 2);
}

/* By one of its processes, or by the name of what it was about: audit.awk. */
static void mark_audited(struct matrix *m, const char *line, unsigned what)
{
	static const char *const keys[] = { [FILES] = "change", [SECRETS] = "secret", [STARTS] = "start" };
	int pid, ppid;
	char key[16];
	size_t named_fs = FILE_SYSTEMS;
	const struct row *named = matrix_named(m, line, &named_fs);

	if (sscanf(line, "PID %d %d %15s", &pid, &ppid, key) != 3)
		return;
	for (size_t i = 0; i < m->n; i++)
		for (size_t fs = 0; !strcmp(key, keys[m->rows[i].kind]) && fs < FILE_SYSTEMS; fs++) {
			struct cell *c = &m->rows[i].cells[fs];

			if (c->tried && (c->pid == pid || c->pid == ppid || (named == &m->rows[i] && named_fs == fs)))
				c->peers |= 1u << (what - 2);
		}
}

static void take_all(struct matrix *m, FILE *f, unsigned what)
{
	bool audited = what >= 2 && m->peer_kinds[what - 2] == PEER_OF_ALL;
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, f) >= 0)
		(audited ? mark_audited : mark_named)(m, line, what);
	free(line);
}

int told_command(struct matrix *m, const char *command, unsigned what)
{
	FILE *f = popen(command, "re");

	if (!f)
		return -errno;
	take_all(m, f, what);
	pclose(f);
	return 0;
}

/* One that gates starts wrote a table of its own: SLUG, FILE SYSTEM, OUTCOME. */
static void take_table(struct matrix *m, FILE *f, unsigned what)
{
	char slug[64], name[16];
	int outcome;

	while (fscanf(f, "%63s %15s %d", slug, name, &outcome) == 3)
		for (size_t i = 0; i < m->n; i++)
			for (size_t fs = 0; fs < FILE_SYSTEMS && !strcmp(m->rows[i].slug, slug); fs++)
				if (!strcmp(fs_names[fs], name) && outcome <= KILLED)
					m->rows[i].cells[fs].peers |= 1u << (what - 2);
}

int told_file(struct matrix *m, const char *path, unsigned what)
{
	FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	if (m->peer_kinds[what - 2] == PEER_OF_STARTS)
		take_table(m, f, what);
	else
		take_all(m, f, what);
	fclose(f);
	return 0;
}
