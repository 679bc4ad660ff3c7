/*
 * The driver of the evasion matrix, inside a root of the test's own (tests/system/test_evasion.sh), whose /fs/TYPE are
 * the file systems:
 *   evasion prepare                    what has to be there before the baseline
 *   evasion run OUTPUT [PEER]...       waits for /result/go, attacks, prints the table; OUTPUT: of holdfast watch
 * --json. A peer: NAME=FILE, what it printed; NAME!COMMAND, what it finds afterwards; NAME@FILE, a table of one that
 * gates starts; NAME%COMMAND, what it told of files and starts (audit.awk). -o FILE: such a table of ours evasion
 * payload                    the program that is started
 */
#include "tests/system/evasion/run.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"

/* A machine may be slow. */
#define DEADLINE_NS (60 * NSEC_PER_SEC)

const char *const fs_names[FILE_SYSTEMS] = { "ext4", "xfs", "btrfs", "tmpfs", "overlay" };
const char *device;

static struct matrix matrix;
static int hold[2];

struct result {
	int r, error;
};

/* --- rows */

static void set_slug(struct row *r)
{
	size_t n = 0;

	if (r->kind == SECRETS)
		n = (size_t)snprintf(r->slug, sizeof(r->slug), "secret-");
	for (const char *p = r->attack.name; *p && n < sizeof(r->slug) - 1; p++)
		r->slug[n++] = isalnum((unsigned char)*p) ? *p : '-';
}

static void add_row(const struct attack *a, enum kind kind, const struct op_case *op)
{
	struct row *r = &matrix.rows[matrix.n++];

	if (matrix.n > ATTACKS_MAX)
		abort();
	*r = (struct row){ .attack = *a, .kind = kind, .op = op };
	set_slug(r);
}

static void add_rows(void)
{
	for (size_t i = 0; i < op_case_count; i++) {
		const struct attack a = { op_cases[i].name, ON_ALL, op_cases[i].prepare, op_cases[i].run,
					  .worst = TOLD };

		/* Starts have rows of their own. */
		if (strncmp(a.name, "exec", 4) != 0)
			add_row(&a, FILES, &op_cases[i]);
	}
	for (size_t i = 0; i < file_attack_count; i++)
		add_row(&file_attacks[i], FILES, NULL);
	for (size_t i = 0; i < secret_attack_count; i++)
		add_row(&secret_attacks[i], SECRETS, NULL);
	for (size_t i = 0; i < start_attack_count; i++)
		add_row(&start_attacks[i], STARTS, NULL);
}

struct row *matrix_named(struct matrix *m, const char *text, size_t *ret_fs)
{
	for (const char *p = strstr(text, "/fs/"); p; p = strstr(p + 1, "/fs/")) {
		const char *name = p + 4;

		for (size_t fs = 0; fs < FILE_SYSTEMS; fs++) {
			size_t n = strlen(fs_names[fs]);

			if (strncmp(name, fs_names[fs], n) != 0 || name[n] != '/')
				continue;
			for (size_t i = 0; i < m->n; i++) {
				size_t k = strlen(m->rows[i].slug);

				if (strncmp(name + n + 1, m->rows[i].slug, k) == 0 && name[n + 1 + k] == '/') {
					*ret_fs = fs;
					return &m->rows[i];
				}
			}
		}
	}
	return NULL;
}

/* --- file systems */

static void look_for_file_systems(void)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[4096], source[1024], point[1024];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%1023s %1023s", source, point) != 2 || strncmp(point, "/fs/", 4) != 0)
			continue;
		for (size_t fs = 0; fs < FILE_SYSTEMS; fs++) {
			if (strcmp(point + 4, fs_names[fs]) != 0)
				continue;
			matrix.here[fs] = true;
			if (strncmp(source, "/dev/", 5) == 0)
				snprintf(matrix.device[fs], sizeof(matrix.device[fs]), "%.31s", source);
		}
	}
	if (f)
		fclose(f);
}

static bool is_for(const struct row *r, size_t fs)
{
	return matrix.here[fs] && r->attack.on >> fs & 1;
}

static void enter(const struct row *r, size_t fs)
{
	char path[160];

	snprintf(path, sizeof(path), "/fs/%s/%s/w", fs_names[fs], r->slug);
	if (chdir(path) < 0) {
		perror(path);
		exit(99);
	}
}

static void make_folder(const struct row *r, size_t fs)
{
	char path[160];

	snprintf(path, sizeof(path), "/fs/%s/%s", fs_names[fs], r->slug);
	if (mkdir(path, 0755) < 0 || chdir(path) < 0 || mkdir("w", 0755) < 0 || mkdir("out", 0755) < 0) {
		perror(path);
		exit(99);
	}
}

static int prepare(void)
{
	for (size_t i = 0; i < matrix.n; i++)
		for (size_t fs = 0; fs < FILE_SYSTEMS; fs++)
			if (is_for(&matrix.rows[i], fs)) {
				make_folder(&matrix.rows[i], fs);
				enter(&matrix.rows[i], fs);
				if (matrix.rows[i].attack.prepare)
					matrix.rows[i].attack.prepare();
			}
	return 0;
}

/* --- attacks */

static _Noreturn void be_child(struct row *r, int result_fd, int out_fd)
{
	struct result result = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(hold[1]);
	/* Its own time is longer than the whole test's: nothing is left, whatever happens. */
	alarm(300);
	if (r->kind == STARTS) {
		dup2(hold[0], STDIN_FILENO);
		dup2(out_fd, STDOUT_FILENO);
	}
	result.r = r->attack.run();
	result.error = result.r < 0 ? errno : 0;
	if (write(result_fd, &result, sizeof(result)) != sizeof(result))
		_exit(98);
	if (r->attack.stays)
		while (true)
			pause();
	_exit(0);
}

static void launch(struct row *r, size_t fs)
{
	struct cell *c = &r->cells[fs];
	int result[2], out[2];

	enter(r, fs);
	device = matrix.device[fs][0] ? matrix.device[fs] : NULL;
	if (pipe2(result, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
		perror("pipe");
		exit(99);
	}
	fflush(stdout);
	c->tried = true;
	c->pid = fork();
	if (c->pid == 0)
		be_child(r, result[1], out[1]);
	close(result[1]);
	close(out[1]);
	c->result_fd = result[0];
	c->out_fd = out[0];
}

/* The result, or its end without one: it runs something else, or was killed. */
static void take_result(struct cell *c)
{
	struct pollfd p = { .fd = c->result_fd, .events = POLLIN };
	struct result result;
	int ready = poll(&p, 1, (int)(DEADLINE_NS / NSEC_PER_MSEC));

	c->done_ns = clock_mono_ns();
	if (ready == 0)
		c->error = ETIMEDOUT;
	else if (read(c->result_fd, &result, sizeof(result)) == sizeof(result))
		c->error = result.error;
	close(c->result_fd);
}

static void attack_files(struct row *r, size_t fs)
{
	struct cell *c = &r->cells[fs];

	launch(r, fs);
	take_result(c);
	close(c->out_fd);
	if (r->attack.stays && !c->error)
		matrix.pids_kept[matrix.kept++] = c->pid;
	else if (c->error == ETIMEDOUT)
		kill(c->pid, SIGKILL), waitpid(c->pid, &c->status, 0);
	else
		waitpid(c->pid, &c->status, 0);
}

static void attack_all(bool starts)
{
	for (size_t i = 0; i < matrix.n; i++)
		for (size_t fs = 0; fs < FILE_SYSTEMS; fs++) {
			if ((matrix.rows[i].kind == STARTS) != starts || !is_for(&matrix.rows[i], fs))
				continue;
			if (!starts)
				attack_files(&matrix.rows[i], fs);
			else
				launch(&matrix.rows[i], fs);
		}
}

/* --- what comes of them */

static void look_at_start(struct cell *c)
{
	char byte;

	if (c->ended || waitpid(c->pid, &c->status, WNOHANG) != c->pid)
		return;
	c->ended = true;
	take_result(c);
	c->ran = read(c->out_fd, &byte, 1) == 1;
	close(c->out_fd);
}

/* Nothing that is promised is missing. */
static bool is_complete(void)
{
	bool complete = true;

	for (size_t i = 0; i < matrix.n; i++)
		for (size_t fs = 0; fs < FILE_SYSTEMS; fs++) {
			struct cell *c = &matrix.rows[i].cells[fs];

			if (!c->tried)
				continue;
			if (matrix.rows[i].kind == STARTS)
				look_at_start(c);
			if (promised(&matrix.rows[i], fs) > TOLD)
				continue;
			complete &= matrix.rows[i].kind == STARTS
					    ? c->ended && (c->told_ns || (c->error && c->error != EPERM))
					    : c->error || c->told_ns;
		}
	return complete;
}

static void wait_until_complete(void)
{
	uint64_t end = clock_mono_ns() + DEADLINE_NS / 2;

	while (!is_complete() && clock_mono_ns() < end)
		usleep(5000);
}

static void release(void)
{
	close(hold[0]);
	close(hold[1]);
	for (size_t i = 0; i < matrix.n; i++)
		for (size_t fs = 0; fs < FILE_SYSTEMS; fs++) {
			struct cell *c = &matrix.rows[i].cells[fs];
			uint64_t end = clock_mono_ns() + 5 * NSEC_PER_SEC;

			if (!c->tried || matrix.rows[i].kind != STARTS)
				continue;
			for (look_at_start(c); !c->ended && clock_mono_ns() < end; look_at_start(c))
				usleep(1000);
			if (!c->ended)
				kill(c->pid, SIGKILL), waitpid(c->pid, NULL, 0);
		}
	for (size_t i = 0; i < matrix.kept; i++) {
		kill(matrix.pids_kept[i], SIGKILL);
		waitpid(matrix.pids_kept[i], NULL, 0);
	}
}

/* --- peers */

static unsigned add_peer(char *text, size_t at, enum peer_kind kind)
{
	text[at] = '\0';
	if (matrix.peer_count == PEERS_MAX)
		exit(64);
	matrix.peers[matrix.peer_count] = text;
	matrix.peer_kinds[matrix.peer_count] = kind;
	return (unsigned)matrix.peer_count++ + 2;
}

static void ask_peer(char *text)
{
	size_t n = strcspn(text, "=!@%");
	char how = text[n];
	unsigned what;

	if (!how)
		exit(64);
	what = add_peer(text, n, how == '@' ? PEER_OF_STARTS : how == '%' ? PEER_OF_ALL : PEER_OF_FILES);
	if ((how == '!' || how == '%' ? told_command : told_file)(&matrix, text + n + 1, what) < 0)
		fprintf(stderr, "%s: %s\n", text, strerror(errno));
}

static void ask_peers(char **peers, bool printed)
{
	for (; *peers; peers++) {
		if (strcmp(*peers, "-o") == 0 && peers[1])
			peers++;
		else if (strpbrk(*peers, "=!@%") && ((*peers)[strcspn(*peers, "=!@%")] == '=') == printed)
			ask_peer(*peers);
	}
}

static bool wait_for(const char *path)
{
	uint64_t end = clock_mono_ns() + DEADLINE_NS * 2;

	while (access(path, F_OK) < 0) {
		if (clock_mono_ns() > end)
			return false;
		usleep(5000);
	}
	return true;
}

static int run(const char *output, char **peers)
{
	FILE *tsv = NULL;
	unsigned wrong;
	int fd;

	/* Opened when nobody listens yet, on the first file system: not in the baseline, not open for writing. */
	early_fd = open("/fs/ext4/early/x", O_RDONLY | O_CLOEXEC);
	fd = open("/result/ready", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	if (!wait_for("/result/go") || told_start(&matrix, output) < 0 || pipe2(hold, O_CLOEXEC) < 0)
		return 99;
	attack_all(false);
	attack_all(true);
	wait_until_complete();
	/* What a peer has printed so far, before others look at all files. */
	ask_peers(peers, true);
	told_command(&matrix, "/usr/bin/holdfast -c /etc/holdfast.yaml check --json 2>/dev/null", 0);
	told_command(&matrix, "/usr/bin/holdfast -c /etc/holdfast.yaml check --full --json 2>/dev/null", 1);
	ask_peers(peers, false);
	for (; *peers; peers++)
		if (strcmp(*peers, "-o") == 0 && peers[1])
			tsv = fopen(peers[1], "we");
	release();
	told_stop();
	wrong = table_print(&matrix, tsv);
	if (tsv)
		fclose(tsv);
	printf("%u wrong\n", wrong);
	return wrong ? 1 : 0;
}

/* Under somebody else's gate: nobody tells us anything. */
static int run_starts(const char *table)
{
	uint64_t end = clock_mono_ns() + 5 * NSEC_PER_SEC;
	FILE *tsv = fopen(table, "we");

	if (!tsv || pipe2(hold, O_CLOEXEC) < 0)
		return 99;
	attack_all(true);
	/* What is still running by then was let run. */
	while (clock_mono_ns() < end) {
		is_complete();
		usleep(5000);
	}
	release();
	table_print(&matrix, tsv);
	return fclose(tsv) == 0 ? 0 : 99;
}

int main(int argc, char **argv)
{
	signal(SIGIO, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && strcmp(argv[1], "payload") == 0)
		return payload();
	add_rows();
	look_for_file_systems();
	if (argc == 2 && strcmp(argv[1], "prepare") == 0)
		return prepare();
	if (argc == 4 && strcmp(argv[1], "starts") == 0)
		return run_starts(argv[3]);
	if (argc >= 3 && strcmp(argv[1], "run") == 0)
		return run(argv[2], argv + 3);
	fprintf(stderr, "usage: evasion prepare | run OUTPUT [PEER]...\n");
	return 64;
}
