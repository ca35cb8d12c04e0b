/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/file.h"
#include "base/log.h"
#include "cli.h"

#define PATH_BYTES_MAX  4096
#define DIR_TRIES       9 /* recordings of one target that start within a second */
#define DIR_MODE        0750
#define TOP_STACKS      10
#define SUMMARY_FILE    "summary.json"
#define US_NS           1000.0
#define VERDICT_BYTES   4096
#define NOTHING_WRITTEN "nothing was written; choose another directory with -o or make room"

struct output {
	struct buf path; /* empty: standard output */
	int dirfd;
	bool created; /* by us, and nothing is in it yet */
};

/* One row a folded file: its place in the fold, and how to draw it. */
static const struct folded {
	enum foldd_kind kind;
	enum fold_value value;
	const char *file;
	const char *recipe;
} folded_files[] = {
	{ FOLDD_KIND_OFFCPU, FOLD_OFFCPU, "offcpu.folded",
	  "flamegraph.pl --colors=io --countname=us --title=Off-CPU" },
	{ FOLDD_KIND_CPU, FOLD_CPU, "cpu.folded", "flamegraph.pl --countname=us --title=CPU" },
};

static int write_failed(const struct output *out, const char *file, int err, struct err *e)
{
	(void)err_set(e, EXIT_RUNTIME, "cannot write %s/%s: %s", out->path.data, file,
		      strerror(-err));
	return err_hint(e, NOTHING_WRITTEN);
}

static int open_dir(struct output *out, struct err *e)
{
	out->dirfd = open(out->path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out->dirfd >= 0)
		return 0;
	return err_set(e, EXIT_RUNTIME, "cannot open the directory %s: %s", out->path.data,
		       strerror(errno));
}

/* By trying, before anything is recorded: a file system can be read-only even for root. */
static int check_writable(const struct output *out, struct err *e)
{
	char name[64];
	int fd;

	(void)snprintf(name, sizeof(name), ".foldd.%d.tmp", (int)getpid());
	fd = openat(out->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		(void)err_set(e, EXIT_RUNTIME, "cannot write into %s: %s", out->path.data,
			      strerror(errno));
		return err_hint(e, "choose another directory with -o");
	}
	(void)close(fd);
	(void)unlinkat(out->dirfd, name, 0);
	return 0;
}

static int make_failed(const struct output *out, struct err *e)
{
	int err = errno;

	(void)err_set(e, EXIT_RUNTIME, "cannot create the directory %s: %s", out->path.data,
		      strerror(err));
	return err_hint(e, err == ENOENT ? "the directory that it is to be in does not exist"
					 : "choose another directory with -o");
}

/* The directory that was asked for, which may be there already. */
static int use_dir(struct output *out, const char *path, struct err *e)
{
	if (buf_adds(&out->path, path))
		return err_set(e, EXIT_RUNTIME, "-o: the path is too long");
	out->created = !mkdir(path, DIR_MODE);
	if (!out->created && errno != EEXIST)
		return make_failed(out, e);
	return open_dir(out, e);
}

/* A new directory that is named after target and time. */
static int make_dir(struct output *out, const struct options *o, struct err *e)
{
	time_t now = time(NULL);
	char date[32];
	struct tm tm;
	size_t len;

	(void)buf_adds(&out->path, "foldd-");
	(void)target_label(o, &out->path);
	if (!gmtime_r(&now, &tm) || !strftime(date, sizeof(date), "-%Y%m%dT%H%M%SZ", &tm) ||
	    buf_adds(&out->path, date))
		return err_set(e, EXIT_RUNTIME, "cannot make a name for the directory");
	len = out->path.len;
	for (int i = 1; i <= DIR_TRIES; i++) {
		if (i > 1) {
			buf_truncate(&out->path, len);
			(void)buf_printf(&out->path, "-%d", i);
		}
		out->created = !mkdir(out->path.data, DIR_MODE);
		if (out->created)
			return open_dir(out, e);
		if (errno != EEXIST)
			break;
	}
	return make_failed(out, e);
}

int output_open(const struct options *o, struct output **ret, struct err *e)
{
	_cleanup_(output_free) struct output *out = calloc(1, sizeof(*out));

	if (!out)
		return err_set(e, EXIT_RUNTIME, "out of memory");
	out->dirfd = -1;
	buf_init(&out->path, PATH_BYTES_MAX);
	if (!options_to_stdout(o)) {
		if (o->output ? use_dir(out, o->output, e) : make_dir(out, o, e))
			return -1;
		if (check_writable(out, e))
			return -1;
	}
	*ret = TAKE_PTR(out);
	return 0;
}

int stdout_write(const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Everything that was recorded, as text, before the first byte is written. */
struct result {
	struct summary summary;
	struct buf folded[ARRAY_SIZE(folded_files)];
	struct buf json;
	size_t stacks[ARRAY_SIZE(folded_files)];
};

static struct result *result_free(struct result *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(folded_files); i++)
		buf_release(&r->folded[i]);
	buf_release(&r->json);
	free(r);
	return NULL;
}
DEFINE_CLEANUP(struct result *, result_free)

static int too_large(const char *what, int err, struct err *e)
{
	return err_set(e, EXIT_RUNTIME, "cannot make %s: %s", what,
		       err == -EMSGSIZE ? "it would be too large" : strerror(-err));
}

static size_t count_lines(const struct buf *b)
{
	size_t n = 0;

	for (const char *p = b->data; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static int make_result(struct result *r, const struct options *o, struct profiler *p, struct err *e)
{
	const struct export_options how = { .unit_ns = US_NS };
	double user = 0, unnamed = 0;
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(folded_files); i++) {
		const struct folded *f = &folded_files[i];
		struct export_names naming = { 0 };

		if (!(o->kinds & 1U << f->kind))
			continue;
		err = export_folded(profiler_fold(p), f->value, profiler_names(p), &how,
				    &r->folded[i], &naming);
		if (err)
			return too_large(f->file, err, e);
		r->stacks[i] = count_lines(&r->folded[i]);
		user += naming.user_weight;
		unnamed += naming.unnamed_weight;
	}
	/* After the names, since files can be lost while they are looked up. */
	if (profiler_summary(p, &r->summary, e))
		return -1;
	r->summary.named_share = user > 0 ? 1 - unnamed / user : NAN;
	err = summary_write(&r->summary, &r->json);
	return err ? too_large(SUMMARY_FILE, err, e) : 0;
}

static int write_stdout(const struct result *r, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(folded_files); i++) {
		int err = stdout_write(r->folded[i].data, r->folded[i].len);

		if (err)
			return err_set(e, EXIT_RUNTIME, "cannot write to standard output: %s",
				       strerror(-err));
	}
	return 0;
}

static int aborted(struct err *e)
{
	return err_set(e, EXIT_INTERRUPTED, "interrupted twice; nothing was written");
}

/* The summary is added first, since the last one that is added appears first. */
static int write_files(const struct output *out, const struct options *o, const struct result *r,
		       struct err *e)
{
	_cleanup_(file_set_free) struct file_set *set = NULL;
	int err;

	err = file_set_new(out->dirfd, &set);
	if (!err)
		err = file_set_add(set, SUMMARY_FILE, r->json.data, r->json.len);
	if (err)
		return write_failed(out, SUMMARY_FILE, err, e);
	for (size_t i = 0; i < ARRAY_SIZE(folded_files); i++) {
		const struct folded *f = &folded_files[i];

		if (signals_aborted())
			return aborted(e);
		if (!(o->kinds & 1U << f->kind))
			continue;
		err = file_set_add(set, f->file, r->folded[i].data, r->folded[i].len);
		if (err)
			return write_failed(out, f->file, err, e);
	}
	if (signals_aborted())
		return aborted(e);
	err = file_set_commit(set);
	return err ? write_failed(out, "its files", err, e) : 0;
}

static void tell_files(const struct output *out, const struct options *o, const struct result *r)
{
	const char *dir = out->path.data;

	for (size_t i = 0; i < ARRAY_SIZE(folded_files); i++) {
		const struct folded *f = &folded_files[i];

		if (o->kinds & 1U << f->kind)
			log_info("%s/%s: %zu stacks; draw: %s %s/%s > %s.svg", dir, f->file,
				 r->stacks[i], f->recipe, dir, f->file, foldd_kind_name(f->kind));
		else if (!faccessat(out->dirfd, f->file, F_OK, 0))
			log_warning("%s/%s is of an earlier recording", dir, f->file);
	}
	log_info("%s/%s", dir, SUMMARY_FILE);
}

static void tell_top(const struct options *o, struct profiler *p)
{
	const struct export_options how = { .unit_ns = US_NS, .top = TOP_STACKS };
	bool off = o->kinds & 1U << FOLDD_KIND_OFFCPU;
	_cleanup_buf_ struct buf text;

	buf_init(&text, EXPORT_BYTES_MAX);
	(void)buf_printf(&text, "The heaviest stacks %s CPU, leaf first:\n", off ? "off" : "on");
	if (!export_top(profiler_fold(p), off ? FOLD_OFFCPU : FOLD_CPU, profiler_names(p), &how,
			&text))
		(void)!stdout_write(text.data, text.len); /* the files are what counts */
}

static void tell_verdict(const struct options *o, struct profiler *p, const struct summary *s)
{
	const char *problem = names_kernel_problem(profiler_names(p));
	_cleanup_buf_ struct buf text;

	if (problem && !o->no_kernel)
		log_warning("kernel frames have no names: %s", problem);
	buf_init(&text, VERDICT_BYTES);
	if (!summary_verdict(s, &text))
		log_info("%s", text.data);
}

static int check_loss(const struct options *o, const struct summary *s, struct err *e)
{
	double percent = summary_loss_percent(s);

	if (isnan(o->max_loss) || percent <= o->max_loss)
		return EXIT_DONE;
	(void)err_set(e, EXIT_LOSSY,
		      "%.3g%% of the time was lost, more than the %.3g%% of --max-loss", percent,
		      o->max_loss);
	(void)err_hint(e, "a longer --period or a lower --max-rate loses less");
	return e->status;
}

int output_write(struct output *out, const struct options *o, struct profiler *p, struct err *e)
{
	_cleanup_(result_free) struct result *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(e, EXIT_RUNTIME, "out of memory");
	for (size_t i = 0; i < ARRAY_SIZE(folded_files); i++)
		buf_init(&r->folded[i], EXPORT_BYTES_MAX);
	buf_init(&r->json, EXPORT_BYTES_MAX);
	if (make_result(r, o, p, e))
		return e->status;
	signals_block();
	if (signals_aborted())
		return aborted(e), e->status;
	if (options_to_stdout(o) ? write_stdout(r, e) : write_files(out, o, r, e))
		return e->status;
	out->created = false;
	if (!options_to_stdout(o) && log_level() >= LOG_LEVEL_INFO) {
		log_progress("%s", ""); /* both streams may be one terminal */
		tell_top(o, p);
		tell_files(out, o, r);
	}
	tell_verdict(o, p, &r->summary);
	return check_loss(o, &r->summary, e);
}

const char *output_new_dir(const struct output *out)
{
	return out->created ? out->path.data : NULL;
}

struct output *output_free(struct output *out)
{
	if (!out)
		return NULL;
	if (out->dirfd >= 0)
		(void)close(out->dirfd);
	if (out->created)
		(void)rmdir(out->path.data);
	buf_release(&out->path);
	free(out);
	return NULL;
}
