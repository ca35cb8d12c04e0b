/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include "base/log.h"
#include "base/text.h"
#include "cli.h"

#define PROGRESS_MS     500
#define EVENTS_MAX      8
#define TARGET_TEXT_MAX 4096

enum end { END_NONE, END_SIGNAL, END_DURATION, END_GONE };

struct session {
	const struct options *o;
	struct profiler *profiler;
	struct command *command; /* NULL: none */
	int signals, timer, epoll;
	uint64_t progress_ms; /* when the next line is due */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int watch(const struct session *s, int fd, struct err *e)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (fd < 0 || !epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event))
		return 0;
	return err_set(e, EXIT_RUNTIME, "cannot wait for events: %s", strerror(errno));
}

static int open_loop(struct session *s, struct err *e)
{
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll >= 0)
		s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->epoll < 0 || s->timer < 0)
		return err_set(e, EXIT_RUNTIME, "cannot wait for events: %s", strerror(errno));
	if (watch(s, s->signals, e) || watch(s, s->timer, e) ||
	    watch(s, profiler_fd(s->profiler), e))
		return -1;
	return s->command ? watch(s, command_fd(s->command), e) : 0;
}

static int start_timer(const struct session *s, struct err *e)
{
	uint64_t ns = s->o->duration_ns;
	struct itimerspec when = { .it_value = { .tv_sec = (time_t)(ns / 1000000000),
						 .tv_nsec = (long)(ns % 1000000000) } };

	if (timerfd_settime(s->timer, 0, &when, NULL))
		return err_set(e, EXIT_RUNTIME, "cannot set the timer: %s", strerror(errno));
	return 0;
}

static void show_progress(struct session *s, const struct profiler_progress *p)
{
	uint64_t now = now_ms();
	double percent = p->elapsed_s > 0 ? p->cpu_s / p->elapsed_s * 100 : 0;

	if (now < s->progress_ms)
		return;
	s->progress_ms = now + PROGRESS_MS;
	log_progress("%.1f s, %" PRIu64 " samples, %" PRIu64 " lost, own CPU %.1f%%", p->elapsed_s,
		     p->samples, p->losses, percent);
}

/* Wait for the next event, then let the profiler work. */
static int step(struct session *s, enum end *ret, struct err *e)
{
	struct epoll_event events[EVENTS_MAX];
	struct profiler_progress progress = { 0 };
	enum end end = END_NONE;
	int n = epoll_wait(s->epoll, events, EVENTS_MAX, PROFILER_POLL_MS);

	if (n < 0 && errno != EINTR)
		return err_set(e, EXIT_RUNTIME, "cannot wait for events: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		int fd = events[i].data.fd;

		if (fd == s->timer)
			end = END_DURATION;
		else if (s->command && fd == command_fd(s->command))
			end = END_GONE;
	}
	if (signals_taken(s->signals))
		end = END_SIGNAL;
	if (end == END_NONE) {
		if (profiler_poll(s->profiler, e))
			return -1;
		profiler_progress(s->profiler, &progress);
		show_progress(s, &progress);
		if (progress.targets_gone)
			end = END_GONE;
	}
	*ret = end;
	return 0;
}

static void tell_end(const struct session *s, enum end end)
{
	if (end == END_SIGNAL)
		log_info("finishing; another ^C aborts without writing");
	else if (end == END_GONE && !s->command)
		log_info("all targets have exited");
}

/* From the first event to the end of the window. */
static int run(struct session *s, enum end *ret, struct err *e)
{
	enum end end = END_NONE;

	if (start_timer(s, e))
		return -1;
	if (s->command && command_go(s->command, e))
		return -1;
	while (end == END_NONE)
		if (step(s, &end, e))
			return -1;
	tell_end(s, end);
	*ret = end;
	return 0;
}

static int interrupted(struct err *e)
{
	return err_set(e, EXIT_INTERRUPTED, "interrupted before there was any data");
}

static void tell_start(const struct options *o, const char *target)
{
	char time[32];

	if (o->duration_ns)
		log_info("recording %s for %s", target,
			 text_format_ns(o->duration_ns, time, sizeof(time)));
	else
		log_info("recording %s until %s", target, o->command ? "it exits" : "^C");
}

static int start_profiler(struct session *s, const char *target, struct err *e)
{
	const struct options *o = s->o;
	struct profiler_options po = {
		.target = o->target,
		.n_pids = o->n_pids,
		.cgroup = o->cgroup,
		.target_text = target,
		.kinds = o->kinds,
		.period_ns = o->period_ns,
		.max_rate = o->max_rate,
		.threads = o->threads,
		.no_kernel = o->no_kernel,
		.inlines = o->inlines,
	};

	memcpy(po.pids, o->pids, sizeof(po.pids));
	if (s->command) {
		po.pids[0] = command_pid(s->command);
		po.n_pids = 1;
	}
	if (profiler_new(&po, &s->profiler, e))
		return -1;
	if (signals_taken(s->signals))
		return interrupted(e);
	if (profiler_attach(s->profiler, e))
		return -1;
	return signals_taken(s->signals) ? interrupted(e) : 0;
}

/* What follows the window. Returns the exit status. */
static int finish(struct session *s, struct output *out, enum end end, struct err *e)
{
	if (profiler_stop(s->profiler, e))
		return e->status;
	if (s->command)
		command_report(s->command);
	if (end == END_SIGNAL && !fold_stacks(profiler_fold(s->profiler)))
		return interrupted(e), e->status;
	return output_write(out, s->o, s->profiler, e);
}

static int record(struct session *s, struct err *e)
{
	_cleanup_(output_free) struct output *out = NULL;
	_cleanup_buf_ struct buf target;
	enum end end;
	int status;

	buf_init(&target, TARGET_TEXT_MAX);
	(void)target_text(s->o, &target); /* cut where it is long */
	s->signals = signals_fd(e);
	if (s->signals < 0 || target_check_all(s->o, e) || output_open(s->o, &out, e))
		return e->status;
	if (s->o->command && command_new(s->o->command, options_to_stdout(s->o), &s->command, e))
		return e->status;
	if (start_profiler(s, target.data, e) || open_loop(s, e))
		return e->status;
	tell_start(s->o, target.data);
	if (run(s, &end, e))
		return e->status;
	signals_abort_at_second(output_new_dir(out));
	status = finish(s, out, end, e);
	signals_block();
	return status;
}

static void session_release(struct session *s)
{
	s->profiler = profiler_free(s->profiler);
	s->command = command_free(s->command);
	cleanup_close(&s->signals);
	cleanup_close(&s->timer);
	cleanup_close(&s->epoll);
}

int verb_record(const struct options *o)
{
	struct session s = { .o = o, .signals = -1, .timer = -1, .epoll = -1 };
	struct err e = { 0 };
	int status;

	if (o->quiet)
		log_set_level(LOG_LEVEL_WARNING);
	status = record(&s, &e);
	session_release(&s);
	return status == EXIT_DONE ? EXIT_DONE : log_err(&e);
}
