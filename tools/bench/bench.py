#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What foldd costs, against no tool, an empty program and libbpf-tools' offcputime.

    sudo tools/bench/bench.sh [--rounds N] [--only switch,rates,start,syscall,walk,tables] ...

builds what is needed and runs this. Rounds are interleaved: each measures every variant once, in
turning order, so that what drifts in the machine drifts for all. The result is Markdown on stdout, for
docs/benchmarks.md; progress is on stderr.
"""

import argparse
import contextlib
import datetime
import glob
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 30


def note(text):
    print(text, file=sys.stderr, flush=True)


def bpf_links(pid):
    count = 0
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                count += "bpf" in target and "link" in target
    return count


class Tool:
    """A profiler in the background: from attached to ended by ^C."""

    def __init__(self, command):
        self.command = command
        self.process = None

    def __enter__(self):
        if not self.command:
            return self
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline, seen, since = time.monotonic() + PATIENCE_S, 0, time.monotonic()
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.command[0]} did not attach")
            now = bpf_links(self.process.pid)
            if now != seen:
                seen, since = now, time.monotonic()
            if seen and time.monotonic() - since > 0.5:
                return self
            time.sleep(0.02)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __exit__(self, *exc):
        self.stop()


def output(command):
    return subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    ).stdout


def json_output(command):
    return json.loads(output(command))


def contexts_switched():
    with open("/proc/stat", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("ctxt "))


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


class Bench:
    def __init__(self, options):
        self.o = options
        self.tmp = tempfile.mkdtemp(prefix="foldd-bench-")

    def out(self):
        return os.path.join(self.tmp, "recording")

    def workload(self, name):
        return os.path.join(self.o.workloads, name)

    def foldd(self, *args):
        return [self.o.foldd, "record", "--quiet", "-o", self.out(), *map(str, args)]

    def variants(self):
        variants = {
            "no tool": None,
            "empty sched_switch program": [self.o.attach, self.o.empty],
            "foldd -a": self.foldd("-a"),
        }
        if self.o.offcputime:
            variants["offcputime (libbpf-tools)"] = [self.o.offcputime, "3600"]
        else:
            note("no offcputime of libbpf-tools here: left out")
        return variants

    def rounds(self, variants, measure):
        """{variant: [one figure a round]}"""
        figures = {name: [] for name in variants}
        names = list(variants)
        for i in range(self.o.rounds):
            for name in names[i % len(names):] + names[: i % len(names)]:
                with Tool(variants[name]):
                    figures[name].append(measure())
            note(f"  round {i + 1} of {self.o.rounds}: " + ", ".join(f"{n} {f[-1]:.0f}" for n, f in figures.items()))
        return figures

    def one_pipe_run(self):
        """ns of one round trip over a pipe between two processes on one CPU: two switches."""
        if self.o.perf:
            text = output(["taskset", "-c", self.o.cpu, self.o.perf, "bench", "sched", "pipe", "-l", self.o.trips])
            return float(re.search(r"([0-9.]+) usecs/op", text)[1]) * 1000
        return json_output([self.workload("pingpong"), self.o.trips, self.o.cpu])["ns_per_round_trip"]

    def switch(self):
        note("added cost of a context switch")
        figures = self.rounds(self.variants(), self.one_pipe_run)
        base = figures["no tool"]
        added, rows = {}, []
        for name, values in figures.items():
            each = [(v - b) / 2 for v, b in zip(values, base)]
            added[name] = statistics.median(each)
            rows.append([
                name, f"{statistics.median(values) / 1000:.3f}",
                "" if name == "no tool" else f"{added[name] / 1000:.3f}",
                "" if name == "no tool" else f"{min(each) / 1000:.3f} to {max(each) / 1000:.3f}",
            ])
        how = "perf bench sched pipe" if self.o.perf else "pingpong"
        print(f"### Added cost of a context switch\n\n`{how}`, {self.o.trips} round trips, both ends on CPU "
              f"{self.o.cpu}; medians of {self.o.rounds} interleaved rounds.\n")
        print(table(["", "us a round trip (2 switches)", "us added a switch", "range"], rows))
        peer = added.get("offcputime (libbpf-tools)")
        if peer and added["foldd -a"] > 0:
            print(f"offcputime adds {peer / added['foldd -a']:.1f} times what foldd adds.\n")

    def one_rate(self, name, loads, args):
        with Tool(self.foldd("-a", *args)) as tool:
            begin, switched = time.monotonic(), contexts_switched()
            running = [subprocess.Popen(list(map(str, c)), stdout=subprocess.DEVNULL) for c in loads]
            for p in running:
                p.wait()
            rate = (contexts_switched() - switched) / (time.monotonic() - begin)
            tool.stop()
        with open(os.path.join(self.out(), "summary.json"), encoding="utf-8") as f:
            summary = json.load(f)
        kind = summary["kinds"]["offcpu"]
        lost = sum(x["count"] for x in summary["losses"].values())
        seconds = summary["duration_s"]
        return [
            name, f"{rate:,.0f}", f"{kind['samples'] / seconds:,.0f}", f"{lost:,}",
            f"{100 * kind['lost'] / max(kind['total'], 1):.4f} %", f"{100 * kind['coverage']:.2f} %",
            f"{kind['max_period'] / 1e6:g} ms", f"{100 * summary['cost']['cpu_s'] / seconds:.1f} %",
            f"{summary['cost']['max_rss_bytes'] / 1e6:.0f} MB",
        ]

    def rates(self):
        note("lost events and own CPU time at high rates")
        cpus = sorted(os.sched_getaffinity(0))
        seconds = self.o.seconds
        pingpong = self.workload("pingpong")
        fifty = [[pingpong, 25000 * seconds, cpus[-1], 25000]]
        # as many round trips as take the given time on a CPU of its own
        ns = json_output([pingpong, 50000, cpus[-1]])["ns_per_round_trip"]
        most = [[pingpong, int(seconds * 1e9 / ns), cpu, 0] for cpu in cpus]
        rows = []
        for name, loads in (("50,000 a second", fifty), (f"the most that {len(cpus)} CPUs give", most)):
            for args in ((), ("--period", "0")):
                rows.append(self.one_rate(" ".join([name, *args]), loads, args))
                note("  " + ", ".join(rows[-1]))
        print(f"### Lost events and own CPU time\n\n`foldd -a` for about {seconds} s each.\n")
        print(table(["switches", "measured a second", "samples a second", "lost", "lost weight", "coverage",
                     "highest period", "foldd's CPU", "foldd's memory"], rows))

    def start(self):
        note("time from exec to the first event")
        rows = []
        load = subprocess.Popen([self.workload("pingpong"), "1000000000", str(self.o.cpu), "10000"],
                                stdout=subprocess.DEVNULL)
        try:
            for name, target in (("-p PID", ["-p", str(load.pid)]), ("-a", ["-a"])):
                starts, ends = [], []
                for _ in range(self.o.rounds):
                    spawned = time.time()
                    subprocess.run(self.foldd(*target, "-d", "0.5s"), check=True)
                    done = time.time()
                    with open(os.path.join(self.out(), "summary.json"), encoding="utf-8") as f:
                        summary = json.load(f)
                    began = datetime.datetime.fromisoformat(summary["start"].replace("Z", "+00:00")).timestamp()
                    starts.append((began - spawned) * 1000)
                    ends.append((done - began - summary["duration_s"]) * 1000)
                rows.append([f"`foldd {name}`", f"{statistics.median(starts):.0f}", f"{max(starts):.0f}",
                             f"{statistics.median(ends):.0f}"])
                note("  " + ", ".join(rows[-1]))
        finally:
            load.kill()
            load.wait()
        print("### From exec to the first event\n\nUntil the window starts, with all attached, while two processes "
              f"switch 20,000 times a second; {self.o.rounds} runs.\n")
        print(table(["", "median ms", "highest ms", "ms from the window's end to the exit"], rows))

    def one_syscall_run(self):
        return json_output([self.workload("syscalls"), self.o.calls, self.o.cpu])["ns_per_call"]

    def syscall(self):
        note("added cost of a system call")
        with subprocess.Popen(["sleep", "100000"]) as other:
            try:
                variants = {"no tool": None, "foldd -a": self.foldd("-a"), "foldd -p (another process)":
                            self.foldd("-p", other.pid), "foldd -a -k cpu": self.foldd("-a", "-k", "cpu")}
                figures = self.rounds(variants, self.one_syscall_run)
            finally:
                other.kill()
        base, rows = figures["no tool"], []
        for name, values in figures.items():
            each = [v - b for v, b in zip(values, base)]
            rows.append([name, f"{statistics.median(values):.1f}",
                         "" if name == "no tool" else f"{statistics.median(each):.1f}",
                         "" if name == "no tool" else f"{min(each):.1f} to {max(each):.1f}"])
        print(f"### Added cost of a system call of any process\n\ngetppid {self.o.calls} times on CPU {self.o.cpu}; "
              f"medians of {self.o.rounds} interleaved rounds.\n")
        print(table(["", "ns a call", "ns added", "range"], rows))


    def one_walk_run(self, depth):
        """(ns of all walks at sys_exit, samples) while the workload waits below that many frames."""
        waits = 20000
        with Tool(self.foldd("-k", "offcpu", "--period", "0", "--max-rate", "1000000", "--no-kernel", "-a")) as tool:
            before = bpf_run_ns("on_sys_exit")
            subprocess.run([self.workload("deep"), str(depth), str(waits)], check=True)
            ran = bpf_run_ns("on_sys_exit") - before
            tool.stop()
        return ran / waits

    def walk(self):
        note("cost of a walk by its depth")
        depths, fixed = (10, 65), 7  # below main: the leaf, the loop; above it: libc's and _start
        with open("/proc/sys/kernel/bpf_stats_enabled", "w", encoding="ascii") as f:
            f.write("1")
        try:
            figures = {d: [] for d in depths}
            for i in range(self.o.rounds):
                for d in depths:
                    figures[d].append(self.one_walk_run(d))
                note(f"  round {i + 1} of {self.o.rounds}: " + ", ".join(f"{d} {v[-1]:.0f}" for d, v in figures.items()))
        finally:
            with open("/proc/sys/kernel/bpf_stats_enabled", "w", encoding="ascii") as f:
                f.write("0")
        shallow, deep = depths
        each = [(b - a) / (deep - shallow) for a, b in zip(figures[shallow], figures[deep])]
        print("### Cost of a walk\n\nRun time of the program at sys_exit (the kernel's own count) a wait of a thread that "
              f"sleeps in a loop below {shallow} and {deep} functions; medians of {self.o.rounds} rounds. The slope "
              "leaves out what does not depend on the depth.\n")
        print(table(["frames", "ns a walk, with sending it"],
                    [[d + fixed, f"{statistics.median(v):.0f}"] for d, v in figures.items()]))
        print(f"ns a frame: {statistics.median(each):.0f} ({min(each):.0f} to {max(each):.0f}).\n")

    def tables(self):
        note("building unwind tables")
        oracle = os.path.join(self.o.workloads, "oracle", "cfi_oracle")
        if not os.path.exists(oracle):
            note("no cfi_oracle (libdw is missing): left out")
            return
        rows = []
        for pattern in ("libc.so.6", "libstdc++.so.6", "libcrypto.so.3", "libLLVM-1*.so.1"):
            for path in sorted(glob.glob(f"/usr/lib/x86_64-linux-gnu/{pattern}"))[:1]:
                text = output([oracle, "-n", "100000", path])
                note("  " + text.replace("\n", " "))
                rows.append([f"`{os.path.basename(path)}`", text.strip().replace("\n", "; ").replace("|", "/")])
        print("### Building unwind tables\n\nAgainst libdw on 100,000 random addresses each.\n")
        print(table(["file", "result"], rows))


def bpf_run_ns(name):
    """Time that the programs of this name have run, by the kernel's count."""
    programs = json.loads(output(["bpftool", "-j", "prog", "list"]))
    return sum(p.get("run_time_ns", 0) for p in programs if p.get("name") == name)


def offcputime_of_libbpf_tools():
    """Not bcc's of the same name, which is a script."""
    path = shutil.which("offcputime", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if path:
        with open(path, "rb") as f:
            if f.read(4) == b"\x7fELF":
                return path
    return None


def main():
    cpus = sorted(os.sched_getaffinity(0))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", default="switch,rates,start,syscall,walk,tables")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--trips", type=int, default=400000, help="round trips of a run over the pipe")
    p.add_argument("--calls", type=int, default=5000000, help="system calls of a run")
    p.add_argument("--seconds", type=int, default=10, help="of each run at a rate")
    p.add_argument("--cpu", type=int, default=cpus[-1])
    p.add_argument("--own", action="store_true", help="pingpong also where perf is")
    p.add_argument("--foldd", required=True)
    p.add_argument("--workloads", required=True)
    p.add_argument("--attach", required=True)
    p.add_argument("--empty", required=True)
    o = p.parse_args()
    if os.geteuid():
        p.error("the bench needs root")
    o.perf = None if o.own or not shutil.which("taskset") else shutil.which("perf")
    o.offcputime = offcputime_of_libbpf_tools()
    bench = Bench(o)
    try:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, check=False).stdout.strip()
        print(f"{datetime.date.today()}, Linux {os.uname().release} {os.uname().machine}, {len(cpus)} CPUs"
              f"{', commit ' + commit if commit else ''}: `tools/bench/bench.sh --rounds {o.rounds} --trips {o.trips} "
              f"--calls {o.calls} --seconds {o.seconds}{' --own' if o.own else ''}`\n")
        for name in o.only.split(","):
            getattr(bench, name)()
            sys.stdout.flush()
    finally:
        shutil.rmtree(bench.tmp, ignore_errors=True)


if __name__ == "__main__":
    main()
