/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lists of processes and threads can be long, and json-c spends about a kilobyte on an
 * object, so that each of them is made, written and freed on its own behind the rest.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <string.h>
#include "escape.h"
#include "summary.h"

DEFINE_CLEANUP(struct json_object *, json_object_put)
#define _cleanup_json_ _cleanup_(json_object_put)

static const char *const kind_names[FOLDD_KIND_MAX] = {
	[FOLDD_KIND_OFFCPU] = "offcpu",
	[FOLDD_KIND_CPU] = "cpu",
};

static const char *const reason_names[FOLDD_REASON_MAX] = {
#define X(id, n, name) [n] = name,
	FOLDD_REASONS(X)
#undef X
};

static const char *const loss_keys[FOLDD_LOSS_MAX] = {
#define X(id, n, key, text) [n] = key,
	FOLDD_LOSSES(X)
#undef X
};

static const char *const walk_end_keys[FOLDD_WALK_END_MAX] = {
#define X(id, n, key, frame) [n] = key,
	FOLDD_WALK_ENDS(X)
#undef X
};

const char *foldd_reason_name(unsigned int reason)
{
	return reason < FOLDD_REASON_MAX ? reason_names[reason] : NULL;
}

const char *foldd_kind_name(unsigned int kind)
{
	return kind < FOLDD_KIND_MAX ? kind_names[kind] : NULL;
}

double summary_coverage(const struct summary_kind *k)
{
	return k->total > 0 ? k->attributed / k->total : 1.0;
}

static double loss_percent(const struct summary_kind *k)
{
	double sum = k->attributed + k->lost;

	return k->present && sum > 0 ? k->lost / sum * 100 : 0;
}

double summary_loss_percent(const struct summary *s)
{
	double worst = 0;

	for (size_t i = 0; i < FOLDD_KIND_MAX; i++)
		worst = fmax(worst, loss_percent(&s->kinds[i]));
	return worst;
}

uint64_t summary_losses(const struct summary *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < FOLDD_LOSS_MAX; i++)
		sum += s->losses[i].count;
	return sum;
}

/* Adds a value under a key and takes it over; a NULL one is a failed allocation. */
static bool add(struct json_object *to, const char *key, struct json_object *value)
{
	if (value && !json_object_object_add(to, key, value))
		return true;
	json_object_put(value);
	return false;
}

/* NULL is json-c's null. */
static bool add_null(struct json_object *to, const char *key)
{
	return !json_object_object_add(to, key, NULL);
}

static bool add_count(struct json_object *to, const char *key, uint64_t n)
{
	return add(to, key, json_object_new_uint64(n));
}

/* A sum of ns is written as an integer; JSON has no infinity and no NaN. */
static bool add_ns(struct json_object *to, const char *key, double ns)
{
	if (!isfinite(ns))
		return add_null(to, key);
	return add(to, key, json_object_new_int64(llround(ns)));
}

static bool add_number(struct json_object *to, const char *key, double v)
{
	char text[32];

	if (!isfinite(v))
		return add_null(to, key);
	(void)snprintf(text, sizeof(text), "%.6f", v);
	return add(to, key, json_object_new_double_s(v, text));
}

static bool add_text(struct json_object *to, const char *key, const char *text)
{
	size_t len = text ? strlen(text) : 0;
	_cleanup_buf_ struct buf valid;

	buf_init(&valid, len + 1);
	if (!text)
		return add_null(to, key);
	if (escape_utf8(&valid, text, len))
		return false;
	return add(to, key, json_object_new_string_len(valid.data, (int)valid.len));
}

/* The same text as the root frame of the process's stacks, so that the two can be joined. */
static bool add_comm(struct json_object *to, const char *comm)
{
	_cleanup_buf_ struct buf name;

	buf_init(&name, 2 * ESCAPE_NAME_MAX);
	if (escape_name(&name, comm, strnlen(comm, FOLDD_COMM_LEN)))
		return false;
	return add(to, "comm", json_object_new_string_len(name.data, (int)name.len));
}

static bool add_start(struct json_object *to, const struct timespec *start)
{
	char date[32], text[64];
	struct tm tm;

	if (!gmtime_r(&start->tv_sec, &tm))
		return add_null(to, "start");
	(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text, sizeof(text), "%s.%03ldZ", date, start->tv_nsec / 1000000);
	return add_text(to, "start", text);
}

/* An empty object under the key, which the parent owns; NULL: no memory. */
static struct json_object *add_object(struct json_object *to, const char *key)
{
	struct json_object *o = json_object_new_object();

	return add(to, key, o) ? o : NULL;
}

static bool add_kind(struct json_object *kinds, const char *name, const struct summary_kind *k)
{
	struct json_object *o = add_object(kinds, name);

	return o && add_text(o, "unit", k->unit) && add_ns(o, "total", k->total) &&
	       add_ns(o, "attributed", k->attributed) && add_ns(o, "lost", k->lost) &&
	       add_number(o, "coverage", summary_coverage(k)) &&
	       add_ns(o, "standard_error", k->error) && add_count(o, "samples", k->samples) &&
	       add_count(o, "period", k->period) && add_count(o, "max_period", k->max_period);
}

static bool add_kinds(struct json_object *root, const struct summary *s)
{
	struct json_object *kinds = add_object(root, "kinds");

	if (!kinds)
		return false;
	for (size_t i = 0; i < FOLDD_KIND_MAX; i++)
		if (s->kinds[i].present && !add_kind(kinds, kind_names[i], &s->kinds[i]))
			return false;
	return true;
}

static bool add_losses(struct json_object *root, const struct summary *s)
{
	struct json_object *losses = add_object(root, "losses");

	if (!losses)
		return false;
	for (size_t i = 0; i < FOLDD_LOSS_MAX; i++) {
		const struct foldd_loss_count *l = &s->losses[i];
		struct json_object *o;

		if (!loss_keys[i] || (!l->count && !l->weight))
			continue;
		o = add_object(losses, loss_keys[i]);
		if (!o || !add_count(o, "count", l->count) || !add_count(o, "weight", l->weight))
			return false;
	}
	return true;
}

static bool add_tables(struct json_object *unwind, const struct summary *s)
{
	struct json_object *o = add_object(unwind, "tables");

	return o && add_count(o, "objects", s->tables.objects) &&
	       add_count(o, "rows", s->tables.rows) && add_count(o, "rules", s->tables.rules) &&
	       add_count(o, "pages", s->tables.pages) && add_count(o, "bytes", s->tables.bytes) &&
	       add_count(o, "evicted", s->tables.evicted) &&
	       add_count(o, "refused", s->tables.refused);
}

/*
 * walks: user stacks that were wanted, taken or not; root: those that are whole; frame_pointer:
 * those that went by the frame pointer for at least one step.
 */
static bool add_unwind(struct json_object *root, const struct summary *s)
{
	struct json_object *o = add_object(root, "unwind"), *reasons;
	uint64_t walks = 0;

	for (size_t i = 0; i < FOLDD_WALK_END_MAX; i++)
		walks += i == FOLDD_WALK_NO_USER ? 0 : s->walk_ends[i];
	if (!o || !add_count(o, "walks", walks) ||
	    !add_count(o, "root", s->walk_ends[FOLDD_WALK_ROOT]) ||
	    !add_count(o, "frame_pointer", s->walks_by_frame_pointer) ||
	    !add_number(o, "named", s->named_share) || !add_tables(o, s))
		return false;
	reasons = add_object(o, "reasons");
	if (!reasons)
		return false;
	for (size_t i = 0; i < FOLDD_WALK_END_MAX; i++)
		if (s->walk_ends[i] && walk_end_keys[i] &&
		    !add_count(reasons, walk_end_keys[i], s->walk_ends[i]))
			return false;
	return true;
}

static bool add_cost(struct json_object *root, const struct summary *s)
{
	struct json_object *o = add_object(root, "cost");

	return o && add_number(o, "cpu_s", s->cost_cpu_s) &&
	       add_count(o, "max_rss_bytes", s->cost_max_rss_bytes) &&
	       add_count(o, "bpf_map_bytes", s->cost_bpf_map_bytes) &&
	       add_number(o, "bpf_run_s", s->cost_bpf_run_s);
}

static int add_json(struct buf *out, struct json_object *o, int flags, size_t *ret_end)
{
	size_t len;
	const char *text = json_object_to_json_string_length(o, flags, &len);

	if (!text)
		return -ENOMEM;
	*ret_end = out->len + len;
	return buf_add(out, text, len);
}

static bool add_refused_files(struct json_object *root, const struct summary *s)
{
	struct json_object *list;

	if (!s->n_refused_files)
		return true;
	list = json_object_new_array();
	if (!add(root, "refused_files", list))
		return false;
	for (size_t i = 0; i < s->n_refused_files; i++) {
		struct json_object *o = json_object_new_object();

		if (json_object_array_add(list, o)) {
			(void)json_object_put(o);
			return false;
		}
		if (!o || !add_text(o, "path", s->refused_files[i].path) ||
		    !add_text(o, "why", s->refused_files[i].why))
			return false;
	}
	return true;
}

/* Everything but the lists, without the brace at its end. */
static int write_head(const struct summary *s, struct buf *out)
{
	_cleanup_json_ struct json_object *root = json_object_new_object();
	size_t end;
	int err;

	if (!root || !add_text(root, "version", s->version) || !add_start(root, &s->start) ||
	    !add_number(root, "duration_s", s->duration_s) ||
	    !add_text(root, "target", s->target) || !add_text(root, "host", s->host) ||
	    !add_text(root, "kernel", s->kernel) || !add_kinds(root, s) || !add_losses(root, s) ||
	    !add_refused_files(root, s) || !add_unwind(root, s) || !add_cost(root, s))
		return -ENOMEM;
	err = add_json(out, root,
		       JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
			       JSON_C_TO_STRING_NOSLASHESCAPE,
		       &end);
	if (err)
		return err;
	buf_truncate(out, end - strlen("\n}"));
	return 0;
}

static bool add_reason(struct json_object *reasons, unsigned int reason, uint64_t ns,
		       uint64_t count)
{
	const char *name = foldd_reason_name(reason);
	struct json_object *o;
	char number[32];

	(void)snprintf(number, sizeof(number), "reason %u", reason);
	o = add_object(reasons, name ? name : number);
	return o && add_count(o, "ns", ns) && add_count(o, "count", count);
}

static int write_process(const struct summary_process *p, struct buf *out)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *reasons;
	uint64_t off = 0;
	size_t end;

	for (unsigned int i = 0; i < FOLDD_REASON_MAX; i++)
		off += i == FOLDD_REASON_RUNNING ? 0 : p->ns[i];
	if (!o || !add_count(o, "pid", p->pid) || (p->tid && !add_count(o, "tid", p->tid)) ||
	    !add_comm(o, p->comm) || !add_count(o, "on_cpu_ns", p->ns[FOLDD_REASON_RUNNING]) ||
	    !add_count(o, "off_cpu_ns", off))
		return -ENOMEM;
	reasons = add_object(o, "reasons");
	if (!reasons)
		return -ENOMEM;
	for (unsigned int i = 0; i < FOLDD_REASON_MAX; i++)
		if (i != FOLDD_REASON_RUNNING && (p->ns[i] || p->count[i]) &&
		    !add_reason(reasons, i, p->ns[i], p->count[i]))
			return -ENOMEM;
	return add_json(out, o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &end);
}

/* One process a line, for people and for grep. */
static int write_list(const char *key, const struct summary_process *list, size_t n,
		      struct buf *out)
{
	int err = buf_printf(out, ",\n  \"%s\": [", key);

	for (size_t i = 0; i < n && !err; i++) {
		err = buf_adds(out, i ? ",\n    " : "\n    ");
		if (!err)
			err = write_process(&list[i], out);
	}
	return err ? err : buf_adds(out, n ? "\n  ]" : "]");
}

int summary_write(const struct summary *s, struct buf *out)
{
	int err = write_head(s, out);

	if (!err)
		err = write_list("processes", s->processes, s->n_processes, out);
	if (!err && s->threads)
		err = write_list("threads", s->threads, s->n_threads, out);
	return err ? err : buf_adds(out, "\n}\n");
}
