# SPDX-License-Identifier: BSD-2-Clause
"""A program whose threads wait and burn in known amounts: what foldd says must be true."""

import foldd
from foldd import Foldd, TestCase, Workload, by_thread, reason_ns, rows_by, workload

SHARE = 0.005  # of the time that a thread worked: the error that is allowed
SECONDS = 4
GATE = "event read"
ON_THE_WAY = ("run queue", "preempted")


class Truth(TestCase):
    """Each test records `waits` once, from before its work to after it."""

    def record_waits(self, *options):
        out = self.out()
        with Workload(workload("waits"), str(SECONDS), self.tmp) as w:
            ready = w.event("ready")
            steal = foldd.steal_ns()
            with Foldd("--threads", "-p", ready["pid"], *options, out=out) as f:
                f.await_attached()
                w.go()
                self.truth = w.event("done")
                f.interrupt()
                recording = f.finish()
            self.steal = foldd.steal_ns() - steal
        self.assert_status(recording, foldd.EXIT_DONE)
        self.assert_complete(recording)
        self.summary = recording.summary()
        self.threads = rows_by(self.summary, "tid")
        self.folded = by_thread(recording.folded())
        return recording

    def allowed(self, thread):
        return SHARE * thread["wall_ns"]

    def check_wall(self):
        """On CPU and off CPU make up the whole window, for each thread."""
        window = self.summary["duration_s"] * 1e9
        self.assertGreater(window, SECONDS * 1e9)
        for thread in self.truth["threads"]:
            row = self.threads[thread["tid"]]
            with self.subTest(thread=thread["name"], what="wall"):
                self.assertEqual(row["comm"], thread["name"])
                parts = sum(r["ns"] for name, r in row["reasons"].items() if name != "running")
                self.assert_near(parts, row["off_cpu_ns"], 1000, "sum of the reasons")
                self.assert_near(row["on_cpu_ns"] + row["off_cpu_ns"], window, SHARE * window, "wall")

    def check_reasons(self):
        """Exact totals by reason, against what the thread measured.

        foldd's run queue begins with the wake-up, the kernel's own (schedstat, in the truth) when
        the thread is queued: where an interrupt to another CPU lies between, that is later. So a
        wait may be shorter by as much as foldd's run queue is longer; the sum may not.
        """
        for thread in self.truth["threads"]:
            row, allowed = self.threads[thread["tid"]], self.allowed(thread)
            delayed = reason_ns(row, *ON_THE_WAY)
            measured = thread["run_delay_ns"] if thread["schedstat"] else 0
            longer = max(0, delayed - measured)
            others = sum(r["ns"] for name, r in row["reasons"].items() if name not in (GATE, *ON_THE_WAY))
            truth = sum(w["blocked_ns"] for w in thread["waits"].values())
            with self.subTest(thread=thread["name"], what="all waits"):
                self.assert_near(others + delayed, truth + measured, allowed, "all waits")
            if thread["schedstat"]:
                with self.subTest(thread=thread["name"], what="run queue"):
                    self.assertGreaterEqual(delayed, measured - allowed)
            for reason, wait in thread["waits"].items():
                if thread["name"] == "syncer" and reason.startswith("disk"):
                    continue  # check_disk
                with self.subTest(thread=thread["name"], reason=reason):
                    ns = reason_ns(row, reason)
                    self.assertLessEqual(ns, wait["blocked_ns"] + allowed)
                    self.assertGreaterEqual(ns, wait["blocked_ns"] - longer - allowed)

    def check_disk(self):
        """fsync waits for the disk in several ways inside of the kernel; all are its own."""
        thread = next(t for t in self.truth["threads"] if t["name"] == "syncer")
        row = self.threads[thread["tid"]]
        blocked = sum(w["blocked_ns"] for r, w in thread["waits"].items() if r.startswith("disk"))
        if blocked < 0.001 * thread["wall_ns"]:
            self.skipTest("fsync does not wait on the file system of the temporary folder")
        others = (GATE, "sleep", "running", *ON_THE_WAY)
        waited = sum(r["ns"] for name, r in row["reasons"].items() if name not in others)
        longer = max(0, reason_ns(row, *ON_THE_WAY) - thread["run_delay_ns"])
        self.assertLessEqual(waited, blocked + self.allowed(thread))
        self.assertGreaterEqual(waited, blocked - longer - self.allowed(thread))
        self.assertGreaterEqual(
            reason_ns(row, "disk fsync", "disk write"), 0.9 * waited, f"disk: {row['reasons']}"
        )

    def check_burners(self):
        for thread in self.truth["threads"]:
            if not thread["burn_wall_ns"]:
                continue
            row = self.threads[thread["tid"]]
            allowed = SHARE * thread["burn_wall_ns"]
            with self.subTest(thread=thread["name"], what="on CPU"):
                # besides, it runs for as long as a handful of system calls takes
                besides = thread["cpu_ns"] - thread["burn_cpu_ns"]
                self.assertLess(besides, allowed)
                if thread["schedstat"]:
                    # the CPU clock leaves out what the hypervisor and interrupts took; this does not
                    on_cpu = thread["burn_wall_ns"] - thread["burn_run_delay_ns"] + besides
                    self.assert_near(row["on_cpu_ns"], on_cpu, allowed, "on CPU")
                self.assert_near(row["on_cpu_ns"], thread["cpu_ns"], allowed + self.steal, "CPU clock")
        for name in ("rival-a", "rival-b"):
            thread = next(t for t in self.truth["threads"] if t["name"] == name)
            row = self.threads[thread["tid"]]
            with self.subTest(thread=name, what="preempted"):
                self.assertGreater(reason_ns(row, "preempted"), 0.25 * thread["burn_wall_ns"])
                self.assertGreater(
                    reason_ns(row, "preempted"), 4 * reason_ns(row, "run queue"), "preempted by its rival"
                )

    def test_every_wait(self):
        """--period 0: totals and stacks are both exact."""
        recording = self.record_waits("--period", "0")
        self.check_wall()
        self.check_reasons()
        self.check_burners()
        kind = self.summary["kinds"]["offcpu"]
        self.assert_near(kind["coverage"], 1, SHARE, "coverage")
        for thread in self.truth["threads"]:
            row = self.threads[thread["tid"]]
            for reason, total in row["reasons"].items():
                if reason == "running":
                    continue
                with self.subTest(thread=thread["name"], reason=reason, what="stacks"):
                    folded = self.folded[thread["tid"]][reason] * 1000
                    lines = sum(foldd.thread_id(s) == thread["tid"] for s in recording.folded())
                    self.assert_near(folded, total["ns"], self.allowed(thread) + 1000 * lines, "stacks")
        self.check_disk()

    def test_every_wait_has_its_function(self):
        """The stacks name the function that waits."""
        recording = self.record_waits("--period", "0")
        # glibc has no frame pointers. Where its leaf leaves that register alone, a walk by them leaves
        # out the caller of the leaf and goes on; the other primitives are for a walk that does more.
        functions = {
            "sleeper": ("sleep", {"run_sleeper", "sleep_measured"}),
            "piper": ("pipe read", {"run_piper"}),
            "poller": ("poll", {"run_poller"}),
            "mutex": ("futex mutex", {"run_mutex"}),
            "rival-a": ("preempted", {"run_rival", "burn"}),
        }
        names = {t["tid"]: t["name"] for t in self.truth["threads"]}
        total, named = {}, {}
        for s in recording.folded():
            name = names.get(foldd.thread_id(s))
            if name not in functions or foldd.leaf_reason(s) != functions[name][0]:
                continue
            total[name] = total.get(name, 0) + s.value
            if (functions[name][1] | {"worker_main"}) & set(s.frames):
                named[name] = named.get(name, 0) + s.value
        for name in functions:
            with self.subTest(thread=name):
                self.assertGreater(total.get(name, 0), 0)
                self.assertGreaterEqual(named.get(name, 0), 0.9 * total[name])

    def check_sampled(self, *options):
        self.record_waits(*options)
        self.check_wall()
        self.check_reasons()
        self.check_burners()
        kind = self.summary["kinds"]["offcpu"]
        allowed = foldd.standard_errors(kind)
        self.assert_near(kind["attributed"], kind["total"], allowed + SHARE * kind["total"], "attributed")
        # beyond 4 standard errors plus the losses (none here) the weights would be biased
        self.assertGreater(kind["samples"], 0)
        for thread in self.truth["threads"]:
            row = self.threads[thread["tid"]]
            with self.subTest(thread=thread["name"], what="stacks"):
                folded = sum(self.folded[thread["tid"]].values()) * 1000
                self.assert_near(
                    folded, row["off_cpu_ns"], allowed + self.allowed(thread), "sampled stacks"
                )
        return kind

    def test_default_period(self):
        kind = self.check_sampled()
        self.assertEqual(kind["period"], 1_000_000)

    def test_long_period(self):
        """Periods longer than most of the waits: the error is real, and stated."""
        kind = self.check_sampled("--period", "30ms")
        self.assertEqual(kind["period"], 30_000_000)
        self.assertGreater(kind["standard_error"], 0)
        self.assertLess(kind["standard_error"], 0.1 * kind["total"])


class OnCpu(TestCase):
    def test_cpu_samples(self):
        """99 samples a second of a thread that burns are its time, within their error."""
        out = self.out()
        with Workload(workload("waits"), str(SECONDS), self.tmp) as w:
            ready = w.event("ready")
            with Foldd("--threads", "-k", "cpu", "-p", ready["pid"], out=out) as f:
                f.await_attached()
                w.go()
                truth = w.event("done")
                f.interrupt()
                r = f.finish()
        self.assert_status(r, foldd.EXIT_DONE)
        self.assert_complete(r, {"cpu.folded", "summary.json"})
        sums = {}
        for s in r.folded("cpu"):
            sums[foldd.thread_id(s)] = sums.get(foldd.thread_id(s), 0) + s.value * 1000
        interval = 1e9 / 99
        for t in truth["threads"]:
            if t["burn_cpu_ns"]:
                with self.subTest(thread=t["name"]):
                    n = max(t["cpu_ns"] / interval, 1)
                    # a timer tick that meets the scheduler's is no Poisson process: 4 of its
                    # standard errors, and a fifth of the time
                    allowed = 4 * n**0.5 * interval + 0.2 * t["cpu_ns"]
                    self.assert_near(sums.get(t["tid"], 0), t["cpu_ns"], allowed, "cpu samples")


if __name__ == "__main__":
    foldd.main()
