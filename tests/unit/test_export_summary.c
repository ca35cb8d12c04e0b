/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <json-c/json.h>
#include <math.h>
#include <string.h>
#include "export/summary.h"

static struct summary example(void)
{
	struct summary s = {
		.version = "0.1.0",
		.start = { .tv_sec = 1795281300, .tv_nsec = 7000000 },
		.duration_s = 10.5,
		.target = "-p 42",
		.host = "host",
		.kernel = "6.1.0",
		.named_share = 0.987,
		.cost_cpu_s = 0.0315,
		.cost_max_rss_bytes = 12345678,
		.cost_bpf_map_bytes = 4096,
		.cost_bpf_run_s = NAN,
	};

	s.kinds[FOLDD_KIND_OFFCPU] = (struct summary_kind){
		.present = true,
		.unit = "ns",
		.total = 41.7e9,
		.attributed = 41.6166e9,
		.lost = 0,
		.error = 0.1668e9,
		.samples = 12345,
		.period = 1000000,
		.max_period = 4000000,
	};
	s.walk_ends[FOLDD_WALK_ROOT] = 90;
	s.walk_ends[FOLDD_WALK_NO_USER] = 5;
	s.walk_ends[FOLDD_WALK_BAD_FRAME] = 8;
	s.walk_ends[FOLDD_WALK_RATE] = 2;
	s.walks_by_frame_pointer = 5;
	s.tables.rows = 23331;
	return s;
}

static struct json_object *parsed(const struct summary *s)
{
	_cleanup_buf_ struct buf b;
	enum json_tokener_error error;
	struct json_object *o;

	buf_init(&b, 1U << 24);
	assert_int_equal(summary_write(s, &b), 0);
	assert_true(b.data[b.len - 1] == '\n');
	o = json_tokener_parse_verbose(b.data, &error);
	assert_int_equal(error, json_tokener_success);
	assert_non_null(o);
	return o;
}

/* The value at a path of keys between dots; it must be there. */
static struct json_object *at(struct json_object *o, const char *path)
{
	char key[64];

	while (*path) {
		size_t len = strcspn(path, ".");

		(void)snprintf(key, sizeof(key), "%.*s", (int)len, path);
		assert_true(json_object_object_get_ex(o, key, &o));
		path += len + (path[len] == '.');
	}
	return o;
}

static void is_text(struct json_object *o, const char *path, const char *want)
{
	assert_string_equal(json_object_get_string(at(o, path)), want);
}

static void is_count(struct json_object *o, const char *path, uint64_t want)
{
	o = at(o, path);
	assert_int_equal(json_object_get_type(o), json_type_int);
	assert_int_equal(json_object_get_uint64(o), want);
}

static void is_number(struct json_object *o, const char *path, double want)
{
	assert_true(fabs(json_object_get_double(at(o, path)) - want) < 1e-6);
}

static void test_write(void **state)
{
	struct summary s = example();
	struct json_object *o = parsed(&s);

	(void)state;
	is_text(o, "version", "0.1.0");
	is_text(o, "start", "2026-11-21T17:15:00.007Z");
	is_number(o, "duration_s", 10.5);
	is_text(o, "target", "-p 42");
	is_text(o, "host", "host");
	is_text(o, "kernel", "6.1.0");
	is_text(o, "kinds.offcpu.unit", "ns");
	is_count(o, "kinds.offcpu.total", 41700000000);
	is_count(o, "kinds.offcpu.attributed", 41616600000);
	is_count(o, "kinds.offcpu.lost", 0);
	is_number(o, "kinds.offcpu.coverage", 0.998);
	is_count(o, "kinds.offcpu.standard_error", 166800000);
	is_count(o, "kinds.offcpu.samples", 12345);
	is_count(o, "kinds.offcpu.period", 1000000);
	is_count(o, "kinds.offcpu.max_period", 4000000);
	assert_int_equal(json_object_object_length(at(o, "kinds")), 1);
	assert_int_equal(json_object_object_length(at(o, "losses")), 0);
	is_count(o, "unwind.walks", 100);
	is_count(o, "unwind.root", 90);
	is_count(o, "unwind.frame_pointer", 5);
	is_count(o, "unwind.tables.rows", 23331);
	is_count(o, "unwind.reasons.no_user", 5);
	is_count(o, "unwind.reasons.bad_frame_pointer", 8);
	assert_int_equal(json_object_object_length(at(o, "unwind.reasons")), 4);
	is_number(o, "cost.cpu_s", 0.0315);
	is_count(o, "cost.max_rss_bytes", 12345678);
	is_count(o, "cost.bpf_map_bytes", 4096);
	assert_null(at(o, "cost.bpf_run_s"));
	assert_int_equal(json_object_array_length(at(o, "processes")), 0);
	assert_false(json_object_object_get_ex(o, "threads", NULL));
	json_object_put(o);
}

static void test_losses(void **state)
{
	struct summary s = example();
	struct json_object *o;

	(void)state;
	s.losses[FOLDD_LOSS_RING_FULL] = (struct foldd_loss_count){ 12, 34 };
	s.losses[FOLDD_LOSS_OPEN_FAILED].count = 3;
	s.kinds[FOLDD_KIND_CPU] = (struct summary_kind){
		.present = true, .unit = "ns", .total = 10, .attributed = 9, .lost = 1
	};
	assert_int_equal(summary_losses(&s), 15);
	assert_true(fabs(summary_loss_percent(&s) - 10) < 1e-9);
	o = parsed(&s);
	assert_int_equal(json_object_object_length(at(o, "losses")), 2);
	is_count(o, "losses.ring_full.count", 12);
	is_count(o, "losses.ring_full.weight", 34);
	is_count(o, "losses.open_failed.weight", 0);
	json_object_put(o);
}

static void test_processes(void **state)
{
	struct summary_process p[2] = { { .pid = 42 }, { .pid = 43, .tid = 44 } };
	struct summary s = example();
	struct json_object *o, *first;

	(void)state;
	memcpy(p[0].comm, "\xff\";\033\\6789abcdef", FOLDD_COMM_LEN); /* all 16, without a NUL */
	p[0].ns[FOLDD_REASON_RUNNING] = 5;
	p[0].ns[FOLDD_REASON_FUTEX_MUTEX] = UINT64_C(1) << 62;
	p[0].count[FOLDD_REASON_FUTEX_MUTEX] = 7;
	p[0].ns[FOLDD_REASON_MAX - 1] = 1; /* of a kernel side that knows more than we do */
	s.processes = s.threads = p;
	s.n_processes = s.n_threads = 2;
	o = parsed(&s);
	assert_int_equal(json_object_array_length(at(o, "processes")), 2);
	first = json_object_array_get_idx(at(o, "processes"), 0);
	is_count(first, "pid", 42);
	assert_false(json_object_object_get_ex(first, "tid", NULL));
	is_text(first, "comm", "?\":?\\6789abcdef");
	is_count(first, "on_cpu_ns", 5);
	is_count(first, "off_cpu_ns", (UINT64_C(1) << 62) + 1);
	is_count(at(at(first, "reasons"), "futex mutex"), "ns", UINT64_C(1) << 62);
	is_count(at(at(first, "reasons"), "futex mutex"), "count", 7);
	is_count(at(at(first, "reasons"), "reason 63"), "ns", 1);
	assert_int_equal(json_object_object_length(at(first, "reasons")), 2);
	is_count(json_object_array_get_idx(at(o, "threads"), 1), "tid", 44);
	is_text(json_object_array_get_idx(at(o, "threads"), 1), "comm", "[unknown]");
	json_object_put(o);
}

static void test_odd_values(void **state)
{
	struct summary s = { .named_share = NAN, .duration_s = INFINITY, .target = "a\xc0\n\x01" };
	struct json_object *o;

	(void)state;
	s.kinds[FOLDD_KIND_CPU] = (struct summary_kind){ .present = true, .error = NAN };
	o = parsed(&s);
	assert_null(at(o, "version"));
	assert_null(at(o, "duration_s"));
	assert_null(at(o, "kinds.cpu.standard_error"));
	assert_null(at(o, "unwind.named"));
	is_number(o, "kinds.cpu.coverage", 1);
	is_text(o, "target", "a?\n\x01");
	json_object_put(o);
}

static void test_limit(void **state)
{
	struct summary s = example();
	_cleanup_buf_ struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_true(summary_write(&s, &b) < 0);
}

static void verdict(const struct summary *s, const char *want)
{
	_cleanup_buf_ struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(summary_verdict(s, &b), 0);
	assert_string_equal(b.data, want);
}

static void test_verdict(void **state)
{
	struct summary s = example();

	(void)state;
	verdict(&s, "offcpu: captured 99.8% of 41.7 s off CPU (+-0.4%), 12345 samples; 0 lost; "
		    "1.3% of user stacks without a symbol at their leaf; own cost 0.3% of a CPU");
	/* Every event taken: nothing is estimated. */
	s.kinds[FOLDD_KIND_OFFCPU].error = 0;
	s.named_share = 1;
	s.kinds[FOLDD_KIND_CPU].present = true;
	verdict(&s, "offcpu: captured 99.8% of 41.7 s off CPU, 12345 samples; "
		    "cpu: nothing to capture, no time on CPU; 0 lost; own cost 0.3% of a CPU");
	s.kinds[FOLDD_KIND_CPU].present = false;
	s.kinds[FOLDD_KIND_OFFCPU].lost = 0.0834e9;
	s.losses[FOLDD_LOSS_RING_FULL].count = 17;
	s.losses[FOLDD_LOSS_FEED_LOST].count = 2;
	s.named_share = NAN;
	verdict(&s,
		"offcpu: captured 99.8% of 41.7 s off CPU, 12345 samples; "
		"19 lost (ring_full 17, feed_lost 2), 0.2% of the time; own cost 0.3% of a CPU");
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(foldd_reason_name(FOLDD_REASON_FUTEX_MUTEX), "futex mutex");
	assert_string_equal(foldd_reason_name(FOLDD_REASON_RUNNING), "running");
	assert_null(foldd_reason_name(FOLDD_REASON_MAX - 1));
	assert_null(foldd_reason_name(UINT32_MAX));
	assert_string_equal(foldd_kind_name(FOLDD_KIND_OFFCPU), "offcpu");
	assert_null(foldd_kind_name(FOLDD_KIND_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write),     cmocka_unit_test(test_losses),
		cmocka_unit_test(test_processes), cmocka_unit_test(test_odd_values),
		cmocka_unit_test(test_limit),     cmocka_unit_test(test_verdict),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
