# SPDX-License-Identifier: BSD-2-Clause
"""What the end-to-end tests share: running foldd and workloads, reading and checking what foldd writes.

FOLDD is the path of the program, WORKLOADS the folder of the programs with a known truth; both have
defaults that fit a build in build/.
"""

import collections
import contextlib
import ctypes
import errno
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDD = os.environ.get("FOLDD", os.path.join(ROOT, "build/src/foldd"))
WORKLOADS = os.environ.get("WORKLOADS", os.path.join(ROOT, "build/tests"))

# The marker of a wait whose end the kernel skipped to report: it has no stack.
MISSED = "[stack not taken: switch not reported]"

EXIT_DONE, EXIT_RUNTIME, EXIT_USAGE, EXIT_NO_TARGET = 0, 1, 2, 3
EXIT_PRIVILEGE, EXIT_KERNEL, EXIT_LOSSY, EXIT_INTERRUPTED = 4, 5, 6, 130

PATIENCE_S = 60  # after which anything that should have ended is held to hang
LINE_MAX = 65536  # bytes, the limit of Go's bufio.Scanner

EXPECTED_FILES = {"offcpu.folded", "cpu.folded", "summary.json"}


def workload(name):
    return os.path.join(WORKLOADS, name)


# Processes


def end(process):
    """End one child by its own id."""
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


class Workload:
    """A program that speaks JSON lines: reads events from it, sends it lines."""

    def __init__(self, *args, prefix=(), **kwargs):
        self.process = subprocess.Popen(
            [*prefix, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **kwargs
        )

    def event(self, name):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the workload ended before '{name}' ({self.process.wait()})")
        event = json.loads(line)
        assert event["event"] == name, event
        return event

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        end(self.process)


class Recording:
    """The result of one run of foldd: exit status, both outputs, and the files."""

    def __init__(self, args, directory, status, stdout, stderr):
        self.args, self.dir, self.status = args, directory, status
        self.stdout, self.stderr = stdout, stderr

    def path(self, name):
        return os.path.join(self.dir, name)

    def files(self):
        return set(os.listdir(self.dir)) if os.path.isdir(self.dir) else set()

    def folded(self, kind="offcpu"):
        with open(self.path(kind + ".folded"), "rb") as f:
            return parse_folded(f.read())

    def summary(self):
        with open(self.path("summary.json"), encoding="utf-8") as f:
            return json.load(f)

    def say(self):
        return f"{' '.join(map(str, self.args))}: status {self.status}\n{self.stderr}"


class Foldd:
    """foldd while it runs. Use as a context: what still runs at the end is killed."""

    def __init__(self, *args, out=None, prefix=(), verb="record", **kwargs):
        self.dir = out
        self.args = [*prefix, FOLDD, *([verb] if verb else []), *map(str, args)]
        if out is not None:
            at = self.args.index("--") if "--" in self.args[len(prefix):] else len(self.args)
            self.args[at:at] = ["-o", out]
        # files, not pipes: a command that foldd has started may outlive it and keep them open
        self.stdout, self.stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.args, stdin=subprocess.DEVNULL, stdout=self.stdout, stderr=self.stderr, **kwargs
        )

    def pid(self):
        return self.process.pid

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def await_attached(self):
        """Until it holds the same links to BPF programs for a third of a second."""
        deadline, seen, since = time.monotonic() + PATIENCE_S, 0, time.monotonic()
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError("foldd ended while it should attach: " + self.finish().say())
            now = len(bpf_links(self.pid()))
            if now != seen:
                seen, since = now, time.monotonic()
            if seen and time.monotonic() - since > 0.35:
                return
            time.sleep(0.02)
        raise AssertionError("foldd did not attach")

    def finish(self, timeout=PATIENCE_S):
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"foldd hangs: {self.args}\n{self.read(self.stderr)!r}") from None
        return Recording(self.args, self.dir, self.process.returncode, self.read(self.stdout),
                         self.read(self.stderr).decode(errors="replace"))

    @staticmethod
    def read(file):
        file.seek(0)
        return file.read()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        end(self.process)
        self.stdout.close()
        self.stderr.close()


def run_foldd(*args, **kwargs):
    timeout = kwargs.pop("timeout", PATIENCE_S)
    with Foldd(*args, **kwargs) as f:
        return f.finish(timeout)


def bpf_links(pid):
    """The descriptors of a process that are links to BPF programs."""
    links = []
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if "bpf" in target and "link" in target:
                    links.append(fd)
    except OSError:
        pass
    return links


# What is left in the kernel

BPF_PROG_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID = 11, 31
NR_BPF = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine)


def bpf_ids(command):
    """Ids of all programs (or links) in the kernel."""
    libc, ids, at = ctypes.CDLL(None, use_errno=True), set(), 0
    while True:
        attr = (ctypes.c_uint32 * 4)(at, 0, 0, 0)
        if libc.syscall(NR_BPF, command, ctypes.byref(attr), ctypes.sizeof(attr)):
            if ctypes.get_errno() != errno.ENOENT:
                raise OSError(ctypes.get_errno(), "bpf")
            return ids
        at = attr[1]
        ids.add(at)


def bpf_held():
    """Ids of programs and links that a process holds by a descriptor."""
    held = {"prog_id": set(), "link_id": set()}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fds = os.listdir(f"/proc/{pid}/fdinfo")
        except OSError:
            continue
        for fd in fds:
            with contextlib.suppress(OSError):
                if "bpf" not in os.readlink(f"/proc/{pid}/fd/{fd}"):
                    continue
                with open(f"/proc/{pid}/fdinfo/{fd}", encoding="utf-8") as f:
                    for key, _, value in (line.partition(":") for line in f):
                        if key in held:
                            held[key].add(int(value))
    return held


class Attached:
    """What is attached now, to see later that nothing was left behind."""

    def __init__(self):
        self.programs, self.links = bpf_ids(BPF_PROG_GET_NEXT_ID), bpf_ids(BPF_LINK_GET_NEXT_ID)

    def left(self):
        """Programs and links that are new and that no living process holds.

        The kernel frees them some time after the last descriptor is gone, so they get a while.
        """
        for _ in range(100):
            programs = bpf_ids(BPF_PROG_GET_NEXT_ID) - self.programs
            links = bpf_ids(BPF_LINK_GET_NEXT_ID) - self.links
            if programs or links:
                held = bpf_held()
                programs -= held["prog_id"]
                links -= held["link_id"]
            if not programs and not links:
                return []
            time.sleep(0.1)
        return [("program", i) for i in sorted(programs)] + [("link", i) for i in sorted(links)]


# Folded stacks

Stack = collections.namedtuple("Stack", "frames value")

LINE = re.compile(rb"^(?P<stack>[^;\n]+(?:;[^;\n]+)*) (?P<value>[1-9][0-9]*)$")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
BLANK_DIGITS = re.compile(r"\s\d+(\.\d*)?$")


def check_folded(data):
    """All violations of the grammar in a folded file, as texts; an empty list is a good file."""
    wrong = []
    if data and not data.endswith(b"\n"):
        wrong.append("the last line does not end")
    lines = data.split(b"\n")[:-1] if data else []
    seen = set()
    for number, line in enumerate(lines, 1):
        def bad(what, number=number, line=line):
            wrong.append(f"line {number}: {what}: {line[:200]!r}")

        match = LINE.match(line)
        if not match:
            bad("comment" if line.startswith(b"#") else "not 'frame;frame value'")
            continue
        if len(line) + 1 >= LINE_MAX:
            bad(f"{len(line)} bytes")
        if int(match["value"]) >= 2**53:
            bad("value is not exact in a double")
        try:
            stack = match["stack"].decode("utf-8")
        except UnicodeDecodeError:
            bad("invalid UTF-8")
            continue
        if CONTROL.search(stack):
            bad("control character")
        for frame in stack.split(";"):
            if BLANK_DIGITS.search(frame):
                bad(f"frame {frame!r} ends in a blank and digits")
            if frame != frame.strip():
                bad(f"frame {frame!r} begins or ends in a blank")
        if match["stack"] in seen:
            bad("the same stack twice")
        seen.add(match["stack"])
    if lines != sorted(lines):
        wrong.append("not in the order of LC_ALL=C")
    return wrong


def parse_folded(data):
    stacks = []
    for line in data.decode("utf-8").splitlines():
        stack, _, value = line.rpartition(" ")
        stacks.append(Stack(stack.split(";"), int(value)))
    return stacks


def leaf_reason(stack):
    """The wait reason of an off-CPU stack, or None."""
    match = re.match(r"^\[(.+)\]$", stack.frames[-1])
    return match[1] if match else None


def thread_id(stack):
    """With --threads the second frame is NAME-TID."""
    match = re.search(r"-(\d+)$", stack.frames[1]) if len(stack.frames) > 1 else None
    return int(match[1]) if match else None


def is_bracketed(frame):
    return frame.startswith("[") and re.search(r"\](_\[\w\])?$", frame) is not None


def is_kernel(frame):
    return frame.endswith("_[k]")


def by_thread(stacks):
    """{tid: {reason: value}}"""
    sums = collections.defaultdict(lambda: collections.defaultdict(int))
    for s in stacks:
        sums[thread_id(s)][leaf_reason(s)] += s.value
    return sums


def rows_by(summary, key, what="threads"):
    return {row[key]: row for row in summary[what]}


def reason_ns(row, *reasons):
    return sum(row["reasons"].get(r, {"ns": 0})["ns"] for r in reasons)


def loss_count(summary, reason):
    """A loss that did not happen may be left out of the summary."""
    loss = summary["losses"].get(reason, 0)
    return loss.get("count", 0) if isinstance(loss, dict) else loss


# The machine


def steal_ns():
    """Time that the hypervisor took from all of this machine's CPUs."""
    with open("/proc/stat", encoding="ascii") as f:
        fields = f.readline().split()
    ticks = int(fields[8]) if len(fields) > 8 else 0
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def kernel_thread():
    """A pid of a kernel thread, or None (inside of a pid namespace there are none)."""
    for pid in sorted(map(int, filter(str.isdigit, os.listdir("/proc")))):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                flags = int(f.read().rpartition(")")[2].split()[6])
            if flags & 0x00200000:  # PF_KTHREAD
                return pid
    return None


def gone_pid():
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def cgroup2_mount():
    with open("/proc/mounts", encoding="utf-8") as f:
        for line in f:
            fields = line.split()
            if fields[2] == "cgroup2":
                return fields[1]
    return None


def can_unshare(*flags):
    return bool(shutil.which("unshare")) and not subprocess.run(
        ["unshare", *flags, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    ).returncode


# Tests


class TestCase(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        self.tmp = tempfile.mkdtemp(prefix="foldd-test-")
        os.chmod(self.tmp, 0o755)
        self.addCleanup(shutil.rmtree, self.tmp, True)
        self.outs = 0

    def out(self):
        """A folder for a recording that does not exist yet."""
        self.outs += 1
        return os.path.join(self.tmp, f"out{self.outs}")

    def record(self, *args, status=EXIT_DONE, **kwargs):
        kwargs.setdefault("out", self.out())
        r = run_foldd(*args, **kwargs)
        self.assert_status(r, status)
        if status == EXIT_DONE:
            self.assert_complete(r)
        return r

    def assert_status(self, r, *allowed):
        self.assertIn(r.status, allowed, r.say())
        if r.status in (EXIT_RUNTIME, EXIT_USAGE, EXIT_NO_TARGET, EXIT_PRIVILEGE, EXIT_KERNEL):
            self.assertRegex(r.stderr, r"(?m)^foldd: \S+", "no message: " + r.say())

    def assert_grammar(self, data, name="stdout"):
        wrong = check_folded(data)
        self.assertEqual(wrong, [], f"{name}: {len(wrong)} violations, first: {wrong[:5]}")

    def assert_complete(self, r, expected=None):
        """All files are there, no other, each well formed, and the summary agrees with them."""
        self.assertEqual(r.files(), expected or EXPECTED_FILES, r.say())
        summary = r.summary()
        for key in ("version", "start", "duration_s", "target", "host", "kinds", "losses", "unwind", "cost"):
            self.assertIn(key, summary)
        for name in sorted(r.files()):
            if not name.endswith(".folded"):
                continue
            with open(r.path(name), "rb") as f:
                data = f.read()
            self.assert_grammar(data, name)
            kind = summary["kinds"][name.partition(".")[0]]
            stacks = parse_folded(data)
            # each line was rounded to a whole microsecond, and lines that round to 0 are left out
            slack = 0.5 * len(stacks) + 0.001 * kind["attributed"] / 1000 + 1000
            self.assertAlmostEqual(
                sum(s.value for s in stacks), kind["attributed"] / 1000, delta=slack, msg=name
            )
        return summary

    def assert_all_or_none(self, r, expected=None):
        """No file at all, or all of them; and no temporary file."""
        if r.files():
            self.assert_complete(r, expected)
        if r.dir:
            around = set(os.listdir(os.path.dirname(r.dir))) if os.path.isdir(os.path.dirname(r.dir)) else set()
            strange = {f for f in around if f.startswith(os.path.basename(r.dir) + ".") or "tmp" in f}
            self.assertEqual(strange, set())

    def assert_near(self, value, truth, slack, what):
        self.assertLessEqual(
            abs(value - truth), slack, f"{what}: {value} against a truth of {truth} (allowed: {slack:.0f} off)"
        )


def main():
    """unittest.main, but exits 77 (skipped, for ctest) where every test was skipped."""
    if os.geteuid():
        print("skipped: the end-to-end tests need root")
        sys.exit(77)
    if not os.access(FOLDD, os.X_OK):
        print(f"there is no foldd at {FOLDD}")
        sys.exit(1)
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.testsRun and len(result.skipped) == result.testsRun else 0)


def standard_errors(kind, sigmas=4):
    """What an estimate may be off by, from the standard error that foldd states."""
    error = kind["standard_error"]
    assert math.isfinite(error)
    return sigmas * error
