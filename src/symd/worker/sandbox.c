/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "worker.h"

#define NOBODY          65534
#define ADDRESSES_MAX   (1ULL << 30) /* bytes; the largest symbol tables take half of it */
#define CPU_SECONDS_MAX 600          /* a worker that lives on is exchanged long before this */
#define DESCRIPTORS_MAX 8            /* 0 to 2, the socket, the file, the reply */
#define SORT_WARM_UP    4096

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Not in the headers of Debian 11's and 12's libc and kernel. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self  446
#endif
#define RULESET_VERSION 1U /* LANDLOCK_CREATE_RULESET_VERSION */

/* linux/landlock.h as of ABI 6; the kernel takes as much of it as it knows. */
struct ruleset {
	uint64_t handled_fs;
	uint64_t handled_net;
	uint64_t scoped;
};

/*
 * Where memory runs out, this process shall be the one that goes. Done first, while the file is
 * there. Failing is no harm.
 */
static void offer_to_the_oom_killer(void)
{
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, "1000", 4);
}

/* glibc asks the kernel for the size of the memory at the first large sort. */
static int compare_bytes(const void *a, const void *b)
{
	return *(const char *)a - *(const char *)b;
}

static void warm_up(void)
{
	char bytes[SORT_WARM_UP] = { 1 };

	qsort(bytes, sizeof(bytes), 1, compare_bytes);
}

static int limit(int resource, rlim_t most)
{
	struct rlimit l;

	if (getrlimit(resource, &l))
		return -errno;
	if (l.rlim_max > most)
		l.rlim_max = most;
	l.rlim_cur = l.rlim_max;
	return setrlimit(resource, &l) ? -errno : 0;
}

static int limits(void)
{
	int err = limit(RLIMIT_CORE, 0);

	/* The shadow memory of ASan takes terabytes of addresses. */
	if (!err && !SANITIZED)
		err = limit(RLIMIT_AS, ADDRESSES_MAX);
	if (!err)
		err = limit(RLIMIT_CPU, CPU_SECONDS_MAX);
	if (!err)
		err = limit(RLIMIT_FSIZE, SYMD_TABLE_MAX);
	if (!err)
		err = limit(RLIMIT_NOFILE, DESCRIPTORS_MAX);
	return err;
}

/* No path, no port, no signal out of here. False where the kernel has no Landlock. */
static bool landlock(void)
{
	/* Rights to files that the kernel knows, by ABI. */
	static const uint64_t files[] = { 0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION);
	struct ruleset rules = { 0 };
	size_t size = sizeof(rules.handled_fs);
	_cleanup_close_ int fd = -1;

	if (abi < 1)
		return false;
	rules.handled_fs = files[abi < 5 ? abi : 5];
	if (abi >= 4) {
		rules.handled_net = 0x3; /* bind and connect of TCP */
		size += sizeof(rules.handled_net);
	}
	if (abi >= 6) {
		rules.scoped = 0x3; /* abstract sockets, signals */
		size += sizeof(rules.scoped);
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	return fd >= 0 && !syscall(SYS_landlock_restrict_self, fd, 0);
}

/*
 * Nobody's identity, where we may take it. In a user namespace that does not map it we stay who we
 * are, without the capabilities.
 */
static bool become_nobody(void)
{
	if (setgroups(0, NULL) && geteuid() == 0 && errno != EPERM)
		return false;
	if (setresgid(NOBODY, NOBODY, NOBODY))
		return false;
	return !setresuid(NOBODY, NOBODY, NOBODY);
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, data) || syscall(SYS_capget, &header, data))
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(data); i++)
		if (data[i].effective || data[i].permitted || data[i].inheritable)
			return -EPERM;
	return 0;
}

static int drop_privileges(bool *ret_nobody)
{
	/* Needs a privilege itself; what cannot be dropped here has no way back either. */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	*ret_nobody = become_nobody();
	return drop_capabilities();
}

DEFINE_CLEANUP(scmp_filter_ctx, seccomp_release)

/* ctx is a void pointer, which DEFINE_CLEANUP takes as it is. */
static int allow(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	return err;
}

/* The calls that are not harmless with every argument. */
static int allow_some(scmp_filter_ctx ctx)
{
	const struct {
		int call;
		struct scmp_arg_cmp when;
	} some[] = {
		{ SCMP_SYS(mmap),
		  { .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0 } },
		{ SCMP_SYS(fcntl), { .arg = 1, .op = SCMP_CMP_EQ, .datum_a = F_ADD_SEALS } },
		{ SCMP_SYS(memfd_create),
		  { .arg = 1, .op = SCMP_CMP_EQ, .datum_a = MFD_CLOEXEC | MFD_ALLOW_SEALING } },
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(some) && !err; i++)
		err = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, some[i].call, 1, &some[i].when);
	return err;
}

/*
 * What libdw and libelf try beside reading, and get along without: they look for the names of the
 * file and of further ones. They get nothing, but that is no reason to end.
 */
static int refuse_some(scmp_filter_ctx ctx)
{
	static const int calls[] = {
		SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(open),       SCMP_SYS(openat),
		SCMP_SYS(sysinfo),  SCMP_SYS(getrandom),  SCMP_SYS(newfstatat),
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(calls) && !err; i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), calls[i], 0);
	return err;
}

/*
 * Reading goes by pread of descriptors that are passed in; no call that takes a path, a pid or an
 * address of the network has any effect. All else ends the process.
 */
static int filter_calls(void)
{
	static const int calls[] = {
		SCMP_SYS(recvmsg),         SCMP_SYS(sendmsg), SCMP_SYS(pread64),
		SCMP_SYS(pwrite64),        SCMP_SYS(close),   SCMP_SYS(munmap),
		SCMP_SYS(mremap),          SCMP_SYS(brk),     SCMP_SYS(madvise),
		SCMP_SYS(clock_gettime),   SCMP_SYS(exit),    SCMP_SYS(exit_group),
		SCMP_SYS(restart_syscall),
	};
	static const int sanitizer_calls[] = {
		SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
		SCMP_SYS(mprotect),    SCMP_SYS(futex),          SCMP_SYS(sched_yield),
	};
	_cleanup_(seccomp_release) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (!ctx)
		return -ENOMEM;
	err = allow(ctx, calls, ARRAY_SIZE(calls));
	if (!err)
		err = allow_some(ctx);
	if (!err)
		err = refuse_some(ctx);
	if (!err && SANITIZED)
		err = allow(ctx, sanitizer_calls, ARRAY_SIZE(sanitizer_calls));
	return err ? err : seccomp_load(ctx);
}

int sandbox_enter(uint32_t *ret_layers)
{
	uint32_t layers = 0;
	bool nobody;
	int err;

	if (syscall(SYS_close_range, SYMD_SOCKET + 1, ~0U, 0))
		return -errno;
	offer_to_the_oom_killer();
	warm_up();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	if (landlock())
		layers |= SYMD_LANDLOCK;
	err = drop_privileges(&nobody);
	if (err)
		return err;
	if (nobody)
		layers |= SYMD_NOBODY;
	/* Both are forgotten by a change of identity, so they come after it. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		return -errno;
	err = limits();
	if (!err)
		err = filter_calls();
	if (!err)
		*ret_layers = layers;
	return err;
}
