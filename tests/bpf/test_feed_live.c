/* SPDX-License-Identifier: BSD-2-Clause */
/* The feed of this kernel: what one fork and exec leaves in it, and what the table makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "process/processes.h"

static struct feed *open_feed(void)
{
	struct feed *f = NULL;
	int err = feed_open(&f);

	if (err == -EACCES || err == -EPERM || err == -ENOENT) {
		print_message("perf_event_open is refused here: %s\n", strerror(-err));
		skip();
	}
	assert_int_equal(err, 0);
	return f;
}

static pid_t run_true(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return pid;
}

static void test_order(void **state)
{
	static const enum feed_type order[] = { FEED_FORK, FEED_EXEC, FEED_MMAP, FEED_EXIT };
	_cleanup_(feed_free) struct feed *f = open_feed();
	const struct feed_event *events;
	size_t n, next = 0, build_ids = 0, vdso = 0;
	uint64_t last = 0;
	pid_t pid;

	(void)state;
	pid = run_true();
	assert_int_equal(feed_drain(f, &events, &n), 0);
	for (size_t i = 0; i < n; i++) {
		const struct feed_event *e = &events[i];

		assert_true(e->time_ns >= last);
		last = e->time_ns;
		if (e->pid != pid)
			continue;
		if (next < ARRAY_SIZE(order) && e->type == order[next])
			next++;
		if (e->type == FEED_MMAP) {
			assert_true(e->prot & PROT_EXEC);
			build_ids += e->id.build_id_len > 0;
			vdso += !strcmp(e->text, "[vdso]");
		}
		if (e->type == FEED_EXEC)
			assert_string_equal(e->text, "true");
		if (e->type == FEED_FORK)
			assert_int_equal(e->parent, getpid());
	}
	assert_int_equal(next, ARRAY_SIZE(order));
	assert_int_equal(vdso, 1);
	if (feed_has_build_ids(f))
		assert_true(build_ids >= 2);
	assert_int_equal(feed_drain(f, &events, &n), 0);
	for (size_t i = 0; i < n; i++)
		assert_true(events[i].time_ns >= last);
}

static void test_many(void **state)
{
	/* More drains than one, with the ring going round: nothing is lost, all is parsed. */
	_cleanup_(feed_free) struct feed *f = open_feed();
	const struct feed_event *events;
	size_t n, forks = 0, exits = 0;
	pid_t pids[400];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = run_true();
		if (i % 50 != 49)
			continue;
		assert_int_equal(feed_drain(f, &events, &n), 0);
		for (size_t j = 0; j < n; j++) {
			assert_int_not_equal(events[j].type, FEED_LOST);
			for (size_t k = i - 49; k <= i; k++) {
				forks += events[j].type == FEED_FORK && events[j].pid == pids[k];
				exits += events[j].type == FEED_EXIT && events[j].pid == pids[k];
			}
		}
	}
	assert_int_equal(forks, ARRAY_SIZE(pids));
	assert_int_equal(exits, ARRAY_SIZE(pids));
}

static void test_table(void **state)
{
	_cleanup_(feed_free) struct feed *f = open_feed();
	_cleanup_(objects_free) struct objects *o = NULL;
	_cleanup_(processes_free) struct processes *p = NULL;
	const struct feed_event *events;
	const struct mapping *own;
	struct process *proc;
	bool found = false;
	uint32_t before;
	size_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(objects_new(&o), 0);
	assert_int_equal(processes_new(o, &p), 0);
	assert_int_equal(processes_scan_all(p), 0);
	before = objects_count(o);
	pid = run_true();
	assert_int_equal(feed_drain(f, &events, &n), 0);
	for (size_t i = 0; i < n; i++)
		if (events[i].pid == pid) /* others on the host map files of their own meanwhile */
			processes_apply(p, &events[i]);
	proc = processes_at(p, pid, 0);
	assert_non_null(proc);
	assert_true(proc->exited);
	assert_string_equal(proc->comm, "true");
	assert_true(proc->n_mappings >= 3);
	for (size_t i = 0; i < proc->n_mappings; i++) {
		const struct object_file *file = objects_get(o, proc->mappings[i].object);

		assert_non_null(file);
		found |= strstr(file->path, "/true") != NULL;
		assert_int_equal(file->error, 0);
	}
	assert_true(found);
	/* libc and the loader were known from /proc, by inode: the build-id finds the same ones. */
	assert_true(objects_count(o) <= before + 1);
	proc = processes_at(p, getpid(), 0);
	assert_non_null(proc);
	own = process_find(proc, (uint64_t)(uintptr_t)strlen);
	assert_non_null(own);
	assert_int_not_equal(own->object, OBJECT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
