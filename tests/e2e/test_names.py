# SPDX-License-Identifier: BSD-2-Clause
"""Names that fight the grammar: of threads, processes, programs and libraries."""

import unittest

import foldd
from foldd import Foldd, TestCase, Workload, check_folded, rows_by, workload

SECONDS = 3


class Grammar(unittest.TestCase):
    """The checker itself: it must find each kind of violation."""

    def test_good(self):
        for data in (b"", b"a;b 1\n", b"a;[sleep] 3\na;b c;d_[k] 12\n", "a;\u20acuro 5\n".encode()):
            self.assertEqual(check_folded(data), [], data)

    def test_bad(self):
        for data in (
            b"a;b 1",  # no end
            b"# comment\n",
            b"# comment 5\n;x 1\n",
            b"a;b 0\n",
            b"a;b -1\n",
            b"a;b 1.5\n",
            b"a;b\n",
            b"a;;b 1\n",
            b"a;b  1\n",  # a frame that ends in a blank
            b"b 1\na 1\n",  # order
            b"a 1\na 2\n",  # twice
            b"a;w 3 5\n",  # blank and digits
            b"w 3;b 5\n",
            b"a;\x1b[31m 5\n",
            b"a;\xc2\x9bm 5\n",  # C1
            b"a;\xff 5\n",
            b"a\rb 5\n",
            b"a;" + b"x" * 65536 + b" 1\n",
        ):
            self.assertNotEqual(check_folded(data), [], data[:80])


class Names(TestCase):
    def record_names(self, *options):
        with Workload(workload("names"), workload("sleeplib.so"), str(SECONDS)) as w:
            self.ready = w.event("ready")
            pids = f"{self.ready['pid']},{self.ready['child']}"
            r = self.record("-p", pids, "-d", "1s", "--period", "0", *options)
            self.assertEqual(w.process.wait(foldd.PATIENCE_S), 0)
        return r

    def test_hostile_names(self):
        r = self.record_names("--threads")  # assert_complete has checked the grammar
        stacks = r.folded()
        processes = {s.frames[0] for s in stacks}
        self.assertEqual(processes, {"a:b_3"})
        threads = {s.frames[1].rpartition("-")[0].replace(" ", "_") for s in stacks}
        for name in ("a:b_3", "?[31mred?", "worker_12", "tab_line_end", "\u20acuro_5", "7", "???("):
            self.assertIn(name, threads)
        named = sum(s.value for s in stacks if "named_sleep" in s.frames or "thread_main" in s.frames)
        self.assertGreater(named, 0)

    def test_hostile_paths(self):
        """The stripped library's frames show its file: a newline, ';' and blank-digits in its name."""
        stacks = self.record_names().folded()
        sleeping = [f for s in stacks for f in s.frames if f.startswith("[liba:b")]
        self.assertTrue(sleeping, "no frame of the library without symbols")
        for frame in set(sleeping):
            self.assertRegex(frame, r"^\[liba:b.?c[ _]7\.so\+0x[0-9a-f]+\]$")

    def test_summary_is_json(self):
        """json-c must not be given bytes that are no UTF-8: the file loads, and names the processes."""
        r = self.record_names("--threads")
        summary = r.summary()
        pids = rows_by(summary, "pid", "processes")
        self.assertIn(self.ready["pid"], pids)
        self.assertIn(self.ready["child"], pids)

    def test_progress_shows_no_control_bytes(self):
        """What a process calls itself does not reach the terminal raw."""
        with Workload(workload("names"), workload("sleeplib.so"), "2") as w:
            ready = w.event("ready")
            with Foldd("-p", ready["pid"], "-d", "0.5s", out=self.out()) as f:
                r = f.finish()
            w.process.wait(foldd.PATIENCE_S)
        self.assert_status(r, foldd.EXIT_DONE)
        self.assertNotRegex(r.stderr + r.stdout.decode(errors="replace"), "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


if __name__ == "__main__":
    foldd.main()
