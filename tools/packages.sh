# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by run.sh and test.sh: finds what a build (or the tests) need and is missing, and
# installs it with the package manager of Debian, Ubuntu or Fedora.
#
#   packages_need build|test
#   packages_optional vm|compare|full
#
# The second one goes on where it cannot install something.
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

# The clang that has libFuzzer.
packages_libfuzzer() {
	local clang
	for clang in clang clang-14 clang-15 clang-16 clang-18; do
		if packages_command "$clang" && echo 'int LLVMFuzzerTestOneInput(const unsigned char *d,
			unsigned long n); int LLVMFuzzerTestOneInput(const unsigned char *d,
			unsigned long n) { return d && n > 1UL << 40; }' |
			"$clang" -x c -fsanitize=fuzzer,address - -o /dev/null 2>/dev/null; then
			echo "$clang"
			return 0
		fi
	done
	return 1
}

# What is missing, a word each, for $1 = build, test, vm (other kernels), compare (gdb and others that
# know the truth, fuzzing) or full (large programs to profile).
packages_missing() {
	if [ "$1" = vm ]; then
		packages_command qemu-system-x86_64 || echo qemu
		packages_command busybox || echo busybox
		packages_command cpio || echo cpio
		packages_command python3 || echo python3
		return 0
	fi
	if [ "$1" = compare ]; then
		packages_command gdb || echo gdb
		packages_libfuzzer >/dev/null || echo libfuzzer
		packages_command sqlite3 || echo sqlite3
		return 0
	fi
	if [ "$1" = full ]; then
		packages_command initdb || [ -n "$(compgen -G '/usr/lib/postgresql/*/bin/initdb')" ] ||
			echo postgresql
		packages_command java || echo java
		return 0
	fi
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
	packages_module libseccomp || echo libseccomp
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
	libseccomp) echo libseccomp-dev ;;
	libiberty) echo libiberty-dev ;;
	cmocka) echo libcmocka-dev ;;
	qemu) echo qemu-system-x86 ;;
	busybox) echo busybox-static ;;
	libfuzzer) echo clang-14 libclang-rt-14-dev ;;
	java) echo default-jre-headless ;;
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
	libseccomp) echo libseccomp-devel ;;
	libiberty) echo binutils-devel ;;
	cmocka) echo libcmocka-devel ;;
	qemu) echo qemu-system-x86 ;;
	libfuzzer) echo compiler-rt ;;
	sqlite3) echo sqlite ;;
	postgresql) echo postgresql-server postgresql-contrib ;;
	java) echo java-17-openjdk-headless ;;
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

# Installs what it can of $1. Only where there are Debian's packages: its kernels are wanted too.
packages_optional() {
	local missing names
	mapfile -t missing < <(packages_missing "$1")
	[ ${#missing[@]} -gt 0 ] || return 0
	packages_command apt-get && [ "$(id -u)" = 0 ] || return 0
	echo "Missing: ${missing[*]}. Installing with apt." >&2
	apt-get update >&2 || true
	read -r -a names <<<"$(packages_list apt "${missing[@]}")"
	packages_install apt "${names[@]}" >&2 || echo "Not installed; going on without." >&2
	hash -r
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
