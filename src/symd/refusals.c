/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "refusals.h"

#define STALLS_MAX 6 /* halvings; the shortest time is reached before */

int file_key_read(int fd, struct file_key *ret)
{
	struct statx st;

	/* A network file system, or one in user space, is not to be waited for here. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st))
		return -errno;
	if (!S_ISREG(st.stx_mode))
		return -EINVAL;
	*ret = (struct file_key){ .dev = makedev(st.stx_dev_major, st.stx_dev_minor),
				  .ino = st.stx_ino,
				  .size = st.stx_size,
				  .mtime_ns = (uint64_t)st.stx_mtime.tv_sec * 1000000000ULL +
					      st.stx_mtime.tv_nsec };
	return 0;
}

void refusals_release(struct refusals *r)
{
	free(r->keys);
	free(r->files);
	*r = (struct refusals){ 0 };
}

bool refusals_has(const struct refusals *r, const struct file_key *k)
{
	for (size_t i = 0; i < r->count; i++)
		if (!memcmp(&r->keys[i], k, sizeof(*k)))
			return true;
	return false;
}

static bool grow(struct refusals *r)
{
	size_t wanted = r->allocated ? r->allocated * 2 : 16;
	void *p;

	p = realloc(r->keys, wanted * sizeof(*r->keys));
	if (!p)
		return false;
	r->keys = p;
	p = realloc(r->files, wanted * sizeof(*r->files));
	if (!p)
		return false;
	r->files = p;
	r->allocated = wanted;
	return true;
}

void refusals_add(struct refusals *r, const struct file_key *k, const char *path,
		  enum symd_reason reason)
{
	size_t at;

	if (r->count == SYMD_REFUSALS_MAX) {
		at = r->oldest;
		r->oldest = (r->oldest + 1) % SYMD_REFUSALS_MAX;
	} else {
		if (r->count == r->allocated && !grow(r))
			return; /* it will be tried again */
		at = r->count++;
	}
	r->keys[at] = *k;
	r->files[at].reason = reason;
	(void)snprintf(r->files[at].path, sizeof(r->files[at].path), "%s", path);
}

const struct symd_refusal *refusals_get(const struct refusals *r, size_t i)
{
	return i < r->count ? &r->files[(r->oldest + i) % r->count] : NULL;
}

/*
 * A process that maps one stalling file after the other would hold foldd up by the longest time
 * for each. Files that are well take milliseconds, so after a stall there is less patience.
 */
unsigned int refusals_timeout_ms(struct refusals *r, uint64_t size, unsigned int least_ms,
				 uint64_t now_ms)
{
	const uint64_t forgive_ms = SYMD_STALL_MEMORY_S * 1000;
	uint64_t ms = SYMD_REQUEST_MS + size / SYMD_BYTES_PER_MS;

	while (r->stalls && now_ms - r->stall_ms >= forgive_ms) {
		r->stalls--;
		r->stall_ms += forgive_ms;
	}
	if (ms < least_ms)
		ms = least_ms;
	if (ms > SYMD_REQUEST_MS_MAX)
		ms = SYMD_REQUEST_MS_MAX;
	ms >>= r->stalls;
	return ms > SYMD_REQUEST_MS_MIN ? (unsigned int)ms : SYMD_REQUEST_MS_MIN;
}

void refusals_stalled(struct refusals *r, uint64_t now_ms)
{
	if (r->stalls < STALLS_MAX)
		r->stalls++;
	r->stall_ms = now_ms;
}

bool refusals_may_start(struct refusals *r, uint64_t now_ms)
{
	uint64_t given_back = (now_ms - r->start_ms) / 1000;

	if (!r->starts) {
		r->start_ms = now_ms;
	} else {
		r->starts -= given_back < r->starts ? (unsigned int)given_back : r->starts;
		r->start_ms += given_back * 1000;
	}
	if (r->starts >= SYMD_STARTS_MAX)
		return false;
	r->starts++;
	return true;
}
