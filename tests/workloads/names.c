// SPDX-License-Identifier: BSD-2-Clause
/*
 * names SLEEPLIB [SECONDS]: a process and threads whose names fight the grammar of folded stacks, a
 * library and a program in files whose names do. Prints a line of JSON and ends after SECONDS.
 */
#include <dlfcn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "workload.h"

#define HOSTILE_FILE "a;b\nc 7"

static const char *const thread_names[] = {
	"a;b 3",
	"\033[31mred\007",
	"\xff\xfe\xc3(",
	"worker 12",
	"tab\tline\nend",
	"  blanks   4",
	"\xc2\x9b"
	"c1 control",
	"\xe2\x82\xac"
	"uro 5",
	"7",
	" 9",
	"[sleep]",
	"cut\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", /* 15 bytes end inside of a character
								*/
};

#define N_THREADS ((int)(sizeof(thread_names) / sizeof(thread_names[0])))

static int64_t stop_ns;

static NOINLINE void named_sleep(void)
{
	sleep_ns(20 * NS_PER_MS);
	KEEP_FRAME();
}

static void *thread_main(void *arg)
{
	prctl(PR_SET_NAME, arg);
	while (now_ns() < stop_ns)
		named_sleep();
	return NULL;
}

static void copy_file(const char *from, const char *to)
{
	static char block[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	ssize_t n;

	if (in < 0 || out < 0)
		die(in < 0 ? from : to);
	while ((n = read(in, block, sizeof(block))) > 0)
		if (write(out, block, (size_t)n) != n)
			die(to);
	close(in);
	close(out);
}

static void *library_main(void *arg)
{
	void (*sleeplib_sleep)(long ms, int times);
	void *lib = dlopen(arg, RTLD_NOW);

	prctl(PR_SET_NAME, "library");
	if (!lib) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	*(void **)&sleeplib_sleep = dlsym(lib, "sleeplib_sleep");
	while (now_ns() < stop_ns)
		sleeplib_sleep(20, 5);
	return NULL;
}

static pid_t run_copy(const char *path, const char *seconds)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid) {
		execl(path, path, "-", seconds, (char *)NULL);
		_exit(127);
	}
	return pid;
}

int main(int argc, char **argv)
{
	const char *seconds = argc > 2 ? argv[2] : "3";
	char dir[] = "/tmp/foldd-names-XXXXXX", program[128], library[128];
	bool original = argc > 1 && strcmp(argv[1], "-");
	pthread_t threads[N_THREADS + 1];
	pid_t child = 0;
	int n = 0, status = 0;

	stop_ns = now_ns() + number_argument(argc, argv, 2, 3, 60) * NS_PER_S;
	if (original) {
		if (!mkdtemp(dir))
			die("mkdtemp");
		snprintf(program, sizeof(program), "%s/%s", dir, HOSTILE_FILE);
		snprintf(library, sizeof(library), "%s/lib%s.so", dir, HOSTILE_FILE);
		copy_file("/proc/self/exe", program);
		copy_file(argv[1], library);
		child = run_copy(program, seconds);
		pthread_create(&threads[n++], NULL, library_main, library);
	}
	for (int i = 0; i < N_THREADS; i++)
		pthread_create(&threads[n++], NULL, thread_main, (void *)thread_names[i]);
	prctl(PR_SET_NAME, "a;b 3");
	if (original) {
		printf("{\"event\":\"ready\",\"pid\":%d,\"child\":%d}\n", getpid(), child);
		fflush(stdout);
	}
	while (n)
		pthread_join(threads[--n], NULL);
	if (original) {
		waitpid(child, &status, 0);
		unlink(program);
		unlink(library);
		rmdir(dir);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
