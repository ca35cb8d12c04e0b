/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "base/file.h"
#include "base/text.h"
#include "clock.h"
#include "feed.h"

#define FEED_RING_PAGES    64         /* of data per CPU: 256 KiB, about 1,500 mmap2 records */
#define FEED_RINGS_BYTES   (16 << 20) /* all rings together; also the bound of one drain */
#define FEED_CPUS_MAX      4096
#define FEED_CPU_LIST_MAX  65536     /* bytes of the kernel's list of CPUs */
#define FEED_IDLE_BYTES    (1 << 20) /* buffers that grew past this in a storm are given back */
#define FEED_BUILD_ID_SIZE 20

struct ring {
	int fd;
	struct perf_event_mmap_page *page;
	const unsigned char *data;
	uint64_t head; /* as seen by the drain that is under way */
};

struct feed {
	struct ring *rings;
	size_t n_rings;
	size_t page_size, data_size;
	bool build_ids;
	unsigned char *records; /* raw copies; texts of events point in here */
	size_t records_size;
	struct feed_event *events;
	size_t n_events, events_size;
	struct feed_event *sorted;
	size_t sorted_size;
};

/* What ends each record: sample_type TID | TIME with sample_id_all. */
struct trailer {
	uint32_t pid, tid;
	uint64_t time;
};

struct mmap2_record {
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	union {
		struct {
			uint32_t major, minor;
			uint64_t ino, generation;
		};
		struct {
			uint8_t size, reserved[3];
			uint8_t bytes[FEED_BUILD_ID_SIZE];
		} build_id;
	};
	uint32_t prot, flags;
};

struct task_record {
	uint32_t pid, ppid, tid, ptid;
	uint64_t time;
};

/* The text from offset `at` of a body of len bytes, or NULL where it does not end in it. */
static const char *body_text(const char *body, size_t len, size_t at)
{
	if (at >= len || !memchr(body + at, '\0', len - at))
		return NULL;
	return body + at;
}

static int parse_mmap2(const char *body, size_t len, uint16_t misc, struct feed_event *e)
{
	struct mmap2_record r;

	if (len < sizeof(r))
		return -EBADMSG;
	memcpy(&r, body, sizeof(r));
	if (!(r.prot & PROT_EXEC))
		return 0;
	e->type = FEED_MMAP;
	e->pid = (pid_t)r.pid;
	e->tid = (pid_t)r.tid;
	e->start = r.addr;
	e->pgoff = r.pgoff;
	e->prot = r.prot;
	if (!r.len || __builtin_add_overflow(r.addr, r.len, &e->end))
		return -EBADMSG;
	if (misc & PERF_RECORD_MISC_MMAP_BUILD_ID) {
		if (r.build_id.size > sizeof(r.build_id.bytes))
			return -EBADMSG;
		e->id.build_id_len = r.build_id.size;
		memcpy(e->id.build_id, r.build_id.bytes, r.build_id.size);
	} else {
		e->id.major = r.major;
		e->id.minor = r.minor;
		e->id.ino = r.ino;
	}
	e->text = body_text(body, len, sizeof(r));
	return e->text ? 1 : -EBADMSG;
}

static int parse_comm(const char *body, size_t len, uint16_t misc, struct feed_event *e)
{
	uint32_t ids[2];

	if (len < sizeof(ids))
		return -EBADMSG;
	memcpy(ids, body, sizeof(ids));
	e->type = misc & PERF_RECORD_MISC_COMM_EXEC ? FEED_EXEC : FEED_COMM;
	e->pid = (pid_t)ids[0];
	e->tid = (pid_t)ids[1];
	e->text = body_text(body, len, sizeof(ids));
	return e->text ? 1 : -EBADMSG;
}

static int parse_task(const char *body, size_t len, enum feed_type type, struct feed_event *e)
{
	struct task_record r;

	if (len < sizeof(r))
		return -EBADMSG;
	memcpy(&r, body, sizeof(r));
	e->type = type;
	e->pid = (pid_t)r.pid;
	e->tid = (pid_t)r.tid;
	e->parent = (pid_t)r.ppid;
	return 1;
}

static int parse_lost(const char *body, size_t len, struct feed_event *e)
{
	uint64_t fields[2]; /* id, lost */

	if (len < sizeof(fields))
		return -EBADMSG;
	memcpy(fields, body, sizeof(fields));
	e->type = FEED_LOST;
	e->lost = fields[1];
	return 1;
}

int feed_parse(const void *record, size_t len, struct feed_event *ret)
{
	const char *body = (const char *)record + sizeof(struct perf_event_header);
	struct feed_event e = { 0 };
	struct perf_event_header h;
	struct trailer t;
	size_t body_len;
	int r;

	if (len < sizeof(h) + sizeof(t))
		return -EBADMSG;
	memcpy(&h, record, sizeof(h));
	if (h.size != len)
		return -EBADMSG;
	body_len = len - sizeof(h) - sizeof(t);
	memcpy(&t, body + body_len, sizeof(t));
	e.time_ns = t.time;
	switch (h.type) {
	case PERF_RECORD_MMAP2:
		r = parse_mmap2(body, body_len, h.misc, &e);
		break;
	case PERF_RECORD_COMM:
		r = parse_comm(body, body_len, h.misc, &e);
		break;
	case PERF_RECORD_FORK:
		r = parse_task(body, body_len, FEED_FORK, &e);
		break;
	case PERF_RECORD_EXIT:
		r = parse_task(body, body_len, FEED_EXIT, &e);
		break;
	case PERF_RECORD_LOST:
		r = parse_lost(body, body_len, &e);
		break;
	default:
		return 0;
	}
	if (r == 1)
		*ret = e;
	return r;
}

static int event_open(int cpu, bool build_ids, size_t data_size)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.mmap = 1,
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.build_id = build_ids,
		.sample_id_all = 1,
		.exclude_kernel = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = (uint32_t)data_size / 2,
	};
	long fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

static int ring_open(struct feed *f, int cpu)
{
	struct ring *r = &f->rings[f->n_rings];
	_cleanup_close_ int fd = event_open(cpu, f->build_ids, f->data_size);
	void *p;

	if (fd == -EINVAL && f->build_ids && !f->n_rings) {
		/* Before Linux 5.12. Devices and inodes identify the files then. */
		f->build_ids = false;
		fd = event_open(cpu, false, f->data_size);
	}
	if (fd < 0)
		return fd;
	p = mmap(NULL, f->page_size + f->data_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	r->page = p;
	r->data = (const unsigned char *)p + f->page_size;
	r->fd = TAKE_FD(fd);
	f->n_rings++;
	return 0;
}

/* Calls open for each CPU of a list such as "0-3,5,7-9". Returns how many, or -errno. */
static int online_cpus(int *cpus)
{
	_cleanup_buf_ struct buf b;
	const char *p, *end;
	int n = 0, err;

	buf_init(&b, FEED_CPU_LIST_MAX);
	err = file_read("/sys/devices/system/cpu/online", &b);
	if (err)
		return err;
	p = b.data;
	end = p + b.len;
	while (p < end && *p != '\n') {
		uint64_t first, last;

		err = text_scan_u64(&p, end, 10, &first);
		last = first;
		if (!err && p < end && *p == '-') {
			p++;
			err = text_scan_u64(&p, end, 10, &last);
		}
		if (err || last < first || last >= FEED_CPUS_MAX)
			return -EINVAL;
		for (uint64_t c = first; c <= last && n < FEED_CPUS_MAX; c++)
			cpus[n++] = (int)c;
		if (p < end && *p == ',')
			p++;
	}
	return n ? n : -ENODEV;
}

/* On very many CPUs the rings get smaller, so that all of them stay within the limit. */
static size_t ring_bytes(size_t page_size, size_t n_cpus)
{
	size_t pages = FEED_RING_PAGES;

	while (pages > 1 && pages * page_size * n_cpus > FEED_RINGS_BYTES)
		pages /= 2;
	return pages * page_size;
}

int feed_open(struct feed **ret)
{
	_cleanup_(feed_free) struct feed *f = calloc(1, sizeof(*f));
	_cleanup_free_ int *cpus = calloc(FEED_CPUS_MAX, sizeof(*cpus));
	int n, err;

	if (!f || !cpus)
		return -ENOMEM;
	n = online_cpus(cpus);
	if (n < 0)
		return n;
	f->page_size = (size_t)sysconf(_SC_PAGESIZE);
	f->data_size = ring_bytes(f->page_size, (size_t)n);
	f->build_ids = true;
	f->rings = calloc((size_t)n, sizeof(*f->rings));
	if (!f->rings)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		err = ring_open(f, cpus[i]);
		/* -ENODEV: the CPU went offline after the list was read */
		if (err && err != -ENODEV)
			return err;
	}
	if (!f->n_rings)
		return -ENODEV;
	*ret = TAKE_PTR(f);
	return 0;
}

struct feed *feed_free(struct feed *f)
{
	if (!f)
		return NULL;
	for (size_t i = 0; i < f->n_rings; i++) {
		(void)munmap(f->rings[i].page, f->page_size + f->data_size);
		(void)close(f->rings[i].fd);
	}
	free(f->rings);
	free(f->records);
	free(f->events);
	free(f->sorted);
	free(f);
	return NULL;
}

bool feed_has_build_ids(const struct feed *f)
{
	return f->build_ids;
}

static int grow(void *array, size_t *size, size_t want, size_t element)
{
	void **p = array, *q;

	if (want <= *size)
		return 0;
	q = realloc(*p, want * element);
	if (!q)
		return -ENOMEM;
	*p = q;
	*size = want;
	return 0;
}

static void shrink(void *array, size_t *size, size_t element)
{
	void **p = array;

	if (*size * element <= FEED_IDLE_BYTES)
		return;
	free(*p);
	*p = NULL;
	*size = 0;
}

static int add_event(struct feed *f, const struct feed_event *e)
{
	if (f->n_events == f->events_size) {
		size_t want = f->events_size ? f->events_size * 2 : 256;
		int err = grow(&f->events, &f->events_size, want, sizeof(*f->events));

		if (err)
			return err;
	}
	f->events[f->n_events++] = *e;
	return 0;
}

static void ring_copy(const struct feed *f, const struct ring *r, uint64_t at, void *to, size_t len)
{
	size_t offset = (size_t)(at & (f->data_size - 1));
	size_t first = f->data_size - offset;

	if (first > len)
		first = len;
	memcpy(to, r->data + offset, first);
	memcpy((char *)to + first, r->data, len - first);
}

/* Takes the records of one ring up to a moment; later ones stay in it for the next drain. */
static int ring_drain(struct feed *f, struct ring *r, uint64_t until_ns, unsigned char **to)
{
	uint64_t tail = r->page->data_tail;
	struct feed_event e;
	int err = 0;

	while (!err && r->head - tail >= sizeof(struct perf_event_header)) {
		struct perf_event_header h;
		uint64_t time_ns;

		ring_copy(f, r, tail, &h, sizeof(h));
		if (h.size < sizeof(h) + sizeof(struct trailer) || h.size % 8 ||
		    h.size > r->head - tail) {
			/* No way to find the next one: what is in the ring is lost. */
			e = (struct feed_event){ .type = FEED_LOST,
						 .time_ns = until_ns,
						 .lost = 1 };
			err = add_event(f, &e);
			tail = r->head;
			break;
		}
		ring_copy(f, r, tail + h.size - sizeof(time_ns), &time_ns, sizeof(time_ns));
		if (time_ns > until_ns)
			break;
		ring_copy(f, r, tail, *to, h.size);
		if (feed_parse(*to, h.size, &e) == 1)
			err = add_event(f, &e);
		*to += h.size;
		tail += h.size;
	}
	/* The kernel may overwrite what is before the tail: our copies must be done. */
	__atomic_store_n(&r->page->data_tail, tail, __ATOMIC_RELEASE);
	return err;
}

struct sort_key {
	uint64_t time_ns;
	size_t index;
};

static int compare_keys(const void *va, const void *vb)
{
	const struct sort_key *a = va, *b = vb;

	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

static bool in_order(const struct feed *f)
{
	for (size_t i = 1; i < f->n_events; i++)
		if (f->events[i].time_ns < f->events[i - 1].time_ns)
			return false;
	return true;
}

static int sort_events(struct feed *f, const struct feed_event **ret)
{
	_cleanup_free_ struct sort_key *keys = NULL;
	int err;

	if (in_order(f)) {
		*ret = f->events;
		return 0;
	}
	keys = malloc(f->n_events * sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	err = grow(&f->sorted, &f->sorted_size, f->n_events, sizeof(*f->sorted));
	if (err)
		return err;
	for (size_t i = 0; i < f->n_events; i++)
		keys[i] = (struct sort_key){ .time_ns = f->events[i].time_ns, .index = i };
	qsort(keys, f->n_events, sizeof(*keys), compare_keys);
	for (size_t i = 0; i < f->n_events; i++)
		f->sorted[i] = f->events[keys[i].index];
	*ret = f->sorted;
	return 0;
}

int feed_drain(struct feed *f, const struct feed_event **ret_events, size_t *ret_count)
{
	/*
	 * Records made while the rings are read, one after the other, would be seen on one CPU
	 * and missed on another, out of order for ever. So all stop at one moment.
	 */
	uint64_t until_ns = clock_ns(CLOCK_MONOTONIC);
	unsigned char *to;
	size_t bytes = 0;
	int err;

	f->n_events = 0;
	shrink(&f->records, &f->records_size, 1);
	shrink(&f->events, &f->events_size, sizeof(*f->events));
	shrink(&f->sorted, &f->sorted_size, sizeof(*f->sorted));
	for (size_t i = 0; i < f->n_rings; i++) {
		struct ring *r = &f->rings[i];

		r->head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
		bytes += (size_t)(r->head - r->page->data_tail);
	}
	err = grow(&f->records, &f->records_size, bytes, 1);
	if (err)
		return err;
	to = f->records;
	for (size_t i = 0; i < f->n_rings; i++) {
		err = ring_drain(f, &f->rings[i], until_ns, &to);
		if (err)
			return err;
	}
	err = sort_events(f, ret_events);
	if (err)
		return err;
	*ret_count = f->n_events;
	return 0;
}
