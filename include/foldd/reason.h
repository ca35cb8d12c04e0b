/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Why a thread does not run: the closed list of wait reasons, shared by the kernel side (which
 * decides), the folded stacks (leaf frame "[name]"), the metrics and the reports.
 *
 * The numbers are part of the layout of struct foldd_thread; append, never renumber.
 */
#ifndef FOLDD_REASON_H
#define FOLDD_REASON_H

/* clang-format off */
/* X(IDENTIFIER, number, "name as it is printed") */
#define FOLDD_REASONS(X)                                                                           \
	X(RUNNING, 0, "running") /* not a wait: on-CPU time, counted by the same hook */           \
	X(UNCLASSIFIED, 1, "unclassified")                                                         \
	X(RUN_QUEUE, 2, "run queue")                                                               \
	X(PREEMPTED, 3, "preempted")                                                               \
	X(SLEEP, 4, "sleep")                                                                       \
	X(FUTEX_MUTEX, 5, "futex mutex")                                                           \
	X(FUTEX_CONDVAR, 6, "futex condvar")                                                       \
	X(FUTEX_SEM, 7, "futex sem")                                                               \
	X(FUTEX_RWLOCK_RD, 8, "futex rwlock-rd")                                                   \
	X(FUTEX_RWLOCK_WR, 9, "futex rwlock-wr")                                                   \
	X(FUTEX_BARRIER, 10, "futex barrier")                                                      \
	X(FUTEX_JOIN, 11, "futex join")                                                            \
	X(FUTEX_PI, 12, "futex pi")                                                                \
	X(FUTEX_PARK, 13, "futex park")                                                            \
	X(FUTEX_WAITV, 14, "futex waitv")                                                          \
	X(FUTEX, 15, "futex")                                                                      \
	X(POLL, 16, "poll")                                                                        \
	X(ACCEPT, 17, "accept")                                                                    \
	X(NET_CONNECT, 18, "net connect")                                                          \
	X(NET_RECV, 19, "net recv")                                                                \
	X(NET_SEND, 20, "net send")                                                                \
	X(UNIX_RECV, 21, "unix recv")                                                              \
	X(UNIX_SEND, 22, "unix send")                                                              \
	X(PIPE_READ, 23, "pipe read")                                                              \
	X(PIPE_WRITE, 24, "pipe write")                                                            \
	X(TTY_READ, 25, "tty read")                                                                \
	X(TTY_WRITE, 26, "tty write")                                                              \
	X(EVENT_READ, 27, "event read") /* eventfd, timerfd, signalfd, inotify and their kin */    \
	X(CHARDEV, 28, "device")                                                                   \
	X(DISK_READ, 29, "disk read")                                                              \
	X(DISK_WRITE, 30, "disk write")                                                            \
	X(DISK_FSYNC, 31, "disk fsync")                                                            \
	X(DISK_IO, 32, "disk io") /* metadata: open, stat, rename, readdir, exec */                \
	X(PAGE_FAULT, 33, "page fault")                                                            \
	X(PAGE_FAULT_IO, 34, "page fault io")                                                      \
	X(MMAP_LOCK, 35, "mmap_lock")                                                              \
	X(KERNEL_LOCK, 36, "kernel lock") /* uninterruptible inside a system call, no I/O */       \
	X(IO_URING, 37, "io_uring wait")                                                           \
	X(AIO, 38, "aio wait")                                                                     \
	X(IO_WORKER, 39, "io worker idle")                                                         \
	X(CHILD, 40, "child wait")                                                                 \
	X(SIGNAL, 41, "signal wait")                                                               \
	X(STOPPED, 42, "stopped")                                                                  \
	X(TRACED, 43, "traced")                                                                    \
	X(VFORK, 44, "vfork")                                                                      \
	X(FILE_LOCK, 45, "file lock")                                                              \
	X(SYSV_IPC, 46, "sysv ipc")                                                                \
	X(MQ, 47, "mq")                                                                            \
	X(THROTTLED, 48, "cgroup throttle")                                                        \
	X(FROZEN, 49, "freezer")                                                                   \
	X(KTHREAD, 50, "kthread")                                                                  \
	X(KTHREAD_IDLE, 51, "kthread idle")                                                        \
	X(EXITING, 52, "exiting")                                                                  \
	X(NET_OTHER, 53, "socket") /* a socket that is neither internet nor unix: netlink, vsock */
/* clang-format on */

#define FOLDD_REASON_MAX 64 /* room to append without moving struct foldd_thread's fields */

enum foldd_reason {
#define X(id, n, name) FOLDD_REASON_##id = n,
	FOLDD_REASONS(X)
#undef X
};

#endif
