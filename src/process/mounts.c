/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "clock.h"
#include "mounts.h"

#define MOUNTINFO_MAX (4 << 20)
#define KNOWN_DEVICES 16
#define KNOWN_NS      1000000000ULL /* device numbers are given out again */

bool mounts_may_stall(const char *type, size_t len)
{
	static const char *const types[] = { "fuse", "fuseblk", "nfs",      "nfs4",   "cifs",
					     "smb3", "smbfs",   "9p",       "ceph",   "afs",
					     "coda", "lustre",  "orangefs", "beegfs", "pvfs2" };
	const char *dot = memchr(type, '.', len);
	size_t n = dot ? (size_t)(dot - type) : len;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strlen(types[i]) == n && !memcmp(types[i], type, n))
			return true;
	return false;
}

static bool is_device(const char *p, const char *end, unsigned int major, unsigned int minor)
{
	uint64_t v;

	/* "ID PARENT MAJOR:MINOR ROOT ..." */
	for (int i = 0; i < 2; i++)
		if (text_scan_u64(&p, end, 10, &v) || p >= end || *p++ != ' ')
			return false;
	if (text_scan_u64(&p, end, 10, &v) || v != major || p >= end || *p++ != ':')
		return false;
	return !text_scan_u64(&p, end, 10, &v) && v == minor && p < end && *p == ' ';
}

/* Blanks in paths are escaped: " - " is where the optional fields end. */
static const char *type_of(const char *p, const char *end, size_t *ret_len)
{
	static const char separator[] = " - ";
	const char *type = memmem(p, (size_t)(end - p), separator, sizeof(separator) - 1), *blank;

	if (!type)
		return NULL;
	type += sizeof(separator) - 1;
	blank = memchr(type, ' ', (size_t)(end - type));
	*ret_len = (size_t)((blank ? blank : end) - type);
	return type;
}

const char *mounts_find(const char *text, size_t len, unsigned int major, unsigned int minor,
			size_t *ret_len)
{
	const char *end = text + len, *newline;

	for (const char *p = text; p < end; p = newline + 1) {
		newline = memchr(p, '\n', (size_t)(end - p));
		if (!newline)
			newline = end;
		if (is_device(p, newline, major, minor))
			return type_of(p, newline, ret_len);
	}
	return NULL;
}

/* False where the mounts of this process do not tell. */
static bool ask(const char *of, unsigned int major, unsigned int minor, bool *ret)
{
	_cleanup_buf_ struct buf b;
	const char *type;
	char path[48];
	size_t len;

	buf_init(&b, MOUNTINFO_MAX);
	(void)snprintf(path, sizeof(path), "/proc/%s/mountinfo", of);
	if (file_read(path, &b))
		return false;
	type = mounts_find(b.data, b.len, major, minor, &len);
	if (!type)
		return false;
	*ret = mounts_may_stall(type, len);
	return true;
}

/* Where that one stalls, all of foldd does. */
static bool is_own_root(unsigned int major, unsigned int minor)
{
	struct statx st;

	return !statx(AT_FDCWD, "/", AT_STATX_DONT_SYNC, STATX_TYPE, &st) &&
	       st.stx_dev_major == major && st.stx_dev_minor == minor;
}

bool mounts_device_may_stall(pid_t pid, unsigned int major, unsigned int minor)
{
	static struct known {
		unsigned int major, minor;
		uint64_t until_ns;
		bool may_stall;
	} known[KNOWN_DEVICES];
	struct known *k = &known[(major * 31 + minor) % KNOWN_DEVICES];
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	char number[16];
	bool found, may_stall = false;

	if (k->major == major && k->minor == minor && now < k->until_ns)
		return k->may_stall;
	(void)snprintf(number, sizeof(number), "%d", (int)pid);
	found = (pid > 0 && ask(number, major, minor, &may_stall)) ||
		ask("self", major, minor, &may_stall);
	may_stall = may_stall && !is_own_root(major, minor);
	if (found)
		*k = (struct known){ major, minor, now + KNOWN_NS, may_stall };
	return may_stall;
}
