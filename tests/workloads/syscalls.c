// SPDX-License-Identifier: BSD-2-Clause
/* syscalls [N [CPU]]: calls getppid N times, pinned, and prints the cost of one. */
#include "workload.h"

int main(int argc, char **argv)
{
	long n = number_argument(argc, argv, 1, 1000000, 1000000000);
	long cpu = number_argument(argc, argv, 2, 0, 4095);
	cpu_set_t one;
	int64_t begin;

	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die("sched_setaffinity");
	begin = now_ns();
	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	begin = now_ns() - begin;
	printf("{\"calls\":%ld,\"ns\":%" PRId64 ",\"ns_per_call\":%.2f}\n", n, begin,
	       n ? (double)begin / (double)n : 0.0);
	return 0;
}
