/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs, and what `record` is made of. Each verb returns the exit status. */
#ifndef FOLDD_CLI_H
#define FOLDD_CLI_H

#include "options.h"

int verb_record(const struct options *o);
int verb_doctor(const struct options *o);
int verb_version(const struct options *o);
int verb_help(const struct options *o);
int verb_man(const struct options *o);

/* All of `len` bytes to standard output. -errno. */
int stdout_write(const char *data, size_t len) __must_check;

/*
 * target.c: whether a pid can be recorded (it is a process, no thread, no kernel thread, not
 * foldd), and names made from the target.
 */
int target_check(pid_t pid, struct err *e);
int target_check_all(const struct options *o, struct err *e);
/* As the person gave it, for summary.json. */
int target_text(const struct options *o, struct buf *out);
/* "all", the name of a process, cgroup or command: letters, digits, '.', '_' and '-' only. */
int target_label(const struct options *o, struct buf *out);

/*
 * signals.c: SIGINT, SIGTERM and SIGHUP are blocked before anything else happens. While
 * recording they are read from a descriptor; while results are made the second one ends foldd on
 * the spot; while files are written signals_aborted() is asked between them.
 */
void signals_block(void);
int signals_fd(struct err *e); /* a signalfd, the caller's to close; -1: failed */
bool signals_taken(int fd);    /* one came, now or earlier; does not wait */
/* From here to signals_block(): the second one removes dir, if it is empty, and exits. */
void signals_abort_at_second(const char *dir);
bool signals_aborted(void);     /* blocked again, and the second one has come */
void signals_reset_child(void); /* for a forked command */

/*
 * command.c: a child that waits to be let go, then executes the command.
 */
struct command;
int command_new(char *const *argv, bool stdout_to_stderr, struct command **ret, struct err *e);
pid_t command_pid(const struct command *c);
int command_fd(const struct command *c);          /* readable (poll) once it has exited */
int command_go(struct command *c, struct err *e); /* returns when it is executed, or failed */
void command_report(struct command *c);           /* reap it; says so where it failed */
struct command *command_free(struct command *c);
DEFINE_CLEANUP(struct command *, command_free)

/* output.c: the directory of a recording and the files in it. */
struct output;
int output_open(const struct options *o, struct output **ret, struct err *e);
/* Write what was recorded. Returns the exit status; *e is filled unless it is EXIT_DONE. */
int output_write(struct output *out, const struct options *o, struct profiler *p, struct err *e);
const char *output_new_dir(const struct output *out); /* made by us, still empty; or NULL */
struct output *output_free(struct output *out);       /* removes a directory that stayed empty */
DEFINE_CLEANUP(struct output *, output_free)

#endif
