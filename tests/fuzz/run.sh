#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tests/fuzz/run.sh [SECONDS [NAME]...]: builds the fuzzers into build-fuzz/, makes a corpus of seeds
# from the files of this machine, and runs each fuzzer for SECONDS (8). What they find stays in
# build-fuzz/corpus. Ends with 77 where clang has no libFuzzer.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=tools/packages.sh
. "$root/tools/packages.sh"
seconds=${1:-8}
[ $# -eq 0 ] || shift
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(elf debuglink cfi go reply perfmap maps feed folded)
build=$root/build-fuzz

if ! clang=$(packages_libfuzzer); then
	echo "no clang with libFuzzer here (libclang-rt-14-dev, compiler-rt)"
	exit 77
fi

packages_configure "$root" "$build" -DCMAKE_C_COMPILER="$clang" -DFOLDD_FUZZ=ON \
	-DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
cmake --build "$build" --parallel "$(nproc)" --target fuzzers
python3 -B "$here/seeds.py" "$build/corpus"

status=0
for name in "${names[@]}"; do
	corpus=$build/corpus/$name
	mkdir -p "$corpus" "$build/crashes"
	echo "fuzz_$name for $seconds s, $(find "$corpus" -type f | wc -l) inputs"
	"$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=20 \
		-max_len=200000 -print_final_stats=1 -verbosity=0 \
		-artifact_prefix="$build/crashes/$name-" "$corpus" >"$build/$name.log" 2>&1 || {
		tail -n 60 "$build/$name.log"
		status=1
	}
	grep -E 'number_of_executed_units|peak_rss_mb' "$build/$name.log" || true
done
exit $status
