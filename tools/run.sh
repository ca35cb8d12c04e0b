#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# sudo tools/run.sh [foldd arguments]
#
# Installs what a build needs and is missing, builds foldd into build/, and runs it with the
# arguments; without any it records the whole host for 10 seconds.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tools/packages.sh
. "$root/tools/packages.sh"

if [ "$(id -u)" != 0 ]; then
	echo "foldd records through the kernel, which takes root: sudo $0 $*" >&2
	exit 4
fi

packages_need build
echo "Building foldd in $root/build" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
options=()
if ! packages_module cmocka || ! packages_command python3; then
	options=(-DBUILD_TESTING=OFF)
fi
if ! { packages_configure "$root" "$root/build" "${options[@]}" &&
	cmake --build "$root/build" --parallel "$(nproc)" --target foldd; } >"$log" 2>&1; then
	cat "$log" >&2
	echo "The build failed; its output is above." >&2
	exit 1
fi
rm -f "$log"
trap - EXIT

if [ $# -eq 0 ]; then
	set -- -a -d 10
	echo "Recording the whole host for 10 seconds: foldd $*" >&2
else
	echo "foldd $*" >&2
fi
exec "$root/build/src/foldd" "$@"
