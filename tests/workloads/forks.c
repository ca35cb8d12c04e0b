// SPDX-License-Identifier: BSD-2-Clause
/*
 * forks PROGRAM [N [MS [AT_ONCE]]]: runs PROGRAM MS N times, at most AT_ONCE side by side, and
 * prints how many ended well.
 */
#include <sys/wait.h>
#include "workload.h"

extern char **environ;

int main(int argc, char **argv)
{
	long n = number_argument(argc, argv, 2, 400, 100000);
	long ms = number_argument(argc, argv, 3, 20, 10000);
	long at_once = number_argument(argc, argv, 4, 4, 64);
	long started = 0, running = 0, well = 0;
	char ms_text[24];

	if (argc < 2) {
		fprintf(stderr, "usage: forks PROGRAM [N [MS [AT_ONCE]]]\n");
		return 2;
	}
	snprintf(ms_text, sizeof(ms_text), "%ld", ms);
	while (started < n || running) {
		if (started < n && running < at_once) {
			char *args[] = { argv[1], ms_text, NULL };
			pid_t pid = fork();

			if (pid < 0)
				die("fork");
			if (!pid) {
				execve(argv[1], args, environ);
				_exit(127);
			}
			started++;
			running++;
			continue;
		}
		int status = 0;

		if (wait(&status) > 0) {
			running--;
			well += WIFEXITED(status) && !WEXITSTATUS(status);
		} else if (errno != EINTR) {
			die("wait");
		}
	}
	printf("{\"event\":\"done\",\"started\":%ld,\"well\":%ld,\"slept_ms\":%ld}\n", started,
	       well, well * ms);
	return well == n ? 0 : 1;
}
