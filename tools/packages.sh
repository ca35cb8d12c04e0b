# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by run.sh and test.sh: finds what a build (or the tests) need and is missing, and
# installs it with the package manager of Debian, Ubuntu or Fedora.
#
#   packages_need build|test
#
# What is needed is tried (a command, a header), not looked up by package, so that things which
# were installed in another way count. A package that is there is never touched.

packages_header() {
	echo "#include <$1>" | "${CC:-cc}" -E -x c - >/dev/null 2>&1
}

packages_module() {
	pkg-config --exists "$1" 2>/dev/null
}

packages_command() {
	local name
	for name in "$@"; do
		command -v "$name" >/dev/null 2>&1 && return 0
	done
	return 1
}

# On Ubuntu /usr/sbin/bpftool is a wrapper that finds no tool where the one of the running kernel is
# not installed: it must run.
packages_bpftool() {
	bpftool version >/dev/null 2>&1
}

# What is missing, a word each, for $1 = build or test.
packages_missing() {
	packages_command "${CC:-cc}" || echo compiler
	packages_command cmake || echo cmake
	packages_command ninja make || echo ninja
	packages_command pkg-config pkgconf || echo pkg-config
	packages_command clang clang-14 clang-15 clang-16 clang-18 || echo clang
	packages_command llvm-strip llvm-strip-14 llvm-strip-15 llvm-strip-16 llvm-strip-18 || echo llvm
	packages_bpftool || echo bpftool
	packages_module libbpf || echo libbpf
	packages_module libelf || echo libelf
	packages_module zlib || echo zlib
	packages_module liblzma || echo lzma
	packages_module json-c || echo json-c
	packages_module libxxhash || echo xxhash
	packages_header libiberty/demangle.h || packages_header demangle.h || echo libiberty
	[ "$1" = test ] || return 0
	packages_module cmocka || echo cmocka
	packages_module libdw || echo libdw
	packages_command go || echo go
	packages_command python3 || echo python3
	packages_command unshare setpriv || echo util-linux
}

# The package that holds a word of packages_missing.
packages_debian() {
	case $1 in
	compiler) echo gcc libc6-dev ;;
	ninja) echo ninja-build ;;
	bpftool)
		if grep -qsE '^(ID|ID_LIKE)=.*ubuntu' /etc/os-release; then
			echo linux-tools-common linux-tools-generic
		else
			echo bpftool
		fi
		;;
	libbpf) echo libbpf-dev ;;
	libelf) echo libelf-dev ;;
	zlib) echo zlib1g-dev ;;
	lzma) echo liblzma-dev ;;
	json-c) echo libjson-c-dev ;;
	xxhash) echo libxxhash-dev ;;
	libiberty) echo libiberty-dev ;;
	cmocka) echo libcmocka-dev ;;
	libdw) echo libdw-dev ;;
	go) echo golang-go ;;
	*) echo "$1" ;;
	esac
}

packages_fedora() {
	case $1 in
	compiler) echo gcc glibc-devel ;;
	ninja) echo ninja-build ;;
	pkg-config) echo pkgconf-pkg-config ;;
	libbpf) echo libbpf-devel ;;
	libelf) echo elfutils-libelf-devel ;;
	zlib) echo zlib-devel ;;
	lzma) echo xz-devel ;;
	json-c) echo json-c-devel ;;
	xxhash) echo xxhash-devel ;;
	libiberty) echo binutils-devel ;;
	cmocka) echo libcmocka-devel ;;
	libdw) echo elfutils-devel ;;
	go) echo golang ;;
	*) echo "$1" ;;
	esac
}

packages_list() {
	local manager=$1 word
	shift
	for word in "$@"; do
		if [ "$manager" = dnf ]; then
			packages_fedora "$word"
		else
			packages_debian "$word"
		fi
	done | tr '\n' ' '
}

packages_install() {
	local manager=$1
	shift
	if [ "$manager" = dnf ]; then
		dnf install -y "$@"
	else
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
			--no-upgrade "$@"
	fi
}

# Ubuntu's wrapper wants the tool of the running kernel; the one of any kernel does as well.
packages_find_bpftool() {
	local tool
	packages_bpftool && return 0
	for tool in /usr/lib/linux-tools/*/bpftool /usr/lib/linux-tools-*/bpftool; do
		if [ -x "$tool" ] && "$tool" version >/dev/null 2>&1; then
			PATH=$(dirname "$tool"):$PATH
			export PATH
			return 0
		fi
	done
	return 0
}

packages_give_up() {
	local manager=$1
	shift
	{
		echo "Missing and not installed: $*"
		case $manager in
		apt) echo "Packages: $(packages_list apt "$@")" ;;
		dnf) echo "Packages: $(packages_list dnf "$@")" ;;
		*)
			echo "No apt-get or dnf here. The packages are called"
			echo "  on Debian and Ubuntu: $(packages_list apt "$@")"
			echo "  on Fedora: $(packages_list dnf "$@")"
			;;
		esac
	} >&2
	exit 1
}

packages_need() {
	local manager=none missing names
	PATH=$PATH:/usr/sbin:/sbin
	packages_find_bpftool
	mapfile -t missing < <(packages_missing "$1")
	[ ${#missing[@]} -gt 0 ] || return 0
	if packages_command apt-get; then
		manager=apt
	elif packages_command dnf; then
		manager=dnf
	fi
	if [ "$manager" = none ] || [ "$(id -u)" != 0 ]; then
		packages_give_up "$manager" "${missing[@]}"
	fi
	echo "Missing: ${missing[*]}. Installing with $manager." >&2
	if [ "$manager" = apt ] && ! apt-get update >&2; then
		echo "apt-get update failed; trying with the lists that are here." >&2
	fi
	read -r -a names <<<"$(packages_list "$manager" "${missing[@]}")"
	packages_install "$manager" "${names[@]}" >&2 || packages_give_up "$manager" "${missing[@]}"
	hash -r
	packages_find_bpftool
	mapfile -t missing < <(packages_missing "$1")
	[ ${#missing[@]} -eq 0 ] || packages_give_up "$manager" "${missing[@]}"
}

# packages_configure SOURCE BUILD [cmake arguments]: with ninja where it is, for a new folder.
packages_configure() {
	local source=$1 build=$2 generator=()
	shift 2
	if [ ! -e "$build/CMakeCache.txt" ] && packages_command ninja; then
		generator=(-G Ninja)
	fi
	cmake -S "$source" -B "$build" "${generator[@]}" "$@"
}
