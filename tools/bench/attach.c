// SPDX-License-Identifier: BSD-2-Clause
/* attach OBJECT: loads a BPF object, attaches its programs, and keeps them until a signal. */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct bpf_object *object;
	struct bpf_program *program;

	if (argc != 2) {
		fprintf(stderr, "usage: attach OBJECT\n");
		return 2;
	}
	object = bpf_object__open_file(argv[1], NULL);
	if (!object || bpf_object__load(object)) {
		fprintf(stderr, "attach: %s cannot be loaded\n", argv[1]);
		return 1;
	}
	bpf_object__for_each_program(program, object)
	{
		if (!bpf_program__attach(program)) {
			fprintf(stderr, "attach: %s cannot be attached\n",
				bpf_program__name(program));
			return 1;
		}
	}
	puts("attached");
	fflush(stdout);
	pause();
	return 0;
}
