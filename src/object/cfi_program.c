/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include "cfi_parts.h"

/* DWARF 5, table 7.29: the upper two bits are an opcode, or 0 and the rest is one. */
enum cfa_op {
	OP_ADVANCE = 0x40,
	OP_OFFSET = 0x80,
	OP_RESTORE = 0xc0,
	OP_NOP = 0x00,
	OP_SET_LOC = 0x01,
	OP_ADVANCE1 = 0x02,
	OP_ADVANCE2 = 0x03,
	OP_ADVANCE4 = 0x04,
	OP_OFFSET_EXTENDED = 0x05,
	OP_RESTORE_EXTENDED = 0x06,
	OP_UNDEFINED = 0x07,
	OP_SAME_VALUE = 0x08,
	OP_REGISTER = 0x09,
	OP_REMEMBER_STATE = 0x0a,
	OP_RESTORE_STATE = 0x0b,
	OP_DEF_CFA = 0x0c,
	OP_DEF_CFA_REGISTER = 0x0d,
	OP_DEF_CFA_OFFSET = 0x0e,
	OP_DEF_CFA_EXPRESSION = 0x0f,
	OP_EXPRESSION = 0x10,
	OP_OFFSET_EXTENDED_SF = 0x11,
	OP_DEF_CFA_SF = 0x12,
	OP_DEF_CFA_OFFSET_SF = 0x13,
	OP_VAL_OFFSET = 0x14,
	OP_VAL_OFFSET_SF = 0x15,
	OP_VAL_EXPRESSION = 0x16,
	OP_GNU_ARGS_SIZE = 0x2e,
	OP_GNU_NEGATIVE_OFFSET = 0x2f,
};

#define OP_PRIMARY 0xc0
#define OP_OPERAND 0x3f

struct machine {
	struct cfi_bytes code;
	const struct cfi_cie *cie;
	struct cfi_rows *rows; /* NULL: a CIE's own instructions */
	struct cfi_span span;
	uint64_t start; /* of the FDE */
	uint64_t loc;   /* where the present state holds from */
	unsigned int depth;
	struct cfi_state state;
	struct cfi_cell other; /* the registers that no rule knows */
	struct cfi_state stack[CFI_STATES_MAX];
};

static struct cfi_cell *cell(struct machine *m, uint64_t reg)
{
	if (reg == REG_RBP)
		return &m->state.rbp;
	if (reg == REG_RSP)
		return &m->state.rsp;
	return reg == REG_RA ? &m->state.ra : &m->other;
}

static void emit(struct machine *m, const struct cfi_rule *rule)
{
	bool first = m->loc == m->start || m->loc < m->span.begin;

	cfi_rows_add(m->rows, first ? m->span.begin : m->loc, rule);
}

static void advance_to(struct machine *m, uint64_t loc)
{
	struct cfi_rule rule;

	if (loc < m->loc || !m->rows) {
		bytes_fail(&m->code);
		return;
	}
	/* What ends before the span begins, or holds for no byte, makes no row. */
	if (loc > m->span.begin && loc > m->loc) {
		rule = cfi_rule_of(&m->state);
		emit(m, &rule);
	}
	m->loc = loc;
}

static void advance(struct machine *m, uint64_t delta)
{
	uint64_t loc;

	if (__builtin_mul_overflow(delta, m->cie->code_align, &loc) ||
	    __builtin_add_overflow(loc, m->loc, &loc))
		bytes_fail(&m->code);
	else
		advance_to(m, loc);
}

/*
 * set_loc is relative to where it is encoded, of which nothing is known here: only an absolute one
 * can be followed. No compiler writes any.
 */
static void set_loc(struct machine *m)
{
	uint64_t loc;

	if (m->cie->encoding == 0 && !cfi_read_pointer(&m->code, 0, 0, &loc))
		advance_to(m, loc);
	else
		bytes_fail(&m->code);
}

static int64_t scaled(struct machine *m, int64_t factor)
{
	int64_t value;

	if (__builtin_mul_overflow(factor, m->cie->data_align, &value))
		return (int64_t)bytes_fail(&m->code);
	return value;
}

static int64_t unsigned_scaled(struct machine *m)
{
	uint64_t factor = bytes_uleb(&m->code);

	if (factor > INT64_MAX)
		return (int64_t)bytes_fail(&m->code);
	return scaled(m, (int64_t)factor);
}

static int64_t signed_scaled(struct machine *m)
{
	return scaled(m, bytes_sleb(&m->code));
}

static int64_t unsigned_plain(struct machine *m)
{
	uint64_t value = bytes_uleb(&m->code);

	return value > INT64_MAX ? (int64_t)bytes_fail(&m->code) : (int64_t)value;
}

static void set_cell(struct machine *m, uint64_t reg, enum cfi_how how, int64_t value)
{
	*cell(m, reg) = (struct cfi_cell){ how, value };
}

static void restore(struct machine *m, uint64_t reg)
{
	if (reg == REG_RBP)
		m->state.rbp = m->cie->initial.rbp;
	else if (reg == REG_RSP)
		m->state.rsp = m->cie->initial.rsp;
	else if (reg == REG_RA)
		m->state.ra = m->cie->initial.ra;
}

static void def_cfa(struct machine *m, uint64_t reg, int64_t off)
{
	m->state.cfa_how = CFA_REGISTER;
	m->state.cfa_register = reg;
	m->state.cfa_off = off;
}

/* One half of a CFA that is register and offset; of anything else there is no half. */
static void def_cfa_half(struct machine *m, uint64_t reg, int64_t off)
{
	if (m->state.cfa_how != CFA_REGISTER)
		bytes_fail(&m->code);
	else
		def_cfa(m, reg, off);
}

static void state_op(struct machine *m, uint8_t op)
{
	if (op == OP_REMEMBER_STATE && m->depth < CFI_STATES_MAX)
		m->stack[m->depth++] = m->state;
	else if (op == OP_RESTORE_STATE && m->depth)
		m->state = m->stack[--m->depth];
	else
		bytes_fail(&m->code);
}

static void cfa_op(struct machine *m, uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case OP_DEF_CFA:
		reg = bytes_uleb(&m->code);
		def_cfa(m, reg, unsigned_plain(m));
		break;
	case OP_DEF_CFA_SF:
		reg = bytes_uleb(&m->code);
		def_cfa(m, reg, signed_scaled(m));
		break;
	case OP_DEF_CFA_REGISTER:
		def_cfa_half(m, bytes_uleb(&m->code), m->state.cfa_off);
		break;
	case OP_DEF_CFA_OFFSET:
		def_cfa_half(m, m->state.cfa_register, unsigned_plain(m));
		break;
	case OP_DEF_CFA_OFFSET_SF:
		def_cfa_half(m, m->state.cfa_register, signed_scaled(m));
		break;
	default:
		cfi_expression_cfa(&m->state, bytes_split(&m->code, bytes_uleb(&m->code)));
	}
}

static void register_op(struct machine *m, uint8_t op)
{
	uint64_t reg = bytes_uleb(&m->code);

	switch (op) {
	case OP_OFFSET_EXTENDED:
		set_cell(m, reg, CFI_HOW_AT_CFA, unsigned_scaled(m));
		break;
	case OP_OFFSET_EXTENDED_SF:
		set_cell(m, reg, CFI_HOW_AT_CFA, signed_scaled(m));
		break;
	case OP_GNU_NEGATIVE_OFFSET:
		set_cell(m, reg, CFI_HOW_AT_CFA, scaled(m, -unsigned_plain(m)));
		break;
	case OP_RESTORE_EXTENDED:
		restore(m, reg);
		break;
	case OP_UNDEFINED:
		set_cell(m, reg, CFI_HOW_UNDEFINED, 0);
		break;
	case OP_SAME_VALUE:
		set_cell(m, reg, CFI_HOW_SAME, 0);
		break;
	case OP_EXPRESSION:
		*cell(m, reg) = cfi_expression_cell(bytes_split(&m->code, bytes_uleb(&m->code)));
		break;
	case OP_VAL_EXPRESSION:
		bytes_skip(&m->code, bytes_uleb(&m->code));
		set_cell(m, reg, CFI_HOW_OTHER, 0);
		break;
	case OP_VAL_OFFSET:
		set_cell(m, reg, CFI_HOW_IS_CFA, unsigned_scaled(m));
		break;
	case OP_VAL_OFFSET_SF:
		set_cell(m, reg, CFI_HOW_IS_CFA, signed_scaled(m));
		break;
	default: /* register */
		if (bytes_uleb(&m->code) == REG_RDI)
			set_cell(m, reg, CFI_HOW_IN_RDI, 0);
		else
			set_cell(m, reg, CFI_HOW_OTHER, 0);
	}
}

static void extended_op(struct machine *m, uint8_t op)
{
	switch (op) {
	case OP_NOP:
		break;
	case OP_SET_LOC:
		set_loc(m);
		break;
	case OP_ADVANCE1:
	case OP_ADVANCE2:
	case OP_ADVANCE4:
		advance(m, bytes_fixed(&m->code, (size_t)1 << (op - OP_ADVANCE1)));
		break;
	case OP_REMEMBER_STATE:
	case OP_RESTORE_STATE:
		state_op(m, op);
		break;
	case OP_DEF_CFA:
	case OP_DEF_CFA_REGISTER:
	case OP_DEF_CFA_OFFSET:
	case OP_DEF_CFA_EXPRESSION:
	case OP_DEF_CFA_SF:
	case OP_DEF_CFA_OFFSET_SF:
		cfa_op(m, op);
		break;
	case OP_OFFSET_EXTENDED:
	case OP_RESTORE_EXTENDED:
	case OP_UNDEFINED:
	case OP_SAME_VALUE:
	case OP_REGISTER:
	case OP_EXPRESSION:
	case OP_OFFSET_EXTENDED_SF:
	case OP_VAL_OFFSET:
	case OP_VAL_OFFSET_SF:
	case OP_VAL_EXPRESSION:
	case OP_GNU_NEGATIVE_OFFSET:
		register_op(m, op);
		break;
	case OP_GNU_ARGS_SIZE:
		bytes_uleb(&m->code);
		break;
	default:
		bytes_fail(&m->code);
	}
}

static void run(struct machine *m)
{
	while (m->code.at < m->code.end && m->loc < m->span.end) {
		uint8_t op = *m->code.at++;

		switch (op & OP_PRIMARY) {
		case OP_ADVANCE:
			advance(m, op & OP_OPERAND);
			break;
		case OP_OFFSET:
			set_cell(m, op & OP_OPERAND, CFI_HOW_AT_CFA, unsigned_scaled(m));
			break;
		case OP_RESTORE:
			restore(m, op & OP_OPERAND);
			break;
		default:
			extended_op(m, op);
		}
	}
}

int cfi_program_initial(struct cfi_cie *cie, struct cfi_bytes program)
{
	struct machine m;

	memset(&m.state, 0, sizeof(m.state));
	cie->initial = m.state;
	m.code = program;
	m.cie = cie;
	m.rows = NULL;
	m.start = m.loc = 0;
	m.span = (struct cfi_span){ 0, UINT64_MAX };
	m.depth = 0;
	run(&m);
	if (m.code.bad)
		return -EBADMSG;
	cie->initial = m.state;
	return 0;
}

void cfi_program_run(const struct cfi_fde *fde, const struct cfi_span *span, struct cfi_rows *rows)
{
	struct machine m; /* not zeroed: most of it is a stack that is seldom used */
	struct cfi_rule rule;

	m.code = fde->program;
	m.cie = fde->cie;
	m.rows = rows;
	m.span = *span;
	m.start = m.loc = fde->start;
	m.depth = 0;
	m.state = fde->cie->initial;
	run(&m);
	if (m.loc >= span->end)
		return;
	rule = m.code.bad ? cfi_unsupported : cfi_rule_of(&m.state);
	emit(&m, &rule);
}
