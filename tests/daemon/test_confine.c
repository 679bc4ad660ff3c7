/* daemon/confine: what is left of capabilities and system calls, and that the unit leaves as much. */
#include "tests/test.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cap-ng.h>
#include <linux/keyctl.h>

#include "daemon/confine.h"
#include "lib/util.h"

static bool is_kept(unsigned cap)
{
	for (size_t i = 0; i < confine_caps_count; i++)
		if (confine_caps[i].cap == cap)
			return true;
	return false;
}

static bool have_caps_as_said(const bool had[CAP_LAST_CAP + 1], bool bounded)
{
	bool right = true;

	capng_get_caps_process();
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++) {
		bool want = had[cap] && is_kept(cap);

		right &= capng_have_capability(CAPNG_PERMITTED, cap) == want;
		right &= capng_have_capability(CAPNG_EFFECTIVE, cap) == want;
		right &= !bounded || capng_have_capability(CAPNG_BOUNDING_SET, cap) == want;
	}
	return right;
}

static int confined(void)
{
	bool had[CAP_LAST_CAP + 1], bounded;
	json_t *o;
	int status = 0;

	capng_get_caps_process();
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		had[cap] = capng_have_capability(CAPNG_PERMITTED, cap);
	bounded = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	confine();
	if (!have_caps_as_said(had, bounded))
		status |= 1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		status |= 2;
	o = confine_status();
	if (!json_is_true(json_object_get(o, "no_new_privileges")) ||
	    json_array_size(json_object_get(o, "capabilities")) > confine_caps_count)
		status |= 4;
	/* Allowed to everybody, and refused to us. */
	errno = 0;
	if (json_is_true(json_object_get(o, "seccomp")) &&
	    (syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0) != -1 || errno != EPERM))
		status |= 8;
	json_decref(o);
	/* Work goes on. */
	if (system("exit 7") != 7 << 8)
		status |= 16;
	return status;
}

static void test_confined(void **state _unused_)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(confined());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The unit's bounding set: the same, and what takes the rest away. */
static void test_unit(void **state _unused_)
{
	char path[4096], line[512], word[64];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/init/holdfast.service.in", getenv("srcdir") ?: ".");
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		static const char key[] = "CapabilityBoundingSet=";
		char *save = NULL;

		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		for (char *w = strtok_r(line + strlen(key), " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
			int cap;

			assert_int_equal(strncmp(w, "CAP_", 4), 0);
			snprintf(word, sizeof(word), "%s", w + 4);
			for (char *c = word; *c; c++)
				*c = (char)tolower((unsigned char)*c);
			cap = capng_name_to_capability(word);
			if (cap < 0 || (!is_kept((unsigned)cap) && cap != CAP_SETPCAP))
				fail_msg("%s", w);
			n++;
		}
	}
	fclose(f);
	assert_int_equal(n, confine_caps_count + 1);
	for (size_t i = 0; i < confine_caps_count; i++)
		assert_int_equal(capng_name_to_capability(confine_caps[i].name), confine_caps[i].cap);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_confined), cmocka_unit_test(test_unit) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
