/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "base/file.h"
#include "base/text.h"
#include "cli.h"

#define PROC_FILE_MAX    65536
#define PF_KTHREAD       0x00200000 /* include/linux/sched.h, shown in /proc/PID/stat */
#define STAT_FLAGS_FIELD 9
#define LABEL_MAX        64

static int no_process(pid_t pid, struct err *e)
{
	(void)err_set(e, EXIT_NO_TARGET, "there is no process %d", (int)pid);
	return err_hint(e, "it may have exited; pgrep -a NAME finds processes");
}

static int read_proc(pid_t pid, const char *name, struct buf *b)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return file_read(path, b);
}

/* The value behind "Key:\t" in /proc/PID/status, or NULL. */
static const char *status_value(const struct buf *status, const char *key)
{
	const char *p = strstr(status->data, key);

	return p ? p + strlen(key) : NULL;
}

/* Fields are counted behind the comm, which may hold blanks and brackets itself. */
static bool is_kernel_thread(const struct buf *stat)
{
	const char *p = strrchr(stat->data, ')'), *end = stat->data + stat->len;
	uint64_t flags;

	for (int field = 2; p && field < STAT_FLAGS_FIELD; field++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	return p && !text_scan_u64(&p, end, 10, &flags) && (flags & PF_KTHREAD);
}

static int check_status(pid_t pid, const struct buf *status, struct err *e)
{
	const char *tgid = status_value(status, "\nTgid:\t");
	const char *state = status_value(status, "\nState:\t");
	uint64_t leader = (uint64_t)pid;

	if (tgid && !text_scan_u64(&tgid, status->data + status->len, 10, &leader) &&
	    leader != (uint64_t)pid) {
		(void)err_set(e, EXIT_NO_TARGET, "%d is a thread, not a process", (int)pid);
		return err_hint(e, "it belongs to process %d: use -p %d", (int)leader, (int)leader);
	}
	if (state && (*state == 'Z' || *state == 'X'))
		return err_set(e, EXIT_NO_TARGET, "process %d has exited and waits for its parent",
			       (int)pid);
	return 0;
}

int target_check(pid_t pid, struct err *e)
{
	_cleanup_buf_ struct buf status, stat;

	buf_init(&status, PROC_FILE_MAX);
	buf_init(&stat, PROC_FILE_MAX);
	if (pid == getpid()) {
		(void)err_set(e, EXIT_NO_TARGET, "%d is foldd itself", (int)pid);
		return err_hint(e, "foldd leaves itself out of what it records");
	}
	if (read_proc(pid, "status", &status) || read_proc(pid, "stat", &stat))
		return no_process(pid, e);
	if (check_status(pid, &status, e))
		return -1;
	if (is_kernel_thread(&stat)) {
		(void)err_set(e, EXIT_NO_TARGET, "%d is a kernel thread", (int)pid);
		return err_hint(e, "kernel threads are recorded with the whole host: use -a");
	}
	return 0;
}

int target_check_all(const struct options *o, struct err *e)
{
	for (size_t i = 0; i < o->n_pids; i++)
		if (target_check(o->pids[i], e))
			return -1;
	return 0;
}

static int add_pids(const struct options *o, struct buf *out)
{
	for (size_t i = 0; i < o->n_pids; i++)
		(void)buf_printf(out, i ? ",%d" : "-p %d", (int)o->pids[i]);
	return out->error;
}

int target_text(const struct options *o, struct buf *out)
{
	switch (o->target) {
	case TARGET_ALL:
		return buf_adds(out, "-a");
	case TARGET_PIDS:
		return add_pids(o, out);
	case TARGET_CGROUP:
		return buf_printf(out, "-C %s", o->cgroup);
	case TARGET_COMMAND:
		(void)buf_adds(out, "--");
		for (char **arg = o->command; *arg; arg++)
			(void)buf_printf(out, " %s", *arg);
	}
	return out->error;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* What is safe as a file's name on any terminal and in any shell. */
static void add_label(struct buf *out, const char *text)
{
	for (size_t i = 0; text[i] && text[i] != '\n' && i < LABEL_MAX; i++) {
		unsigned char c = (unsigned char)text[i];
		bool plain = c < 0x80 && (isalnum(c) || c == '.' || c == '_' || c == '-');

		(void)buf_addc(out, plain ? (char)c : '_');
	}
}

static void add_process_label(struct buf *out, pid_t pid)
{
	_cleanup_buf_ struct buf comm;

	buf_init(&comm, PROC_FILE_MAX);
	if (read_proc(pid, "comm", &comm) || comm.len < 2)
		(void)buf_printf(out, "%d", (int)pid);
	else
		add_label(out, comm.data);
}

int target_label(const struct options *o, struct buf *out)
{
	const char *name;

	switch (o->target) {
	case TARGET_ALL:
		return buf_adds(out, "all");
	case TARGET_PIDS:
		add_process_label(out, o->pids[0]);
		break;
	case TARGET_CGROUP:
		name = base_name(o->cgroup);
		add_label(out, *name ? name : "cgroup");
		break;
	case TARGET_COMMAND:
		name = base_name(o->command[0]);
		add_label(out, *name ? name : "command");
	}
	return out->error;
}
