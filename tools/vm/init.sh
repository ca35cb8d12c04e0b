#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The first process of the virtual machine that run.sh starts: makes recordings of the workloads,
# sends all that they left as a tar through the second serial port, and switches the machine off.
# What is right and wrong in them is check.py's business.
set -eu

export PATH=/bin
out=/out

mount_all() {
	mkdir -p /proc /sys /dev /tmp /run "$out"
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t devtmpfs devtmpfs /dev
	mount -t tmpfs tmpfs /tmp
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mount -t tracefs tracefs /sys/kernel/tracing
}

# Also at an error of this script: what there is tells why.
finish() {
	status=$?
	trap - EXIT
	set +e
	echo "$status" >"$out/init.status"
	dmesg >"$out/dmesg"
	uname -r >"$out/release"
	stty -F /dev/ttyS1 raw 115200
	tar -C "$out" -cz . >/dev/ttyS1
	sync
	echo "guest: ended with status $status"
	poweroff -f
	reboot -f
}

# await TEXT FILE PID: until the process writes the text into the file; fails when it ends before.
await() {
	until grep -q "$1" "$2" 2>/dev/null; do
		kill -0 "$3" 2>/dev/null || return 1
		sleep 0.05
	done
}

# attach NAME [argument...]: foldd in the background, until it records; its process is $foldd. What it
# prints and its status are beside what it writes.
attach() {
	name=$1
	shift
	foldd record -o "$out/$name" "$@" >"$out/$name.stdout" 2>"$out/$name.stderr" &
	foldd=$!
	await 'recording ' "$out/$name.stderr" "$foldd" || true
}

# detach NAME: end what attach began.
detach() {
	kill -INT "$foldd" 2>/dev/null || true
	collect "$1"
}

# collect NAME: the same, for a recording that ends by itself.
collect() {
	status=0
	wait "$foldd" || status=$?
	echo "$status" >"$out/$1.status"
	echo "guest: $1: status $status"
}

# start NAME PROGRAM [argument...]: a workload that waits for lines on its standard input, which is
# our descriptor 3; its process is $workload.
start() {
	events=$out/$1.events
	shift
	mkfifo /run/in
	"$@" </run/in >"$events" &
	workload=$!
	exec 3>/run/in
	rm /run/in
	await '"ready"' "$events" "$workload"
}

end() {
	exec 3>&-
	wait "$workload" || true
}

# Every reason to wait, with every wait sampled: what is written is exact.
run_waits() {
	start waits waits 3 /tmp
	attach waits --threads --period 0 -p "$workload"
	echo >&3
	await '"done"' "$events" "$workload"
	detach waits
	end
}

# Threads that never wake: their stacks are read from outside at the end.
run_parked() {
	start parked parked 60
	attach parked --threads -p "$workload"
	sleep 0.4
	echo >&3
	await '"parked"' "$events" "$workload"
	sleep 0.6
	detach parked
	end
}

# The whole machine, while processes and threads come and go.
run_all() {
	start all churn 2000
	attach all --threads -a
	echo >&3
	forks /bin/shortlived 40 20 4 >"$out/forks.events"
	await '"done"' "$events" "$workload"
	detach all
	end
}

# One process is in the cgroup before the recording begins, one enters it later.
run_cgroup() {
	mkdir /sys/fs/cgroup/outer /sys/fs/cgroup/outer/inner
	shortlived 20 10000 &
	early=$!
	echo "$early" >/sys/fs/cgroup/outer/inner/cgroup.procs
	attach cgroup --threads -C outer/inner -d 1500ms
	shortlived 20 10000 &
	late=$!
	shortlived 20 10000 &
	outside=$!
	echo "$late" >/sys/fs/cgroup/outer/inner/cgroup.procs
	echo "$outside" >/sys/fs/cgroup/outer/cgroup.procs
	collect cgroup
	kill "$early" "$late" "$outside"
	echo "{\"early\":$early,\"late\":$late,\"outside\":$outside}" >"$out/cgroup.pids"
}

# In a pid namespace of its own foldd speaks of the numbers that are valid there.
run_pidns() {
	status=0
	unshare -p -f -m /bin/sh -c 'mount -t proc proc /proc && exec foldd record "$@"' foldd \
		-o "$out/pidns" --threads -- /bin/shortlived 10 50 \
		>"$out/pidns.stdout" 2>"$out/pidns.stderr" || status=$?
	echo "$status" >"$out/pidns.status"
	echo "guest: pidns: status $status"
}

run_doctor() {
	status=0
	foldd doctor >"$out/doctor.stdout" 2>"$out/doctor.stderr" || status=$?
	echo "$status" >"$out/doctor.status"
	echo "guest: doctor: status $status"
}

trap finish EXIT
mount_all
run_doctor
run_waits
run_parked
run_all
run_cgroup
run_pidns
