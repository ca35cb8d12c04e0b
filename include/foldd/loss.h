/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Everything that foldd can lose, in one list: the kernel side counts into it, summary.json,
 * the verdict and the marker frames print from it. Each loss has a count and, where what was lost
 * has a size, a weight in the unit of its kind.
 */
#ifndef FOLDD_LOSS_H
#define FOLDD_LOSS_H

/* X(IDENTIFIER, number, "key in summary.json", "explanation") */
#define FOLDD_LOSSES(X)                                                                            \
	X(RING_FULL, 0, "ring_full", "the ring buffer was full when a sample was emitted")         \
	X(PENDING_FULL, 1, "pending_full",                                                         \
	  "too many sampled waits were awaiting their user stack")                                 \
	X(NO_THREAD_STATE, 2, "no_thread_state", "the kernel refused memory for a thread's state") \
	X(EXITED_FULL, 3, "exited_full", "exact totals of exited threads kept without process")    \
	X(FEED_LOST, 4, "feed_lost", "mapping records dropped by the kernel; processes rescanned") \
	X(OBJECTS_FULL, 5, "objects_full", "more distinct mapped files than the quota")            \
	X(PROCESSES_FULL, 6, "processes_full", "more processes than the quota")                    \
	X(MAPPINGS_FULL, 7, "mappings_full", "a process has more mappings than the quota")         \
	X(POOL_FULL, 8, "pool_full", "the kernel's pool of mappings was full")                     \
	X(STACKS_FULL, 9, "stacks_full", "more distinct stacks than the quota")                    \
	X(REMAPPED, 10, "remapped",                                                                \
	  "frames in memory that was remapped before it could be looked up")                       \
	X(BAD_RECORD, 11, "bad_record", "a record that does not decode")                           \
	X(OPEN_FAILED, 12, "open_failed", "mapped files that could not be opened or verified")     \
	X(BATCH_FULL, 13, "batch_full", "samples beyond what one drain may hold")                  \
	X(MISSED_SWITCH, 14, "missed_switch", "context switches that the kernel did not report")   \
	X(PARSER_KILLED, 15, "parser_killed", "files that crashed or stalled the parser")          \
	X(PARSER_REFUSED, 16, "parser_refused",                                                    \
	  "requests to read such a file, or too many of them")                                     \
	X(FILE_REFUSED, 17, "file_refused", "special, foreign, huge or remote files, not opened")  \
	X(TOTALS_FULL, 18, "totals_full",                                                          \
	  "exact totals left out of the list of processes or threads")

#define FOLDD_LOSS_MAX 32

enum foldd_loss {
#define X(id, n, key, text) FOLDD_LOSS_##id = n,
	FOLDD_LOSSES(X)
#undef X
};

#endif
