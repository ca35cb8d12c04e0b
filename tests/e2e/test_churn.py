# SPDX-License-Identifier: BSD-2-Clause
"""A hundred thousand threads come and go: no time of those that stay is lost."""

import foldd
from foldd import Foldd, TestCase, Workload, reason_ns, rows_by, workload

THREADS = 100_000
SHARE = 0.005


class Churn(TestCase):
    def test_survivors(self):
        out = self.out()
        with Workload(workload("churn"), str(THREADS)) as w:
            ready = w.event("ready")
            with Foldd("--threads", "-p", ready["pid"], out=out) as f:
                f.await_attached()
                w.go()
                truth = w.event("done")
                f.interrupt()
                r = f.finish()
            w.go()
            self.assertEqual(w.process.wait(foldd.PATIENCE_S), 0, "not all threads were made")
        self.assert_status(r, foldd.EXIT_DONE)
        summary = self.assert_complete(r)
        window = summary["duration_s"] * 1e9
        rows = rows_by(summary, "tid")
        for thread in truth["threads"]:
            row = rows[thread["tid"]]
            with self.subTest(thread=thread["name"]):
                self.assert_near(row["on_cpu_ns"] + row["off_cpu_ns"], window, SHARE * window, "wall")
                if "sleep" in thread["waits"]:
                    wait = thread["waits"]["sleep"]
                    delayed = 0 if thread["schedstat"] else reason_ns(row, "run queue", "preempted")
                    allowed = SHARE * thread["wall_ns"] + delayed
                    self.assert_near(reason_ns(row, "sleep"), wait["blocked_ns"], allowed, "sleep")
                    self.assertGreaterEqual(row["reasons"]["sleep"]["count"], wait["count"] - 1)
        losses = summary["losses"]
        for reason in ("no_thread_state", "exited_full", "processes_full"):
            self.assertEqual(foldd.loss_count(summary, reason), 0, losses)
        # the threads that are gone are counted with their process
        process = rows_by(summary, "pid", "processes")[ready["pid"]]
        survivors = sum(rows[t["tid"]]["on_cpu_ns"] for t in truth["threads"])
        self.assertGreater(process["on_cpu_ns"], survivors)


if __name__ == "__main__":
    foldd.main()
