/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way of a sample: ring -> batch -> (the mapping feed, applied up to the sample's time) ->
 * process -> fold. The ring is drained before the feed, so that every mapping that a sample saw
 * is in the feed by then.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include "base/log.h"
#include "batch.h"
#include "cgroup.h"
#include "parser.h"
#include "probe/features.h"
#include "probe/probe.h"
#include "process/feed.h"
#include "profiler.h"
#include "stack.h"
#include "totals.h"
#include "unwind/publish.h"
#include "unwinding.h"

/* A process whose mappings changed this recently is published again: its exec may still be going
 * on, and the kernel side only trusts a table that is younger than the exec. */
#define SETTLE_NS 200000000ULL

#define SWEEP_NS 1000000000ULL /* between sweeps of the totals of exited threads */

/*
 * How long building unwind tables may hold up the start, and each poll. On an idle host the start
 * takes a fraction of it; on a busy one the first stacks would be cut without.
 */
#define TABLES_START_NS 2000000000ULL
#define TABLES_POLL_NS  100000000ULL

struct profiler {
	struct profiler_options options;
	struct probe *probe;
	struct feed *feed;
	struct objects *objects;
	struct processes *processes;
	struct publisher *publisher;
	struct unwind_tables *tables;
	struct unwinding *unwinding;
	struct names *names;
	struct fold *fold;
	struct batch batch;
	struct totals totals;
	struct stack_counts counts;
	struct timespec start; /* CLOCK_REALTIME */
	int pidfds[PROFILER_TARGETS_MAX];
	uint64_t now_ns;   /* of the present poll */
	uint64_t swept_ns; /* last sweep of exited threads */
	uint64_t as_of_ns; /* the feed has been read up to here */
	bool stopped;
	char host[HOST_NAME_MAX + 1];
	struct utsname uts;
};

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int out_of_memory(struct err *e)
{
	return err_set(e, EXIT_RUNTIME, "out of memory");
}

static bool is_target(void *ctx, pid_t pid)
{
	const struct profiler *p = ctx;

	for (size_t i = 0; i < p->options.n_pids; i++)
		if (p->options.pids[i] == pid)
			return true;
	return false;
}

static void on_forget(void *ctx, struct process *proc)
{
	struct profiler *p = ctx;

	publisher_drop(p->publisher, proc, p->now_ns);
}

static int configure(const struct profiler_options *o, struct probe_config *c, struct err *e)
{
	*c = (struct probe_config){ .mode = PROBE_ALL,
				    .kinds = o->kinds,
				    .period_ns = o->period_ns,
				    .max_rate = o->max_rate };
	if (o->target == TARGET_CGROUP) {
		c->mode = PROBE_CGROUP;
		return cgroup_find(o->cgroup, &c->cgroup_id, &c->cgroup_level, e);
	}
	if (o->target != TARGET_ALL) {
		c->mode = PROBE_PIDS;
		c->pids = o->pids;
		c->n_pids = o->n_pids;
	}
	return 0;
}

static int open_feed(struct profiler *p, struct err *e)
{
	int err = feed_open(&p->feed);

	if (!err)
		return 0;
	err_set(e, err == -EPERM || err == -EACCES ? EXIT_PRIVILEGE : EXIT_KERNEL,
		"cannot open the mapping feed (perf events): %s", strerror(-err));
	return err_hint(e, "`foldd doctor` lists what is missing.");
}

/* Ends of the targets; a process that is gone by now is the caller's to refuse. */
static void watch_targets(struct profiler *p)
{
	for (size_t i = 0; i < p->options.n_pids; i++)
		p->pidfds[i] = (int)syscall(SYS_pidfd_open, p->options.pids[i], 0);
}

int profiler_new(const struct profiler_options *o, struct profiler **ret, struct err *e)
{
	_cleanup_(profiler_free) struct profiler *p = calloc(1, sizeof(*p));
	struct probe_config config;

	if (!p)
		return out_of_memory(e);
	p->options = *o;
	batch_init(&p->batch);
	if (features_check(e) || configure(o, &config, e) || parser_open(&p->objects, e))
		return -1;
	config.worker = symd_pid(objects_symd(p->objects));
	if (probe_new(&config, &p->probe, e) || open_feed(p, e))
		return -1;
	if (processes_new(p->objects, &p->processes) ||
	    names_new(p->objects, p->processes, &p->names) ||
	    (o->inlines && names_want_inlines(p->names)) || fold_new(&p->fold) ||
	    publisher_new(probe_pool(p->probe), probe_procs_fd(p->probe), &p->publisher) ||
	    unwind_tables_new(probe_tables(p->probe), probe_chunks_fd(p->probe),
			      probe_inodes_fd(p->probe), &p->tables) ||
	    unwinding_new(p->objects, p->processes, p->tables, &p->unwinding))
		return out_of_memory(e);
	if (config.mode == PROBE_PIDS)
		processes_set_filter(p->processes, is_target, p);
	processes_on_forget(p->processes, on_forget, p);
	(void)gethostname(p->host, sizeof(p->host) - 1);
	(void)uname(&p->uts);
	watch_targets(p);
	*ret = TAKE_PTR(p);
	return 0;
}

int profiler_fd(const struct profiler *p)
{
	return probe_fd(p->probe);
}

static void on_record(void *ctx, const struct foldd_record *r, size_t size)
{
	struct profiler *p = ctx;

	batch_add(&p->batch, r, size);
}

static void fold_record(struct profiler *p, const struct foldd_record *r)
{
	struct stack_options o = { p->options.threads, p->options.no_kernel };
	struct process *proc = NULL;

	if (!(r->flags & FOLDD_RECORD_KTHREAD))
		proc = processes_at(p->processes, (pid_t)r->tgid, r->start_ns);
	stack_fold(p->fold, &o, &p->counts, r, proc);
}

static void publish(void *ctx, struct process *proc)
{
	struct profiler *p = ctx;
	uint64_t newest = 0;

	if (!proc->dirty || p->stopped)
		return;
	if (publisher_update(p->publisher, proc, p->as_of_ns, p->now_ns))
		return; /* counted as pool_full; the walks give raw addresses */
	for (size_t i = 0; i < proc->n_mappings; i++)
		if (proc->mappings[i].made_ns > newest)
			newest = proc->mappings[i].made_ns;
	proc->dirty = !proc->exited && newest + SETTLE_NS > p->as_of_ns;
}

/* Read what is there from /proc; the feed is open, so what changes from now on is in it. */
static int scan(struct profiler *p, struct err *e)
{
	int err = 0;

	if (p->options.target == TARGET_ALL || p->options.target == TARGET_CGROUP)
		err = processes_scan_all(p->processes);
	for (size_t i = 0; i < p->options.n_pids && (!err || err == -ESRCH); i++)
		err = processes_scan(p->processes, p->options.pids[i]);
	if (!err || err == -ESRCH) /* a target that has just exited is noticed elsewhere */
		return 0;
	err_set(e, err == -EACCES || err == -EPERM ? EXIT_PRIVILEGE : EXIT_RUNTIME,
		"cannot read the targets' mappings from /proc: %s", strerror(-err));
	return err_hint(e, "Run foldd as root, or grant it cap_sys_ptrace.");
}

int profiler_attach(struct profiler *p, struct err *e)
{
	/* what is running has its tables before the first sample; what starts later is in the feed
	 */
	p->now_ns = p->as_of_ns = monotonic_ns();
	if (scan(p, e))
		return -1;
	unwinding_build(p->unwinding, TABLES_START_NS, p->now_ns);
	processes_each(p->processes, publish, p);
	(void)clock_gettime(CLOCK_REALTIME, &p->start);
	return probe_attach(p->probe, e);
}

/* Apply the feed and fold the batch, merged by time. */
static int merge(struct profiler *p, struct err *e)
{
	const struct feed_event *events;
	size_t n_events, next = 0;
	int err;

	p->as_of_ns = monotonic_ns();
	err = feed_drain(p->feed, &events, &n_events);
	if (err)
		return err_set(e, EXIT_RUNTIME, "cannot read the mapping feed: %s", strerror(-err));
	batch_sort(&p->batch);
	for (size_t i = 0; i < batch_count(&p->batch); i++) {
		const struct foldd_record *r = batch_get(&p->batch, i);

		while (next < n_events && events[next].time_ns <= r->time_ns)
			processes_apply(p->processes, &events[next++]);
		fold_record(p, r);
	}
	while (next < n_events)
		processes_apply(p->processes, &events[next++]);
	batch_clear(&p->batch);
	unwinding_build(p->unwinding, TABLES_POLL_NS, p->now_ns);
	processes_each(p->processes, publish, p);
	return 0;
}

static void on_exited(void *ctx, const struct foldd_exited_key *k, const struct foldd_total *t)
{
	struct profiler *p = ctx;

	if (totals_add_exited(&p->totals, k, t))
		p->counts.totals_full++;
}

int profiler_poll(struct profiler *p, struct err *e)
{
	int err;

	p->now_ns = monotonic_ns();
	if (probe_drain(p->probe, on_record, p))
		return err_set(e, EXIT_RUNTIME, "cannot read the ring buffer");
	if (p->now_ns - p->swept_ns >= SWEEP_NS) {
		p->swept_ns = p->now_ns;
		unwinding_sweep(p->unwinding, p->now_ns);
		err = probe_sweep_exited(p->probe, false, on_exited, p);
		if (err)
			return err_set(e, EXIT_RUNTIME,
				       "cannot read the totals of exited threads: %s",
				       strerror(-err));
	}
	return merge(p, e);
}

static bool targets_gone(const struct profiler *p)
{
	for (size_t i = 0; i < p->options.n_pids; i++) {
		struct pollfd fd = { .fd = p->pidfds[i], .events = POLLIN };

		if (p->pidfds[i] >= 0 && poll(&fd, 1, 0) == 0)
			return false;
	}
	return p->options.n_pids > 0;
}

static double own_cpu_s(const struct profiler *p)
{
	struct rusage ru;

	(void)getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6 +
	       symd_cpu_s(objects_symd(p->objects));
}

/* Every loss of the recording so far, whatever room counted it. */
static void collect_losses(const struct profiler *p, enum foldd_kind kind,
			   struct foldd_loss_count *ret)
{
	probe_losses(p->probe, kind, ret);
	if (kind != FOLDD_KIND_OFFCPU)
		return; /* what user space counts is not told apart by kind */
	parser_losses(p->objects, ret);
	ret[FOLDD_LOSS_FEED_LOST].count = processes_feed_lost(p->processes);
	ret[FOLDD_LOSS_OBJECTS_FULL].count = objects_refused(p->objects);
	ret[FOLDD_LOSS_OPEN_FAILED].count = objects_open_failed(p->objects);
	ret[FOLDD_LOSS_PROCESSES_FULL].count = processes_refused(p->processes);
	ret[FOLDD_LOSS_MAPPINGS_FULL].count = processes_mappings_refused(p->processes);
	ret[FOLDD_LOSS_POOL_FULL].count = publisher_refused(p->publisher);
	ret[FOLDD_LOSS_REMAPPED] = p->counts.remapped;
	ret[FOLDD_LOSS_STACKS_FULL] = p->counts.stacks_full;
	ret[FOLDD_LOSS_TOTALS_FULL].count = p->counts.totals_full;
	ret[FOLDD_LOSS_BATCH_FULL].count = p->batch.refused;
	ret[FOLDD_LOSS_BATCH_FULL].weight = p->batch.refused_ns;
}

void profiler_progress(const struct profiler *p, struct profiler_progress *ret)
{
	struct foldd_loss_count losses[FOLDD_LOSS_MAX];
	uint64_t end = probe_stop_ns(p->probe);

	*ret = (struct profiler_progress){ 0 };
	if (!end)
		end = monotonic_ns();
	ret->elapsed_s = (double)(end - probe_start_ns(p->probe)) / 1e9;
	ret->samples = probe_samples(p->probe);
	for (int kind = 0; kind < FOLDD_KIND_MAX; kind++) {
		collect_losses(p, kind, losses);
		for (size_t i = 0; i < FOLDD_LOSS_MAX; i++)
			ret->losses += losses[i].count;
	}
	ret->cpu_s = own_cpu_s(p);
	ret->targets_gone = targets_gone(p);
}

static void on_total(void *ctx, const struct foldd_thread_total *t)
{
	struct profiler *p = ctx;

	if (totals_add_thread(&p->totals, t, p->options.threads))
		p->counts.totals_full++;
}

int profiler_stop(struct profiler *p, struct err *e)
{
	int err;

	if (p->stopped)
		return 0;
	p->now_ns = monotonic_ns();
	/* what is in the ring by now must not wait for the closing pass to fill it up */
	if (profiler_poll(p, e) || probe_stop(p->probe, on_record, on_total, p, e))
		return -1;
	p->stopped = true;
	if (merge(p, e))
		return -1;
	err = probe_sweep_exited(p->probe, true, on_exited, p);
	if (err)
		return err_set(e, EXIT_RUNTIME, "cannot read the totals of exited threads: %s",
			       strerror(-err));
	return 0;
}

const struct fold *profiler_fold(const struct profiler *p)
{
	return p->fold;
}

struct names *profiler_names(struct profiler *p)
{
	return p->names;
}

static void summarize_kind(const struct profiler *p, struct summary *s, enum foldd_kind kind)
{
	struct summary_kind *k = &s->kinds[kind];
	struct foldd_loss_count losses[FOLDD_LOSS_MAX];
	struct fold_weight w;

	if (!(p->options.kinds & 1U << kind))
		return;
	w = fold_total(p->fold, kind == FOLDD_KIND_OFFCPU ? FOLD_OFFCPU : FOLD_CPU);
	collect_losses(p, kind, losses);
	k->present = true;
	k->unit = "ns";
	k->attributed = w.weight;
	k->error = sqrt(w.variance);
	k->samples = w.samples;
	for (size_t i = 0; i < FOLDD_LOSS_MAX; i++) {
		s->losses[i].count += losses[i].count;
		s->losses[i].weight += losses[i].weight;
		/* of these only the name or the stack is lost, the weight is in the profile */
		if (i != FOLDD_LOSS_EXITED_FULL && i != FOLDD_LOSS_STACKS_FULL &&
		    i != FOLDD_LOSS_PENDING_FULL)
			k->lost += (double)losses[i].weight;
	}
	if (kind == FOLDD_KIND_CPU) {
		k->total = (double)p->totals.ns[FOLDD_REASON_RUNNING];
		k->period = k->max_period = 1000000000 / PROBE_CPU_HZ;
		/* samples at a fixed rate: as of a Poisson count */
		k->error = sqrt((double)w.samples) * (double)k->period;
		return;
	}
	for (size_t r = 0; r < FOLDD_REASON_MAX; r++)
		k->total += r == FOLDD_REASON_RUNNING ? 0 : (double)p->totals.ns[r];
	k->period = p->options.period_ns;
	k->max_period = probe_max_period_ns(p->probe);
}

int profiler_summary(struct profiler *p, struct summary *ret, struct err *e)
{
	struct summary s = { .version = FOLDD_VERSION, .start = p->start };
	struct unwind_tables_stats tables;
	struct rusage ru;

	if (!p->stopped)
		return err_set(e, EXIT_RUNTIME, "the recording has not been stopped");
	s.duration_s = (double)(probe_stop_ns(p->probe) - probe_start_ns(p->probe)) / 1e9;
	s.target = p->options.target_text;
	s.host = p->host;
	s.kernel = p->uts.release;
	for (int kind = 0; kind < FOLDD_KIND_MAX; kind++)
		summarize_kind(p, &s, kind);
	memcpy(s.walk_ends, p->counts.walk_ends, sizeof(s.walk_ends));
	unwind_tables_stats(p->tables, &tables);
	s.walks_by_frame_pointer = p->counts.by_frame_pointer;
	s.tables.objects = tables.objects;
	s.tables.rows = tables.rows;
	s.tables.rules = tables.rules;
	s.tables.pages = tables.pages;
	s.tables.bytes = tables.bytes;
	s.tables.evicted = tables.evicted;
	s.tables.refused = tables.refused;
	s.named_share = NAN;
	parser_summarize(p->objects, &s);
	(void)getrusage(RUSAGE_SELF, &ru);
	s.cost_cpu_s = own_cpu_s(p);
	s.cost_max_rss_bytes = (uint64_t)ru.ru_maxrss * 1024;
	s.cost_bpf_map_bytes = probe_map_bytes(p->probe) + tables.bytes;
	s.cost_bpf_run_s = NAN;
	s.processes = p->totals.processes;
	s.n_processes = p->totals.n_processes;
	s.threads = p->totals.threads;
	s.n_threads = p->totals.n_threads;
	*ret = s;
	return 0;
}

struct profiler *profiler_free(struct profiler *p)
{
	if (!p)
		return NULL;
	/* the process table still lets go of what the publisher holds */
	processes_free(p->processes);
	publisher_free(p->publisher);
	unwinding_free(p->unwinding);
	unwind_tables_free(p->tables);
	probe_free(p->probe);
	feed_free(p->feed);
	names_free(p->names);
	objects_free(p->objects);
	fold_free(p->fold);
	totals_release(&p->totals);
	batch_release(&p->batch);
	for (size_t i = 0; i < p->options.n_pids; i++)
		if (p->pidfds[i] > 0)
			(void)close(p->pidfds[i]);
	free(p);
	return NULL;
}
