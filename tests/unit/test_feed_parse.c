/* SPDX-License-Identifier: BSD-2-Clause */
/* Raw perf records, as the kernel lays them out for the attributes of the feed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include "process/feed.h"

struct record {
	unsigned char data[8192];
	size_t len;
};

static void put(struct record *r, const void *data, size_t len)
{
	assert_true(r->len + len <= sizeof(r->data));
	memcpy(r->data + r->len, data, len);
	r->len += len;
}

static void put32(struct record *r, uint32_t v)
{
	put(r, &v, sizeof(v));
}

static void put64(struct record *r, uint64_t v)
{
	put(r, &v, sizeof(v));
}

static void put_text(struct record *r, const char *text)
{
	static const char zeros[8];
	size_t len = strlen(text) + 1;

	put(r, text, len);
	put(r, zeros, (8 - len % 8) % 8);
}

static void begin(struct record *r)
{
	r->len = sizeof(struct perf_event_header);
}

static void end(struct record *r, uint32_t type, uint16_t misc, uint64_t time)
{
	struct perf_event_header h = { .type = type, .misc = misc };

	put32(r, 1);
	put32(r, 2);
	put64(r, time);
	h.size = (uint16_t)r->len;
	memcpy(r->data, &h, sizeof(h));
}

static void begin_mmap2(struct record *r)
{
	begin(r);
	put32(r, 100);
	put32(r, 101);
	put64(r, 0x7f0000001000);
	put64(r, 0x3000);
	put64(r, 0x2000);
}

static void mmap2_ino(struct record *r, uint32_t prot, const char *path)
{
	begin_mmap2(r);
	put32(r, 8);
	put32(r, 1);
	put64(r, 4242);
	put64(r, 77);
	put32(r, prot);
	put32(r, 2);
	put_text(r, path);
	end(r, PERF_RECORD_MMAP2, PERF_RECORD_MISC_USER, 999);
}

static void mmap2_build_id(struct record *r, uint8_t len)
{
	uint8_t form[24] = { len, 0, 0, 0, 0xab, 0xcd };

	begin_mmap2(r);
	put(r, form, sizeof(form));
	put32(r, PROT_READ | PROT_EXEC);
	put32(r, 2);
	put_text(r, "/lib/x.so");
	end(r, PERF_RECORD_MMAP2, PERF_RECORD_MISC_USER | PERF_RECORD_MISC_MMAP_BUILD_ID, 1000);
}

static void test_mmap(void **state)
{
	struct feed_event e;
	struct record r;

	(void)state;
	mmap2_ino(&r, PROT_READ | PROT_EXEC, "/lib/a.so");
	assert_int_equal(feed_parse(r.data, r.len, &e), 1);
	assert_int_equal(e.type, FEED_MMAP);
	assert_int_equal(e.time_ns, 999);
	assert_int_equal(e.pid, 100);
	assert_int_equal(e.tid, 101);
	assert_int_equal(e.start, 0x7f0000001000);
	assert_int_equal(e.end, 0x7f0000004000);
	assert_int_equal(e.pgoff, 0x2000);
	assert_int_equal(e.prot, PROT_READ | PROT_EXEC);
	assert_int_equal(e.id.major, 8);
	assert_int_equal(e.id.minor, 1);
	assert_int_equal(e.id.ino, 4242);
	assert_int_equal(e.id.build_id_len, 0);
	assert_string_equal(e.text, "/lib/a.so");
	mmap2_ino(&r, PROT_READ | PROT_WRITE, "/lib/a.so");
	assert_int_equal(feed_parse(r.data, r.len, &e), 0);
}

static void test_build_id(void **state)
{
	struct feed_event e;
	struct record r;

	(void)state;
	mmap2_build_id(&r, 20);
	assert_int_equal(feed_parse(r.data, r.len, &e), 1);
	assert_int_equal(e.id.build_id_len, 20);
	assert_int_equal(e.id.build_id[0], 0xab);
	assert_int_equal(e.id.build_id[1], 0xcd);
	assert_int_equal(e.id.ino, 0);
	assert_int_equal(e.id.major, 0);
	mmap2_build_id(&r, 21);
	assert_int_equal(feed_parse(r.data, r.len, &e), -EBADMSG);
}

static void test_comm(void **state)
{
	struct feed_event e;
	struct record r;

	(void)state;
	begin(&r);
	put32(&r, 7);
	put32(&r, 8);
	put_text(&r, "name");
	end(&r, PERF_RECORD_COMM, 0, 5);
	assert_int_equal(feed_parse(r.data, r.len, &e), 1);
	assert_int_equal(e.type, FEED_COMM);
	assert_int_equal(e.pid, 7);
	assert_int_equal(e.tid, 8);
	assert_string_equal(e.text, "name");
	begin(&r);
	put32(&r, 7);
	put32(&r, 7);
	put_text(&r, "");
	end(&r, PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC, 5);
	assert_int_equal(feed_parse(r.data, r.len, &e), 1);
	assert_int_equal(e.type, FEED_EXEC);
	assert_string_equal(e.text, "");
}

static void test_tasks(void **state)
{
	struct feed_event e;
	struct record r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin(&r);
		put32(&r, 20);
		put32(&r, 10);
		put32(&r, 21);
		put32(&r, 11);
		put64(&r, 1);
		end(&r, i ? PERF_RECORD_EXIT : PERF_RECORD_FORK, 0, 6);
		assert_int_equal(feed_parse(r.data, r.len, &e), 1);
		assert_int_equal(e.type, i ? FEED_EXIT : FEED_FORK);
		assert_int_equal(e.pid, 20);
		assert_int_equal(e.tid, 21);
		assert_int_equal(e.parent, 10);
		assert_int_equal(e.time_ns, 6);
	}
}

static void test_lost(void **state)
{
	struct feed_event e;
	struct record r;

	(void)state;
	begin(&r);
	put64(&r, 3);
	put64(&r, 1234);
	end(&r, PERF_RECORD_LOST, 0, 7);
	assert_int_equal(feed_parse(r.data, r.len, &e), 1);
	assert_int_equal(e.type, FEED_LOST);
	assert_int_equal(e.lost, 1234);
}

static void test_others(void **state)
{
	struct feed_event e;
	struct record r;

	(void)state;
	begin(&r);
	put64(&r, 3);
	end(&r, PERF_RECORD_THROTTLE, 0, 7);
	assert_int_equal(feed_parse(r.data, r.len, &e), 0);
}

static void test_damaged(void **state)
{
	struct feed_event e, before;
	struct record r;

	(void)state;
	memset(&e, 0x5a, sizeof(e));
	before = e;
	mmap2_ino(&r, PROT_EXEC, "/lib/a.so");
	for (size_t n = 0; n < r.len; n++) {
		struct perf_event_header *h = (void *)r.data;
		/* a copy of exactly these bytes, so that a sanitizer sees each step past them */
		unsigned char *copy = malloc(n + 1);

		assert_non_null(copy);
		h->size = (uint16_t)n;
		memcpy(copy, r.data, n);
		if (feed_parse(copy, n, &e) == 1)
			assert_true((const unsigned char *)e.text < copy + n - 16);
		else
			assert_memory_equal(&e, &before, sizeof(e));
		e = before;
		free(copy);
	}
	/* the length in the header is another one than that of the record */
	mmap2_ino(&r, PROT_EXEC, "/lib/a.so");
	assert_int_equal(feed_parse(r.data, r.len - 8, &e), -EBADMSG);
	/* a text without end */
	memset(r.data + r.len - 16 - 16, 'a', 16);
	assert_int_equal(feed_parse(r.data, r.len, &e), -EBADMSG);
	/* a range that wraps, and one of nothing */
	begin(&r);
	put64(&r, 0);
	put64(&r, UINT64_MAX - 10);
	put64(&r, 100);
	for (int i = 0; i < 4; i++)
		put64(&r, 0);
	put32(&r, PROT_EXEC);
	put32(&r, 0);
	put_text(&r, "/a");
	end(&r, PERF_RECORD_MMAP2, 0, 1);
	assert_int_equal(feed_parse(r.data, r.len, &e), -EBADMSG);
	memset(r.data + 24, 0, 8);
	assert_int_equal(feed_parse(r.data, r.len, &e), -EBADMSG);
	assert_memory_equal(&e, &before, sizeof(e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mmap),    cmocka_unit_test(test_build_id),
		cmocka_unit_test(test_comm),    cmocka_unit_test(test_tasks),
		cmocka_unit_test(test_lost),    cmocka_unit_test(test_others),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
