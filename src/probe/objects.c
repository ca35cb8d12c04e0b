/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/text.h"
#include "cpu.skel.h"
#include "objects.h"
#include "offcpu.skel.h"
#include "probe.h"
#include "task.skel.h"

#define LINKS_MAX        16
#define CPUS_MAX         4096
#define LIBBPF_LOG_BYTES 65536 /* of libbpf's complaints, for the one that explains a failure */
#define ITER_BYTES       (64 * 1024)

struct probe_objects {
	struct probe_constants constants;
	struct task_bpf *task;
	struct offcpu_bpf *offcpu;
	struct cpu_bpf *cpu;
	struct bpf_link *links[LINKS_MAX + CPUS_MAX];
	size_t n_links;
};

static struct buf libbpf_log = { .limit = LIBBPF_LOG_BYTES };

/* libbpf's warnings are kept for the error message; a verifier's log would fill the terminal. */
static int on_libbpf_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	_cleanup_free_ char *text = NULL;
	va_list again;
	int n, skip;

	if (level != LIBBPF_WARN)
		return 0;
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	text = n < 0 ? NULL : malloc((size_t)n + 1);
	if (!text)
		return 0;
	(void)vsnprintf(text, (size_t)n + 1, fmt, ap);
	/* a verifier's log comes in one piece, and its end is what counts */
	skip = n > LIBBPF_LOG_BYTES / 2 ? n - LIBBPF_LOG_BYTES / 2 : 0;
	if (!libbpf_log.data)
		buf_init(&libbpf_log, LIBBPF_LOG_BYTES);
	(void)buf_adds(&libbpf_log, text + skip);
	return 0;
}

/*
 * The line that says why the kernel refused: the last one of the verifier's log before its summary
 * ("processed N insns ..."), else the last one that libbpf printed.
 */
static const char *last_reason(size_t *ret_len)
{
	const char *log = libbpf_log.data ? libbpf_log.data : "", *end, *start;

	end = strstr(log, "\nprocessed ");
	if (!end)
		end = log + strlen(log);
	while (end > log && (end[-1] == '\n' || end[-1] == ' '))
		end--;
	for (start = end; start > log && start[-1] != '\n'; start--)
		;
	*ret_len = (size_t)(end - start) > 300 ? 300 : (size_t)(end - start);
	return start;
}

/* EACCES is what the verifier's refusals look like: privileges have been checked before. */
static int load_error(struct err *e, const char *what, int err)
{
	size_t len;
	const char *reason = last_reason(&len);

	err_set(e, err == -EPERM ? EXIT_PRIVILEGE : EXIT_KERNEL,
		"the kernel refuses the %s programs: %s%s%.*s", what, strerror(-err),
		len ? ": " : "", (int)len, reason);
	return err_hint(
		e, "`foldd doctor` lists what this kernel and these privileges allow; a kernel "
		   "that refuses a program with all of them there is a bug in foldd.");
}

/* Maps that the first object made are used by the later ones that declare the same name. */
static int share_maps(struct bpf_object *first, struct bpf_object *later)
{
	struct bpf_map *map, *have;
	int err;

	bpf_object__for_each_map(map, later)
	{
		if (strchr(bpf_map__name(map),
			   '.')) /* .rodata and the like are each object's own */
			continue;
		have = bpf_object__find_map_by_name(first, bpf_map__name(map));
		if (!have)
			continue;
		err = bpf_map__reuse_fd(map, bpf_map__fd(have));
		if (err)
			return err;
	}
	return 0;
}

static int load_task(struct probe_objects *o, struct err *e)
{
	const struct probe_constants *k = &o->constants;
	int err;

	o->task = task_bpf__open();
	if (!o->task)
		return load_error(e, "task", -errno);
	o->task->rodata->pidns_inum = k->pidns_inum;
	o->task->rodata->self_tgid = k->self_tgid;
	o->task->rodata->worker_tgid = k->worker_tgid;
	o->task->rodata->target_mode = k->target_mode;
	o->task->rodata->target_cgroup = k->target_cgroup;
	o->task->rodata->target_cgroup_level = k->target_cgroup_level;
	o->task->rodata->want_open_waits = k->want_offcpu;
	(void)bpf_program__set_autoload(o->task->progs.open_window, k->sleepable_iter);
	(void)bpf_program__set_autoload(o->task->progs.open_window_plain, !k->sleepable_iter);
	(void)bpf_program__set_autoload(o->task->progs.close_window, k->sleepable_iter);
	(void)bpf_program__set_autoload(o->task->progs.close_window_plain, !k->sleepable_iter);
	(void)bpf_program__set_autoload(o->task->progs.on_cgroup_attach, k->target_mode == 2);
	err = task_bpf__load(o->task);
	return err ? load_error(e, "task", err) : 0;
}

static int load_offcpu(struct probe_objects *o, struct err *e)
{
	const struct probe_constants *k = &o->constants;
	int err;

	o->offcpu = offcpu_bpf__open();
	if (!o->offcpu)
		return load_error(e, "offcpu", -errno);
	o->offcpu->rodata->pidns_inum = k->pidns_inum;
	o->offcpu->rodata->switch_has_state = k->switch_has_state;
	o->offcpu->rodata->want_samples = k->want_offcpu;
	o->offcpu->rodata->has_find_vma = k->find_vma;
	o->offcpu->rodata->has_rdonly_cast = k->rdonly_cast;
	(void)bpf_program__set_autoload(o->offcpu->progs.on_sys_exit, k->want_offcpu);
	err = share_maps(o->task->obj, o->offcpu->obj);
	if (!err)
		err = offcpu_bpf__load(o->offcpu);
	return err ? load_error(e, "offcpu", err) : 0;
}

static int load_cpu(struct probe_objects *o, struct err *e)
{
	int err;

	o->cpu = cpu_bpf__open();
	if (!o->cpu)
		return load_error(e, "cpu", -errno);
	err = share_maps(o->task->obj, o->cpu->obj);
	if (!err)
		err = cpu_bpf__load(o->cpu);
	return err ? load_error(e, "cpu", err) : 0;
}

int probe_objects_load(const struct probe_constants *k, struct probe_objects **ret, struct err *e)
{
	struct probe_objects *o = calloc(1, sizeof(*o));

	if (!o)
		return err_set(e, EXIT_RUNTIME, "out of memory");
	(void)libbpf_set_print(on_libbpf_print);
	buf_clear(&libbpf_log);
	o->constants = *k;
	if (load_task(o, e) || load_offcpu(o, e) || (k->want_cpu && load_cpu(o, e))) {
		probe_objects_free(o);
		return -1;
	}
	*ret = o;
	return 0;
}

static int keep_link(struct probe_objects *o, struct bpf_link *link, const char *what,
		     struct err *e)
{
	if (!link) {
		err_set(e, errno == EPERM || errno == EACCES ? EXIT_PRIVILEGE : EXIT_KERNEL,
			"cannot attach %s: %m", what);
		return err_hint(e, "`foldd doctor` lists what is missing.");
	}
	if (o->n_links == ARRAY_SIZE(o->links)) {
		bpf_link__destroy(link);
		return err_set(e, EXIT_RUNTIME, "more than %d CPUs are not supported", CPUS_MAX);
	}
	o->links[o->n_links++] = link;
	return 0;
}

static int attach_cpu_clock(struct probe_objects *o, struct err *e)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000000 / PROBE_CPU_HZ,
	};
	int cpus = libbpf_num_possible_cpus(), opened = 0;

	for (int cpu = 0; cpu < cpus; cpu++) {
		long fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
		struct bpf_link *link;

		if (fd < 0 && errno == ENODEV) /* offline */
			continue;
		if (fd < 0)
			return err_set(e,
				       errno == EACCES || errno == EPERM ? EXIT_PRIVILEGE
									 : EXIT_KERNEL,
				       "cannot open a cpu-clock event on CPU %d: %m", cpu);
		link = bpf_program__attach_perf_event(o->cpu->progs.on_cpu_clock, (int)fd);
		if (!link)
			(void)close((int)fd); /* the link owns it otherwise */
		if (keep_link(o, link, "the cpu-clock program", e))
			return -1;
		opened++;
	}
	return opened ? 0 : err_set(e, EXIT_KERNEL, "no CPU takes a cpu-clock event");
}

int probe_objects_attach(struct probe_objects *o, struct err *e)
{
	struct bpf_program *const programs[] = {
		/* exec, fork and exit first: a thread's state must not miss its process's end */
		o->task->progs.on_exit,       o->task->progs.on_exec,
		o->task->progs.on_fork,       o->task->progs.on_cgroup_attach,
		o->offcpu->progs.on_sys_exit, o->offcpu->progs.on_waking,
		o->offcpu->progs.on_switch,
	};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (bpf_program__autoload(programs[i]) &&
		    keep_link(o, bpf_program__attach(programs[i]),
			      bpf_program__section_name(programs[i]), e))
			return -1;
	return o->cpu ? attach_cpu_clock(o, e) : 0;
}

void probe_objects_detach(struct probe_objects *o)
{
	while (o->n_links)
		(void)bpf_link__destroy(o->links[--o->n_links]);
}

struct probe_objects *probe_objects_free(struct probe_objects *o)
{
	if (!o)
		return NULL;
	probe_objects_detach(o);
	cpu_bpf__destroy(o->cpu);
	offcpu_bpf__destroy(o->offcpu);
	task_bpf__destroy(o->task);
	buf_release(&libbpf_log);
	free(o);
	return NULL;
}

int probe_objects_map(const struct probe_objects *o, const char *name)
{
	return bpf_object__find_map_fd_by_name(o->task->obj, name);
}

/* "memlock:" in fdinfo is what the kernel accounts for a map. */
static uint64_t map_bytes(int fd)
{
	char path[64];
	_cleanup_buf_ struct buf b;
	const char *line, *p;
	uint64_t v = 0;

	buf_init(&b, 65536);
	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (file_read(path, &b))
		return 0;
	line = strstr(b.data, "memlock:");
	if (!line)
		return 0;
	p = line + strlen("memlock:");
	p += strspn(p, " \t");
	if (text_scan_u64(&p, b.data + b.len, 10, &v))
		return 0;
	return v;
}

uint64_t probe_objects_map_bytes(const struct probe_objects *o)
{
	const struct bpf_object *objects[] = { o->task->obj, o->offcpu->obj,
					       o->cpu ? o->cpu->obj : NULL };
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		struct bpf_map *map;

		if (!objects[i])
			continue;
		bpf_object__for_each_map(
			map, objects[i]) if (!i || probe_objects_map(o, bpf_map__name(map)) < 0)
			sum += map_bytes(bpf_map__fd(map));
	}
	return sum;
}

int probe_objects_iterate(struct probe_objects *o, const char *program,
			  void (*fn)(void *ctx, const void *data, size_t len), void *ctx,
			  struct err *e)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(o->task->obj, program);
	struct bpf_link *link = prog ? bpf_program__attach_iter(prog, NULL) : NULL;
	_cleanup_free_ char *data = malloc(ITER_BYTES);
	_cleanup_close_ int fd = -1;
	ssize_t n = 0;

	if (link && data)
		fd = bpf_iter_create(bpf_link__fd(link));
	if (fd >= 0)
		while ((n = read(fd, data, ITER_BYTES)) > 0 || (n < 0 && errno == EINTR))
			if (fn && n > 0)
				fn(ctx, data, (size_t)n);
	if (fd < 0 || n < 0)
		err_set(e, EXIT_RUNTIME, "cannot walk the threads (%s): %m", program);
	(void)bpf_link__destroy(link);
	return fd < 0 || n < 0 ? -1 : 0;
}
