/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include "base/text.h"
#include "maps.h"

#define MAPS_CHUNK     32768
#define MAPS_LINE_MAX  (4 * FEED_PATH_MAX + 128) /* a path of newlines, four bytes each */
#define MAPS_TASKS_MAX 64 /* threads asked where the main thread has exited */

/* Scan a number and the byte that must follow it. */
static bool field(const char **p, const char *end, unsigned int base, char after, uint64_t *ret)
{
	if (text_scan_u64(p, end, base, ret) || *p >= end || **p != after)
		return false;
	(*p)++;
	return true;
}

static bool parse_prot(const char **p, const char *end, uint32_t *ret)
{
	const char *q = *p;

	if (end - q < 5 || q[4] != ' ')
		return false;
	*ret = (q[0] == 'r' ? PROT_READ : 0U) | (q[1] == 'w' ? PROT_WRITE : 0U) |
	       (q[2] == 'x' ? PROT_EXEC : 0U);
	*p += 5;
	return true;
}

/* The kernel escapes newlines and nothing else, not even the backslash. */
static int unescape(const char *p, const char *end, char *out)
{
	size_t n = 0;

	while (p < end) {
		if (n == FEED_PATH_MAX - 1 || !*p)
			return -EBADMSG;
		if (end - p >= 4 && !memcmp(p, "\\012", 4)) {
			out[n++] = '\n';
			p += 4;
		} else {
			out[n++] = *p++;
		}
	}
	out[n] = '\0';
	return 0;
}

int maps_parse(const char *line, size_t len, struct maps_line *ret)
{
	const char *p = line, *end = line + len;
	uint64_t start, stop, pgoff, dev_major, dev_minor, ino;
	char path[FEED_PATH_MAX];
	uint32_t prot;

	if (!field(&p, end, 16, '-', &start) || !field(&p, end, 16, ' ', &stop) || start >= stop ||
	    !parse_prot(&p, end, &prot) || !field(&p, end, 16, ' ', &pgoff) ||
	    !field(&p, end, 16, ':', &dev_major) || !field(&p, end, 16, ' ', &dev_minor) ||
	    text_scan_u64(&p, end, 10, &ino) || dev_major > UINT32_MAX || dev_minor > UINT32_MAX)
		return -EBADMSG;
	if (p < end && *p != ' ')
		return -EBADMSG;
	while (p < end && *p == ' ')
		p++;
	if (unescape(p, end, path))
		return -EBADMSG;
	*ret = (struct maps_line){
		.start = start,
		.end = stop,
		.pgoff = pgoff,
		.prot = prot,
		.id = { .major = (uint32_t)dev_major, .minor = (uint32_t)dev_minor, .ino = ino },
	};
	memcpy(ret->path, path, strlen(path) + 1);
	return 0;
}

struct reader {
	int (*fn)(void *ctx, const struct maps_line *line);
	void *ctx;
	struct maps_line line;
	uint64_t lines;
	size_t len; /* of what is in data */
	char data[MAPS_LINE_MAX + MAPS_CHUNK];
};

/* Most lines are data: look at the flags before anything is parsed. */
static bool executable(const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);

	return space && line + len - space >= 5 && space[3] == 'x';
}

/* Hands over the whole lines in r->data and keeps the rest. */
static int take_lines(struct reader *r)
{
	char *p = r->data, *end = r->data + r->len, *newline;

	while ((newline = memchr(p, '\n', (size_t)(end - p)))) {
		size_t len = (size_t)(newline - p);

		r->lines++;
		if (executable(p, len) && !maps_parse(p, len, &r->line)) {
			int err = r->fn(r->ctx, &r->line);

			if (err)
				return err;
		}
		p = newline + 1;
	}
	r->len = (size_t)(end - p);
	memmove(r->data, p, r->len);
	return r->len > MAPS_LINE_MAX ? -EBADMSG : 0;
}

static int read_lines(struct reader *r, const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t total = 0;

	r->len = 0;
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	for (;;) {
		ssize_t n = read(fd, r->data + r->len, MAPS_CHUNK);
		int err;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return 0;
		total += (uint64_t)n;
		if (total > MAPS_BYTES_MAX)
			return -EFBIG;
		r->len += (size_t)n;
		err = take_lines(r);
		if (err)
			return err;
	}
}

static int read_of_tasks(struct reader *r, pid_t pid)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *d;
	char path[PATH_MAX];
	int tried = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while (!r->lines && tried < MAPS_TASKS_MAX && (d = readdir(dir))) {
		int err;

		if (d->d_name[0] == '.' || atoi(d->d_name) == pid)
			continue;
		tried++;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/maps", (int)pid, d->d_name);
		err = read_lines(r, path);
		if (err && err != -ESRCH)
			return err;
	}
	return 0;
}

int maps_read(pid_t pid, int (*fn)(void *ctx, const struct maps_line *line), void *ctx)
{
	_cleanup_free_ struct reader *r = malloc(sizeof(*r));
	char path[32];
	int err;

	if (!r)
		return -ENOMEM;
	r->fn = fn;
	r->ctx = ctx;
	r->lines = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	err = read_lines(r, path);
	if (!err && !r->lines)
		err = read_of_tasks(r, pid);
	return err;
}
