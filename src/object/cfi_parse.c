/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include "cfi_parts.h"
#include "image.h"

#define AHEAD_MIN        4096
#define AHEAD_MAX        131072
#define AUGMENTATION_MAX 16 /* characters; real ones have up to six */
#define BUDGET_FACTOR    8  /* each byte is looked at twice or so, and a CIE with each FDE */
#define BUDGET_MIN       65536

#define LENGTH_64     UINT32_MAX /* in the place of a 32-bit length: a 64-bit one follows */
#define REGISTERS_RA  16
#define ADDRESS_BYTES 8

/* DW_EH_PE_*: a format in the lower four bits, what it is relative to above them. */
#define PE_FORMAT   0x0f
#define PE_ABSOLUTE 0x00
#define PE_ULEB     0x01
#define PE_U2       0x02
#define PE_U4       0x03
#define PE_U8       0x04
#define PE_SLEB     0x09
#define PE_S2       0x0a
#define PE_S4       0x0b
#define PE_S8       0x0c
#define PE_PCREL    0x10
#define PE_DATAREL  0x30
#define PE_INDIRECT 0x80
#define PE_ALIGNED  0x50
#define PE_OMIT     0xff

/* A CIE or FDE: what is behind its length. */
struct entry {
	const unsigned char *data; /* of its first byte */
	uint64_t offset;           /* of its first byte, in the section */
	uint64_t id_offset;        /* of the number that tells CIE from FDE */
	uint64_t id;
	uint64_t next;         /* entry, in the section */
	bool wide;             /* 64-bit DWARF */
	struct cfi_bytes body; /* behind the id */
};

void cfi_reader_init(struct cfi_reader *r, const struct object_source *s,
		     const struct cfi_section *section, bool debug_frame)
{
	memset(r, 0, sizeof(*r));
	r->source = s;
	r->section = *section;
	r->debug_frame = debug_frame;
	r->budget = BUDGET_FACTOR * section->size + BUDGET_MIN;
}

void cfi_reader_release(struct cfi_reader *r)
{
	free(r->fdes.data);
	free(r->cies.data);
}

/* len bytes at an offset of the section, which live until the next view through this window. */
static int view(struct cfi_reader *r, struct cfi_window *w, uint64_t offset, uint64_t len,
		const unsigned char **ret)
{
	uint64_t size;
	bool near;
	int err;

	if (offset >= w->start && len <= w->len && offset - w->start <= w->len - len) {
		*ret = w->data + (offset - w->start);
		return 0;
	}
	if (offset > r->section.size || len > r->section.size - offset || len > CFI_ENTRY_MAX)
		return -EBADMSG;
	/* A file may hold its entries in any order: read far ahead only where that has paid. */
	near = offset >= w->start && offset - w->start <= w->len + w->ahead;
	w->ahead = !near || !w->ahead ? AHEAD_MIN : w->ahead * 2;
	if (w->ahead > AHEAD_MAX)
		w->ahead = AHEAD_MAX;
	size = len > w->ahead ? len : w->ahead;
	if (size > r->section.size - offset)
		size = r->section.size - offset;
	if (size > w->allocated) {
		unsigned char *data = realloc(w->data, size);

		if (!data)
			return -ENOMEM;
		w->data = data;
		w->allocated = size;
	}
	w->len = 0;
	err = source_read(r->source, w->data, size, r->section.offset + offset);
	if (err)
		return err;
	w->start = offset;
	w->len = size;
	*ret = w->data;
	return 0;
}

/* -ENODATA: the entry of no length that ends a list. */
static int read_entry(struct cfi_reader *r, struct cfi_window *w, uint64_t offset,
		      struct entry *ret)
{
	struct entry e = { .offset = offset };
	uint64_t len, head = sizeof(uint32_t);
	int err;

	err = view(r, w, offset, sizeof(uint32_t), &e.data);
	if (err)
		return err;
	len = 0;
	memcpy(&len, e.data, sizeof(uint32_t));
	if (!len)
		return -ENODATA;
	if (len == LENGTH_64) {
		e.wide = true;
		head += sizeof(uint64_t);
		err = view(r, w, offset, head, &e.data);
		if (err)
			return err;
		memcpy(&len, e.data + sizeof(uint32_t), sizeof(len));
	}
	if (len > CFI_ENTRY_MAX - head)
		return -EBADMSG;
	if (len + head > r->budget)
		return -E2BIG;
	r->budget -= len + head;
	err = view(r, w, offset, head + len, &e.data);
	if (err)
		return err;
	e.next = offset + head + len;
	e.id_offset = offset + head;
	e.body = (struct cfi_bytes){ .at = e.data + head, .end = e.data + head + len };
	/* .eh_frame has 32 bits here in any case. */
	e.id = bytes_fixed(&e.body, e.wide && r->debug_frame ? 8 : 4);
	if (e.body.bad)
		return -EBADMSG;
	*ret = e;
	return 0;
}

static bool is_cie(const struct cfi_reader *r, const struct entry *e)
{
	if (!r->debug_frame)
		return !e->id;
	return e->id == (e->wide ? UINT64_MAX : UINT32_MAX);
}

int cfi_read_pointer(struct cfi_bytes *b, uint8_t encoding, uint64_t vaddr, uint64_t *ret)
{
	uint64_t value;

	switch (encoding & PE_FORMAT) {
	case PE_ABSOLUTE:
	case PE_U8:
	case PE_S8:
		value = bytes_fixed(b, 8);
		break;
	case PE_ULEB:
		value = bytes_uleb(b);
		break;
	case PE_SLEB:
		value = (uint64_t)bytes_sleb(b);
		break;
	case PE_U2:
		value = bytes_fixed(b, 2);
		break;
	case PE_U4:
		value = bytes_fixed(b, 4);
		break;
	case PE_S2:
		value = (uint64_t)bytes_signed(b, 2);
		break;
	case PE_S4:
		value = (uint64_t)bytes_signed(b, 4);
		break;
	default:
		return -EBADMSG;
	}
	if (b->bad)
		return -EBADMSG;
	switch (encoding & ~PE_FORMAT) {
	case PE_ABSOLUTE:
		break;
	case PE_PCREL:
	case PE_DATAREL:
		value += vaddr;
		break;
	default:
		return -EBADMSG;
	}
	*ret = value;
	return 0;
}

/* Step over a pointer of no interest, whatever it is relative to. */
static int skip_pointer(struct cfi_bytes *b, uint8_t encoding)
{
	uint64_t ignored;

	if (encoding == PE_OMIT)
		return 0;
	if (encoding == PE_ALIGNED)
		return -EBADMSG;
	return cfi_read_pointer(b, encoding & PE_FORMAT, 0, &ignored);
}

/* What follows the 'z' of an augmentation; each letter has its data. */
static int read_augmentation(struct cfi_cie *cie, const char *letters, struct cfi_bytes *b)
{
	struct cfi_bytes data = bytes_split(b, bytes_uleb(b));

	cie->sized = true;
	for (; *letters; letters++) {
		int err = 0;

		switch (*letters) {
		case 'R':
			cie->encoding = bytes_u8(&data);
			break;
		case 'P':
			err = skip_pointer(&data, bytes_u8(&data));
			break;
		case 'L':
			bytes_u8(&data);
			break;
		case 'S':
			cie->signal = true;
			break;
		default:
			err = -EBADMSG;
		}
		if (err)
			return err;
	}
	/* Relative to data: of a table in another section. Nothing has it for code here. */
	if ((cie->encoding & ~PE_FORMAT) != PE_ABSOLUTE && (cie->encoding & ~PE_FORMAT) != PE_PCREL)
		return -EBADMSG;
	return data.bad ? -EBADMSG : 0;
}

/* Its version and everything up to its instructions. */
static int read_cie_head(struct cfi_cie *cie, struct cfi_bytes *b)
{
	char letters[AUGMENTATION_MAX + 1];
	unsigned int n = 0, version = bytes_u8(b);
	const char *rest = letters;
	uint64_t ra;

	if (version != 1 && version != 3 && version != 4)
		return -EBADMSG;
	do {
		if (n == sizeof(letters))
			return -EBADMSG;
		letters[n] = (char)bytes_u8(b);
	} while (letters[n++]);
	if (version == 4 && (bytes_u8(b) != ADDRESS_BYTES || bytes_u8(b)))
		return -EBADMSG;
	if (!strncmp(rest, "eh", 2)) { /* of gcc 2: a pointer to its exception table */
		rest += 2;
		bytes_skip(b, ADDRESS_BYTES);
	}
	cie->code_align = bytes_uleb(b);
	cie->data_align = bytes_sleb(b);
	ra = version == 1 ? bytes_u8(b) : bytes_uleb(b);
	if (b->bad || ra != REGISTERS_RA)
		return -EBADMSG;
	if (*rest == 'z')
		return read_augmentation(cie, rest + 1, b);
	/* Without a length nothing behind an unknown letter can be found. */
	return *rest ? -EBADMSG : 0;
}

static int read_cie(struct cfi_reader *r, uint64_t offset, struct cfi_cie *cie)
{
	struct entry e;
	int err;

	err = read_entry(r, &r->cies, offset, &e);
	if (err)
		return err == -ENODATA ? -EBADMSG : err;
	if (!is_cie(r, &e))
		return -EBADMSG;
	err = read_cie_head(cie, &e.body);
	if (err)
		return err;
	return cfi_program_initial(cie, e.body);
}

/* By its offset; one of no use is remembered too. */
static int find_cie(struct cfi_reader *r, uint64_t offset, const struct cfi_cie **ret)
{
	struct cfi_cie *cie = &r->cache[(offset * 0x9e3779b97f4a7c15ULL) >> 58];

	_Static_assert(CFI_CIES_MAX == 1 << (64 - 58), "the upper bits of the product are a slot");
	if (!cie->cached || cie->offset != offset) {
		memset(cie, 0, sizeof(*cie));
		cie->offset = offset;
		cie->err = read_cie(r, offset, cie);
		if (cie->err && cie->err != -EBADMSG)
			return cie->err;
		cie->cached = true;
	}
	if (cie->err)
		return cie->err;
	*ret = cie;
	return 0;
}

static int read_fde_body(struct cfi_reader *r, struct entry *e, struct cfi_fde *ret)
{
	struct cfi_fde fde;
	uint64_t cie = e->id, range, at;
	int err;

	if (!r->debug_frame) { /* counts back from itself */
		if (cie > e->id_offset)
			return -EBADMSG;
		cie = e->id_offset - cie;
	}
	err = find_cie(r, cie, &fde.cie);
	if (err)
		return err;
	at = r->section.vaddr + e->offset + (uint64_t)(e->body.at - e->data);
	err = cfi_read_pointer(&e->body, fde.cie->encoding, at, &fde.start);
	if (err)
		return err;
	err = cfi_read_pointer(&e->body, fde.cie->encoding & PE_FORMAT, 0, &range);
	if (err)
		return err;
	if (__builtin_add_overflow(fde.start, range, &fde.end))
		return -EBADMSG;
	if (fde.cie->sized)
		bytes_skip(&e->body, bytes_uleb(&e->body));
	if (e->body.bad)
		return -EBADMSG;
	fde.program = e->body;
	*ret = fde;
	return 0;
}

int cfi_read_fde(struct cfi_reader *r, uint64_t offset, struct cfi_fde *ret)
{
	struct entry e;
	int err;

	err = read_entry(r, &r->fdes, offset, &e);
	if (err)
		return err == -ENODATA ? -EBADMSG : err;
	return is_cie(r, &e) ? -EBADMSG : read_fde_body(r, &e, ret);
}

int cfi_next_fde(struct cfi_reader *r, uint64_t *offset, struct cfi_fde *ret)
{
	struct entry e;
	int err;

	if (*offset + sizeof(uint32_t) > r->section.size)
		return -ENODATA;
	err = read_entry(r, &r->fdes, *offset, &e);
	if (err == -ENODATA &&
	    !r->section
		     .marked) { /* some linkers leave the end mark of an input file in the middle */
		*offset += sizeof(uint32_t);
		return 0;
	}
	if (err) /* the end, or nobody knows where the next one begins */
		return err == -EBADMSG ? -ENODATA : err;
	*offset = e.next;
	if (is_cie(r, &e))
		return 0;
	err = read_fde_body(r, &e, ret);
	if (err)
		return err == -EBADMSG ? 0 : err;
	return 1;
}
