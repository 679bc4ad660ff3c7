/* db/sign: keys made, loaded, refused; signatures good and bad. */
#include "tests/test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "db/sign.h"

static char dir[] = "/tmp/holdfast-sign-XXXXXX";
static char path[64], pub[64];

static int setup(void **state _unused_)
{
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/key", dir);
	snprintf(pub, sizeof(pub), "%s/key.pub", dir);
	return 0;
}

static int teardown(void **state _unused_)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void test_made_and_loaded(void **state _unused_)
{
	_cleanup_sign_key_ struct sign_key *made = NULL, *loaded = NULL, *public = NULL, *raw = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT, id = BUF_INIT, id2 = BUF_INIT;
	uint8_t sig[SIGN_SIZE], bytes[SIGN_PUBLIC_SIZE];
	struct stat st;

	assert_int_equal(sign_key_load(path, 0, &made, &err), -ENOENT);
	assert_int_equal(sign_key_load(path, 1, &made, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(pub, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(sign_make(made, "text", 4, sig), 0);

	assert_int_equal(sign_key_load(path, 1, &loaded, &err), 0);
	assert_int_equal(sign_check(loaded, "text", 4, sig), 0);
	assert_int_equal(sign_key_load_public(path, &public, &err), 0);
	assert_int_equal(sign_check(public, "text", 4, sig), 0);
	assert_int_equal(sign_make(public, "text", 4, sig), -ENOKEY);
	assert_int_equal(sign_check(public, "texT", 4, sig), -EBADMSG);
	assert_int_equal(sign_check(public, "text", 3, sig), -EBADMSG);
	sig[63] ^= 1;
	assert_int_equal(sign_check(public, "text", 4, sig), -EBADMSG);

	sign_key_public(public, bytes);
	assert_int_equal(sign_key_from_public(bytes, &raw), 0);
	sign_key_id(made, &id);
	sign_key_id(raw, &id2);
	assert_string_equal(id.data, id2.data);
	assert_int_equal(strncmp(id.data, "ed25519:", 8), 0);
	assert_int_equal(id.len, 8 + 16);
}

static void test_public_from_private(void **state _unused_)
{
	_cleanup_sign_key_ struct sign_key *made = NULL, *public = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;

	assert_int_equal(sign_key_load_public(path, &public, &err), -ENOENT);
	assert_non_null(strstr(err.data, "holdfast init"));
	assert_int_equal(sign_key_load(path, 1, &made, &err), 0);
	assert_int_equal(unlink(pub), 0);
	assert_int_equal(sign_key_load_public(path, &public, &err), 0);
}

static void test_refused(void **state _unused_)
{
	static const struct {
		const char *command; /* %1$s is the key */
		int expected;
		const char *text;
	} cases[] = {
		{ "chmod 0640 %1$s", -EPERM, "may be read or written by others" },
		{ "chmod 0602 %1$s", -EPERM, "may be read or written by others" },
		{ "chown 1234 %1$s", -EPERM, "belongs to another user" },
		{ "rm %1$s && mkdir %1$s", -EPERM, "not a regular file" },
		{ "rm %1$s && mkfifo -m 600 %1$s", -EPERM, "not a regular file" },
		{ "mv %1$s %1$s.2 && ln -s %1$s.2 %1$s", -ELOOP, "" },
		{ "echo nonsense > %1$s", -EINVAL, "not a PEM key" },
		{ ": > %1$s", -EINVAL, "not a PEM key" },
		{ "openssl genpkey -quiet -algorithm RSA -out %1$s 2>/dev/null || openssl genrsa -out %1$s 2048 "
		  "2>/dev/null",
		  -EINVAL, "not an Ed25519 key" },
		{ "openssl genpkey -algorithm ED25519 -aes256 -pass pass:x -out %1$s 2>/dev/null", -EINVAL,
		  "encrypted" },
	};

	if (geteuid() != 0) {
		print_message("skipped: needs root to change owners\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_sign_key_ struct sign_key *key = NULL;
		_cleanup_buf_ struct buf err = BUF_INIT, command = BUF_INIT;
		const char *p = cases[i].command;

		teardown(NULL);
		assert_int_equal(setup(NULL), 0);
		assert_int_equal(sign_key_load(path, 1, &key, &err), 0);
		sign_key_free(TAKE_PTR(key));
		for (; *p; p++)
			if (strncmp(p, "%1$s", 4) == 0) {
				buf_str(&command, path);
				p += 3;
			} else {
				buf_char(&command, *p);
			}
		assert_int_equal(system(command.data), 0);
		assert_int_equal(sign_key_load(path, 0, &key, &err), cases[i].expected);
		assert_null(key);
		if (!strstr(err.data, cases[i].text))
			fail_msg("case %zu: %s", i, err.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_and_loaded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_public_from_private, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
