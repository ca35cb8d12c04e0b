/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process table under made-up events of made-up processes, whose pids are beyond what the
 * kernel gives out, and under /proc of this process and its children.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "process/clock.h"
#include "process/processes.h"

#define PID ((pid_t)5000000) /* PID_MAX_LIMIT is 4,194,304 */
#define SEC 1000000000ULL

struct fixture {
	struct objects *objects;
	struct processes *processes;
	uint64_t now;
	unsigned int forgotten;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || objects_new(&f->objects) || processes_new(f->objects, &f->processes))
		return -1;
	f->now = 1000 * SEC;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	(void)processes_free(f->processes);
	(void)objects_free(f->objects);
	free(f);
	return 0;
}

static void apply(struct fixture *f, struct feed_event e)
{
	e.time_ns = ++f->now;
	processes_apply(f->processes, &e);
}

static void born(struct fixture *f, pid_t parent, pid_t pid)
{
	apply(f,
	      (struct feed_event){ .type = FEED_FORK, .pid = pid, .tid = pid, .parent = parent });
}

static void new_thread(struct fixture *f, pid_t pid, pid_t tid)
{
	apply(f, (struct feed_event){ .type = FEED_FORK, .pid = pid, .tid = tid, .parent = pid });
}

static void ended(struct fixture *f, pid_t pid, pid_t tid)
{
	apply(f, (struct feed_event){ .type = FEED_EXIT, .pid = pid, .tid = tid });
}

static void execed(struct fixture *f, pid_t pid, const char *name)
{
	apply(f, (struct feed_event){ .type = FEED_EXEC, .pid = pid, .tid = pid, .text = name });
}

/* No file of the name exists: the object is known and cannot be opened. */
static void mapped(struct fixture *f, pid_t pid, uint64_t start, uint64_t end, const char *path)
{
	struct feed_event e = { .type = FEED_MMAP, .pid = pid, .tid = pid, .start = start };

	e.end = end;
	e.pgoff = 0x1000;
	e.prot = PROT_READ | PROT_EXEC;
	e.text = path;
	e.id.ino = strlen(path);
	e.id.major = 999;
	apply(f, e);
}

static uint32_t object_at(struct process *proc, uint64_t address)
{
	const struct mapping *m = process_find(proc, address);

	return m ? m->object : UINT32_MAX;
}

static void test_fork_and_exec(void **state)
{
	struct fixture *f = *state;
	struct process *parent, *child;
	uint32_t a, b;

	born(f, 1 << 23, PID);
	execed(f, PID, "parent");
	mapped(f, PID, 0x10000, 0x20000, "/nowhere/a");
	mapped(f, PID, 0x30000, 0x40000, "/nowhere/bb");
	mapped(f, PID, 0x50000, 0x60000, "//anon");
	mapped(f, PID, 0x70000, 0x72000, "[vdso]");
	mapped(f, PID, 0xffffffffff600000, 0xffffffffff601000, "[vsyscall]");
	parent = processes_at(f->processes, PID, 0);
	assert_non_null(parent);
	assert_string_equal(parent->comm, "parent");
	assert_int_equal(parent->n_mappings, 4);
	a = object_at(parent, 0x10000);
	b = object_at(parent, 0x3ffff);
	assert_true(a > OBJECT_VDSO && b > OBJECT_VDSO && a != b);
	assert_int_equal(object_at(parent, 0x50000), OBJECT_NONE);
	assert_int_equal(object_at(parent, 0x70000), OBJECT_VDSO);
	assert_int_equal(process_find(parent, 0x70000)->bias, 0x70000);
	assert_int_equal(process_find(parent, 0x10000)->bias, 0x10000 - 0x1000);
	assert_string_equal(objects_get(f->objects, a)->path, "/nowhere/a");
	assert_int_equal(objects_get(f->objects, a)->fd, -1);
	assert_int_equal(objects_get(f->objects, a)->error, -ENOENT);
	assert_int_equal(objects_open_failed(f->objects), 2);

	born(f, PID, PID + 1);
	mapped(f, PID, 0x10000, 0x20000, "/nowhere/ccc");
	child = processes_at(f->processes, PID + 1, 0);
	parent = processes_at(f->processes, PID, 0);
	assert_string_equal(child->comm, "parent");
	assert_int_equal(object_at(child, 0x10000), a);
	assert_true(object_at(parent, 0x10000) != a);
	assert_int_equal(parent->remapped_ns, f->now);
	assert_int_equal(child->remapped_ns, 0);
	child->dirty = false;
	execed(f, PID + 1, "child");
	assert_true(child->dirty);
	assert_int_equal(child->n_mappings, 0);
	assert_int_equal(child->remapped_ns, f->now);
	assert_string_equal(child->comm, "child");
	mapped(f, PID + 1, 0x10000, 0x20000, "/nowhere/a");
	assert_int_equal(object_at(child, 0x10000), a);
}

static void test_exit(void **state)
{
	struct fixture *f = *state;
	struct process *proc;
	uint32_t serial;

	born(f, 1 << 23, PID);
	mapped(f, PID, 0x10000, 0x20000, "/nowhere/a");
	new_thread(f, PID, PID + 7);
	proc = processes_at(f->processes, PID, 0);
	serial = proc->serial;
	/* the main thread may go first */
	ended(f, PID, PID);
	assert_false(proc->exited);
	mapped(f, PID, 0x30000, 0x40000, "/nowhere/bb");
	ended(f, PID, PID + 7);
	assert_true(proc->exited);
	assert_true(proc->dirty);
	/* late samples */
	assert_ptr_equal(processes_at(f->processes, PID, 0), proc);
	assert_int_equal(proc->n_mappings, 2);
	f->now += PROCESSES_LINGER_NS / 2;
	born(f, 1 << 23, PID + 1);
	assert_ptr_equal(processes_by_serial(f->processes, serial), proc);
	f->now += PROCESSES_LINGER_NS;
	born(f, 1 << 23, PID + 2);
	assert_null(processes_by_serial(f->processes, serial));
	assert_int_equal(processes_count(f->processes), 2);
}

static void count_forgotten(void *ctx, struct process *proc)
{
	assert_int_equal(proc->pid, PID);
	((struct fixture *)ctx)->forgotten++;
}

/* Start times are of the boot clock, events of the monotonic one. */
static uint64_t boot(uint64_t monotonic)
{
	return monotonic + clock_ns(CLOCK_BOOTTIME) - clock_ns(CLOCK_MONOTONIC);
}

static void test_kept(void **state)
{
	struct fixture *f = *state;
	struct process *proc;
	uint32_t first, second;
	uint64_t start = boot(f->now);

	processes_on_forget(f->processes, count_forgotten, f);
	born(f, 1 << 23, PID);
	mapped(f, PID, 0x10000, 0x20000, "//anon");
	proc = processes_at(f->processes, PID, start);
	first = proc->serial;
	process_keep(proc);
	/* JIT frames of the old image keep it */
	execed(f, PID, "new");
	proc = processes_at(f->processes, PID, start);
	second = proc->serial;
	assert_int_not_equal(first, second);
	assert_int_equal(proc->n_mappings, 0);
	assert_false(proc->exited);
	proc = processes_by_serial(f->processes, first);
	assert_true(proc->exited);
	assert_int_equal(proc->n_mappings, 1);
	ended(f, PID, PID);
	f->now += 2 * PROCESSES_LINGER_NS;
	born(f, 1 << 23, PID + 1);
	assert_non_null(processes_by_serial(f->processes, first));
	assert_null(processes_by_serial(f->processes, second));
	assert_int_equal(f->forgotten, 1);
	processes_on_forget(f->processes, NULL, NULL);
}

static void test_reused_pid(void **state)
{
	struct fixture *f = *state;
	struct process *old, *new, *oldest;
	uint64_t old_start, new_start;

	old_start = boot(f->now);
	born(f, 1 << 23, PID);
	mapped(f, PID, 0x10000, 0x20000, "/nowhere/a");
	ended(f, PID, PID);
	f->now += SEC / 10;
	new_start = boot(f->now);
	born(f, 1 << 23, PID);
	mapped(f, PID, 0x10000, 0x20000, "/nowhere/bb");
	/* whichever is asked for first */
	old = processes_at(f->processes, PID, old_start);
	new = processes_at(f->processes, PID, new_start);
	assert_ptr_not_equal(old, new);
	assert_true(old->exited);
	assert_false(new->exited);
	assert_int_equal(old->start_ns, old_start);
	assert_ptr_equal(processes_at(f->processes, PID, old_start), old);
	assert_ptr_equal(processes_at(f->processes, PID, new_start), new);
	/* one from before all of them says nothing of the others */
	oldest = processes_at(f->processes, PID, old_start - 100 * SEC);
	assert_non_null(oldest);
	assert_true(oldest->exited);
	assert_int_equal(oldest->n_mappings, 0);
	assert_ptr_equal(processes_at(f->processes, PID, new_start), new);
	assert_false(new->exited);
	/* one from after them ends the last */
	assert_non_null(processes_at(f->processes, PID, new_start + 100 * SEC));
	assert_true(new->exited);
}

static bool want_one(void *ctx, pid_t pid)
{
	++*(unsigned int *)ctx;
	return pid == PID || pid == getpid();
}

static void test_filter(void **state)
{
	struct fixture *f = *state;
	unsigned int asked = 0;

	processes_set_filter(f->processes, want_one, &asked);
	born(f, 1, PID);
	born(f, PID, PID + 1);
	assert_int_equal(processes_count(f->processes), 2);
	assert_int_equal(asked, 1);
	for (int i = 0; i < 5; i++)
		mapped(f, 4000000, 0x10000, 0x20000, "/nowhere/a");
	assert_int_equal(asked, 2);
	born(f, 1, 4000000);
	assert_int_equal(asked, 3);
	assert_int_equal(processes_count(f->processes), 2);
	assert_int_equal(processes_scan_all(f->processes), 0);
	assert_true(process_find(processes_at(f->processes, getpid(), 0),
				 (uint64_t)(uintptr_t)test_filter) != NULL);
	/* the made-up ones were not in /proc */
	assert_true(processes_at(f->processes, PID, 0)->exited);
}

static void test_scan_self(void **state)
{
	struct fixture *f = *state;
	const struct object_file *file;
	const struct mapping *m;
	struct process *proc;
	uint32_t object, serial, count;

	assert_int_equal(processes_scan(f->processes, getpid()), 0);
	proc = processes_at(f->processes, getpid(), 0);
	serial = proc->serial;
	assert_int_equal(strncmp(proc->comm, program_invocation_short_name, 15), 0);
	m = process_find(proc, (uint64_t)(uintptr_t)test_scan_self);
	assert_non_null(m);
	object = m->object;
	file = objects_get(f->objects, object);
	assert_non_null(file);
	assert_true(file->fd >= 0);
	assert_non_null(strstr(file->path, program_invocation_short_name));
	count = objects_count(f->objects);
	proc->dirty = false;
	assert_int_equal(processes_scan(f->processes, getpid()), 0);
	assert_false(proc->dirty);
	assert_int_equal(processes_at(f->processes, getpid(), 0)->serial, serial);
	assert_int_equal(objects_count(f->objects), count);
	assert_int_equal(processes_scan(f->processes, PID), -ESRCH);
	/* the feed's form of the same file is the same object */
	if (file->id.build_id_len) {
		struct feed_event e = { .type = FEED_MMAP,
					.pid = PID,
					.start = 0x10000,
					.end = 0x20000,
					.prot = PROT_EXEC,
					.text = file->path,
					.id.build_id_len = file->id.build_id_len };

		memcpy(e.id.build_id, file->id.build_id, e.id.build_id_len);
		apply(f, e);
		assert_int_equal(object_at(processes_at(f->processes, PID, 0), 0x10000), object);
	}
}

static void test_scan_child(void **state)
{
	struct fixture *f = *state;
	struct process *proc;
	struct feed_event stale = { .type = FEED_EXEC, .text = "stale" };
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		(void)pause();
		_exit(0);
	}
	assert_int_equal(processes_scan(f->processes, pid), 0);
	proc = processes_at(f->processes, pid, 0);
	assert_true(proc->n_mappings > 0);
	/* what was before the look at /proc is in it */
	stale.pid = stale.tid = pid;
	stale.time_ns = 5;
	processes_apply(f->processes, &stale);
	assert_true(proc->n_mappings > 0);
	assert_string_not_equal(proc->comm, "stale");
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	f->now = clock_ns(CLOCK_MONOTONIC);
	ended(f, pid, pid);
	assert_true(proc->exited);
	assert_int_equal(processes_scan(f->processes, pid), -ESRCH);
}

static void test_lost(void **state)
{
	struct fixture *f = *state;

	born(f, 1 << 23, PID);
	assert_int_equal(processes_scan(f->processes, getpid()), 0);
	f->now = clock_ns(CLOCK_MONOTONIC);
	apply(f, (struct feed_event){ .type = FEED_LOST, .lost = 12 });
	assert_int_equal(processes_feed_lost(f->processes), 12);
	assert_true(processes_at(f->processes, PID, 0)->exited);
	assert_false(processes_at(f->processes, getpid(), 0)->exited);
	assert_true(processes_count(f->processes) > 2);
}

static void test_mapping_quota(void **state)
{
	struct fixture *f = *state;
	struct process *proc;

	born(f, 1 << 23, PID);
	for (uint64_t i = 0; i < PROCESS_MAPPINGS_MAX + 10; i++)
		mapped(f, PID, 0x10000 + i * 0x2000, 0x11000 + i * 0x2000, "/nowhere/a");
	proc = processes_at(f->processes, PID, 0);
	assert_int_equal(proc->n_mappings, PROCESS_MAPPINGS_MAX);
	assert_int_equal(processes_mappings_refused(f->processes), 10);
	/* what a JIT compiler maps piece by piece is one */
	born(f, 1 << 23, PID + 1);
	for (uint64_t i = 0; i < 2 * PROCESS_MAPPINGS_MAX; i++)
		mapped(f, PID + 1, i * 0x1000, (i + 1) * 0x1000, "//anon");
	assert_int_equal(processes_at(f->processes, PID + 1, 0)->n_mappings, 1);
}

/* One process cannot use up the registry for all; neither by its children nor by exec. */
static void test_object_quota(void **state)
{
	struct fixture *f = *state;
	uint32_t before = objects_count(f->objects);
	char path[32];

	born(f, 1 << 23, PID);
	execed(f, PID, "greedy");
	for (int i = 0; i < PROCESS_OBJECTS_MAX + 10; i++) {
		(void)snprintf(path, sizeof(path), "/nowhere/%d", i);
		mapped(f, PID, 0x10000, 0x20000, path);
	}
	assert_int_equal(objects_count(f->objects) - before, PROCESS_OBJECTS_MAX);
	assert_int_equal(objects_refused(f->objects), 10);
	born(f, PID, PID + 1);
	execed(f, PID + 1, "child");
	mapped(f, PID + 1, 0x10000, 0x20000, "/nowhere/else");
	assert_int_equal(objects_refused(f->objects), 11);
	/* what is known, and what others map, is as it was */
	mapped(f, PID + 1, 0x10000, 0x20000, "/nowhere/7");
	assert_int_not_equal(object_at(processes_at(f->processes, PID + 1, 0), 0x10000),
			     OBJECT_NONE);
	born(f, 1 << 23, PID + 2);
	mapped(f, PID + 2, 0x10000, 0x20000, "/nowhere/else");
	assert_int_not_equal(object_at(processes_at(f->processes, PID + 2, 0), 0x10000),
			     OBJECT_NONE);
	assert_int_equal(objects_refused(f->objects), 11);
}

static void test_process_quota(void **state)
{
	struct fixture *f = *state;

	for (pid_t i = 0; i < PROCESSES_MAX + 10; i++)
		born(f, 1 << 23, PID + i);
	assert_int_equal(processes_count(f->processes), PROCESSES_MAX);
	assert_int_equal(processes_refused(f->processes), 10);
	assert_null(processes_at(f->processes, PID + PROCESSES_MAX, 0));
	/* an exited one makes room at once */
	ended(f, PID, PID);
	assert_non_null(processes_at(f->processes, PID + PROCESSES_MAX, 0));
	assert_int_equal(processes_count(f->processes), PROCESSES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fork_and_exec, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reused_pid, setup, teardown),
		cmocka_unit_test_setup_teardown(test_filter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scan_self, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scan_child, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mapping_quota, setup, teardown),
		cmocka_unit_test_setup_teardown(test_object_quota, setup, teardown),
		cmocka_unit_test_setup_teardown(test_process_quota, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
