/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "base/file.h"
#include "base/text.h"
#include "procfs.h"

#define PROCFS_TEXT_MAX 16384
#define STAT_FLAGS      9 /* fields as proc(5) counts them */
#define STAT_THREADS    20
#define STAT_STARTTIME  22
#define PF_KTHREAD      0x00200000

static void skip_blanks(const char **p, const char *end)
{
	while (*p < end && (**p == ' ' || **p == '\t'))
		(*p)++;
}

/* Signed fields too; a minus sign is dropped, since no field that we want has one. */
static bool stat_number(const char **p, const char *end, uint64_t *ret)
{
	skip_blanks(p, end);
	if (*p < end && **p == '-')
		(*p)++;
	return !text_scan_u64(p, end, 10, ret);
}

/* The kernel writes newlines and backslashes of the name as \\n and \\\\. */
static void copy_comm(const char *p, const char *end, char *out, size_t size)
{
	size_t n = 0;

	for (; p < end && n < size - 1; p++) {
		if (*p == '\\' && end - p > 1 && (p[1] == 'n' || p[1] == '\\'))
			out[n++] = *++p == 'n' ? '\n' : '\\';
		else
			out[n++] = *p;
	}
	out[n] = '\0';
}

int procfs_parse_stat(const char *text, size_t len, struct procfs_stat *ret)
{
	/* The name may hold anything, parentheses included. */
	const char *open = memchr(text, '(', len), *close = memrchr(text, ')', len);
	const char *p, *end = text + len;
	struct procfs_stat st = { 0 };

	if (!open || !close || close < open || end - close < 4 || close[1] != ' ')
		return -EBADMSG;
	copy_comm(open + 1, close, st.comm, sizeof(st.comm));
	st.state = close[2];
	p = close + 3;
	for (int i = 4; i <= STAT_STARTTIME; i++) {
		uint64_t v;

		if (!stat_number(&p, end, &v))
			return -EBADMSG;
		if (i == STAT_FLAGS)
			st.kernel_thread = v & PF_KTHREAD;
		else if (i == STAT_THREADS)
			st.threads = (uint32_t)v;
		else if (i == STAT_STARTTIME)
			st.start_ticks = v;
	}
	*ret = st;
	return 0;
}

/* The text after "name:" at the start of a line, or NULL. */
static const char *status_field(const char *text, const char *end, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = text; p && end - p > (ptrdiff_t)n; p++) {
		if (!memcmp(p, name, n) && p[n] == ':')
			return p + n + 1;
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p)
			break;
	}
	return NULL;
}

static size_t status_numbers(const char *p, const char *end, uint64_t *numbers, size_t max)
{
	size_t n = 0;

	for (; n < max; n++) {
		skip_blanks(&p, end);
		if (text_scan_u64(&p, end, 10, &numbers[n]))
			break;
	}
	return n;
}

int procfs_parse_status(const char *text, size_t len, struct procfs_status *ret)
{
	const char *end = text + len, *uid = status_field(text, end, "Uid");
	const char *ns_pid = status_field(text, end, "NSpid");
	uint64_t v[33]; /* pid namespaces nest 32 deep */
	struct procfs_status st;
	size_t n;

	if (!uid || !ns_pid || status_numbers(uid, end, v, 4) != 4)
		return -EBADMSG;
	st.euid = (uid_t)v[1];
	n = status_numbers(ns_pid, end, v, ARRAY_SIZE(v));
	if (!n || v[n - 1] > INT32_MAX)
		return -EBADMSG;
	st.ns_pid = (pid_t)v[n - 1];
	*ret = st;
	return 0;
}

static int read_text(pid_t pid, const char *name, struct buf *b)
{
	char path[48];
	int err;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	err = file_read(path, b);
	return err == -ENOENT ? -ESRCH : err;
}

int procfs_read_stat(pid_t pid, struct procfs_stat *ret)
{
	_cleanup_buf_ struct buf b;
	int err;

	buf_init(&b, PROCFS_TEXT_MAX);
	err = read_text(pid, "stat", &b);
	return err ? err : procfs_parse_stat(b.data, b.len, ret);
}

int procfs_read_status(pid_t pid, struct procfs_status *ret)
{
	_cleanup_buf_ struct buf b;
	int err;

	buf_init(&b, PROCFS_TEXT_MAX);
	err = read_text(pid, "status", &b);
	return err ? err : procfs_parse_status(b.data, b.len, ret);
}
