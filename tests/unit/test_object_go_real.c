/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Go of this machine, where there is one: a stripped program must name every function as go
 * tool nm does with the symbols there, and the stack of a thread of it that is blocked in a system
 * call must be what the program has called.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "object/cfi.h"

#define LINE_MAX_BYTES 4096
#define FRAMES_MAX     64

static char dir[] = "/tmp/foldd-go-XXXXXX";

static const char program[] =
	"package main\n"
	"import (\"runtime\"; \"syscall\")\n"
	"type shape interface{ area(n int) int }\n"
	"type square struct{ a [40]int }\n"
	"//go:noinline\n"
	"func (s square) area(n int) int { b := make([]byte, 1); s.a[n] = n\n"
	"	syscall.Read(0, b); return s.a[n] + int(b[0]) }\n"
	"//go:noinline\n"
	"func deep(n int, s shape) int {\n"
	"	if n == 0 { return s.area(3) }\n"
	"	return deep(n-1, s) + 1 }\n"
	"func main() { runtime.LockOSThread(); s := square{}; println(deep(5, &s)) }\n";

static const char build[] = "cd %s && printf 'module hello\\ngo 1.18\\n' >go.mod && "
			    "export GOCACHE=$PWD/cache GOFLAGS=-mod=mod CGO_ENABLED=0 && "
			    "timeout 40 go build -p 1 -o plain . && "
			    "go build -p 1 -ldflags='-s -w' -o stripped . && "
			    "go build -p 1 -buildmode=pie -ldflags='-s -w' -o pie . && "
			    "go tool nm -type plain >nm";

struct loaded {
	struct object_info info;
	struct symbols *symbols;
	struct cfi_table *rows;
};

static void path_of(const char *name, char ret[256])
{
	(void)snprintf(ret, 256, "%s/%s", dir, name);
}

static void load(const char *name, struct loaded *ret)
{
	struct object_source s;
	struct cfi_stats stats;
	struct cfi_sink sink;
	char path[256];
	int fd;

	path_of(name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(object_source_fd(&s, fd), 0);
	assert_int_equal(object_info_read(&s, &ret->info), 0);
	assert_int_equal(symbols_read(&s, &ret->info, &ret->symbols), 0);
	assert_int_equal(cfi_table_new(&ret->rows), 0);
	cfi_table_sink(ret->rows, &sink);
	assert_int_equal(cfi_build(&s, &ret->info, &sink, &stats), 0);
	assert_true(stats.go);
	close(fd);
}

static void unload(struct loaded *l)
{
	symbols_free(l->symbols);
	cfi_table_free(l->rows);
}

static int build_programs(void **state)
{
	char path[256], command[1024];
	FILE *f;

	(void)state;
	if (system("go version >/dev/null 2>&1") || !mkdtemp(dir))
		return 0;
	path_of("main.go", path);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(program, 1, strlen(program), f), strlen(program));
	fclose(f);
	(void)snprintf(command, sizeof(command), build, dir);
	/* A Go that has to build its library first may take longer than a test is given. */
	if (system(command))
		print_message("go does not build here, or not in time\n");
	return 0;
}

static int remove_programs(void **state)
{
	char command[256];

	(void)state;
	(void)snprintf(command, sizeof(command), "chmod -R u+w %s 2>/dev/null; rm -rf %s", dir,
		       dir);
	return system(command) ? -1 : 0;
}

static void need_go(void)
{
	char path[256];

	path_of("nm", path);
	if (access(path, R_OK))
		skip();
}

/* What nm knows and the function table does not: which types a function was made for. */
static void normalize(char *name)
{
	char *open = strchr(name, '['), *close = strrchr(name, ']');
	size_t len = strlen(name);

	if (len > 5 && !strcmp(name + len - 5, ".abi0"))
		name[len - 5] = '\0';
	if (open && close && close > open) {
		char rest[LINE_MAX_BYTES];

		(void)snprintf(rest, sizeof(rest), "[...%s", close);
		strcpy(open, rest);
	}
}

static bool is_function(const char *name)
{
	return strcmp(name, "runtime.text") && strcmp(name, "runtime.etext") &&
	       strncmp(name, "go:buildid", 10) && strncmp(name, "go.buildid", 10);
}

static void names_are_those_of_nm(void **state)
{
	struct loaded stripped, plain;
	char line[LINE_MAX_BYTES], name[LINE_MAX_BYTES + 8], type, path[256];
	unsigned long vaddr, n = 0;
	FILE *f;

	(void)state;
	need_go();
	load("stripped", &stripped);
	load("plain", &plain);
	assert_false(stripped.info.has_symtab);
	path_of("nm", path);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		struct symbol s;

		if (sscanf(line, "%lx %c %4095[^\n]", &vaddr, &type, name) != 3 ||
		    (type != 'T' && type != 't') || !is_function(name))
			continue;
		normalize(name);
		if (!symbols_find(stripped.symbols, vaddr, &s))
			fail_msg("%s has no name", name);
		assert_int_equal(s.vaddr, vaddr);
		(void)snprintf(line, sizeof(line), "%s", s.name);
		normalize(line);
		assert_string_equal(line, name);
		n++;
	}
	fclose(f);
	assert_true(n > 500);
	assert_int_equal(symbols_count(stripped.symbols), n);
	unload(&stripped);
	unload(&plain);
}

static pid_t start(const char *name, int *ret_input)
{
	int input[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	char path[256];
	pid_t pid;

	path_of(name, path);
	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		dup2(input[0], 0);
		dup2(null, 2);
		execl(path, path, NULL);
		_exit(127);
	}
	close(input[0]);
	close(null);
	*ret_input = input[1];
	return pid;
}

/* Stops it where it is in read(0, ...). */
static void wait_until_blocked(pid_t pid, struct user_regs_struct *ret)
{
	for (int i = 0; i < 1000; i++) {
		int status;

		usleep(5000);
		if (ptrace(PTRACE_ATTACH, pid, NULL, NULL))
			skip();
		assert_int_equal(waitpid(pid, &status, __WALL), pid);
		assert_true(WIFSTOPPED(status));
		assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, ret), 0);
		if (!ret->orig_rax && !ret->rdi && ret->rdx == 1)
			return;
		assert_int_equal(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
	}
	fail_msg("the program does not read");
}

/* Where the program's first segment is, less where it says that it wants to be. */
static uint64_t bias_of(pid_t pid, const struct object_info *info)
{
	char path[64], line[LINE_MAX_BYTES];
	unsigned long start = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (!start && fgets(line, sizeof(line), f))
		if (strstr(line, dir))
			assert_int_equal(sscanf(line, "%lx-", &start), 1);
	fclose(f);
	return start - (info->segments[0].vaddr & ~4095ULL);
}

static uint64_t read_word(pid_t pid, uint64_t address)
{
	uint64_t word = 0;
	struct iovec here = { &word, sizeof(word) };
	struct iovec there = { (void *)(uintptr_t)address, sizeof(word) };

	assert_int_equal(process_vm_readv(pid, &here, 1, &there, 1, 0), sizeof(word));
	return word;
}

/* One frame further, without any frame pointer; false at the root. */
static bool step(pid_t pid, const struct loaded *l, uint64_t bias, struct foldd_walk *w)
{
	uint64_t pc = w->ip - bias - !w->exact, offset = 0;
	enum foldd_step next;

	for (size_t i = 0; i < l->info.n_segments; i++) {
		const struct object_segment *s = &l->info.segments[i];

		if (s->executable && pc >= s->vaddr && pc - s->vaddr < s->size)
			offset = pc - s->vaddr + s->offset;
	}
	assert_true(offset);
	w->rule = cfi_lookup(l->rows, offset);
	next = foldd_apply_rule(w);
	if (next == FOLDD_STEP_STOP)
		return false;
	assert_int_equal(next, FOLDD_STEP_READ);
	for (int i = 0; i < 3; i++)
		if (w->want[i])
			w->got[i] = read_word(pid, w->want[i]);
	(void)foldd_take_words(w);
	return true;
}

static void check_stack(const char *file)
{
	static const char *const wanted[] = {
		"syscall.read", "main.(*square).area", "main.deep",      "main.deep",
		"main.deep",    "main.deep",           "main.deep",      "main.deep",
		"main.main",    "runtime.main",        "runtime.goexit",
	};
	struct user_regs_struct regs;
	struct foldd_walk w = { .exact = 1 };
	size_t found = 0;
	struct loaded l;
	uint64_t bias;
	int input;
	pid_t pid;

	load(file, &l);
	pid = start(file, &input);
	wait_until_blocked(pid, &regs);
	bias = bias_of(pid, &l.info);
	w.ip = regs.rip;
	w.sp = regs.rsp;
	w.bp = regs.rbp;
	for (int i = 0; i < FRAMES_MAX; i++) {
		char name[LINE_MAX_BYTES];
		struct symbol s;

		assert_true(symbols_find(l.symbols, w.ip - bias - !w.exact, &s));
		(void)snprintf(name, sizeof(name), "%s", s.name);
		normalize(name);
		/* The way to read() itself differs between releases. */
		if (found < ARRAY_SIZE(wanted) && !strcmp(name, wanted[found]))
			found++;
		else if (found >= 3)
			fail_msg("%s instead of %s", name, wanted[found]);
		if (!step(pid, &l, bias, &w))
			break;
		/* What the rows say of rbp is a chain, as the program itself keeps it. */
		if (found >= 2 && found < 9)
			assert_int_equal(read_word(pid, w.bp) > w.bp, 1);
	}
	assert_int_equal(found, ARRAY_SIZE(wanted));
	kill(pid, SIGKILL);
	close(input);
	(void)waitpid(pid, NULL, __WALL);
	unload(&l);
}

static void the_stack_is_whole(void **state)
{
	(void)state;
	need_go();
	check_stack("stripped");
	check_stack("plain");
	check_stack("pie");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_nm),
		cmocka_unit_test(the_stack_is_whole),
	};

	return cmocka_run_group_tests(tests, build_programs, remove_programs);
}
