/* SPDX-License-Identifier: BSD-2-Clause */
#include "cfi_parts.h"

/* The opcodes of DWARF expressions that occur in CFI for x86-64. */
#define OP_DEREF       0x06
#define OP_PLUS_UCONST 0x23
#define OP_LIT0        0x30
#define OP_LIT15       0x3f
#define OP_BREG6       0x76
#define OP_BREG7       0x77

#define PLT_THRESHOLD 6 /* index of the literal that differs between kinds of PLT */

const struct cfi_rule cfi_none = { .cfa_type = CFI_CFA_NONE };
const struct cfi_rule cfi_unsupported = { .cfa_type = CFI_CFA_UNSUPPORTED };

/* rsp + 8 + ((rip & 15) >= threshold) << 3: what linkers write for the entries of a PLT. */
static bool is_plt(const struct cfi_bytes *e, int64_t *ret_threshold)
{
	static const unsigned char form[] = { 0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a,
					      0x3b, 0x2a, 0x33, 0x24, 0x22 };
	const unsigned char *at = e->at;

	if (bytes_left(e) != sizeof(form) || memcmp(at, form, PLT_THRESHOLD) ||
	    memcmp(at + PLT_THRESHOLD + 1, form + PLT_THRESHOLD + 1,
		   sizeof(form) - PLT_THRESHOLD - 1) ||
	    at[PLT_THRESHOLD] < OP_LIT0 || at[PLT_THRESHOLD] > OP_LIT15)
		return false;
	*ret_threshold = at[PLT_THRESHOLD] - OP_LIT0;
	return true;
}

/* reg + off, or *(reg + off) and constants on top (code that realigns its stack; OCaml adds two) */
static void register_based(struct cfi_state *s, struct cfi_bytes *e)
{
	uint8_t op = bytes_u8(e);

	if (op != OP_BREG6 && op != OP_BREG7)
		return;
	s->cfa_register = op == OP_BREG6 ? REG_RBP : REG_RSP;
	s->cfa_off = bytes_sleb(e);
	s->cfa_add = 0;
	if (!e->bad && !bytes_left(e)) {
		s->cfa_how = CFA_REGISTER;
		return;
	}
	if (bytes_u8(e) != OP_DEREF)
		return;
	while (bytes_left(e)) {
		if (bytes_u8(e) != OP_PLUS_UCONST ||
		    __builtin_add_overflow(s->cfa_add, bytes_uleb(e), &s->cfa_add))
			return;
	}
	if (!e->bad)
		s->cfa_how = CFA_DEREF;
}

void cfi_expression_cfa(struct cfi_state *s, struct cfi_bytes e)
{
	s->cfa_how = CFA_OTHER;
	if (is_plt(&e, &s->cfa_off))
		s->cfa_how = CFA_PLT;
	else
		register_based(s, &e);
}

struct cfi_cell cfi_expression_cell(struct cfi_bytes e)
{
	uint8_t op = bytes_u8(&e);
	int64_t off = bytes_sleb(&e);

	if (e.bad || bytes_left(&e) || (op != OP_BREG6 && op != OP_BREG7))
		return (struct cfi_cell){ .how = CFI_HOW_OTHER };
	return (struct cfi_cell){ op == OP_BREG6 ? CFI_HOW_AT_RBP : CFI_HOW_AT_RSP, off };
}

/* As the C library describes its signal trampoline, which the kernel lays out. */
static bool is_signal(const struct cfi_state *s)
{
	return s->cfa_how == CFA_DEREF && s->cfa_register == REG_RSP &&
	       s->cfa_off == CFI_SIGNAL_RSP && !s->cfa_add && s->ra.how == CFI_HOW_AT_RSP &&
	       s->ra.value == CFI_SIGNAL_RIP && s->rsp.how == CFI_HOW_AT_RSP &&
	       s->rsp.value == CFI_SIGNAL_RSP && s->rbp.how == CFI_HOW_AT_RSP &&
	       s->rbp.value == CFI_SIGNAL_RBP;
}

/* Almost nobody says so, since that is what the CFA is on this machine. */
static bool rsp_is_cfa(const struct cfi_state *s)
{
	return s->rsp.how == CFI_HOW_UNSPECIFIED || (s->rsp.how == CFI_HOW_IS_CFA && !s->rsp.value);
}

static bool set_cfa(struct cfi_rule *r, const struct cfi_state *s)
{
	bool rbp = s->cfa_register == REG_RBP;

	if (s->cfa_how == CFA_PLT) {
		r->cfa_type = CFI_CFA_PLT;
		r->cfa_off = (int32_t)s->cfa_off;
		return true;
	}
	if (!rbp && s->cfa_register != REG_RSP)
		return false;
	if (s->cfa_how == CFA_REGISTER) {
		r->cfa_type = rbp ? CFI_CFA_RBP : CFI_CFA_RSP;
		r->cfa_off = (int32_t)s->cfa_off;
		return s->cfa_off == r->cfa_off;
	}
	if (s->cfa_how != CFA_DEREF || s->cfa_off < CFI_DEREF_OFF_MIN ||
	    s->cfa_off > CFI_DEREF_OFF_MAX || s->cfa_add > CFI_DEREF_ADD_MAX)
		return false;
	r->cfa_type = rbp ? CFI_CFA_DEREF_RBP : CFI_CFA_DEREF_RSP;
	r->cfa_off = cfi_deref_pack((int32_t)s->cfa_off, (uint8_t)s->cfa_add);
	return true;
}

static void set_rbp(struct cfi_rule *r, const struct cfi_cell *rbp)
{
	/* Callee-saved: where nothing is said of it, it is unchanged. */
	if (rbp->how == CFI_HOW_UNSPECIFIED || rbp->how == CFI_HOW_SAME)
		return;
	r->rbp_type = CFI_RBP_LOST;
	if (rbp->value < INT16_MIN || rbp->value > INT16_MAX)
		return;
	if (rbp->how == CFI_HOW_AT_CFA)
		r->rbp_type = CFI_RBP_CFA;
	else if (rbp->how == CFI_HOW_AT_RBP)
		r->rbp_type = CFI_RBP_FRAME;
	else
		return;
	r->rbp_off = (int16_t)rbp->value;
}

struct cfi_rule cfi_rule_of(const struct cfi_state *s)
{
	struct cfi_rule r = cfi_unsupported;

	if (s->ra.how == CFI_HOW_UNDEFINED) {
		r.cfa_type = CFI_CFA_STOP;
		return r;
	}
	if (is_signal(s)) {
		r.cfa_type = CFI_CFA_SIGNAL;
		return r;
	}
	if (s->ra.how == CFI_HOW_IN_RDI && rsp_is_cfa(s) && set_cfa(&r, s) &&
	    r.cfa_type == CFI_CFA_RSP && s->rbp.how <= CFI_HOW_SAME) {
		r.cfa_type = CFI_CFA_RA_RDI; /* vfork keeps it where the child cannot reach it */
		return r;
	}
	r = cfi_unsupported;
	if (s->ra.how != CFI_HOW_AT_CFA || s->ra.value != -8 || !rsp_is_cfa(s) || !set_cfa(&r, s))
		return cfi_unsupported;
	set_rbp(&r, &s->rbp);
	return r;
}
