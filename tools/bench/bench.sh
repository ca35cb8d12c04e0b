#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# sudo tools/bench/bench.sh [arguments of bench.py] > result.md
#
# Builds foldd, the workloads and the empty program in build/, then measures. Leave the machine
# alone meanwhile: the figures are medians of few rounds.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tools/packages.sh
. "$root/tools/packages.sh"

packages_need test
build=$root/build
bench=$build/bench
mkdir -p "$bench"
packages_configure "$root" "$build" -DBUILD_TESTING=ON >&2
cmake --build "$build" --parallel "$(nproc)" --target foldd foldd-symd pingpong syscalls deep >&2
# the oracle is optional: it needs libdw
cmake --build "$build" --target cfi_oracle >&2 || true

for clang in clang clang-14 clang-15 clang-16 clang-18; do
	packages_command "$clang" && break
done
"$clang" -target bpf -O2 -g -idirafter "/usr/include/$(uname -m)-linux-gnu" \
	-c "$root/tools/bench/empty.bpf.c" -o "$bench/empty.bpf.o"
read -r -a libbpf <<<"$(pkg-config --cflags --libs libbpf)"
"${CC:-cc}" -O2 -Wall -Wextra "$root/tools/bench/attach.c" -o "$bench/attach" "${libbpf[@]}"

cd "$root"
exec python3 -B "$root/tools/bench/bench.py" --foldd "$build/src/foldd" --workloads "$build/tests" \
	--attach "$bench/attach" --empty "$bench/empty.bpf.o" "$@"
