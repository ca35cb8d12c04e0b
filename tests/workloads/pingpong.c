// SPDX-License-Identifier: BSD-2-Clause
/*
 * pingpong ROUND_TRIPS [CPU [RATE]]: two processes hand a byte to and fro over two pipes, pinned
 * on CPU (-1: not pinned); a round trip is two context switches when pinned. RATE limits the round
 * trips a second by sleeping each millisecond (0: as fast as it goes).
 */
#include <signal.h>
#include <sys/wait.h>
#include "workload.h"

static void pin(long cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die("sched_setaffinity");
}

static void echo(int in, int out)
{
	char c;

	while (read(in, &c, 1) == 1)
		if (write(out, &c, 1) != 1)
			break;
}

/* Sleep until the round trips made so far are due. */
static void pace(int64_t begin, long made, long rate)
{
	int64_t due = begin + (int64_t)((double)made / (double)rate * (double)NS_PER_S);
	struct timespec ts = { .tv_sec = due / NS_PER_S, .tv_nsec = due % NS_PER_S };

	if (due > now_ns())
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

int main(int argc, char **argv)
{
	long trips = number_argument(argc, argv, 1, 100000, 1000000000);
	long cpu =
		argc > 2 && !strcmp(argv[2], "-1") ? -1 : number_argument(argc, argv, 2, 0, 4095);
	long rate = number_argument(argc, argv, 3, 0, 100000000);
	long batch = rate / 1000 > 0 ? rate / 1000 : 1;
	int to[2], from[2];
	int64_t begin;
	pid_t child;
	char c = 'x';

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		die("pipe");
	if (cpu >= 0)
		pin(cpu);
	child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(to[1]);
		close(from[0]);
		echo(to[0], from[1]);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	begin = now_ns();
	for (long i = 0; i < trips; i++) {
		if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
			die("pipe");
		if (rate && i % batch == batch - 1)
			pace(begin, i + 1, rate);
	}
	begin = now_ns() - begin;
	close(to[1]);
	waitpid(child, NULL, 0);
	printf("{\"round_trips\":%ld,\"ns\":%" PRId64 ",\"ns_per_round_trip\":%.2f}\n", trips,
	       begin, trips ? (double)begin / (double)trips : 0.0);
	return 0;
}
