/* SPDX-License-Identifier: BSD-2-Clause */
/* What the fuzzers share: the entry that libFuzzer calls, and what must hold. */
#ifndef FOLDD_TEST_FUZZ_H
#define FOLDD_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

#endif
