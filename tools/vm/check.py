# SPDX-License-Identifier: BSD-2-Clause
"""What foldd recorded in the virtual machine must be true. VM_RESULTS is what run.sh got out of it.

The checks are those of the end-to-end tests, applied to recordings that were made elsewhere.
"""

import json
import os
import re
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

import foldd  # noqa: E402
import test_truth  # noqa: E402
from foldd import by_thread, is_bracketed, is_kernel, leaf_reason, reason_ns, rows_by, thread_id  # noqa: E402

OUT = os.path.join(os.environ["VM_RESULTS"], "out")
WAITS_S = 3   # as in init.sh
SHARE = 0.01
CLOCKS_NS = 200_000  # reading the clocks around a wait takes an emulated CPU that much of it
FORKS, FORK_MS = 40, 20
TROUBLE = re.compile(r"BUG:|WARNING:|Oops|stall|lockup|Call Trace|bpf.*(error|deadlock)", re.IGNORECASE)

test_truth.SECONDS, test_truth.SHARE = WAITS_S, SHARE


def text(name):
    with open(os.path.join(OUT, name), encoding="utf-8", errors="replace") as f:
        return f.read()


def events(name):
    """{event: what the workload said with it}"""
    return {e["event"]: e for e in map(json.loads, text(name + ".events").splitlines())}


class VmTestCase(foldd.TestCase):
    def load(self, name):
        """A recording of the machine: done, well formed, and with nothing lost."""
        recording = foldd.Recording(
            ["foldd", "record", f"({name})"], os.path.join(OUT, name), int(text(name + ".status")),
            text(name + ".stdout"), text(name + ".stderr"),
        )
        self.assert_status(recording, foldd.EXIT_DONE)
        self.summary = self.assert_complete(recording)
        self.window = self.summary["duration_s"] * 1e9
        # not a loss of data: a frame whose memory was mapped anew before its process was read
        losses = {k: v for k, v in self.summary["losses"].items() if k != "remapped"}
        self.assertEqual(losses, {})
        self.assertGreater(self.summary["unwind"]["walks"], 0)
        return recording

    def assert_conserved(self, row):
        """On CPU and off CPU are all of the window."""
        self.assert_near(
            row["on_cpu_ns"] + row["off_cpu_ns"], self.window, SHARE * self.window, f"window of {row['comm']}"
        )

    def assert_attributed(self):
        kind = self.summary["kinds"]["offcpu"]
        allowed = foldd.standard_errors(kind) + 0.005 * kind["total"]
        self.assert_near(kind["attributed"] + kind["lost"], kind["total"], allowed, "attributed")

    def assert_kernel_names(self, recording):
        frames = {f for s in recording.folded() for f in s.frames if is_kernel(f)}
        unnamed = {f for f in frames if is_bracketed(f)}
        self.assertGreater(len(frames), 10)
        self.assertEqual(unnamed, set(), "kernel frames without names")
        self.assertTrue(any("do_syscall_64" in f for f in frames), frames)


class Machine(VmTestCase):
    def test_kernel_log(self):
        self.assertEqual(text("init.status").strip(), "0", "the recordings were not all made")
        wrong = [line for line in text("dmesg").splitlines() if TROUBLE.search(line)]
        self.assertEqual(wrong, [])

    def test_doctor(self):
        self.assertEqual(text("doctor.status").strip(), "0", text("doctor.stdout") + text("doctor.stderr"))
        self.assertNotRegex(text("doctor.stdout"), r"(?m)^NO ")


class Waits(VmTestCase, test_truth.Truth):
    """The recording of every wait of `waits`, by all that the test on this host's kernel asks of it."""

    test_default_period = test_long_period = None

    def record_waits(self, *options):
        recording = self.load("waits")
        self.truth = events("waits")["done"]
        self.threads = rows_by(self.summary, "tid")
        self.folded = by_thread(recording.folded())
        self.steal = 0
        return recording

    def allowed(self, thread):
        """The workload measures itself, which an emulated CPU on a busy host does not do well."""
        waits = sum(w["count"] for w in thread["waits"].values())
        return 0.05 * thread["wall_ns"] + CLOCKS_NS * waits

    def check_disk(self):
        """There is no disk in the machine."""

    def check_burners(self):
        """An emulated switch between threads takes so long that it matters whose time it is."""
        for thread in self.truth["threads"]:
            if thread["burn_wall_ns"]:
                row = self.threads[thread["tid"]]
                with self.subTest(thread=thread["name"], what="on CPU"):
                    allowed = 0.05 * thread["burn_wall_ns"]
                    self.assert_near(row["on_cpu_ns"], thread["cpu_ns"], allowed, "CPU clock")

    def test_conservation_and_names(self):
        recording = self.record_waits()
        for row in self.summary["threads"]:
            with self.subTest(thread=row["comm"]):
                self.assert_conserved(row)
        self.assert_attributed()
        self.assert_kernel_names(recording)

    def test_reasons(self):
        """Every primitive by its own name; next to nothing without one."""
        recording = self.record_waits()
        sums = {}
        for s in recording.folded():
            sums[leaf_reason(s)] = sums.get(leaf_reason(s), 0) + s.value
        for reason in (
            "sleep", "poll", "pipe read", "futex mutex", "futex condvar", "futex sem", "futex rwlock-rd",
            "futex rwlock-wr", "futex barrier", "futex join", "event read", "preempted", "run queue",
        ):
            self.assertGreater(sums.get(reason, 0), 0, f"no [{reason}] in {sorted(map(str, sums))}")
        self.assertLess(sums.get("unclassified", 0), 0.02 * sum(sums.values()))


class Parked(VmTestCase):
    def test_parked(self):
        """A wait that neither begins nor ends in the window, and one that does not end."""
        recording, said = self.load("parked"), events("parked")
        rows, folded = rows_by(self.summary, "tid"), by_thread(recording.folded())
        parked, later = said["ready"]["parked"], said["ready"]["later"]
        waited = reason_ns(rows[parked], "futex condvar")
        self.assert_near(waited, self.window, SHARE * self.window, "parked before the recording")
        self.assert_near(folded[parked]["futex condvar"] * 1000, waited, SHARE * self.window, "its stack")
        self.assertGreater(reason_ns(rows[later], "futex condvar"), 0.5e9)
        self.assertGreater(reason_ns(rows[later], "sleep"), 0.3e9)
        for tid in (parked, later):
            self.assert_conserved(rows[tid])
        # their user stacks can only have been read from outside
        for s in recording.folded():
            if thread_id(s) == parked:
                user = [f for f in s.frames[2:-1] if not is_kernel(f)]
                self.assertTrue(any(f.startswith("[libc.so") or not is_bracketed(f) for f in user), s.frames)


class All(VmTestCase):
    def test_whole_machine(self):
        recording = self.load("all")
        self.assert_kernel_names(recording)
        self.assert_attributed()
        rows = rows_by(self.summary, "tid")
        for thread in events("all")["done"]["threads"]:
            with self.subTest(thread=thread["name"]):
                self.assert_conserved(rows[thread["tid"]])

    def test_exited_processes(self):
        """Processes that came and went have their time and their names."""
        recording = self.load("all")
        self.assertEqual(events("forks")["done"]["well"], FORKS)
        mine = [r for r in self.summary["processes"] if r["comm"] == "shortlived"]
        self.assertEqual(len(mine), FORKS)
        truth = FORKS * FORK_MS * 1e6
        # on a busy CPU the wake-up may be late, never early
        slept = sum(reason_ns(r, "sleep") for r in mine)
        self.assertGreater(slept, 0.99 * truth)
        self.assertLess(slept, 1.5 * truth)
        asleep = [s for s in recording.folded() if s.frames[0] == "shortlived" and leaf_reason(s) == "sleep"]
        named = sum(s.value for s in asleep if {"level_one", "level_two", "level_three"} <= set(s.frames))
        self.assertGreater(named, 0)
        self.assertGreaterEqual(named, 0.99 * sum(s.value for s in asleep))


class Cgroup(VmTestCase):
    def test_members(self):
        """Those that are in the cgroup, from when they enter it; no others."""
        self.load("cgroup")
        pids, rows = json.loads(text("cgroup.pids")), rows_by(self.summary, "pid", "processes")
        self.assertEqual(set(rows), {pids["early"], pids["late"]})
        self.assert_conserved(rows[pids["early"]])
        late = rows[pids["late"]]
        self.assertLess(late["on_cpu_ns"] + late["off_cpu_ns"], self.window)
        for row in rows.values():
            self.assertGreater(reason_ns(row, "sleep"), 0.5e9)
        self.assert_attributed()


class PidNamespace(VmTestCase):
    def test_numbers(self):
        """A command in a pid namespace: the numbers, the mappings and the times are right."""
        recording = self.load("pidns")
        self.assertEqual(len(self.summary["processes"]), 1)
        row = self.summary["processes"][0]
        self.assertEqual(row["comm"], "shortlived")
        self.assertLess(row["pid"], 20, "not a number of the namespace")
        # it has exited, but nobody has waited for it when the window ends: its time counts once
        self.assertLessEqual(row["on_cpu_ns"] + row["off_cpu_ns"], (1 + SHARE) * self.window)
        self.assert_attributed()
        asleep = [s for s in recording.folded() if leaf_reason(s) == "sleep"]
        named = sum(s.value for s in asleep if "level_three" in s.frames)
        self.assertGreater(named, 0.99 * 50 * 10 * 1000)


if __name__ == "__main__":
    unittest.main(verbosity=2 if sys.stdout.isatty() else 1)
