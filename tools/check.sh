#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tools/check.sh format|scripts|clang|sanitized: the checks of the source that ctest runs beside the
# tests. Ends with 77 where the tool for it is not here.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tools/packages.sh
. "$root/tools/packages.sh"
cd "$root"
jobs=$(nproc)

# The format is pinned to clang-format 14; the others do not agree with it in all things.
check_format() {
	local tool
	for tool in clang-format-14 clang-format; do
		packages_command "$tool" || continue
		if "$tool" --version | grep -q 'version 14\.'; then
			find bpf include src tests tools -name '*.[ch]' -print0 | sort -z |
				xargs -0 "$tool" --dry-run -Werror
			return
		fi
	done
	echo "no clang-format 14 here"
	exit 77
}

check_scripts() {
	if ! packages_command shellcheck; then
		echo "no shellcheck here"
		exit 77
	fi
	shellcheck -x tools/*.sh tools/bench/*.sh tools/vm/*.sh .ci/run
}

# All of user space once more by the other compiler, whose warnings are errors too.
check_clang() {
	local clang
	for clang in clang clang-14 clang-15 clang-16 clang-18; do
		packages_command "$clang" && break
	done
	packages_configure . build-clang -DCMAKE_C_COMPILER="$clang" >/dev/null
	cmake --build build-clang --parallel "$jobs" --target foldd unit_tests bpf_tests
}

check_sanitized() {
	packages_configure . build-asan -DFOLDD_SANITIZE=ON -DCMAKE_BUILD_TYPE=Debug >/dev/null
	cmake --build build-asan --parallel "$jobs" --target unit_tests
	ctest --test-dir build-asan --label-regex unit --output-on-failure --parallel "$jobs"
}

case ${1:-} in
format) check_format ;;
scripts) check_scripts ;;
clang) check_clang ;;
sanitized) check_sanitized ;;
*)
	sed -n '3,4s/^# //p' "$0" >&2
	exit 2
	;;
esac
