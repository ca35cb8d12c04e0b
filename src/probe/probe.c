/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <foldd/sample.h>
#include "base/buf.h"
#include "features.h"
#include "objects.h"
#include "probe.h"

#define PIDNS_INIT_INO 0xEFFFFFFCU /* include/linux/proc_ns.h: PROC_PID_INIT_INO */
#define DRAIN_PASSES   64          /* of one drain; the ring cannot outrun its consumer for ever */

struct probe {
	struct probe_config config;
	struct probe_objects *objects;
	struct ring_buffer *ring;
	struct foldd_control *control;
	struct foldd_mapping *pool;
	struct foldd_tables *tables;
	uint64_t start_ns;
	uint64_t bad_records;
	probe_record_fn record_fn; /* of the drain that runs now */
	void *record_ctx;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* The inode of our pid namespace, 0 where it is the initial one. */
static uint32_t own_pidns(void)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) || st.st_ino == PIDNS_INIT_INO)
		return 0;
	return (uint32_t)st.st_ino;
}

/* The frames must be there and the counts within the limits; the rest is checked where it is used.
 */
static int on_record(void *ctx, void *data, size_t size)
{
	struct probe *p = ctx;
	const struct foldd_record *r = data;

	if (size < sizeof(*r) || r->n_user > FOLDD_MAX_USER_FRAMES ||
	    r->n_kernel > FOLDD_MAX_KERNEL_FRAMES || r->kind >= FOLDD_KIND_MAX ||
	    size < sizeof(*r) + ((size_t)r->n_user + r->n_kernel) * sizeof(uint64_t)) {
		p->bad_records++;
		return 0;
	}
	p->record_fn(p->record_ctx, r,
		     sizeof(*r) + ((size_t)r->n_user + r->n_kernel) * sizeof(uint64_t));
	return 0;
}

/* A map of one value, mapped for reading and writing; NULL with *e. */
static void *map_value(const struct probe *p, const char *name, size_t size, struct err *e)
{
	void *value = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   probe_objects_map(p->objects, name), 0);

	if (value == MAP_FAILED) {
		err_set(e, EXIT_RUNTIME, "cannot map the BPF map \"%s\": %m", name);
		return NULL;
	}
	return value;
}

static int map_memory(struct probe *p, struct err *e)
{
	p->control = map_value(p, "control", sizeof(*p->control), e);
	p->pool = map_value(p, "pool", sizeof(struct foldd_pool), e);
	p->tables = map_value(p, "tables", sizeof(*p->tables), e);
	if (!p->control || !p->pool || !p->tables)
		return -1;
	p->ring = ring_buffer__new(probe_objects_map(p->objects, "ring"), on_record, p, NULL);
	if (!p->ring)
		return err_set(e, EXIT_RUNTIME, "cannot map the ring buffer: %m");
	return 0;
}

static void write_control(struct probe *p)
{
	uint64_t windows = 1000000000 / FOLDD_RATE_WINDOW_NS;
	uint64_t quota = p->config.max_rate / windows;

	uint64_t base = p->config.period_ns;

	if (base < FOLDD_PERIOD_FLOOR_NS)
		base = FOLDD_PERIOD_FLOOR_NS;
	p->control->inverse = foldd_inverse(base);
	p->control->period_ns = p->config.period_ns;
	p->control->cpu_period_ns = 1000000000 / PROBE_CPU_HZ;
	p->control->rate_quota = quota ? (uint32_t)quota : 1;
	/* walks at switch-out are on speculation: 100 in 10 ms at 2 us each are 2 % of the CPU */
	p->control->walk_quota = quota < 100 ? (quota ? (uint32_t)quota : 1) : 100;
}

/* Rows for what no process's row has room for; they are there before the map can be full. */
static int make_nobody_rows(struct probe *p, struct err *e)
{
	struct foldd_total none = { 0 };

	for (uint32_t reason = 0; reason < FOLDD_REASON_MAX; reason++) {
		struct foldd_exited_key key = { .reason = reason };

		if (bpf_map_update_elem(probe_objects_map(p->objects, "exited"), &key, &none, 0))
			return err_set(e, EXIT_RUNTIME, "cannot prepare the totals: %m");
	}
	return 0;
}

int probe_new(const struct probe_config *c, struct probe **ret, struct err *e)
{
	_cleanup_(probe_free) struct probe *p = calloc(1, sizeof(*p));
	struct probe_constants k = {
		.self_tgid = (uint32_t)getpid(),
		.worker_tgid = (uint32_t)c->worker,
		.pidns_inum = own_pidns(),
		.target_mode = c->mode == PROBE_ALL    ? 0
			       : c->mode == PROBE_PIDS ? 1
						       : 2,
		.target_cgroup = c->cgroup_id,
		.target_cgroup_level = c->cgroup_level,
		.switch_has_state = features_switch_has_state(),
		.sleepable_iter = features_sleepable_iter(),
		.find_vma = features_find_vma(),
		.rdonly_cast = features_rdonly_cast(),
		.want_offcpu = c->kinds & 1U << FOLDD_KIND_OFFCPU,
		.want_cpu = c->kinds & 1U << FOLDD_KIND_CPU,
	};
	uint8_t one = 1;

	if (!p)
		return err_set(e, EXIT_RUNTIME, "out of memory");
	p->config = *c;
	if (probe_objects_load(&k, &p->objects, e) || map_memory(p, e) || make_nobody_rows(p, e))
		return -1;
	write_control(p);
	for (size_t i = 0; i < c->n_pids; i++) {
		uint32_t tgid = (uint32_t)c->pids[i];

		if (bpf_map_update_elem(probe_objects_map(p->objects, "targets"), &tgid, &one, 0))
			return err_set(e, EXIT_RUNTIME, "cannot add target %u: %m", tgid);
	}
	*ret = TAKE_PTR(p);
	return 0;
}

int probe_attach(struct probe *p, struct err *e)
{
	if (probe_objects_attach(p->objects, e))
		return -1;
	p->start_ns = now_ns();
	return probe_objects_iterate(p->objects,
				     features_sleepable_iter() ? "open_window"
							       : "open_window_plain",
				     NULL, NULL, e);
}

uint64_t probe_start_ns(const struct probe *p)
{
	return p->start_ns;
}

uint64_t probe_stop_ns(const struct probe *p)
{
	return p->control->stop_ns;
}

int probe_fd(const struct probe *p)
{
	return ring_buffer__epoll_fd(p->ring);
}

int probe_drain(struct probe *p, probe_record_fn fn, void *ctx)
{
	int n = 1;

	p->record_fn = fn;
	p->record_ctx = ctx;
	for (int i = 0; n > 0 && i < DRAIN_PASSES; i++)
		n = ring_buffer__consume(p->ring);
	return n < 0 ? n : 0;
}

struct closing {
	struct probe *p;
	probe_record_fn record_fn;
	probe_total_fn total_fn;
	void *ctx;
};

/* One buffer of the iterator's output; the ring is drained in step, since it may be smaller. */
static void on_totals(void *ctx, const void *data, size_t len)
{
	struct closing *c = ctx;
	struct foldd_thread_total t;

	for (; len >= sizeof(t); len -= sizeof(t), data = (const char *)data + sizeof(t)) {
		memcpy(&t, data, sizeof(t));
		c->total_fn(c->ctx, &t);
	}
	(void)probe_drain(c->p, c->record_fn, c->ctx);
}

int probe_stop(struct probe *p, probe_record_fn record_fn, probe_total_fn total_fn, void *ctx,
	       struct err *e)
{
	struct closing c = { p, record_fn, total_fn, ctx };
	int err;

	__atomic_store_n(&p->control->stop_ns, now_ns(), __ATOMIC_SEQ_CST);
	err = probe_objects_iterate(p->objects,
				    features_sleepable_iter() ? "close_window"
							      : "close_window_plain",
				    on_totals, &c, e);
	probe_objects_detach(p->objects);
	if (!err)
		(void)probe_drain(p, record_fn, ctx);
	return err;
}

/* No process and no zombie has this pid: none of its threads can still be in its last switch. */
static bool is_gone(uint32_t tgid)
{
	return tgid && kill((pid_t)tgid, 0) && errno == ESRCH;
}

int probe_sweep_exited(struct probe *p, bool all, probe_exited_fn fn, void *ctx)
{
	int fd = probe_objects_map(p->objects, "exited");
	_cleanup_buf_ struct buf keys;
	struct foldd_exited_key key, *last = NULL;
	const struct foldd_exited_key *k;
	struct foldd_total total;

	/* the keys first: taking one out while stepping on from it would start over */
	buf_init(&keys, 64 << 20);
	while (!bpf_map_get_next_key(fd, last, &key)) {
		if (buf_add(&keys, &key, sizeof(key)))
			return keys.error;
		last = &key;
	}
	if (errno != ENOENT)
		return -errno;
	k = (const struct foldd_exited_key *)(const void *)keys.data;
	for (size_t i = 0; i < keys.len / sizeof(key); i++)
		if ((all || is_gone(k[i].tgid)) && !bpf_map_lookup_elem(fd, &k[i], &total) &&
		    !bpf_map_delete_elem(fd, &k[i]) && total.count)
			fn(ctx, &k[i], &total);
	return 0;
}

void probe_losses(const struct probe *p, enum foldd_kind kind, struct foldd_loss_count *ret)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ struct foldd_loss_count *values = NULL;

	memset(ret, 0, FOLDD_LOSS_MAX * sizeof(*ret));
	if (cpus > 0)
		values = calloc((size_t)cpus, sizeof(*values));
	for (uint32_t i = 0; values && i < FOLDD_LOSS_MAX; i++) {
		uint32_t key = (uint32_t)kind * FOLDD_LOSS_MAX + i;

		if (bpf_map_lookup_elem(probe_objects_map(p->objects, "losses"), &key, values))
			continue;
		for (int cpu = 0; cpu < cpus; cpu++) {
			ret[i].count += values[cpu].count;
			ret[i].weight += values[cpu].weight;
		}
	}
	if (kind == FOLDD_KIND_OFFCPU)
		ret[FOLDD_LOSS_BAD_RECORD].count += p->bad_records;
}

uint64_t probe_samples(const struct probe *p)
{
	return p->control->samples;
}

uint64_t probe_max_period_ns(const struct probe *p)
{
	uint64_t period = p->control->period_ns;

	if (!p->control->max_shift)
		return period;
	if (period < FOLDD_PERIOD_FLOOR_NS)
		period = FOLDD_PERIOD_FLOOR_NS;
	return period << p->control->max_shift;
}

uint64_t probe_map_bytes(const struct probe *p)
{
	return probe_objects_map_bytes(p->objects);
}

struct foldd_mapping *probe_pool(const struct probe *p)
{
	return p->pool;
}

int probe_procs_fd(const struct probe *p)
{
	return probe_objects_map(p->objects, "procs");
}

struct foldd_tables *probe_tables(const struct probe *p)
{
	return p->tables;
}

int probe_chunks_fd(const struct probe *p)
{
	return probe_objects_map(p->objects, "chunks");
}

int probe_inodes_fd(const struct probe *p)
{
	return probe_objects_map(p->objects, "inodes");
}

struct probe *probe_free(struct probe *p)
{
	if (!p)
		return NULL;
	ring_buffer__free(p->ring);
	if (p->control)
		(void)munmap(p->control, sizeof(*p->control));
	if (p->pool)
		(void)munmap(p->pool, sizeof(struct foldd_pool));
	if (p->tables)
		(void)munmap(p->tables, sizeof(*p->tables));
	probe_objects_free(p->objects);
	free(p);
	return NULL;
}
