/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel side and user space must mean the same bytes: each shared struct's size and the
 * place of each of its members, as the BPF compiler wrote them into the objects' BTF, against
 * this compiler's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <foldd/record.h>
#include "task.skel.h"

static struct task_bpf *skeleton;
static const struct btf *btf;

static int silent(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

static int setup(void **unused)
{
	(void)unused;
	(void)libbpf_set_print(silent);
	skeleton = task_bpf__open();
	btf = skeleton ? bpf_object__btf(skeleton->obj) : NULL;
	return btf ? 0 : -1;
}

static int teardown(void **unused)
{
	(void)unused;
	task_bpf__destroy(skeleton);
	return 0;
}

static const struct btf_type *find(const char *name)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);

	if (id < 0)
		fail_msg("struct %s is not in the object's BTF", name);
	return btf__type_by_id(btf, (__u32)id);
}

static void check_member(const char *name, const char *member, size_t offset)
{
	const struct btf_type *t = find(name);
	const struct btf_member *m = btf_members(t);

	for (int i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, m[i].name_off), member)) {
			assert_int_equal(btf_member_bit_offset(t, (__u32)i), offset * 8);
			return;
		}
	fail_msg("struct %s has no member %s in the object's BTF", name, member);
}

#define SIZE(s)      assert_int_equal(find(#s)->size, sizeof(struct s))
#define MEMBER(s, m) check_member(#s, #m, offsetof(struct s, m))

static void record(void **unused)
{
	(void)unused;
	SIZE(foldd_record);
	MEMBER(foldd_record, kind);
	MEMBER(foldd_record, reason);
	MEMBER(foldd_record, walk_end);
	MEMBER(foldd_record, flags);
	MEMBER(foldd_record, n_user);
	MEMBER(foldd_record, n_kernel);
	MEMBER(foldd_record, tgid);
	MEMBER(foldd_record, tid);
	MEMBER(foldd_record, time_ns);
	MEMBER(foldd_record, value_ns);
	MEMBER(foldd_record, run_queue_ns);
	MEMBER(foldd_record, period_ns);
	MEMBER(foldd_record, start_ns);
	MEMBER(foldd_record, maps_as_of_ns);
	MEMBER(foldd_record, comm);
	MEMBER(foldd_record, thread_comm);
}

static void totals(void **unused)
{
	(void)unused;
	SIZE(foldd_thread_total);
	MEMBER(foldd_thread_total, tid);
	MEMBER(foldd_thread_total, start_ns);
	MEMBER(foldd_thread_total, comm);
	MEMBER(foldd_thread_total, thread_comm);
	MEMBER(foldd_thread_total, ns);
	MEMBER(foldd_thread_total, count);
	SIZE(foldd_exited_key);
	MEMBER(foldd_exited_key, start_ns);
	MEMBER(foldd_exited_key, tgid);
	MEMBER(foldd_exited_key, reason);
	SIZE(foldd_total);
	MEMBER(foldd_total, count);
	SIZE(foldd_loss_count);
	MEMBER(foldd_loss_count, weight);
}

static void control(void **unused)
{
	(void)unused;
	SIZE(foldd_control);
	MEMBER(foldd_control, period_ns);
	MEMBER(foldd_control, stop_ns);
	MEMBER(foldd_control, cpu_period_ns);
	MEMBER(foldd_control, rate_quota);
	MEMBER(foldd_control, walk_quota);
	MEMBER(foldd_control, window_ns);
	MEMBER(foldd_control, window_samples);
	MEMBER(foldd_control, shift);
	MEMBER(foldd_control, max_shift);
	MEMBER(foldd_control, pending);
	MEMBER(foldd_control, samples);
}

static void tables(void **unused)
{
	(void)unused;
	SIZE(foldd_mapping);
	MEMBER(foldd_mapping, end);
	MEMBER(foldd_mapping, bias);
	MEMBER(foldd_mapping, object);
	SIZE(foldd_proc);
	MEMBER(foldd_proc, count);
	MEMBER(foldd_proc, as_of_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record),
		cmocka_unit_test(totals),
		cmocka_unit_test(control),
		cmocka_unit_test(tables),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
