/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows from the function table of Go, whose programs have no .eh_frame for their own code. The
 * table gives the distance from rsp to the return address for each instruction. What it does not
 * say is whether a function has saved rbp, always right below the return address: that shows in
 * the instruction where the distance changes first.
 */
#include <errno.h>
#include "gopcln.h"

#define PCSP_VARINTS 10 /* bytes of two numbers of 32 bits */
#define PROLOGUE     8  /* bytes of the longest instruction that saves rbp */
#define PUSH_RBP     0x55
#define SWITCH_SCAN  2048 /* bytes of a function in which another stack is looked for */

struct frame {
	struct gopcln *g;
	struct cfi_rows *rows;
	uint64_t start, end; /* of the function */
	uint64_t begin;      /* rows are wanted from here to the end */
	/* From here on rbp is below the return address; UINT64_MAX: nowhere, 0: not known yet. */
	uint64_t saved;
	/* And from here on the table is no longer true; UINT64_MAX: it is to the end. */
	uint64_t switched;
	struct cfi_rule special; /* what holds from there on */
};

/* Functions that are not, or not to their end, what their table says. */
struct special {
	const char *name;
	bool prefix;
	bool whole;       /* from the first instruction on, not only once rsp is on another stack */
	uint8_t cfa_type; /* what holds then */
};

/*
 * The roots: what calls them is the kernel or a stack that is gone. Those with NONE leave rbp as
 * it was on the first stack, which is the way back. morestack leaves neither. The kernel returns
 * from a handler by sigreturn.
 */
static const struct special specials[] = {
	{ "runtime.goexit", false, true, CFI_CFA_STOP },
	{ "runtime.mstart", false, true, CFI_CFA_STOP },
	{ "runtime.rt0_go", false, true, CFI_CFA_STOP },
	{ "_rt0_amd64", true, true, CFI_CFA_STOP },
	{ "runtime.sigreturn", true, true, CFI_CFA_SIGNAL },
	{ "runtime.mcall", false, false, CFI_CFA_STOP },
	{ "runtime.morestack", false, false, CFI_CFA_UNSUPPORTED },
	{ "runtime.systemstack", false, false, CFI_CFA_NONE },
	{ "runtime.asmcgocall", true, false, CFI_CFA_NONE },
	{ "runtime.cgocallback", false, false, CFI_CFA_NONE },
	{ "runtime.gogo", false, false, CFI_CFA_NONE },
	{ "gogo", false, false, CFI_CFA_NONE },
	{ "runtime.callCgo", true, false, CFI_CFA_NONE },
	{ "runtime.race", true, false, CFI_CFA_NONE },
	{ "runtime.sigfwd", false, false, CFI_CFA_NONE },
	{ "runtime.libpreinit", false, false, CFI_CFA_NONE },
	/* They call the vDSO on the system stack. */
	{ "runtime.nanotime1", false, false, CFI_CFA_NONE },
	{ "runtime.walltime", false, false, CFI_CFA_NONE },
	{ "runtime.vgetrandom1", false, false, CFI_CFA_NONE },
	{ "time.now", false, false, CFI_CFA_NONE },
};

static const struct special *find_special(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(specials); i++) {
		const struct special *s = &specials[i];

		if (s->prefix ? !strncmp(name, s->name, strlen(s->name)) : !strcmp(name, s->name))
			return s;
	}
	return NULL;
}

static bool code_bytes(struct frame *f, uint64_t vaddr, size_t need, struct cfi_bytes *ret)
{
	/* Views may read past the function, not past the file; what is there is only compared. */
	f->g->code.offset = 0;
	f->g->code.size = f->g->source->size;
	return !go_view(f->g, &f->g->code, vaddr - f->rows->bias, need, ret);
}

/*
 * Where rbp is saved, given that rsp is off below the return address first at vaddr: by push %rbp
 * right before it (from Go 1.21 on), or by mov %rbp,off-8(%rsp) there.
 */
static uint64_t find_saved(struct frame *f, uint64_t vaddr, int64_t off)
{
	struct cfi_bytes b;
	uint32_t wide;

	if (vaddr == f->start || vaddr >= f->end || !code_bytes(f, vaddr - 1, 1 + PROLOGUE, &b) ||
	    bytes_left(&b) < 1 + PROLOGUE)
		return UINT64_MAX;
	if (b.at[0] == PUSH_RBP && off == 8)
		return vaddr;
	if (b.at[1] != 0x48 || b.at[2] != 0x89 || b.at[4] != 0x24)
		return UINT64_MAX;
	if (b.at[3] == 0x2c && off == 8)
		return vaddr + 4;
	if (b.at[3] == 0x6c && off - 8 == (int8_t)b.at[5])
		return vaddr + 5;
	memcpy(&wide, b.at + 5, sizeof(wide));
	return b.at[3] == 0xac && off - 8 == wide ? vaddr + 8 : UINT64_MAX;
}

/*
 * True for mov or lea to %rsp, and for and $n,%rsp. Not for lea n(%rsp),%rsp, which the table
 * knows of. Bytes that only look like one of these are no harm: the rows are true either way.
 */
static bool is_switch(const unsigned char *c)
{
	bool to_rsp = (c[2] & 0x38) == 0x20; /* in the register field */

	if ((c[0] & 0xfa) != 0x48)
		return false;
	switch (c[1]) {
	case 0x89:
		return (c[2] & 0xc7) == 0xc4;
	case 0x8b:
		return to_rsp;
	case 0x8d:
		return to_rsp && !((c[2] & 7) == 4 && c[3] == 0x24);
	case 0x83:
		return c[2] == 0xe4;
	default:
		return false;
	}
}

/* Behind the first byte of the instruction that leaves the stack, or nowhere. */
static uint64_t find_switch(struct frame *f)
{
	uint64_t size = f->end - f->start;
	struct cfi_bytes b;
	size_t n;

	n = size < SWITCH_SCAN ? (size_t)size : SWITCH_SCAN;
	if (!code_bytes(f, f->start, n, &b) || bytes_left(&b) < n)
		return f->start;
	for (size_t i = 0; i + 4 <= n; i++)
		if (is_switch(b.at + i))
			return f->start + i + 1;
	return UINT64_MAX;
}

static void add_row(struct frame *f, uint64_t vaddr, const struct cfi_rule *rule)
{
	if (vaddr < f->end && vaddr < f->switched)
		cfi_rows_add(f->rows, vaddr < f->begin ? f->begin : vaddr, rule);
}

/* From vaddr to next, rsp is off below the return address. */
static void add_step(struct frame *f, uint64_t vaddr, uint64_t next, int64_t off)
{
	struct cfi_rule rule = { .cfa_off = (int32_t)off + 8, .cfa_type = CFI_CFA_RSP };

	if (off && !f->saved)
		f->saved = find_saved(f, vaddr, off);
	if (next <= f->begin)
		return;
	/* An assembly function that uses the stack in its own way. */
	if (off && f->saved == UINT64_MAX)
		rule.rbp_type = CFI_RBP_LOST;
	if (off && vaddr >= f->saved)
		rule = (struct cfi_rule){ rule.cfa_off, -16, CFI_CFA_RSP, CFI_RBP_CFA };
	add_row(f, vaddr, &rule);
	if (off && vaddr < f->saved && f->saved < next) {
		rule.rbp_off = -16;
		rule.rbp_type = CFI_RBP_CFA;
		add_row(f, f->saved, &rule);
	}
}

/* One step of a table: the distance grows by *ret_grow, then holds for *ret_len bytes. */
static int read_step(struct gopcln *g, uint64_t *pcsp, bool first, int64_t *ret_grow,
		     uint64_t *ret_len)
{
	const unsigned char *before;
	struct cfi_bytes b;
	uint64_t grow, len;
	int err;

	err = go_view(g, &g->pcsp, *pcsp, PCSP_VARINTS, &b);
	if (err)
		return err;
	before = b.at;
	grow = bytes_uleb(&b);
	/* The end of the table. */
	if (!grow && !first)
		return -EBADMSG;
	len = bytes_uleb(&b);
	if (b.bad || grow > UINT32_MAX || !len)
		return -EBADMSG;
	*pcsp += (uint64_t)(b.at - before);
	*ret_grow = (int64_t)(grow >> 1) ^ -(int64_t)(grow & 1);
	*ret_len = len;
	return 0;
}

/* Where the table ends too early or cannot be read, the frame pointer is left. */
static int add_steps(struct frame *f, uint64_t pcsp)
{
	uint64_t vaddr = f->start, len;
	int64_t off = -1, grow;

	for (unsigned int i = 0; pcsp && vaddr < f->end && i < GO_PCSP_MAX; i++) {
		int err = read_step(f->g, &pcsp, !i, &grow, &len);

		if (err && err != -EBADMSG)
			return err;
		if (!err)
			off += grow;
		if (err || off < 0 || off > GO_FRAME_MAX || f->rows->err)
			break;
		if (len > f->end - vaddr)
			len = f->end - vaddr;
		add_step(f, vaddr, vaddr + len, off);
		vaddr += len;
	}
	add_row(f, vaddr, &cfi_none);
	if (f->switched < f->end)
		cfi_rows_add(f->rows, f->switched < f->begin ? f->begin : f->switched, &f->special);
	return 0;
}

/* The rows of one function in [from, to). */
static int add_func(struct gopcln *g, struct cfi_rows *rows, const struct go_func *func,
		    uint64_t from, uint64_t to)
{
	struct frame f = {
		.g = g,
		.rows = rows,
		.start = func->start,
		.end = func->end < to ? func->end : to,
		.begin = func->start < from ? from : func->start,
		.switched = UINT64_MAX,
	};
	const struct special *special;
	char name[GO_NAME_BYTES];
	int err;

	err = gopcln_name(g, func, name);
	if (err)
		return err;
	special = find_special(name);
	if (special) {
		f.special.cfa_type = special->cfa_type;
		f.switched = special->whole ? f.start : find_switch(&f);
	}
	/* Looked up by the byte before it, since nothing has called it; no table is looked at. */
	if (special && special->cfa_type == CFI_CFA_SIGNAL && f.begin > from)
		f.begin = --f.switched;
	return add_steps(&f, func->pcsp);
}

int gorows_add(struct gopcln *g, struct cfi_rows *rows, uint64_t from, uint64_t to)
{
	uint64_t covered = from;
	struct go_func f;
	uint32_t i;
	int err;

	if (to <= g->start || from >= g->end)
		return 0;
	err = gopcln_find(g, from, &i);
	if (err)
		return err == -EBADMSG ? 0 : err;
	for (; i < g->n && covered < to && !rows->err; i++) {
		err = gopcln_func(g, i, &f);
		if (err == -EBADMSG)
			continue;
		if (err)
			return err;
		if (f.start >= to)
			break;
		/* The first one may have begun before; the others go back only by damage. */
		if (f.end <= covered || (f.start < covered && covered != from))
			continue;
		if (f.start > covered)
			cfi_rows_add(rows, covered, &cfi_none);
		err = add_func(g, rows, &f, from, to);
		if (err && err != -EBADMSG)
			return err;
		if (!err)
			covered = f.end;
	}
	if (covered < to)
		cfi_rows_add(rows, covered, &cfi_none);
	return rows->err;
}
