# SPDX-License-Identifier: BSD-2-Clause
"""Inlined functions as frames of their own: only when asked for, in the right order, from DWARF."""

import os
import shutil
import subprocess
import unittest

import foldd
from foldd import TestCase, Workload, workload

SECONDS = 4
# Functions of the program, the outermost first: what is below them is libc's.
WITH, WITHOUT = ["outer", "inner_one_[i]", "inner_two_[i]"], ["outer"]


def supported():
    r = foldd.run_foldd("--inline", "-p", 2147483647)
    return r.status != foldd.EXIT_USAGE


class Inline(TestCase):
    def setUp(self):
        super().setUp()
        if not supported():
            self.skipTest("built without libdw")

    def record_inlined(self, name, *options):
        with Workload(workload(name), str(SECONDS)) as w:
            pid = w.event("ready")["pid"]
            r = self.record("-p", pid, "-d", "1s", "--period", "0", *options)
            w.process.kill()
        return r

    def check(self, r, want):
        """Each sleep in outer() has these frames, then libc's, and the one in plain() no more."""
        stacks = [s for s in r.folded() if s.frames[-1] == "[sleep]"]
        outer = [s.frames[s.frames.index("outer") :] for s in stacks if "outer" in s.frames]
        self.assertTrue(outer, "no sleep in outer()")
        for frames in outer:
            self.assertEqual(frames[: len(want)], want)
            self.assertIn("nanosleep", frames[len(want)])
        plain = [s.frames[s.frames.index("plain") :] for s in stacks if "plain" in s.frames]
        self.assertTrue(plain, "no sleep in plain()")
        for frames in plain:
            self.assertIn("nanosleep", frames[1])
            self.assertFalse([f for f in frames if f.endswith("_[i]")])

    def test_own_dwarf(self):
        r = self.record_inlined("inlined", "--inline")
        self.check(r, WITH)
        self.assertFalse(r.summary().get("refused_files"))

    def test_debug_file(self):
        r = self.record_inlined("inlined-stripped", "--inline")
        self.check(r, WITH)
        self.assertFalse(r.summary().get("refused_files"))

    def test_off_by_default(self):
        r = self.record_inlined("inlined")
        self.check(r, WITHOUT)
        self.assertFalse([s for s in r.folded() for f in s.frames if f.endswith("_[i]")])


class Linked(unittest.TestCase):
    def test_foldd_does_not_link_libdw(self):
        if not shutil.which("readelf"):
            self.skipTest("no readelf")
        env = {**os.environ, "LC_ALL": "C"}
        out = subprocess.run(["readelf", "-d", foldd.FOLDD], check=True, capture_output=True, env=env)
        self.assertNotIn(b"libdw", out.stdout)
        self.assertNotIn(b"[libelf", out.stdout)


if __name__ == "__main__":
    foldd.main()
