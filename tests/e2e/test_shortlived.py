# SPDX-License-Identifier: BSD-2-Clause
"""The whole host under load: processes that have long exited are still named."""

import math
import os
import re
import shutil
import subprocess

import foldd
from foldd import Foldd, TestCase, is_bracketed, is_kernel, leaf_reason, workload

N, MS = 400, 20

COMPILED = """
#include <stdio.h>
#include <stdlib.h>
{functions}
int main(void) {{ return f0(1) == 42; }}
"""


class ShortLived(TestCase):
    def compile_load(self):
        """A compiler that runs again and again, for as long as it is let."""
        functions = "\n".join(
            f"int f{i}(int x) {{ for (int i = 0; i < x; i++) x ^= rand() * {i}; printf(\"%d\", x); return x; }}"
            for i in range(150)
        )
        source = os.path.join(self.tmp, "load.c")
        with open(source, "w", encoding="ascii") as f:
            f.write(COMPILED.format(functions=functions))
        script = 'for i in $(seq 200); do [ -e "$1" ] || exit 0; cc -O2 -c "$1" -o "$1.o" || exit 1; done'
        return [["sh", "-c", script, "sh", source]], source

    def run_load(self, f):
        """All loads at once until the short-lived processes are through; returns what they say."""
        loads, source = self.compile_load()
        if shutil.which("perf"):
            loads.append(["perf", "bench", "sched", "messaging", "-g", "2", "-l", "3000"])
        else:
            print("no perf here: the load is without perf bench sched messaging")
        running = [subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for c in loads]
        try:
            forks = subprocess.run(
                [workload("forks"), workload("shortlived"), str(N), str(MS)],
                stdout=subprocess.PIPE, timeout=foldd.PATIENCE_S, check=False,
            )
            self.assertEqual(forks.returncode, 0)
            self.assertIsNone(f.process.poll(), "the recording ended before its load")
        finally:
            os.unlink(source)
            for p in running[1:]:
                foldd.end(p)
            running[0].wait(foldd.PATIENCE_S)

    def test_exited_processes_are_named(self):
        with Foldd("-a", "-d", "60s", out=self.out()) as f:
            f.await_attached()
            self.run_load(f)
            f.interrupt()
            r = f.finish()
        self.assert_status(r, foldd.EXIT_DONE)
        summary = self.assert_complete(r)

        asleep = named = user = user_named = 0
        unnamed = {}
        for s in r.folded():
            if s.frames[0] != "shortlived":
                continue
            if leaf_reason(s) == "sleep":
                asleep += s.value
                if {"level_one", "level_two", "level_three"} <= set(s.frames):
                    named += s.value
            frames = [x for x in s.frames[1:-1] if not is_kernel(x)]
            frames = [x for x in frames if not re.match(r"^\[stack (cut|not taken)", x)]
            # the dynamic linker and libc are stripped on most systems: they have no names to give
            ours = [x for x in frames if not re.match(r"^\[(ld-linux|ld-musl|libc)[^]]*\+0x", x)]
            if not ours:
                continue
            user += s.value
            if any(not is_bracketed(x) for x in ours):
                user_named += s.value
            else:
                unnamed[";".join(s.frames)] = s.value
        truth = N * MS * 1000
        self.assertGreaterEqual(named, 0.99 * asleep, "sleeps of exited processes without their names")
        self.assertGreaterEqual(user_named, 0.99 * user, f"without names: {unnamed}")
        kind = summary["kinds"]["offcpu"]
        exact = sum(
            foldd.reason_ns(row, "sleep") for row in summary["processes"] if row["comm"] == "shortlived"
        )
        # a sleep lasts at least what was asked for, and longer by the time that a timer is late:
        # how late is up to the host
        self.assertGreaterEqual(exact / 1000, truth, "exact totals of exited processes")
        # the period may have risen in this storm, up to max_period
        p = -math.expm1(-MS * 1e6 / max(kind["max_period"], kind["period"], 1))
        allowed = 0.005 * truth + 4 * MS * 1000 / p * math.sqrt(N * (1 - p))
        self.assert_near(asleep, exact / 1000, allowed, "samples of exited processes")
        self.assert_near(
            kind["attributed"] + kind["lost"], kind["total"],
            foldd.standard_errors(kind) + 0.005 * kind["total"], "attributed on the whole host",
        )


if __name__ == "__main__":
    foldd.main()
