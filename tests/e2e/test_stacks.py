# SPDX-License-Identifier: BSD-2-Clause
"""Stacks of blocked threads against gdb's, frame by frame.

Both ways to a stack are compared: waits that end while foldd records (the walk when the system call
ends) and waits that are still open when it stops (the walk over another thread's stack).
"""

import os
import shutil
import signal
import sys
import time

import foldd
import gdb_stacks
import uretprobe
from foldd import Foldd, TestCase, Workload, leaf_reason, rows_by, thread_id, workload

ROUNDS = ("round_one", "round_two", "round_three")
ON_THE_WAY = ("run queue", "preempted")  # may be anywhere, where nobody has looked by gdb
SNAPSHOTS = 6  # a thread that wakes now and then may have been awake when gdb looked

PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable

# TIMEOUT is None, or seconds after which each wait begins anew.
PYTHON_THREADS = """
import _queue, ctypes, multiprocessing, queue, select, signal, socket, sys, threading, time
TIMEOUT = {timeout}
ended = threading.Event()
listener = socket.create_server(("127.0.0.1", 0))
listener.settimeout(TIMEOUT)
left, right = socket.socketpair()
left.settimeout(TIMEOUT)
lock = threading.Lock()
lock.acquire()
condition = threading.Condition()
semaphore = multiprocessing.Semaphore(0)
epoll = select.epoll()
epoll.register(right, select.EPOLLIN)
nap = TIMEOUT or 1000
libc = ctypes.CDLL(None)
Compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
libc.qsort.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, Compare]

def in_condition():
    with condition:
        condition.wait(TIMEOUT)

def compare(a, b):
    libc.usleep(int(min(nap, 0.9) * 1000000) if TIMEOUT else 900000000)
    return 0

def through_c():
    array = (ctypes.c_int * 2)(2, 1)
    libc.qsort(array, 2, 4, Compare(compare))

def python_key(x):
    time.sleep(nap)
    return x

waits = dict(
    queue=lambda: queue.Queue().get(timeout=TIMEOUT),
    simplequeue=lambda: _queue.SimpleQueue().get(timeout=TIMEOUT),
    event=lambda: threading.Event().wait(TIMEOUT),
    lock=lambda: lock.acquire(timeout=TIMEOUT or -1),
    condition=in_condition,
    accept=lambda: listener.accept(),
    recv=lambda: left.recv(1),
    sleep=lambda: time.sleep(nap),
    sem=lambda: semaphore.acquire(True, TIMEOUT),
    epoll=lambda: epoll.poll(TIMEOUT),
    select=lambda: select.select([right], [], [], TIMEOUT),
    ctypes=through_c,
    sort=lambda: sorted([1], key=python_key),
)

def run(name, wait):
    while not ended.is_set():
        try:
            wait()
        except (queue.Empty, TimeoutError, socket.timeout):
            pass

for name, wait in waits.items():
    threading.Thread(target=run, args=(name, wait), daemon=True).start()
time.sleep(0.3)
print('{{"event":"ready"}}', flush=True)
sys.stdin.readline()
"""


def user_frames(stack):
    """Of a line with --threads --no-kernel: innermost first, without process, thread and reason."""
    return stack.frames[2:-1][::-1]


def is_marker(frame):
    """A stack that is not whole; where the kernel did not report a switch (a loss of its own), none was taken."""
    return frame.startswith(("[stack", "[remapped")) and frame != "[stack not taken: switch not reported]"


class StacksTest(TestCase):
    def setUp(self):
        super().setUp()
        if not gdb_stacks.have_gdb():
            self.skipTest("no gdb with Python here")

    def record_pid(self, pid, during=lambda: time.sleep(0.7)):
        with Foldd("--threads", "-p", pid, "--period", "0", "-k", "offcpu", "--no-kernel", out=self.out()) as f:
            f.await_attached()
            during()
            f.interrupt()
            r = f.finish()
        self.assert_status(r, foldd.EXIT_DONE)
        self.assert_complete(r, {"offcpu.folded", "summary.json"})
        return r

    def by_tid(self, r):
        lines = {}
        for s in r.folded():
            lines.setdefault(thread_id(s), []).append(s)
        return lines

    def differences(self, pid, lines, tids, frames):
        """{tid: what is wrong with the line that has most of its time}."""
        space, wrong = gdb_stacks.Space(pid), {}
        for tid in tids:
            waits = [s for s in lines.get(tid, ()) if leaf_reason(s) not in ON_THE_WAY]
            if not waits:
                wrong[tid] = ["foldd has no stack of it"]
                continue
            heaviest = max(waits, key=lambda s: s.value)
            d = gdb_stacks.compare(space, user_frames(heaviest), frames.get(tid, ()))
            if d:
                wrong[tid] = [";".join(heaviest.frames), *d]
        return wrong

    def check_process(self, pid, ended=False):
        """Record the process, then let gdb look; ended: each thread must have finished waits meanwhile."""
        frames = gdb_stacks.snapshot(pid)
        r = self.record_pid(pid)
        lines, tids = self.by_tid(r), set(frames)
        for tid in tids:
            for s in lines.get(tid, ()):
                self.assertFalse(any(map(is_marker, s.frames)), ";".join(s.frames))
        wrong = self.differences(pid, lines, tids, frames)
        for _ in range(SNAPSHOTS):
            if not wrong:
                break
            wrong = self.differences(pid, lines, set(wrong), gdb_stacks.snapshot(pid))
        self.assertEqual(wrong, {})
        if ended:
            rows = rows_by(r.summary(), "tid")
            for tid in tids - {pid}:
                waits = sum(n["count"] for reason, n in rows[tid]["reasons"].items() if reason != "running")
                self.assertGreater(waits, 1, f"{rows[tid]}: no wait has ended")
        compared = sum(len(frames[t]) for t in tids)
        print(f"{len(tids)} threads, {compared} frames equal, {r.summary()['unwind']['walks']} walks", end=" ... ")
        return r


class WithoutFramePointers(StacksTest):
    """A program at -O2 -fomit-frame-pointer with everything that makes unwinding hard."""

    def heaviest(self, lines, tid, function):
        waits = [s for s in lines[tid] if function in s.frames and leaf_reason(s) not in ON_THE_WAY]
        self.assertTrue(waits, f"no stack through {function}: {lines[tid]}")
        return max(waits, key=lambda s: s.value)

    def test_ended_and_open_waits(self):
        with Workload(workload("nofp")) as w:
            ready = w.event("ready")
            pid = ready["pid"]
            before = gdb_stacks.snapshot(pid)

            def next_round():
                w.go()
                w.event("round")

            lines = self.by_tid(self.record_pid(pid, next_round))
            after, space = gdb_stacks.snapshot(pid), gdb_stacks.Space(pid)
            for thread in ready["threads"]:
                for frames, function in ((before, ROUNDS[0]), (after, ROUNDS[1])):
                    with self.subTest(thread=thread["name"], function=function):
                        s = self.heaviest(lines, thread["tid"], function)
                        wrong = gdb_stacks.compare(space, user_frames(s), frames[thread["tid"]])
                        self.assertEqual(wrong, [], ";".join(s.frames))
            for s in (s for of_one in lines.values() for s in of_one):
                self.assertFalse(any(map(is_marker, s.frames)), ";".join(s.frames))

    def test_before_main(self):
        """A constructor that blocks: called by libc, with no main below it."""
        with Workload(workload("nofp"), "constructor") as w:
            pid = w.event("ready")["pid"]
            time.sleep(0.1)
            r = self.check_process(pid)
        frames = user_frames(max(r.folded(), key=lambda s: s.value))
        self.assertIn("constructor", frames)
        self.assertEqual(frames[-1], "_start")

    def test_vfork(self):
        """gdb cannot stop who waits in vfork, so what the stack must be is written here."""
        with Workload(workload("nofp"), "vfork") as w:
            ready = w.event("ready")
            tid = ready["threads"][0]["tid"]

            def next_round():
                w.go()
                time.sleep(0.4)

            lines = self.by_tid(self.record_pid(ready["pid"], next_round))
            for function in ROUNDS[:2]:
                with self.subTest(function=function):
                    s = self.heaviest(lines, tid, function)
                    texts = user_frames(s)
                    self.assertIn("vfork", texts[0])
                    self.assertEqual(texts[1:4], ["run_vfork", function, "vfork_main"], ";".join(s.frames))
                    self.assertFalse(any(map(is_marker, s.frames)), ";".join(s.frames))

    def test_stopped_anywhere(self):
        """A thread that computes, stopped at one instruction after another."""
        rounds, places = 10, set()
        with Workload(workload("nofp"), "busy") as w:
            pid = w.event("ready")["pid"]
            for i in range(rounds):
                time.sleep(0.003 * i)
                if i % 2:  # it has stopped before, so its stack is only seen at the end
                    os.kill(pid, signal.SIGSTOP)
                    r = self.record_pid(pid, lambda: time.sleep(0.1))
                else:  # it stops while foldd records
                    r = self.record_pid(pid, lambda: (os.kill(pid, signal.SIGSTOP), time.sleep(0.1)))
                frames, space = gdb_stacks.snapshot(pid), gdb_stacks.Space(pid)
                os.kill(pid, signal.SIGCONT)
                tid = next(t for t in frames if t != pid)
                stopped = [s for s in self.by_tid(r)[tid] if leaf_reason(s) not in ON_THE_WAY]
                if not stopped and foldd.loss_count(r.summary(), "missed_switch"):
                    continue  # the kernel did not report that it stopped
                self.assertTrue(stopped, self.by_tid(r)[tid])
                s = max(stopped, key=lambda s: s.value)
                places.add(frames[tid][0].pc)
                with self.subTest(round=i, pc=hex(frames[tid][0].pc)):
                    wrong = gdb_stacks.compare(space, user_frames(s), frames[tid])
                    self.assertEqual(wrong, [], ";".join(s.frames))
        print(f"{len(places)} places", end=" ... ")
        self.assertGreater(len(places), rounds // 3)

    def nested_stacks(self, probes):
        """The stacks of "nested" in rounds two (ended) and three (open), entered under the probes."""
        program = workload("nofp")
        elf = gdb_stacks.elf(program)
        offsets = []
        for name in ("one", "two", "three", "four", "five"):
            vaddr = next(s[0] for s in elf.symbols if s[2] == "nested_" + name)
            offsets.append(next(o + vaddr - v for o, end, v, _ in elf.segments if v <= vaddr < v + end - o))
        with Workload(program) as w:
            ready = w.event("ready")
            tid = next(t["tid"] for t in ready["threads"] if t["name"] == "nested")
            with uretprobe.ReturnProbes(program, offsets if probes else ()):
                w.go()
                w.event("round")

                def next_round():
                    w.go()
                    w.event("round")

                lines = self.by_tid(self.record_pid(ready["pid"], next_round))
                with open(f"/proc/{ready['pid']}/maps", encoding="utf-8") as f:
                    self.assertEqual("[uprobes]" in f.read(), probes)
        return [user_frames(self.heaviest(lines, tid, function)) for function in ROUNDS[1:]]

    def test_under_return_probes(self):
        """Five pending return probes: the stack is the same as without."""
        if not uretprobe.supported():
            self.skipTest("this kernel has no uprobe events")
        with_probes, without = self.nested_stacks(True), self.nested_stacks(False)
        for mine, reference in zip(with_probes, without):
            self.assertEqual(mine, reference)
            self.assertEqual([f for f in mine if f.startswith("nested_")],
                             ["nested_" + n for n in ("five", "four", "three", "two", "one")])


class Programs(StacksTest):
    def python(self, code, **kwargs):
        return Workload(PYTHON, "-c", code, **kwargs)

    def test_python_that_waits_for_ever(self):
        with self.python(PYTHON_THREADS.format(timeout=None)) as w:
            w.event("ready")
            self.check_process(w.process.pid)

    def test_python_that_waits_again_and_again(self):
        with self.python(PYTHON_THREADS.format(timeout=0.05)) as w:
            w.event("ready")
            self.check_process(w.process.pid, ended=True)

    def test_sqlite(self):
        if not shutil.which("sqlite3"):
            self.skipTest("no sqlite3 here")
        with Workload("sqlite3", os.path.join(self.tmp, "db")) as w:
            w.process.stdin.write("create table t(a);\n")
            w.process.stdin.flush()
            time.sleep(0.5)

            def again():
                for _ in range(5):
                    w.process.stdin.write("insert into t values(1);\n")
                    w.process.stdin.flush()
                    time.sleep(0.1)

            frames = gdb_stacks.snapshot(w.process.pid)
            lines = self.by_tid(self.record_pid(w.process.pid, again))
            self.assertEqual(self.differences(w.process.pid, lines, frames, frames), {})
            for s in lines[w.process.pid]:
                self.assertFalse(any(map(is_marker, s.frames)), ";".join(s.frames))

    def test_node(self):
        if not shutil.which("node"):
            self.skipTest("no node here")
        code = "setInterval(() => {}, 50); console.log('{\"event\":\"ready\"}')"
        with Workload("node", "-e", code) as w:
            w.event("ready")
            time.sleep(0.5)
            self.check_process(w.process.pid)


if __name__ == "__main__":
    foldd.main()
