# SPDX-License-Identifier: BSD-2-Clause
"""Threads that never wake are in the profile with their full time in the window."""

import time

import foldd
from foldd import Foldd, TestCase, Workload, by_thread, reason_ns, rows_by, workload

SHARE = 0.005


class Parked(TestCase):
    def record_parked(self, *options):
        out = self.out()
        with Workload(workload("parked"), "60") as w:
            self.ready = w.event("ready")
            with Foldd("--threads", "-p", self.ready["pid"], *options, out=out) as f:
                f.await_attached()
                time.sleep(0.7)
                w.go()
                self.parked_at = w.event("parked")["parked_at_ns"]
                time.sleep(1.3)
                self.asked_at = time.monotonic_ns()
                f.interrupt()
                r = f.finish()
                self.ended_at = time.monotonic_ns()
        self.assert_status(r, foldd.EXIT_DONE)
        self.summary = self.assert_complete(r)
        self.window = self.summary["duration_s"] * 1e9
        self.rows = rows_by(self.summary, "tid")
        return by_thread(r.folded())

    def check(self, *options):
        folded = self.record_parked(*options)
        parked, later = self.ready["parked"], self.ready["later"]
        waited = reason_ns(self.rows[parked], "futex condvar")
        self.assert_near(waited, self.window, SHARE * self.window, "parked before the recording")
        # a wait of many periods is always taken, with its exact size
        self.assert_near(folded[parked]["futex condvar"] * 1000, waited, SHARE * self.window, "its stack")

        waited = reason_ns(self.rows[later], "futex condvar")
        self.assertGreaterEqual(waited, (self.asked_at - self.parked_at) * (1 - SHARE))
        self.assertLessEqual(waited, (self.ended_at - self.parked_at) * (1 + SHARE))
        self.assert_near(folded[later]["futex condvar"] * 1000, waited, SHARE * self.window, "its stack")
        self.assertGreater(reason_ns(self.rows[later], "sleep"), 0)
        for tid in (parked, later):
            row = self.rows[tid]
            self.assert_near(row["on_cpu_ns"] + row["off_cpu_ns"], self.window, SHARE * self.window, "wall")

    def test_every_wait(self):
        self.check("--period", "0")

    def test_default_period(self):
        self.check()

    def test_whole_host(self):
        """The same with -a, where the thread is one of many that sleep."""
        with Workload(workload("parked"), "60") as w:
            ready = w.event("ready")
            r = self.record("--threads", "-a", "-d", "1s")
        folded = by_thread(r.folded())
        row = rows_by(r.summary(), "tid")[ready["parked"]]
        window = r.summary()["duration_s"] * 1e9
        self.assert_near(reason_ns(row, "futex condvar"), window, SHARE * window, "parked")
        self.assert_near(folded[ready["parked"]]["futex condvar"] * 1000, window, SHARE * window, "stack")


if __name__ == "__main__":
    foldd.main()
