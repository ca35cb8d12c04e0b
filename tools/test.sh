#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# sudo tools/test.sh [--full] [--unit] [ctest arguments]
#
# Installs what is missing, builds into build/, and runs all that ctest knows: checks of the source
# (format, scripts, the build by clang, the unit tests under sanitizers), unit tests, BPF tests,
# end-to-end tests, fuzzers, and recordings on other kernels in an emulated machine. Those that need root, or
# a tool that is not here, are skipped and say so.
#
# --unit leaves out what loads BPF programs; --full runs each test up to three times, for what fails
# once in a while, and those with large programs (PostgreSQL, Java) too. Other arguments go to ctest,
# as in: tools/test.sh -R e2e.cli
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tools/packages.sh
. "$root/tools/packages.sh"

labels=()
# Machines are shared: a test that fails is run once more, and ctest says how many attempts it took.
repeat=(--repeat until-pass:2)
full=false
while [ $# -gt 0 ]; do
	case $1 in
	--full)
		repeat=(--repeat until-fail:3)
		full=true
		;;
	--unit) labels=(--label-regex '^(unit|check)$') ;;
	--help | -h)
		sed -n '3,/^set/s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	*) break ;;
	esac
	shift
done

packages_need test
if [ ${#labels[@]} -eq 0 ]; then
	packages_optional vm
	packages_optional compare
	if $full; then
		packages_optional full
	else
		labels=(--label-exclude '^full$')
	fi
fi
cd "$root"
echo "Building in build/"
packages_configure . build -DBUILD_TESTING=ON >/dev/null
cmake --build build --parallel "$(nproc)"
exec ctest --test-dir build --output-on-failure "${labels[@]}" "${repeat[@]}" "$@"
