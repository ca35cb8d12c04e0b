#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tools/vm/run.sh [SERIES]...
#
# Boots Debian's cloud kernels of the series (6.1 and 6.12 by default) in an emulated machine with
# the built foldd and its workloads, makes recordings there, and checks them on this side. Needs
# neither root nor KVM. The kernels come from the package archive that is configured here and are
# kept in $FOLDD_VM_CACHE (~/.cache/foldd-vm).
#
# FOLDD and WORKLOADS name the built program and the folder of the workloads; the default is build/.
# With FOLDD_VM_KEEP=DIR what the machine wrote stays there, in a folder a series.
# Ends with 77 where neither kernel, or no qemu, can be had; every reason is printed.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tools/vm
foldd=${FOLDD:-$root/build/src/foldd}
workloads=${WORKLOADS:-$root/build/tests}
boot_limit=150 # seconds; a boot with all recordings takes a quarter of that
programs=(waits parked churn forks shortlived)

# shellcheck source=tools/packages.sh
. "$root/tools/packages.sh"

skip() {
	echo "skipped: $*"
	exit 77
}

# Where the kernels are kept: without a home (as under some CI runners) in the build folder.
cache_folder() {
	if [ -n "${FOLDD_VM_CACHE:-}" ]; then
		echo "$FOLDD_VM_CACHE"
	elif [ -n "${XDG_CACHE_HOME:-}" ]; then
		echo "$XDG_CACHE_HOME/foldd-vm"
	elif [ -n "${HOME:-}" ] && [ -w "$HOME" ]; then
		echo "$HOME/.cache/foldd-vm"
	else
		echo "$root/build/vm"
	fi
}

# Names of the kernel packages of a series that the archive has, newest first.
kernel_packages() {
	local series=${1//./\\.}
	packages_command apt-cache || return 0
	apt-cache pkgnames "linux-image-$1" |
		grep -E "^linux-image-$series\.[0-9]+(\+deb[0-9]+|-[0-9]+)?-cloud-amd64$" | sort -rV
}

# kernel_fetch PACKAGE: its vmlinuz into the cache. Fails without a word where the package is gone.
kernel_fetch() {
	local work status=0
	work=$(mktemp -d "$cache/fetch.XXXXXX")
	(
		set -e
		cd "$work"
		# as root apt would step down to a user that cannot write here
		apt-get download -qq -o APT::Sandbox::User=root "$1"
		dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './boot/vmlinuz-*'
		mv boot/vmlinuz-* "$cache/$1.new"
		mv "$cache/$1.new" "$cache/$1"
	) >"$work.log" 2>&1 || status=$?
	rm -rf "$work" "$work.log"
	return "$status"
}

# kernel_find SERIES: prints the path of a kernel: the newest of the archive, else the newest kept.
# An archive's list may name some that it has no longer.
kernel_find() {
	local package kept names
	mapfile -t names < <(kernel_packages "$1")
	# slim images have no lists of what the archive has
	if [ ${#names[@]} -eq 0 ] && packages_command apt-get && [ "$(id -u)" = 0 ]; then
		apt-get update -qq >&2 || true
		mapfile -t names < <(kernel_packages "$1")
	fi
	for package in "${names[@]:0:3}"; do
		if [ -e "$cache/$package" ] || kernel_fetch "$package"; then
			echo "$cache/$package"
			return 0
		fi
	done
	kept=$(find "$cache" -maxdepth 1 -name "linux-image-$1.*-cloud-amd64" | sort -rV | head -n 1)
	[ -n "$kept" ] || return 1
	echo "$kept"
}

# Copies programs to /bin of the machine, and what the dynamic linker will want where it wants it.
install_programs() {
	local to=$1 program library
	shift
	for program in "$@"; do
		cp "$program" "$to/bin/"
		while read -r library; do
			[ -e "$to$library" ] || install -D "$library" "$to$library"
		done < <(ldd "$program" 2>/dev/null | grep -o '/[^ ]*')
	done
}

build_initramfs() {
	local to=$work/root program files
	files=("$(command -v busybox)")
	mkdir -p "$to/bin"
	busybox --list | grep -vx busybox | while read -r program; do
		ln -sfn busybox "$to/bin/$program"
	done
	install "$here/init.sh" "$to/init"
	for program in "${programs[@]}"; do
		files+=("$workloads/$program")
	done
	# programs that foldd starts itself are beside it
	for program in "$foldd" "$(dirname "$foldd")"/foldd-*; do
		if [ -f "$program" ] && [ -x "$program" ]; then
			files+=("$program")
		fi
	done
	install_programs "$to" "${files[@]}"
	(cd "$to" && find . -print0 | sort -z | cpio --quiet --null --create --format newc -R 0:0) |
		gzip -1 >"$work/initramfs.gz"
}

# boot KERNEL DIR: runs the machine; DIR gets its console and what it sent. One CPU: the emulation of
# two stalls now and then.
boot() {
	local status=0
	mkdir -p "$2/out"
	timeout --kill-after 5 "$boot_limit" qemu-system-x86_64 -accel tcg,thread=multi -cpu max \
		-m 1024 -smp 1 -display none -monitor none -no-reboot -nodefaults \
		-serial "file:$2/console" -serial "file:$2/out.tar.gz" \
		-kernel "$1" -initrd "$work/initramfs.gz" \
		-append "console=ttyS0 quiet loglevel=4 panic=-1" </dev/null || status=$?
	if [ "$status" != 0 ]; then
		echo "the machine did not end by itself within $boot_limit s: qemu's status is $status"
	elif ! tar -xzf "$2/out.tar.gz" -C "$2/out"; then
		echo "what the machine sent is not whole"
		status=1
	fi
	if [ "$status" != 0 ]; then
		echo "the end of its console:"
		tail -n 40 "$2/console"
	fi
	return "$status"
}

# test_series SERIES: 0 good, 1 bad, 77 no such kernel.
test_series() {
	local kernel dir=$keep/$1 began=$SECONDS
	if ! kernel=$(kernel_find "$1"); then
		echo "$1: skipped: the archive that is configured here has no linux-image-$1.*-cloud-amd64," \
			"and none is kept in $cache"
		return 77
	fi
	echo "$1: booting $(basename "$kernel")"
	rm -rf "$dir"
	boot "$kernel" "$dir" || return 1
	VM_RESULTS=$dir python3 -B "$here/check.py" || return 1
	echo "$1: good, in $((SECONDS - began)) s"
}

# qemu and busybox are for the machine of the programs that were built here.
[ "$(uname -m)" = x86_64 ] || skip "this is not an x86-64 host"
PATH=$PATH:/usr/sbin:/sbin
packages_optional vm
mapfile -t missing < <(packages_missing vm)
[ ${#missing[@]} -eq 0 ] || skip "missing here: ${missing[*]}"
for program in "$foldd" "${programs[@]/#/$workloads/}"; do
	if [ ! -x "$program" ]; then
		echo "$program is not built" >&2
		exit 1
	fi
done

cache=$(cache_folder)
mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
keep=${FOLDD_VM_KEEP:-$work/kept}
build_initramfs

[ $# -gt 0 ] || set -- 6.1 6.12
good=0
bad=0
for series in "$@"; do
	status=0
	test_series "$series" || status=$?
	case $status in
	0) good=$((good + 1)) ;;
	77) ;;
	*) bad=$((bad + 1)) ;;
	esac
done
[ "$bad" = 0 ] || exit 1
[ "$good" != 0 ] || exit 77
