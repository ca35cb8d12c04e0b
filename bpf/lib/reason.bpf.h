/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Why a thread that leaves the CPU will wait, from its state, its flags and the system call
 * (number and first arguments) that it is in. x86-64 numbers: arch/x86/entry/syscalls.
 */
#ifndef FOLDD_REASON_BPF_H
#define FOLDD_REASON_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"

#define R(id) FOLDD_REASON_##id

/* Classes that need a look at the arguments; above the reasons' numbers. */
enum {
	CLASS_META = 0, /* any other call: I/O of a file system, a kernel lock, or unknown */
	CLASS_READ = 128,
	CLASS_WRITE,
	CLASS_FUTEX,
	CLASS_FUTEX2, /* futex_wait() of Linux 6.7: other arguments */
	CLASS_MM,
	CLASS_FCNTL,
	CLASS_SPLICE, /* the second descriptor is not in the first argument */
};

enum memory {
	MEMORY_OWN,    /* the thread is current */
	MEMORY_REMOTE, /* it is not, and the program may sleep */
	MEMORY_NONE,
};

#define SYSCALLS_MAX 512

/* clang-format off */
static const __u8 syscall_class[SYSCALLS_MAX] = {
	[0] = CLASS_READ, [17] = CLASS_READ, [19] = CLASS_READ, [295] = CLASS_READ,
	[327] = CLASS_READ, [45] = CLASS_READ, [47] = CLASS_READ, [299] = CLASS_READ,
	[78] = CLASS_READ, [217] = CLASS_READ, [187] = CLASS_READ, [16] = CLASS_READ,
	[1] = CLASS_WRITE, [18] = CLASS_WRITE, [20] = CLASS_WRITE, [296] = CLASS_WRITE,
	[328] = CLASS_WRITE, [44] = CLASS_WRITE, [46] = CLASS_WRITE, [307] = CLASS_WRITE,
	[40] = CLASS_WRITE, [76] = CLASS_WRITE, [77] = CLASS_WRITE, [285] = CLASS_WRITE,
	[275] = CLASS_READ, [276] = CLASS_READ, [326] = CLASS_WRITE, [278] = CLASS_WRITE,
	[202] = CLASS_FUTEX, [455] = CLASS_FUTEX2, [449] = R(FUTEX_WAITV),
	[7] = R(POLL), [23] = R(POLL), [232] = R(POLL), [270] = R(POLL), [271] = R(POLL),
	[281] = R(POLL), [441] = R(POLL),
	[35] = R(SLEEP), [230] = R(SLEEP),
	[43] = R(ACCEPT), [288] = R(ACCEPT), [42] = R(NET_CONNECT),
	[26] = R(DISK_FSYNC), [74] = R(DISK_FSYNC), [75] = R(DISK_FSYNC), [162] = R(DISK_FSYNC),
	[277] = R(DISK_FSYNC), [306] = R(DISK_FSYNC),
	[9] = CLASS_MM, [10] = CLASS_MM, [11] = CLASS_MM, [12] = CLASS_MM, [25] = CLASS_MM,
	[28] = CLASS_MM, [149] = CLASS_MM, [150] = CLASS_MM, [151] = CLASS_MM, [30] = CLASS_MM,
	[67] = CLASS_MM, [325] = CLASS_MM, [329] = CLASS_MM, [440] = CLASS_MM,
	[426] = R(IO_URING), [208] = R(AIO), [333] = R(AIO), [209] = R(AIO),
	[61] = R(CHILD), [247] = R(CHILD),
	[34] = R(SIGNAL), [128] = R(SIGNAL), [130] = R(SIGNAL), [219] = CLASS_META,
	[58] = R(VFORK), [56] = R(VFORK), [435] = R(VFORK),
	[73] = R(FILE_LOCK), [72] = CLASS_FCNTL,
	[65] = R(SYSV_IPC), [220] = R(SYSV_IPC), [69] = R(SYSV_IPC), [70] = R(SYSV_IPC),
	[242] = R(MQ), [243] = R(MQ),
	[60] = R(EXITING), [231] = R(EXITING),
};
/* clang-format on */

#define S_TYPE      0170000 /* include/uapi/linux/stat.h */
#define S_PIPE      0010000
#define S_CHARACTER 0020000
#define S_SOCKET    0140000

#define FUTEX_CMD      0x7f
#define FUTEX_PRIVATE  0x80
#define FUTEX_REALTIME 0x100 /* glibc sets it on every wait without a monotonic deadline */
#define RWLOCK_USED    2     /* glibc PTHREAD_RWLOCK_FUTEX_USED: set in every rwlock futex word */
#define COND_REFS_MAX  (1U << 24)

/*
 * glibc's primitives by what they pass (measured: field-notes offcpu-and-locks (b) C): a mutex
 * waits for the value 2; a barrier's word is at +4 of an 8-aligned object; a join is a shared
 * futex on a tid; a rwlock's words have bit 1 set, the readers' at +8, the writers' at +12; the
 * value 0 is a semaphore or a condition variable, told apart by the word before (a condition
 * variable has its count of waiters, in eighths, there) where the alignment does not tell.
 */
static __always_inline __u8 futex_bitset_reason(struct task_struct *t, enum memory memory,
						__u64 uaddr, __u32 op, __u32 val)
{
	__u32 refs = 0;

	if (!(op & FUTEX_PRIVATE) && val > 1)
		return R(FUTEX_JOIN);
	if (val == ~0U)
		return R(FUTEX_PARK); /* Rust's thread::park */
	if (val == 2 && !(op & FUTEX_REALTIME))
		return R(FUTEX_MUTEX); /* Rust: any 4-aligned word, no clock */
	if (val == 2 || (val == 3 && (uaddr & 7) == 4))
		return R(FUTEX_RWLOCK_WR);
	if (val == 3)
		return R(FUTEX_RWLOCK_RD);
	if ((uaddr & 7) == 4)
		return R(FUTEX_CONDVAR); /* the second of its two groups; glibc's sems are 8-aligned
					  */
	if (memory == MEMORY_NONE ||
	    (memory == MEMORY_OWN
		     ? bpf_probe_read_user(&refs, sizeof(refs), (void *)(uaddr - 4))
		     : bpf_copy_from_user_task(&refs, sizeof(refs), (void *)(uaddr - 4), t, 0)))
		return R(FUTEX);
	if (refs >= 8 && refs < COND_REFS_MAX)
		return R(FUTEX_CONDVAR);
	return val ? R(FUTEX) : R(FUTEX_SEM);
}

/*
 * Is the futex in a barrier? glibc's struct pthread_barrier: threads that came in so far, threads
 * of finished rounds (the futex), threads of a round. The number of a round can be anything, so the
 * futex alone does not tell.
 */
static __always_inline bool is_barrier(struct task_struct *t, enum memory memory, __u64 uaddr,
				       __u32 val)
{
	struct {
		__u32 in, round, count;
	} b = {};
	void *at = (void *)(uaddr - 4);

	if (memory == MEMORY_NONE ||
	    (memory == MEMORY_OWN ? bpf_probe_read_user(&b, sizeof(b), at)
				  : bpf_copy_from_user_task(&b, sizeof(b), at, t, 0)))
		return false;
	return b.round == val && b.in > val && b.in - val <= b.count;
}

static __always_inline __u8 futex_reason(struct task_struct *t, enum memory memory,
					 struct pt_regs *regs)
{
	__u64 uaddr = regs->di;
	__u32 op = regs->si, val = regs->dx;

	switch (op & FUTEX_CMD) {
	case 0: /* FUTEX_WAIT */
		if ((uaddr & 7) == 4 && is_barrier(t, memory, uaddr, val))
			return R(FUTEX_BARRIER);
		return val == 2 ? R(FUTEX_MUTEX) : R(FUTEX_PARK);
	case 9: /* FUTEX_WAIT_BITSET */
		return futex_bitset_reason(t, memory, uaddr, op, val);
	case 6:  /* FUTEX_LOCK_PI */
	case 13: /* FUTEX_LOCK_PI2 */
		return R(FUTEX_PI);
	case 11: /* FUTEX_WAIT_REQUEUE_PI */
		return R(FUTEX_CONDVAR);
	default:
		return R(FUTEX);
	}
}

/* kfunc bpf_rdonly_cast: Linux 6.2, a35b9af4ec2c. Loads through it need no helper. */
const volatile bool has_rdonly_cast = false;
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

#define CAST(type, p) ((type *)bpf_rdonly_cast((p), bpf_core_type_id_kernel(type)))

/* What is in a table of pointers to files: any struct that begins with a pointer will do. */
static __always_inline struct file *file_at(struct file **slot)
{
	struct file *file = NULL;

	if (has_rdonly_cast)
		return (struct file *)CAST(struct list_head, slot)->next;
	bpf_probe_read_kernel(&file, sizeof(file), slot);
	return file;
}

/* Mode and device of a file, and the address family where it is a socket. */
static __always_inline __u32 file_kind(struct file *file, __u32 *ret_device, __u32 *ret_family)
{
	struct inode *inode;
	__u32 mode;

	if (has_rdonly_cast) {
		file = CAST(struct file, file);
		inode = file->f_inode;
		mode = inode->i_mode;
		*ret_device = inode->i_rdev;
		if ((mode & S_TYPE) == S_SOCKET)
			*ret_family =
				CAST(struct socket, file->private_data)->sk->__sk_common.skc_family;
		return mode;
	}
	inode = BPF_CORE_READ(file, f_inode);
	mode = BPF_CORE_READ(inode, i_mode);
	if ((mode & S_TYPE) == S_CHARACTER)
		*ret_device = BPF_CORE_READ(inode, i_rdev);
	if ((mode & S_TYPE) == S_SOCKET) {
		struct socket *socket = BPF_CORE_READ(file, private_data);

		*ret_family = BPF_CORE_READ(socket, sk, __sk_common.skc_family);
	}
	return mode;
}

/* What a blocked read (or write) of descriptor fd waits for. */
static __always_inline __u8 file_reason(struct task_struct *t, __u32 fd, bool write)
{
	struct fdtable *fdt = t->files ? t->files->fdt : NULL;
	__u32 device = 0, family = 0, major;
	struct file *file;

	if (!fdt || fd >= fdt->max_fds)
		return R(UNCLASSIFIED);
	file = file_at(fdt->fd + fd);
	if (!file)
		return R(UNCLASSIFIED);
	switch (file_kind(file, &device, &family) & S_TYPE) {
	case S_PIPE:
		return write ? R(PIPE_WRITE) : R(PIPE_READ);
	case S_SOCKET:
		if (family == 1)
			return write ? R(UNIX_SEND) : R(UNIX_RECV);
		if (family == 2 || family == 10)
			return write ? R(NET_SEND) : R(NET_RECV);
		return R(NET_OTHER);
	case S_CHARACTER:
		major = device >> 20;
		if (major == 4 || major == 5 || (major >= 136 && major <= 143))
			return write ? R(TTY_WRITE) : R(TTY_READ);
		return R(CHARDEV);
	case 0100000: /* regular, block device, folder */
	case 0060000:
	case 0040000:
		return write ? R(DISK_WRITE) : R(DISK_READ);
	default:
		return R(EVENT_READ); /* anonymous inodes */
	}
}

static __always_inline __u8 syscall_reason(struct task_struct *t, enum memory memory,
					   struct pt_regs *regs, __u32 state, bool iowait)
{
	__u32 nr = regs->orig_ax;
	__u8 class = nr < SYSCALLS_MAX ? syscall_class[nr] : CLASS_META;

	switch (class) {
	case CLASS_READ:
		return file_reason(t, regs->di, false);
	case CLASS_WRITE:
		return file_reason(t, regs->di, true);
	case CLASS_FUTEX:
		return futex_reason(t, memory, regs);
	case CLASS_FUTEX2:
		return R(FUTEX);
	case CLASS_MM:
		return iowait ? R(PAGE_FAULT_IO) : R(MMAP_LOCK);
	case CLASS_FCNTL:
		if (regs->si == 7 || regs->si == 38) /* F_SETLKW, F_OFD_SETLKW */
			return R(FILE_LOCK);
		class = CLASS_META;
		break;
	}
	if (class != CLASS_META)
		return class;
	if (iowait)
		return R(DISK_IO);
	return state & TASK_UNINTERRUPTIBLE ? R(KERNEL_LOCK) : R(UNCLASSIFIED);
}

/* state: raw, as sched_switch has it; not 0. memory: how t's own memory can be read. */
static __always_inline __u8 wait_reason(struct task_struct *t, enum memory memory,
					struct pt_regs *regs, __u32 state)
{
	__u32 flags = t->flags;
	bool iowait = BPF_CORE_READ_BITFIELD(t, in_iowait);

	if (unlikely(state & (TASK_EXIT_BITS | TASK_DEAD | TASK_STOPPED_BIT | TASK_TRACED_BIT |
			      TASK_FROZEN)))
		return state & (TASK_EXIT_BITS | TASK_DEAD) ? R(EXITING)
		       : state & TASK_STOPPED_BIT           ? R(STOPPED)
		       : state & TASK_TRACED_BIT            ? R(TRACED)
							    : R(FROZEN);
	if (unlikely(flags & PF_IO_WORKER))
		return state & TASK_INTERRUPTIBLE ? R(IO_WORKER) : R(DISK_IO);
	if (flags & PF_KTHREAD)
		return state & (TASK_INTERRUPTIBLE | TASK_NOLOAD) ? R(KTHREAD_IDLE) : R(KTHREAD);
	if (flags & PF_EXITING)
		return R(EXITING);
	if ((long)regs->orig_ax >= 0)
		return syscall_reason(t, memory, regs, state, iowait);
	if (iowait)
		return R(PAGE_FAULT_IO);
	return state & TASK_UNINTERRUPTIBLE ? R(PAGE_FAULT) : R(UNCLASSIFIED);
}

#undef R
#endif
