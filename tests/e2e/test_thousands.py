# SPDX-License-Identifier: BSD-2-Clause
"""Processes by the thousand, each of which lives for milliseconds."""

import subprocess

import foldd
from foldd import Foldd, TestCase, leaf_reason, workload
from test_stacks import is_marker

NAMED = 0.99  # of the time of processes that live for milliseconds
N, MS = 5000, 5


def vm_rss_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


class Thousands(TestCase):
    def test_ten_thousand(self):
        def forks(n):
            r = subprocess.run([workload("forks"), workload("shortlived"), str(n), str(MS)],
                               stdout=subprocess.DEVNULL, timeout=2 * foldd.PATIENCE_S, check=False)
            self.assertEqual(r.returncode, 0)

        with Foldd("-a", "-k", "offcpu", "--no-kernel", out=self.out()) as f:
            f.await_attached()
            forks(100)  # their files are seen
            forks(N)
            first = vm_rss_kb(f.pid())
            forks(N)
            second = vm_rss_kb(f.pid())
            f.interrupt()
            r = f.finish()
        self.assert_status(r, foldd.EXIT_DONE)
        total = whole = named = 0
        bad = {}
        for s in r.folded():
            if s.frames[0] != "shortlived" or leaf_reason(s) != "sleep":
                continue
            total += s.value
            is_named = {"level_one", "level_two", "level_three"} <= set(s.frames)
            is_whole = not any(map(is_marker, s.frames)) and s.frames[1] == "_start"
            named += s.value * is_named
            whole += s.value * is_whole
            if not is_named or not is_whole:
                bad[";".join(s.frames)] = s.value
        print(f"named {named / total:.4%}, whole {whole / total:.4%}, VmRSS {first} and {second} kB", end=" ... ")
        self.assertGreater(total, 2 * N * MS * 1000 * 0.9)
        self.assertGreaterEqual(named, NAMED * total, bad)
        self.assertGreaterEqual(whole, NAMED * total, bad)
        # what it keeps of 5,000 more processes
        self.assertLess(second - first, 0.05 * first + 1024)


if __name__ == "__main__":
    foldd.main()
