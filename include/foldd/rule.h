/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Unwind rules for x86-64 and how one is applied: which words of the stack hold the caller's
 * registers. The decision is here once, for the walk in the kernel, the walk over a remote
 * thread and the tests on the host; reading the words is each caller's own business.
 */
#ifndef FOLDD_RULE_H
#define FOLDD_RULE_H

#include <linux/types.h>

/* How the CFA is found; the return address is at CFA - 8 for all from PLT on. */
enum cfi_cfa {
	CFI_CFA_NONE = 0,        /* no CFI here: follow the frame pointer, if it looks like one */
	CFI_CFA_UNSUPPORTED = 1, /* CFI that these rules cannot express: the walk ends */
	CFI_CFA_STOP = 2,        /* the return address is undefined: the root of the stack */
	CFI_CFA_SIGNAL = 3,      /* rt_sigframe at rsp: see CFI_SIGNAL_* */
	CFI_CFA_PLT = 4,         /* rsp + 8 + (((pc & 15) >= cfa_off) << 3) */
	CFI_CFA_RSP = 5,         /* rsp + cfa_off */
	CFI_CFA_RBP = 6,         /* rbp + cfa_off */
	CFI_CFA_DEREF_RSP = 7,   /* *(rsp + cfi_deref_off()) + cfi_deref_add() */
	CFI_CFA_DEREF_RBP = 8,   /* *(rbp + cfi_deref_off()) + cfi_deref_add() */
	CFI_CFA_RA_RDI = 9,      /* rsp + cfa_off; the return address is in rdi (glibc's vfork) */
};

/* Where the caller's rbp is. */
enum cfi_rbp {
	CFI_RBP_SAME = 0,  /* in rbp */
	CFI_RBP_CFA = 1,   /* at CFA + rbp_off */
	CFI_RBP_FRAME = 2, /* at this frame's rbp + rbp_off */
	CFI_RBP_LOST = 3,  /* nowhere that these rules can express */
};

/* Where the kernel has put the interrupted registers: bytes from rsp in the signal trampoline. */
#define CFI_SIGNAL_RBP 120
#define CFI_SIGNAL_RSP 160
#define CFI_SIGNAL_RIP 168

struct cfi_rule {
	__s32 cfa_off;
	__s16 rbp_off;
	__u8 cfa_type; /* enum cfi_cfa */
	__u8 rbp_type; /* enum cfi_rbp */
};

_Static_assert(sizeof(struct cfi_rule) == 8, "8 bytes a rule, without padding");

/* A dereferencing CFA packs two numbers: 24 bits signed to read at, 8 bits unsigned to add. */
#define CFI_DEREF_OFF_MAX ((1 << 23) - 1)
#define CFI_DEREF_OFF_MIN (-(1 << 23))
#define CFI_DEREF_ADD_MAX 255

static inline __s32 cfi_deref_pack(__s32 off, __u8 add)
{
	return (__s32)((__u32)add << 24 | ((__u32)off & 0xffffff));
}

static inline __s32 cfi_deref_off(const struct cfi_rule *r)
{
	return (__s32)((__u32)r->cfa_off << 8) >> 8;
}

static inline __u32 cfi_deref_add(const struct cfi_rule *r)
{
	return (__u32)r->cfa_off >> 24;
}

/* A walk between two frames: the registers, and the words that it wants to see next. */
struct foldd_walk {
	__u64 ip, sp, bp;
	__u64 di; /* of the innermost frame only */
	__u64 cfa;
	__u64 want[3];        /* addresses to read; 0: none */
	__u64 got[3];         /* what is there */
	struct cfi_rule rule; /* being applied */
	__u8 phase;           /* enum foldd_phase: what the words in got are */
	__u8 exact;           /* ip is an instruction itself, not a return address */
	__u8 lost;            /* bp is not known */
	__u8 pad[5];
};

enum foldd_phase {
	FOLDD_PHASE_START = 0,    /* nothing was wanted yet */
	FOLDD_PHASE_FRAME = 1,    /* return address, rbp or nothing */
	FOLDD_PHASE_SIGNAL = 2,   /* rip, rbp, rsp */
	FOLDD_PHASE_DEREF = 3,    /* the word that the CFA is computed from */
	FOLDD_PHASE_REGISTER = 4, /* nothing: the return address is in a register */
};

enum foldd_step {
	FOLDD_STEP_READ = 0,      /* read what is wanted, then go on */
	FOLDD_STEP_STOP,          /* the root of the stack */
	FOLDD_STEP_FRAME_POINTER, /* the rule does not say: try the frame pointer */
	FOLDD_STEP_UNSUPPORTED,
	FOLDD_STEP_NO_PROGRESS, /* the caller's frame would not be above this one */
};

#define FOLDD_FRAME_BYTES_MAX (1 << 20) /* by frame pointer: larger means it was none */

/* The words of a frame whose CFA is known. */
static inline __attribute__((always_inline)) enum foldd_step foldd_want_frame(struct foldd_walk *w)
{
	/* a leaf may have pushed nothing: its return address is at rsp itself */
	if (w->cfa < w->sp + 8)
		return FOLDD_STEP_NO_PROGRESS;
	w->want[0] = w->cfa - 8;
	w->want[1] = 0;
	w->want[2] = 0;
	if (w->rule.rbp_type == CFI_RBP_CFA)
		w->want[1] = w->cfa + (__s64)w->rule.rbp_off;
	else if (w->rule.rbp_type == CFI_RBP_FRAME)
		w->want[1] = w->bp + (__s64)w->rule.rbp_off;
	else if (w->rule.rbp_type == CFI_RBP_LOST)
		w->lost = 1;
	if (w->want[1])
		w->lost = 0;
	w->phase = FOLDD_PHASE_FRAME;
	return FOLDD_STEP_READ;
}

/* Apply w->rule to the registers. */
static inline __attribute__((always_inline)) enum foldd_step foldd_apply_rule(struct foldd_walk *w)
{
	__u64 base;

	switch (w->rule.cfa_type) {
	case CFI_CFA_NONE:
		return FOLDD_STEP_FRAME_POINTER;
	case CFI_CFA_STOP:
		return FOLDD_STEP_STOP;
	case CFI_CFA_SIGNAL:
		w->want[0] = w->sp + CFI_SIGNAL_RIP;
		w->want[1] = w->sp + CFI_SIGNAL_RBP;
		w->want[2] = w->sp + CFI_SIGNAL_RSP;
		w->phase = FOLDD_PHASE_SIGNAL;
		return FOLDD_STEP_READ;
	case CFI_CFA_PLT:
		w->cfa = w->sp + 8;
		if ((w->ip & 15) >= (__u32)w->rule.cfa_off)
			w->cfa += 8;
		return foldd_want_frame(w);
	case CFI_CFA_RSP:
		w->cfa = w->sp + (__s64)w->rule.cfa_off;
		return foldd_want_frame(w);
	case CFI_CFA_RBP:
		if (w->lost)
			return FOLDD_STEP_UNSUPPORTED;
		w->cfa = w->bp + (__s64)w->rule.cfa_off;
		return foldd_want_frame(w);
	case CFI_CFA_RA_RDI:
		if (!w->exact) /* the register is only known in the innermost frame */
			return FOLDD_STEP_UNSUPPORTED;
		w->cfa = w->sp + (__s64)w->rule.cfa_off;
		w->want[0] = 0;
		w->want[1] = 0;
		w->phase = FOLDD_PHASE_REGISTER;
		return FOLDD_STEP_READ;
	case CFI_CFA_DEREF_RSP:
	case CFI_CFA_DEREF_RBP:
		if (w->rule.cfa_type == CFI_CFA_DEREF_RBP && w->lost)
			return FOLDD_STEP_UNSUPPORTED;
		base = w->rule.cfa_type == CFI_CFA_DEREF_RBP ? w->bp : w->sp;
		w->want[0] = base + (__s64)cfi_deref_off(&w->rule);
		w->want[1] = 0;
		w->want[2] = 0;
		w->phase = FOLDD_PHASE_DEREF;
		return FOLDD_STEP_READ;
	default:
		return FOLDD_STEP_UNSUPPORTED;
	}
}

/* The frame pointer instead of a rule: it must look like one. */
static inline __attribute__((always_inline)) enum foldd_step
foldd_apply_frame_pointer(struct foldd_walk *w)
{
	if (w->lost || (w->bp & 7) || w->bp < w->sp || w->bp - w->sp > FOLDD_FRAME_BYTES_MAX)
		return FOLDD_STEP_UNSUPPORTED;
	w->cfa = w->bp + 16;
	w->want[0] = w->bp + 8;
	w->want[1] = w->bp;
	w->want[2] = 0;
	w->phase = FOLDD_PHASE_FRAME;
	return FOLDD_STEP_READ;
}

/*
 * Take what was read. After FRAME and SIGNAL the registers are the caller's: the next frame. After
 * DEREF they are still this frame's, and what it wants now is the frame's words.
 */
static inline __attribute__((always_inline)) enum foldd_step foldd_take_words(struct foldd_walk *w)
{
	switch (w->phase) {
	case FOLDD_PHASE_DEREF:
		w->cfa = w->got[0] + cfi_deref_add(&w->rule);
		return foldd_want_frame(w);
	case FOLDD_PHASE_SIGNAL:
		w->ip = w->got[0];
		w->bp = w->got[1];
		w->sp = w->got[2];
		w->exact = 1;
		w->lost = 0;
		return FOLDD_STEP_STOP; /* not the end: no words are wanted yet */
	case FOLDD_PHASE_REGISTER:
		w->ip = w->di;
		w->sp = w->cfa;
		w->exact = 0;
		return FOLDD_STEP_STOP;
	default:
		w->ip = w->got[0];
		w->sp = w->cfa;
		if (w->want[1])
			w->bp = w->got[1];
		w->exact = 0;
		return FOLDD_STEP_STOP;
	}
}

#endif
