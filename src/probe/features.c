/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/text.h"
#include "features.h"

/* include/uapi/linux/capability.h */
#define CAP_SYS_PTRACE_BIT 19
#define CAP_SYS_ADMIN_BIT  21
#define CAP_SYSLOG_BIT     34
#define CAP_PERFMON_BIT    38
#define CAP_BPF_BIT        39

#define FEATURES_MAX 24

static struct feature features[FEATURES_MAX];
static size_t n_features;
static bool probed, switch_has_state, sleepable_iter, find_vma, rdonly_cast;

static struct feature *add(const char *name, const char *wanted_by, int status, bool available)
{
	struct feature *f = &features[n_features++];

	f->name = name;
	f->wanted_by = wanted_by;
	f->required = status != 0;
	f->status = status;
	f->available = available;
	return f;
}

static void explain(struct feature *f, const char *why_not, const char *remedy)
{
	if (f->available)
		return;
	(void)snprintf(f->why_not, sizeof(f->why_not), "%s", why_not);
	(void)snprintf(f->remedy, sizeof(f->remedy), "%s", remedy);
}

static uint64_t effective_capabilities(void)
{
	_cleanup_buf_ struct buf b;
	const char *p;
	uint64_t caps = 0;

	buf_init(&b, 65536);
	if (file_read("/proc/self/status", &b))
		return 0;
	p = strstr(b.data, "\nCapEff:\t");
	if (!p)
		return 0;
	p += strlen("\nCapEff:\t");
	return text_scan_u64(&p, b.data + b.len, 16, &caps) ? 0 : caps;
}

static bool has(uint64_t caps, int bit)
{
	return caps >> bit & 1;
}

static void probe_privileges(void)
{
	uint64_t caps = effective_capabilities();
	bool admin = has(caps, CAP_SYS_ADMIN_BIT);
	struct feature *f;

	f = add("CAP_BPF and CAP_PERFMON", "loading and attaching the programs", EXIT_PRIVILEGE,
		admin || (has(caps, CAP_BPF_BIT) && has(caps, CAP_PERFMON_BIT)));
	explain(f, "this process has neither these capabilities nor CAP_SYS_ADMIN",
		"run foldd as root (sudo foldd ...), or grant it cap_bpf,cap_perfmon,"
		"cap_sys_ptrace,cap_syslog,cap_dac_read_search");
	f = add("CAP_SYS_PTRACE", "mappings and files of other users' processes", 0,
		has(caps, CAP_SYS_PTRACE_BIT));
	explain(f, "not granted: frames of other users' processes stay without names",
		"run foldd as root or grant cap_sys_ptrace");
	f = add("CAP_SYSLOG", "addresses of kernel symbols", 0, has(caps, CAP_SYSLOG_BIT));
	explain(f, "not granted: the kernel hides its addresses, kernel frames print as [kernel]",
		"run foldd as root or grant cap_syslog");
}

static void probe_bpf(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "foldd_probe", 4, 4, 1, NULL);
	int error = errno;
	struct feature *f;

	f = add("bpf() system call", "everything", error == ENOSYS ? EXIT_KERNEL : EXIT_PRIVILEGE,
		fd >= 0);
	explain(f, strerror(error),
		error == ENOSYS ? "use a kernel with CONFIG_BPF_SYSCALL"
				: "check privileges, seccomp filters and kernel lockdown");
	if (fd < 0)
		return;
	(void)close(fd);
	f = add("task storage", "the state of each thread", EXIT_KERNEL,
		libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL) > 0);
	explain(f, "the kernel has no BPF_MAP_TYPE_TASK_STORAGE for tracing",
		"use Linux 5.15 or later");
	f = add("ring buffer", "samples on their way out", EXIT_KERNEL,
		libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) > 0);
	explain(f, "the kernel has no BPF_MAP_TYPE_RINGBUF", "use Linux 5.15 or later");
}

/* Number of arguments of the typed tracepoint NAME, without the context; -1: there is none. */
static int tracepoint_args(const struct btf *btf, const char *name)
{
	char type_name[128];
	const struct btf_type *t;
	int id;

	(void)snprintf(type_name, sizeof(type_name), "btf_trace_%s", name);
	id = btf__find_by_name_kind(btf, type_name, BTF_KIND_TYPEDEF);
	if (id < 0)
		return -1;
	t = btf__type_by_id(btf, (__u32)id);
	t = t ? btf__type_by_id(btf, t->type) : NULL; /* pointer */
	t = t ? btf__type_by_id(btf, t->type) : NULL; /* function */
	return t && btf_is_func_proto(t) ? btf_vlen(t) - 1 : -1;
}

/* Does the kernel know this helper? Its number is in an enum of its own BTF. */
static bool has_helper(const struct btf *btf, const char *name)
{
	int id = btf__find_by_name_kind(btf, "bpf_func_id", BTF_KIND_ENUM);
	const struct btf_type *t = id < 0 ? NULL : btf__type_by_id(btf, (__u32)id);
	const struct btf_enum *e;

	if (!t)
		return false;
	e = btf_enum(t);
	for (int i = 0; i < btf_vlen(t); i++) {
		const char *have = btf__name_by_offset(btf, e[i].name_off);

		if (have && !strcmp(have, name))
			return true;
	}
	return false;
}

static void probe_btf(void)
{
	static const char *const tracepoints[] = { "sched_switch",       "sched_waking",
						   "sched_process_fork", "sched_process_exec",
						   "sched_process_exit", "sys_exit" };
	struct btf *btf = NULL;
	struct feature *f;
	bool all = true;

	/* libbpf would also try files of other places; foldd's programs need this one */
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		btf = btf__load_vmlinux_btf();
	f = add("kernel BTF", "all programs (CO-RE)", EXIT_KERNEL, btf && !libbpf_get_error(btf));
	explain(f, "/sys/kernel/btf/vmlinux is missing or unreadable",
		"use a kernel built with CONFIG_DEBUG_INFO_BTF=y, and mount sysfs");
	if (!f->available)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(tracepoints); i++)
		all = all && tracepoint_args(btf, tracepoints[i]) >= 0;
	f = add("typed tracepoints", "offcpu, cpu: sched_*, sys_exit", EXIT_KERNEL, all);
	explain(f, "the kernel's BTF does not describe the scheduler's tracepoints",
		"use a kernel with CONFIG_TRACEPOINTS and CONFIG_BPF_EVENTS");
	switch_has_state = tracepoint_args(btf, "sched_switch") >= 4;
	f = add("state in sched_switch", "offcpu: states without a race", 0, switch_has_state);
	explain(f, "before Linux 5.18: the state is read from the task instead",
		"nothing to do; a rare wait may be called preempted");
	sleepable_iter = has_helper(btf, "BPF_FUNC_copy_from_user_task");
	f = add("memory of other threads", "offcpu: user stacks of waits that have not ended", 0,
		sleepable_iter);
	explain(f, "before Linux 5.18: no bpf_copy_from_user_task",
		"nothing to do; such waits carry their kernel stack only");
	find_vma = has_helper(btf, "BPF_FUNC_find_vma");
	f = add("mappings of the current process",
		"whole stacks of processes that have just started", 0, find_vma);
	explain(f, "before Linux 5.17: no bpf_find_vma",
		"nothing to do; the first stacks of a new process may be cut");
	/* not listed: without it the same is read by helpers, a little slower */
	rdonly_cast = btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;
	btf__free(btf);
}

static void probe_perf(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_DUMMY,
					.mmap = 1,
					.mmap2 = 1,
					.build_id = 1 };
	long fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	bool build_ids = fd >= 0;
	struct feature *f;
	int error = 0;

	if (fd < 0) {
		attr.build_id = 0;
		fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
		error = errno;
	}
	f = add("perf events", "the mapping feed; cpu",
		error == EPERM || error == EACCES ? EXIT_PRIVILEGE : EXIT_KERNEL, fd >= 0);
	explain(f, error ? strerror(error) : "",
		"check privileges and /proc/sys/kernel/perf_event_paranoid");
	f = add("build-ids in mapping records", "files of processes that have exited", 0,
		build_ids);
	explain(f, "before Linux 5.12: files are told apart by device and inode", "nothing to do");
	if (fd >= 0)
		(void)close((int)fd);
}

static void probe_kallsyms(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/kallsyms", "re");
	unsigned long long address, text = 0;
	char line[512], name[256], type;
	struct feature *f;

	while (file && !text && fgets(line, sizeof(line), file))
		if (sscanf(line, "%llx %c %255s", &address, &type, name) == 3 &&
		    (!strcmp(name, "_stext") || !strcmp(name, "_text")))
			text = address;
	f = add("kernel symbols", "names of kernel frames", 0, text != 0);
	explain(f, "/proc/kallsyms is missing or hides the addresses: frames print as [kernel]",
		"run with CAP_SYSLOG and kernel.kptr_restrict below 2");
}

static void probe_tracefs(void)
{
	struct statfs s;
	bool mounted = !statfs("/sys/kernel/tracing", &s) && s.f_type == TRACEFS_MAGIC;
	struct feature *f = add("tracefs", "nothing yet: offcpu and cpu do without it", 0, mounted);

	explain(f, "not mounted on /sys/kernel/tracing",
		"mount -t tracefs tracefs /sys/kernel/tracing");
}

const struct feature *features_probe(size_t *ret_count)
{
	if (!probed) {
		probed = true;
		(void)libbpf_set_print(NULL);
		probe_privileges();
		probe_btf();
		if (features[0].available)
			probe_bpf();
		probe_perf();
		probe_kallsyms();
		probe_tracefs();
	}
	*ret_count = n_features;
	return features;
}

int features_check(struct err *e)
{
	size_t n;
	const struct feature *f = features_probe(&n);

	for (size_t i = 0; i < n; i++) {
		if (!f[i].required || f[i].available)
			continue;
		err_set(e, f[i].status, "%s: not available (%s)", f[i].name, f[i].why_not);
		return err_hint(e, "%s", f[i].remedy);
	}
	return 0;
}

bool features_switch_has_state(void)
{
	size_t n;

	(void)features_probe(&n);
	return switch_has_state;
}

bool features_sleepable_iter(void)
{
	size_t n;

	(void)features_probe(&n);
	return sleepable_iter;
}

bool features_find_vma(void)
{
	size_t n;

	(void)features_probe(&n);
	return find_vma;
}

bool features_rdonly_cast(void)
{
	size_t n;

	(void)features_probe(&n);
	return rdonly_cast;
}
