/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cfi_oracle [-n PCS] [-s SEED] FILE...: compare our unwind rows with what libdw says of random
 * addresses in each file's code. Ends with 1 where they differ. Not a unit test: it needs libdw.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "object/cfi.h"

#define RBP          6
#define RSP          7
#define RDI          5
#define RA           16
#define GAP_MAX      15
#define SHOWN_MAX    10 /* differences printed for one file */
#define DRAWS_FACTOR 20 /* addresses drawn for one with CFI, at most */

struct file {
	const char *path;
	int fd;
	Elf *elf;
	Dwarf *dwarf;
	Dwarf_CFI *cfi; /* of elf, or of dwarf */
	struct object_info info;
	struct cfi_table *table;
};

struct counts {
	uint64_t equal, mismatch, outside, gap;
	uint64_t other_register, expression, return_address, rbp, refused; /* all unsupported */
	uint64_t types[16];
};

/* What libdw says, in our words. */
struct answer {
	struct cfi_rule rule;
	uint64_t *reason; /* the counter, where our rules cannot say it */
};

static uint64_t random_state;

static uint64_t next_random(void)
{
	uint64_t z = (random_state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static bool is_base(const Dwarf_Op *op, uint64_t *ret_reg, int64_t *ret_off)
{
	if (op->atom == DW_OP_bregx) {
		*ret_reg = op->number;
		*ret_off = (int64_t)op->number2;
		return true;
	}
	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
		*ret_reg = op->atom - DW_OP_breg0;
		*ret_off = (int64_t)op->number;
		return true;
	}
	return false;
}

static bool is_plt(const Dwarf_Op *ops, size_t n)
{
	static const unsigned char atoms[] = {
		DW_OP_breg7, DW_OP_breg16, DW_OP_lit15, DW_OP_and,  0,
		DW_OP_ge,    DW_OP_lit3,   DW_OP_shl,   DW_OP_plus,
	};

	if (n != ARRAY_SIZE(atoms) || ops[0].number != 8 || ops[1].number != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (atoms[i] ? ops[i].atom != atoms[i]
			     : ops[i].atom < DW_OP_lit0 || ops[i].atom > DW_OP_lit31)
			return false;
	return true;
}

static void answer_cfa(Dwarf_Frame *frame, struct counts *c, struct answer *a)
{
	uint64_t reg, add = 0;
	Dwarf_Op *ops;
	int64_t off;
	size_t n;

	a->reason = &c->expression;
	if (dwarf_frame_cfa(frame, &ops, &n) || !n)
		return;
	if (is_plt(ops, n)) {
		a->rule.cfa_type = CFI_CFA_PLT;
		a->rule.cfa_off = ops[4].atom - DW_OP_lit0;
		a->reason = NULL;
		return;
	}
	if (!is_base(&ops[0], &reg, &off))
		return;
	if (reg != RSP && reg != RBP) {
		a->reason = &c->other_register;
		return;
	}
	a->rule.cfa_off = (int32_t)off;
	a->rule.cfa_type = reg == RSP ? CFI_CFA_RSP : CFI_CFA_RBP;
	for (size_t i = 1; i < n; i++) {
		if (ops[i].atom != (i == 1 ? DW_OP_deref : DW_OP_plus_uconst))
			return;
		add += i == 1 ? 0 : ops[i].number;
	}
	if (n > 1) {
		a->rule.cfa_type = reg == RSP ? CFI_CFA_DEREF_RSP : CFI_CFA_DEREF_RBP;
		a->rule.cfa_off = cfi_deref_pack((int32_t)off, (uint8_t)add);
	}
	a->reason = NULL;
}

enum where { SAME, UNDEFINED, AT_CFA, IS_CFA, AT_RBP, AT_RSP, IN_RDI, ELSEWHERE };

static enum where answer_register(Dwarf_Frame *frame, int reg, int64_t *ret_off)
{
	Dwarf_Op memory[3], *ops = NULL;
	uint64_t base;
	size_t n = 0;

	if (dwarf_frame_register(frame, reg, memory, &ops, &n))
		return ELSEWHERE;
	if (!n)
		return ops == memory ? UNDEFINED : SAME;
	*ret_off = 0;
	if (ops[0].atom == DW_OP_call_frame_cfa) {
		if (n == 1)
			return AT_CFA;
		if (n == 2 && ops[1].atom == DW_OP_stack_value)
			return IS_CFA;
		if (n == 2 && ops[1].atom == DW_OP_plus_uconst) {
			*ret_off = (int64_t)ops[1].number;
			return AT_CFA;
		}
		ops++;
		n--;
	}
	if (n == 1 && (ops[0].atom == DW_OP_reg0 + RDI ||
		       (ops[0].atom == DW_OP_regx && ops[0].number == RDI)))
		return IN_RDI;
	if (n != 1 || !is_base(&ops[0], &base, ret_off))
		return ELSEWHERE;
	return base == RBP ? AT_RBP : base == RSP ? AT_RSP : ELSEWHERE;
}

static void answer_rbp(Dwarf_Frame *frame, struct counts *c, struct answer *a)
{
	int64_t off = 0;

	switch (answer_register(frame, RBP, &off)) {
	case SAME:
		return;
	case AT_CFA:
		a->rule.rbp_type = CFI_RBP_CFA;
		break;
	case AT_RBP:
		a->rule.rbp_type = CFI_RBP_FRAME;
		break;
	case UNDEFINED:
	case IS_CFA:
	case AT_RSP:
	case IN_RDI:
	case ELSEWHERE:
		a->rule.rbp_type = CFI_RBP_LOST;
		c->rbp++;
		return;
	}
	if (off < INT16_MIN || off > INT16_MAX) {
		a->rule.rbp_type = CFI_RBP_LOST;
		c->rbp++;
	} else {
		a->rule.rbp_off = (int16_t)off;
	}
}

static struct answer answer_of(Dwarf_Frame *frame, struct counts *c)
{
	int64_t ra_off = 0, rbp_off = 0, rsp_off = 0;
	enum where ra = answer_register(frame, RA, &ra_off);
	enum where rsp = answer_register(frame, RSP, &rsp_off);
	struct answer a = { .rule = { 0 } };

	if (ra == UNDEFINED) {
		a.rule.cfa_type = CFI_CFA_STOP;
		return a;
	}
	answer_cfa(frame, c, &a);
	if (ra == AT_RSP && ra_off == CFI_SIGNAL_RIP && a.rule.cfa_type == CFI_CFA_DEREF_RSP &&
	    a.rule.cfa_off == CFI_SIGNAL_RSP && answer_register(frame, RBP, &rbp_off) == AT_RSP &&
	    rbp_off == CFI_SIGNAL_RBP) {
		a.rule = (struct cfi_rule){ .cfa_type = CFI_CFA_SIGNAL };
		a.reason = NULL;
		return a;
	}
	if (!a.reason && ra == IN_RDI && rsp == IS_CFA && a.rule.cfa_type == CFI_CFA_RSP &&
	    answer_register(frame, RBP, &rbp_off) == SAME) {
		a.rule.cfa_type = CFI_CFA_RA_RDI;
		return a;
	}
	if (!a.reason && (ra != AT_CFA || ra_off != -8 || rsp != IS_CFA))
		a.reason = &c->return_address;
	if (a.reason)
		a.rule = (struct cfi_rule){ .cfa_type = CFI_CFA_UNSUPPORTED };
	else
		answer_rbp(frame, c, &a);
	return a;
}

static void show(const char *who, const struct cfi_rule *r)
{
	printf(" %s: cfa %u %d rbp %u %d", who, r->cfa_type, r->cfa_off, r->rbp_type, r->rbp_off);
}

/* True where some FDE covers an address up to 15 bytes below, or the one above (signal frames). */
static bool near_fde(struct file *f, uint64_t pc)
{
	for (uint64_t i = 1; i <= GAP_MAX; i++) {
		Dwarf_Frame *frame;

		if (!dwarf_cfi_addrframe(f->cfi, pc - i, &frame)) {
			free(frame);
			return true;
		}
	}
	return false;
}

/* True where libdw knows the address. */
static bool compare(struct file *f, uint64_t pc, uint64_t offset, struct counts *c)
{
	struct cfi_rule ours = cfi_lookup(f->table, offset);
	Dwarf_Frame *frame = NULL;
	struct answer a;
	bool known = true;

	if (dwarf_cfi_addrframe(f->cfi, pc, &frame)) {
		memset(&a, 0, sizeof(a));
		known = false;
		if (ours.cfa_type == CFI_CFA_NONE) {
			c->outside++;
			return false;
		}
		if (near_fde(f, pc) || ours.cfa_type == CFI_CFA_SIGNAL) {
			c->gap++;
			return false;
		}
		if (ours.cfa_type == CFI_CFA_UNSUPPORTED) {
			c->refused++;
			return false;
		}
	} else {
		a = answer_of(frame, c);
		free(frame);
	}
	if (known && a.reason)
		(*a.reason)++;
	if (!memcmp(&a.rule, &ours, sizeof(ours))) {
		c->types[ours.cfa_type]++;
		c->equal += !a.reason;
		return true;
	}
	if (c->mismatch++ < SHOWN_MAX) {
		printf("  %s 0x%" PRIx64, known ? "differ" : "unknown to libdw", pc);
		show("libdw", &a.rule);
		show("rows", &ours);
		printf("\n");
	}
	return known;
}

static uint64_t code_size(const struct object_info *info)
{
	uint64_t size = 0;

	for (size_t i = 0; i < info->n_segments; i++)
		size += info->segments[i].executable ? info->segments[i].size : 0;
	return size;
}

static void draw(struct file *f, uint64_t pcs, struct counts *c)
{
	uint64_t size = code_size(&f->info), known = 0;

	for (uint64_t i = 0; size && known < pcs && i < pcs * DRAWS_FACTOR; i++) {
		uint64_t at = next_random() % size;

		for (size_t j = 0; j < f->info.n_segments; j++) {
			const struct object_segment *s = &f->info.segments[j];

			if (!s->executable)
				continue;
			if (at < s->size) {
				known += compare(f, s->vaddr + at, s->offset + at, c);
				break;
			}
			at -= s->size;
		}
	}
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The best of a few, so that the file is in the page cache. */
static int build(struct file *f, struct cfi_stats *stats, double *ret_ms)
{
	struct object_source source;
	struct cfi_sink sink;
	int err;

	err = object_source_fd(&source, f->fd);
	if (err)
		return err;
	err = object_info_read(&source, &f->info);
	if (err)
		return err;
	*ret_ms = 1e9;
	for (int i = 0; i < 5; i++) {
		double start = now_ms();

		f->table = cfi_table_free(f->table);
		err = cfi_table_new(&f->table);
		if (err)
			return err;
		cfi_table_sink(f->table, &sink);
		err = cfi_build(&source, &f->info, &sink, stats);
		if (err)
			return err;
		if (now_ms() - start < *ret_ms)
			*ret_ms = now_ms() - start;
	}
	return 0;
}

static void print_counts(const struct file *f, const struct counts *c, const struct cfi_stats *s,
			 double ms)
{
	static const char *const names[] = { "none", "unsupported", "stop",      "signal",   "plt",
					     "rsp",  "rbp",         "deref rsp", "deref rbp" };
	const struct cfi_table *t = f->table;
	double bytes = 4.0 * t->n_rows + 8.0 * t->n_pages + 8.0 * t->n_rules;

	printf("%s: %.1f ms, %u FDEs (%u unread), %u rows, %u rules, %u pages, %.2f bytes a row\n",
	       f->path, ms, s->fdes, s->unread, t->n_rows, t->n_rules, t->n_pages,
	       bytes / t->n_rows);
	printf("  equal %" PRIu64 ", unsupported: other register %" PRIu64 ", expression %" PRIu64
	       ", return address %" PRIu64 ", refused by libdw too %" PRIu64 "; rbp lost %" PRIu64
	       "; no FDE %" PRIu64 ", small gap %" PRIu64 "; mismatch %" PRIu64 "\n ",
	       c->equal, c->other_register, c->expression, c->return_address, c->refused, c->rbp,
	       c->outside, c->gap, c->mismatch);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (c->types[i])
			printf(" %s %" PRIu64 ";", names[i], c->types[i]);
	printf("\n");
}

static int check_file(const char *path, uint64_t pcs)
{
	struct file f = { .path = path };
	struct counts c = { 0 };
	struct cfi_stats stats;
	double ms;
	int err;

	f.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f.fd < 0) {
		perror(path);
		return 1;
	}
	err = build(&f, &stats, &ms);
	if (err) {
		fprintf(stderr, "%s: %s\n", path, strerror(-err));
	} else {
		f.elf = elf_begin(f.fd, ELF_C_READ_MMAP, NULL);
		if (f.elf && stats.debug_frame)
			f.dwarf = dwarf_begin_elf(f.elf, DWARF_C_READ, NULL);
		else if (f.elf)
			f.cfi = dwarf_getcfi_elf(f.elf);
		if (f.dwarf)
			f.cfi = dwarf_getcfi(f.dwarf);
		if (f.cfi)
			draw(&f, pcs, &c);
		print_counts(&f, &c, &stats, ms);
	}
	if (!f.cfi)
		fprintf(stderr, "%s: libdw finds no CFI\n", path);
	else if (!f.dwarf)
		dwarf_cfi_end(f.cfi);
	if (f.dwarf)
		dwarf_end(f.dwarf);
	if (f.elf)
		elf_end(f.elf);
	cfi_table_free(f.table);
	close(f.fd);
	return err || !f.cfi || c.mismatch;
}

int main(int argc, char **argv)
{
	uint64_t pcs = 100000;
	int opt, failed = 0;

	random_state = 1;
	while ((opt = getopt(argc, argv, "n:s:")) != -1) {
		if (opt == 'n')
			pcs = strtoull(optarg, NULL, 10);
		else if (opt == 's')
			random_state = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	elf_version(EV_CURRENT);
	for (int i = optind; i < argc; i++) {
		failed |= check_file(argv[i], pcs);
		fflush(stdout);
	}
	return failed;
}
