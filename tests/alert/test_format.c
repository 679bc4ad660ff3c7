/* alert/format: the keys that others rely on, hostile bytes, sums. */
#include "tests/alert/rig.h"

#include "alert/format.h"

static json_t *formatted(const struct alert *a, enum conf_format format)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	json_error_t error;
	json_t *o;

	alert_format(&b, a, format, "node1");
	assert_null(memchr(b.data, '\n', b.len));
	o = json_loadb(b.data, b.len, 0, &error);
	if (!o)
		fail_msg("%s: %s", error.text, b.data);
	return o;
}

static const char *text_at(const json_t *o, const char *path)
{
	char key[64];

	for (;;) {
		size_t len = strcspn(path, "/");

		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		o = json_object_get(o, key);
		if (!path[len])
			return json_string_value(o);
		path += len + 1;
	}
}

static void test_falco(void **state _unused_)
{
	static const char *const keys[] = { "uuid", "output", "priority", "rule",	  "source",
					    "tags", "time",   "hostname", "output_fields" };
	_cleanup_alert_ struct alert *a = rig_alert("A rule", PRIORITY_WARNING, "/etc/passwd", "/usr/bin/vim");
	json_t *o = formatted(a, CONF_FORMAT_JSON);

	assert_int_equal(json_object_size(o), ARRAY_SIZE(keys));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_non_null(json_object_get(o, keys[i]));
	assert_string_equal(text_at(o, "uuid"), a->id);
	assert_string_equal(text_at(o, "output"), "22:13:20.123456789: Warning /etc/passwd by vim");
	assert_string_equal(text_at(o, "priority"), "Warning");
	assert_string_equal(text_at(o, "rule"), "A rule");
	assert_string_equal(text_at(o, "source"), "syscall");
	assert_string_equal(text_at(o, "hostname"), "node1");
	assert_string_equal(text_at(o, "time"), "2023-11-14T22:13:20.123456789Z");
	assert_string_equal(text_at(o, "output_fields/proc.name"), "vim");
	assert_string_equal(text_at(o, "output_fields/hf.path"), "/etc/passwd");
	assert_string_equal(json_string_value(json_array_get(json_object_get(o, "tags"), 1)), "T1053.003");
	json_decref(o);
}

static void test_ecs(void **state _unused_)
{
	static const struct {
		const char *path, *want;
	} cases[] = {
		{ "@timestamp", "2023-11-14T22:13:20.123456789Z" },
		{ "ecs/version", "8.11.0" },
		{ "event/kind", "alert" },
		{ "event/module", "holdfast" },
		{ "rule/name", "A rule" },
		{ "message", "/etc/passwd by vim" },
		{ "log/level", "Error" },
		{ "host/name", "node1" },
		{ "file/path", "/etc/passwd" },
		{ "process/executable", "/usr/bin/vim" },
		{ "process/name", "vim" },
		{ "user/id", "0" },
		{ "user/name", "root" },
		{ "holdfast/output_fields/hf.path", "/etc/passwd" },
	};
	_cleanup_alert_ struct alert *a = rig_alert("A rule", PRIORITY_ERROR, "/etc/passwd", "/usr/bin/vim");
	json_t *o = formatted(a, CONF_FORMAT_ECS), *ids;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *got = text_at(o, cases[i].path);

		if (!got || !streq(got, cases[i].want))
			fail_msg("%s: %s", cases[i].path, got ? got : "nothing");
	}
	assert_string_equal(text_at(o, "event/id"), a->id);
	ids = json_object_get(json_object_get(json_object_get(o, "threat"), "technique"), "id");
	assert_int_equal(json_array_size(ids), 1);
	assert_string_equal(json_string_value(json_array_get(ids, 0)), "T1053.003");
	json_decref(o);
}

/* Names of files are bytes: JSON stays JSON, a line stays a line that a terminal only shows. */
static void test_hostile(void **state _unused_)
{
	static const char *const names[] = { "/a\nb", "/\x1b[2J", "/\xff\xfe", "/\xe2\x80\xae", "/\"\\", "/\x7f" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_alert_ struct alert *a = rig_alert("r", PRIORITY_DEBUG, names[i], "/bin/\xff\x1b");
		_cleanup_buf_ struct buf b = BUF_INIT;

		json_decref(formatted(a, CONF_FORMAT_JSON));
		json_decref(formatted(a, CONF_FORMAT_ECS));
		alert_format(&b, a, CONF_FORMAT_TEXT, "h");
		for (const char *p = b.data; *p; p++)
			assert_true((unsigned char)*p >= ' ' && *p != 0x7f);
	}
}

static void test_sum(void **state _unused_)
{
	_cleanup_alert_ struct alert *a = rig_alert("r", PRIORITY_DEBUG, "/a", "/bin/b"), *sum = NULL;
	json_t *o;

	sum = alert_sum(a, 7, 1700000000000000000u);
	assert_string_not_equal(sum->id, a->id);
	o = formatted(sum, CONF_FORMAT_JSON);
	assert_int_equal(json_integer_value(json_object_get(o, "suppressed")), 7);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "output_fields"), "hf.suppressed")), 7);
	assert_string_equal(text_at(o, "output"),
			    "22:13:20.123456789: Debug /a by b (the last of 7 more since 2023-11-14T22:13:20Z)");
	assert_null(json_object_get(json_object_get(a->fields, "output_fields"), "hf.suppressed"));
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_falco),
		cmocka_unit_test(test_ecs),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
