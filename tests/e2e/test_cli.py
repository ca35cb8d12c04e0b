# SPDX-License-Identifier: BSD-2-Clause
"""The command line: targets, outputs, exit statuses, and what must not go wrong."""

import os
import time
import unittest

import foldd
from foldd import (
    EXIT_DONE, EXIT_NO_TARGET, EXIT_RUNTIME, EXIT_USAGE, Foldd, TestCase, parse_folded, rows_by, run_foldd,
    workload,
)
from sleeper import Sleeper


class Usage(TestCase):
    def test_usage_errors(self):
        pid = os.getpid()
        for args in (
            [],
            ["--no-such-option"],
            ["-p"],
            ["-p", "x"],
            ["-p", "-1"],
            ["-p", "0"],
            ["-p", "99999999999999999999"],
            ["-p", f"{pid},"],
            ["-a", "-p", pid],
            ["-a", "-C", "/"],
            ["-a", "-d", "x"],
            ["-a", "-d", "-1"],
            ["-a", "-d", "5parsecs"],
            ["-a", "-k", "nonsense", "-d", "1s"],
            ["-a", "-k", "", "-d", "1s"],
            ["-a", "--period", "x", "-d", "1s"],
            ["-a", "--max-rate", "x", "-d", "1s"],
            ["-a", "--max-loss", "x", "-d", "1s"],
            ["-a", "-d", "1s", "stray"],
            ["--"],
        ):
            with self.subTest(args=args):
                r = run_foldd(*args, cwd=self.tmp)
                self.assert_status(r, EXIT_USAGE)
                self.assertEqual(r.stdout, b"")
                self.assertEqual(os.listdir(self.tmp), [])

    def test_unknown_verb(self):
        r = run_foldd(verb="frobnicate", cwd=self.tmp)
        self.assert_status(r, EXIT_USAGE)

    def test_several_kinds_on_stdout(self):
        r = run_foldd("-a", "-d", "1s", "-o", "-", "-k", "offcpu,cpu")
        self.assert_status(r, EXIT_USAGE)

    def test_version(self):
        r = run_foldd("--version", verb=None)
        self.assertEqual(r.status, EXIT_DONE, r.say())
        self.assertRegex(r.stdout.decode(), r"^foldd \d+\.\d+")

    def test_help(self):
        r = run_foldd("--help", verb=None)
        self.assertEqual(r.status, EXIT_DONE, r.say())
        for word in ("-p", "-a", "-C", "--period", "--threads", "--max-loss", "doctor"):
            self.assertIn(word, r.stdout.decode())

    def test_doctor(self):
        r = run_foldd(verb="doctor")
        self.assertEqual(r.status, EXIT_DONE, r.say())
        text = r.stdout.decode()
        for word in ("BTF", "sched_switch", "seccomp", "nobody", "Landlock"):
            self.assertIn(word.lower(), text.lower())

    def test_durations(self):
        """A bare number is seconds; the window is as long as it was asked for."""
        with Sleeper() as s:
            for text, seconds in (("1", 1), ("1s", 1), ("700ms", 0.7), ("0.5s", 0.5)):
                with self.subTest(duration=text):
                    window = self.record("-p", s.pid, "-d", text).summary()["duration_s"]
                    self.assertGreaterEqual(window, seconds)
                    self.assertLess(window, seconds + foldd.PATIENCE_S)

    def test_record_is_the_default_verb(self):
        with Sleeper() as s:
            r = self.record("-p", s.pid, "-d", "0.3s", verb=None)
        self.assertTrue(r.folded())


class Output(TestCase):
    def test_stdout_is_folded_and_nothing_else(self):
        with Sleeper() as s:
            for kind in ("offcpu", "cpu"):
                r = run_foldd("-p", s.pid, "-d", "1s", "-k", kind, "-o", "-", cwd=self.tmp)
                self.assert_status(r, EXIT_DONE)
                self.assert_grammar(r.stdout)
                self.assertEqual(os.listdir(self.tmp), [])
                if kind == "offcpu":
                    stacks = parse_folded(r.stdout)
                    self.assertIn("level_three", {f for x in stacks for f in x.frames})
                    self.assertEqual({x.frames[0] for x in stacks}, {"shortlived"})

    def test_single_kind(self):
        with Sleeper() as s:
            r = self.record_kind(s.pid, "offcpu")
            self.assertIn("offcpu", r.summary()["kinds"])
            self.record_kind(s.pid, "cpu")

    def record_kind(self, pid, kind):
        r = run_foldd("-p", pid, "-d", "0.4s", "-k", kind, out=self.out())
        self.assert_status(r, EXIT_DONE)
        self.assert_complete(r, {kind + ".folded", "summary.json"})
        return r

    def test_no_kernel(self):
        with Sleeper() as s:
            frames = {f for x in self.record("-p", s.pid, "-d", "0.5s").folded() for f in x.frames}
            self.assertTrue([f for f in frames if foldd.is_kernel(f)], "kernel stacks by default")
            r = self.record("-p", s.pid, "-d", "0.5s", "--no-kernel")
            frames = {f for x in r.folded() for f in x.frames}
        self.assertEqual([f for f in frames if foldd.is_kernel(f)], [])
        self.assertIn("[sleep]", frames)

    def test_quiet(self):
        with Sleeper() as s:
            r = self.record("-p", s.pid, "-d", "0.3s", "--quiet")
        self.assertEqual(r.stderr, "")

    def test_verdict_on_stderr(self):
        with Sleeper() as s:
            r = self.record("-p", s.pid, "-d", "0.3s")
        self.assertRegex(r.stderr, r"captured [0-9.]+% of")
        self.assertRegex(r.stderr, r"\d+ lost")

    def test_several_pids(self):
        with Sleeper() as a, Sleeper() as b, Sleeper() as c:
            r = self.record("-p", f"{a.pid},{b.pid}", "-d", "0.5s")
            pids = rows_by(r.summary(), "pid", "processes")
        self.assertLessEqual({a.pid, b.pid}, set(pids))
        self.assertNotIn(c.pid, pids)

    def test_max_rate_keeps_the_sums(self):
        """Past --max-rate the period rises, and the weights make up for it."""
        with Sleeper(ms=1, times=20000) as s:
            r = self.record("-p", s.pid, "-d", "2s", "--period", "0", "--max-rate", "100")
            kind = r.summary()["kinds"]["offcpu"]
        self.assertGreater(kind["max_period"], 0)
        allowed = foldd.standard_errors(kind) + 0.02 * kind["total"]
        self.assert_near(kind["attributed"], kind["total"], allowed, "attributed")

    def test_self_is_excluded(self):
        with Sleeper():
            with Foldd("-a", "-d", "0.7s", out=self.out()) as f:
                r = f.finish()
                self.assert_status(r, EXIT_DONE)
                self.assertNotIn(f.pid(), rows_by(r.summary(), "pid", "processes"))


class Targets(TestCase):
    def test_pid_that_is_gone(self):
        r = self.record("-p", foldd.gone_pid(), "-d", "1s", status=EXIT_NO_TARGET)
        self.assertEqual(r.files(), set())

    def test_kernel_thread(self):
        pid = foldd.kernel_thread()
        if pid is None:
            self.skipTest("no kernel threads in this pid namespace")
        r = run_foldd("-p", pid, "-d", "0.3s", out=self.out())
        self.assert_status(r, EXIT_DONE, EXIT_NO_TARGET)
        if r.status == EXIT_DONE:
            self.assert_complete(r)
        else:
            self.assertRegex(r.stderr, "kernel thread")
            self.assertEqual(r.files(), set())

    def test_thread_id(self):
        with foldd.Workload(workload("parked"), "30") as w:
            ready = w.event("ready")
            r = self.record("-p", ready["parked"], "-d", "1s", status=EXIT_NO_TARGET)
        self.assertRegex(r.stderr, rf"\b{ready['pid']}\b", "it should say whose thread it is")

    def test_dies_in_the_middle(self):
        """The recording ends with its last target, and holds what there was."""
        with Sleeper() as s:
            with Foldd("-p", s.pid, "-d", "40s", out=self.out()) as f:
                f.await_attached()
                time.sleep(0.3)
                foldd.end(s.process)
                r = f.finish(30)
        self.assert_status(r, EXIT_DONE)
        self.assert_complete(r)
        self.assertIn("level_three", {f for x in r.folded() for f in x.frames})

    def test_one_of_two_dies(self):
        with Sleeper() as a, Sleeper() as b:
            with Foldd("-p", f"{a.pid},{b.pid}", "-d", "1500ms", out=self.out()) as f:
                f.await_attached()
                foldd.end(a.process)
                r = f.finish()
            self.assert_status(r, EXIT_DONE)
            summary = self.assert_complete(r)
            row = rows_by(summary, "pid", "processes")[b.pid]
            window = summary["duration_s"] * 1e9
            self.assertGreater(window, 1.4e9)
            self.assert_near(row["on_cpu_ns"] + row["off_cpu_ns"], window, 0.005 * window, "wall")

    def test_dies_at_once(self):
        for _ in range(10):
            with Sleeper(ms=1, times=1) as s:
                r = run_foldd("-p", s.pid, "-d", "20s", out=self.out())
                self.assert_status(r, EXIT_DONE, EXIT_NO_TARGET)
                self.assert_all_or_none(r)

    def test_command(self):
        r = self.record("--", workload("shortlived"), "20", "10")
        slept = sum(x.value for x in r.folded() if x.frames[-1] == "[sleep]")
        # it is let go when all is attached: nothing of its life is missed
        self.assertGreaterEqual(slept, 200_000)
        self.assertIn("level_three", {f for x in r.folded() for f in x.frames})
        # a zombie when the window ends: its time counts, once
        row, window = r.summary()["processes"][0], r.summary()["duration_s"] * 1e9
        self.assertLessEqual(row["on_cpu_ns"] + row["off_cpu_ns"], 1.005 * window)

    def test_command_and_its_children(self):
        r = self.record("--", workload("forks"), workload("shortlived"), "10", "20")
        slept = sum(x.value for x in r.folded() if x.frames[-1] == "[sleep]")
        self.assertGreaterEqual(slept, 10 * 20_000)

    def test_command_output(self):
        """It stays its own; where stdout is for the stacks, it goes to stderr."""
        say = ["--", "sh", "-c", "echo out; echo err >&2; sleep 0.05"]
        r = self.record("--quiet", *say)
        self.assertEqual(r.stdout, b"out\n")
        self.assertIn("err\n", r.stderr)
        r = run_foldd("-k", "offcpu", "-o", "-", *say)
        self.assert_status(r, EXIT_DONE)
        self.assert_grammar(r.stdout)
        self.assertIn("out\n", r.stderr)

    def test_command_that_is_missing(self):
        r = self.record("--", "/nonexistent/command", status=EXIT_NO_TARGET)
        self.assertIn("/nonexistent/command", r.stderr)
        self.assertEqual(r.files(), set())

    def test_command_is_found_in_path(self):
        self.record("--", "sleep", "0.1")

    def test_command_outlives_the_recording(self):
        """With -d the recording ends first; the command must not be left stopped or killed unsaid."""
        r = self.record("-d", "0.3s", "--", workload("shortlived"), "20", "40")
        self.assertIn("level_three", {f for x in r.folded() for f in x.frames})

    def test_cgroup(self):
        mount = foldd.cgroup2_mount()
        if not mount:
            self.skipTest("no cgroup2 hierarchy is mounted")
        path = os.path.join(mount, f"foldd-test-{os.getpid()}")
        os.mkdir(path)
        self.addCleanup(os.rmdir, path)

        def join():
            with open(os.path.join(path, "cgroup.procs"), "w", encoding="ascii") as f:
                f.write(str(os.getpid()))

        with Sleeper(preexec_fn=join) as inside, Sleeper() as outside:
            r = self.record("-C", path, "-d", "0.7s")
            pids = rows_by(r.summary(), "pid", "processes")
            self.assertIn(inside.pid, pids)
            self.assertNotIn(outside.pid, pids)
            self.assertIn("level_three", {f for x in r.folded() for f in x.frames})
            r = self.record("-C", os.path.basename(path), "-d", "0.3s")
            self.assertIn(inside.pid, rows_by(r.summary(), "pid", "processes"))

    def test_cgroup_that_is_missing(self):
        if not foldd.cgroup2_mount():
            self.skipTest("no cgroup2 hierarchy is mounted")
        r = self.record("-C", "/foldd-no-such-cgroup", "-d", "1s", status=EXIT_NO_TARGET)
        self.assertEqual(r.files(), set())


@unittest.skipUnless(foldd.can_unshare("-m"), "mount namespaces cannot be made here")
class Together(TestCase):
    def test_two_recordings_at_once(self):
        with Sleeper() as s:
            with Foldd("-p", s.pid, "-d", "1500ms", "--period", "0", out=self.out()) as a:
                with Foldd("-a", "-d", "1500ms", "--period", "0", out=self.out()) as b:
                    recordings = [a.finish(), b.finish()]
            for r in recordings:
                self.assert_status(r, EXIT_DONE)
                summary = self.assert_complete(r)
                window = summary["duration_s"] * 1e9
                row = rows_by(summary, "pid", "processes")[s.pid]
                self.assert_near(row["on_cpu_ns"] + row["off_cpu_ns"], window, 0.005 * window, "wall")

    def test_two_recordings_into_one_folder(self):
        """One replaces the other, or one gives up; no mixture is malformed."""
        out = self.out()
        with Sleeper() as s:
            with Foldd("-p", s.pid, "-d", "0.5s", out=out) as a, Foldd("-p", s.pid, "-d", "0.5s", out=out) as b:
                recordings = [a.finish(), b.finish()]
        for r in recordings:
            self.assert_status(r, EXIT_DONE, EXIT_RUNTIME)
        self.assertIn(EXIT_DONE, [r.status for r in recordings])
        self.assertEqual(recordings[0].files(), foldd.EXPECTED_FILES)
        for kind in ("offcpu", "cpu"):
            with open(os.path.join(out, kind + ".folded"), "rb") as f:
                self.assert_grammar(f.read())
        recordings[0].summary()


if __name__ == "__main__":
    foldd.main()
