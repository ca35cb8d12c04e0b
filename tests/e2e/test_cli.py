# SPDX-License-Identifier: BSD-2-Clause
"""The command line: targets, outputs, exit statuses, and what must not go wrong."""

import os
import shutil
import signal
import subprocess
import time
import unittest

import foldd
from foldd import (
    EXIT_DONE, EXIT_INTERRUPTED, EXIT_KERNEL, EXIT_LOSSY, EXIT_NO_TARGET, EXIT_PRIVILEGE, EXIT_RUNTIME,
    EXIT_USAGE, FOLDD, Foldd, TestCase, parse_folded, rows_by, run_foldd, workload,
)


class Sleeper:
    """A process in a chain of functions that sleeps for a while."""

    def __init__(self, ms=20, times=3000, prefix=(), program=None, **kwargs):
        self.process = subprocess.Popen(
            [*prefix, program or workload("shortlived"), str(ms), str(times)], **kwargs
        )
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        foldd.end(self.process)


def in_mount_namespace(script, *args):
    """The words that run a shell script, with its arguments as "$@", where mounts are its own."""
    return ["unshare", "-m", "sh", "-c", "set -e; " + script, "sh", *map(str, args)]


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
        for word in ("BTF", "sched_switch"):
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
class Surroundings(TestCase):
    """A host that lacks something, or has too little of it."""

    def record_in(self, script, *args, out=None):
        """foldd with args behind a script that changes its mounts and then runs "$@"."""
        out = out or self.out()
        done = subprocess.run(
            [*in_mount_namespace(script), FOLDD, "record", "-o", out, *map(str, args)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=foldd.PATIENCE_S, check=False,
        )
        return foldd.Recording(args, out, done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def test_no_privilege(self):
        if not shutil.which("setpriv"):
            self.skipTest("no setpriv here")
        program = shutil.copy(FOLDD, self.tmp)
        os.chmod(program, 0o755)
        out = os.path.join(self.tmp, "open")
        os.mkdir(out)
        os.chmod(out, 0o777)
        for target in (["-a"], ["-p", "1"], ["--", "true"]):
            with self.subTest(target=target):
                done = subprocess.run(
                    ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program, "record",
                     "-o", os.path.join(out, "rec"), "-d", "0.2s", *target],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                )
                r = foldd.Recording(target, os.path.join(out, "rec"), done.returncode, done.stdout,
                                    done.stderr.decode())
                self.assert_status(r, EXIT_PRIVILEGE)
                self.assertRegex(r.stderr, "root|sudo|CAP_", "it should say which privilege")
                self.assertEqual(r.files(), set())

    def test_no_btf(self):
        if not os.path.isdir("/sys/kernel/btf"):
            self.skipTest("this kernel has no BTF to hide")
        if os.path.exists(f"/usr/lib/debug/boot/vmlinux-{os.uname().release}"):
            self.skipTest("BTF could be read from the debug kernel instead")
        r = self.record_in('mount -t tmpfs none /sys/kernel/btf; exec "$@"', "-a", "-d", "0.3s")
        self.assert_status(r, EXIT_KERNEL)
        self.assertIn("BTF", r.stderr)
        self.assertEqual(r.files(), set())

    def test_no_tracefs(self):
        """Nothing here needs tracefs; if it did, it would have to say so."""
        script = (
            "for m in $(awk '$3 == \"tracefs\" || $3 == \"debugfs\" {print $2}' /proc/mounts); do "
            'umount -l "$m"; done; exec "$@"'
        )
        with Sleeper() as s:
            r = self.record_in(script, "-p", s.pid, "-d", "0.5s")
        self.assert_status(r, EXIT_DONE, EXIT_KERNEL)
        if r.status == EXIT_DONE:
            self.assert_complete(r)
            self.assertIn("level_three", {f for x in r.folded() for f in x.frames})
        else:
            self.assertIn("tracefs", r.stderr)

    def test_full_disk(self):
        out = self.out()
        os.mkdir(out)
        listing = os.path.join(self.tmp, "listing")
        script = (
            f'mount -t tmpfs -o size=4k none {out}; status=0; "$@" || status=$?; '
            f"ls -A {out} > {listing}; exit $status"
        )
        with Sleeper() as s:
            r = self.record_in(script, "-p", s.pid, "-d", "0.3s", out=out)
        self.assert_status(r, EXIT_RUNTIME)
        self.assertRegex(r.stderr, "(?i)no space|disk|full")
        with open(listing, encoding="ascii") as f:
            self.assertEqual(f.read(), "", "half a recording was left on the full disk")

    def test_read_only_folder(self):
        out = self.out()
        os.mkdir(out)
        r = self.record_in(f'mount -t tmpfs -o ro none {out}; exec "$@"', "-a", "-d", "0.3s", out=out)
        self.assert_status(r, EXIT_RUNTIME)
        self.assertIn(out, r.stderr)

    def test_folders_that_cannot_be(self):
        blocked = os.path.join(self.tmp, "file")
        with open(blocked, "w", encoding="ascii") as f:
            f.write("mine")
        for out in (blocked, os.path.join(blocked, "below"), "/proc/foldd", "/dev/null"):
            with self.subTest(out=out):
                r = run_foldd("-a", "-d", "0.3s", "-o", out)
                self.assert_status(r, EXIT_RUNTIME)
                self.assertIn(out, r.stderr)
        with open(blocked, encoding="ascii") as f:
            self.assertEqual(f.read(), "mine")

    def test_nothing_is_recorded_for_a_bad_folder(self):
        """The folder is tried first: the hour does not pass before the error comes."""
        r = run_foldd("-a", "-d", "1h", "-o", os.path.join(self.tmp, "no/such/place"))
        self.assert_status(r, EXIT_RUNTIME)
        self.assertEqual(os.listdir(self.tmp), [])

    def test_recording_again_replaces(self):
        out = self.out()
        with Sleeper() as s:
            self.record("-p", s.pid, "-d", "0.3s", out=out)
            self.record("-p", s.pid, "-d", "0.3s", out=out)

    def test_closed_stdout(self):
        with Sleeper() as s:
            done = subprocess.run(
                ["sh", "-c", 'exec "$@" >&-', "sh", FOLDD, "-p", str(s.pid), "-d", "0.3s", "-k", "offcpu",
                 "-o", "-"],
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=foldd.PATIENCE_S, check=False,
            )
        self.assertEqual(done.returncode, EXIT_RUNTIME, done.stderr)

    def test_full_stdout(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with Sleeper() as s, open("/dev/full", "wb") as full:
            done = subprocess.run(
                [FOLDD, "-p", str(s.pid), "-d", "0.3s", "-k", "offcpu", "-o", "-"],
                stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, timeout=foldd.PATIENCE_S,
                check=False,
            )
        self.assertEqual(done.returncode, EXIT_RUNTIME, done.stderr)


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


class Interrupted(TestCase):
    """^C at any moment."""

    # killed before there was a handler: a shell shows the same 130
    ALLOWED = (EXIT_DONE, EXIT_LOSSY, EXIT_INTERRUPTED, -signal.SIGINT)

    def check(self, delays):
        with Sleeper() as s:
            before = foldd.Attached()
            for target in (["-p", s.pid], ["-a"]):
                with self.subTest(target=target, delays=delays), Foldd(*target, out=self.out()) as f:
                    for delay in delays:
                        time.sleep(delay)
                        if f.process.poll() is None:
                            f.interrupt()
                    r = f.finish()
                    self.assertIn(r.status, self.ALLOWED, r.say())
                    self.assert_all_or_none(r)
                    if r.status in (EXIT_INTERRUPTED, -signal.SIGINT):
                        self.assertEqual(r.files(), set())
                    elif r.status == EXIT_DONE:
                        self.assertEqual(r.files(), foldd.EXPECTED_FILES)
            self.assertEqual(before.left(), [], "left attached")

    def test_once(self):
        for delay in (0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1):
            self.check([delay])

    def test_twice(self):
        for first, second in ((0, 0), (0.01, 0.01), (0.05, 0), (0.1, 0.01), (0.3, 0), (0.5, 0.005), (0.6, 0.03)):
            self.check([first, second])

    def test_once_when_attached(self):
        """The first ^C of a recording that has begun finishes and writes it."""
        with Sleeper() as s, Foldd("-p", s.pid, out=self.out()) as f:
            f.await_attached()
            f.interrupt()
            r = f.finish()
        self.assert_status(r, EXIT_DONE)
        self.assert_complete(r)
        self.assertIn("level_three", {f for x in r.folded() for f in x.frames})

    def test_terminated(self):
        with Sleeper() as s:
            before = foldd.Attached()
            with Foldd("-p", s.pid, out=self.out()) as f:
                f.await_attached()
                f.process.terminate()
                r = f.finish()
            self.assertIn(r.status, (*self.ALLOWED, -signal.SIGTERM))
            self.assert_all_or_none(r)
            self.assertEqual(before.left(), [])

    def test_killed(self):
        """Even SIGKILL leaves nothing attached and no half-written recording."""
        with Sleeper() as s:
            before = foldd.Attached()
            for delay in (0.1, 0.4, 0.8):
                with Foldd("-p", s.pid, out=self.out()) as f:
                    time.sleep(delay)
                    f.process.kill()
                    r = f.finish()
                self.assertFalse(r.files() & foldd.EXPECTED_FILES)
            self.assertEqual(before.left(), [])

    def test_interrupted_command(self):
        """^C while a command is held or runs: it does not stay behind stopped."""
        for delay in (0.01, 0.05, 0.1, 0.3, 0.6):
            with self.subTest(delay=delay):
                mark = f"20{os.getpid() % 1000:03d}"  # milliseconds, to know it by
                with Foldd("--", workload("shortlived"), "7", mark, out=self.out()) as f:
                    time.sleep(delay)
                    f.interrupt()
                    r = f.finish()
                self.assertIn(r.status, self.ALLOWED, r.say())
                self.assert_all_or_none(r)
                for pid in self.running_with(mark):
                    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                        state = stat.read().rpartition(")")[2].split()[0]
                    os.kill(pid, signal.SIGKILL)
                    self.assertNotIn(state, "Tt", "the command was left stopped")

    @staticmethod
    def running_with(mark):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
            except OSError:
                continue
            if words[1:3] == [b"7", mark.encode()] and words[0].endswith(b"shortlived"):
                yield int(pid)

    def test_nothing_is_left_after_a_recording(self):
        with Sleeper() as s:
            before = foldd.Attached()
            self.record("-a", "-d", "0.3s")
            self.record("-p", s.pid, "-d", "0.3s")
            self.assertEqual(before.left(), [])


@unittest.skipUnless(foldd.can_unshare("-pfm", "--mount-proc"), "pid namespaces cannot be made here")
class Containers(TestCase):
    def container_root(self):
        """The words that run a command in a root folder, mount and pid namespace of its own.

        The program stands at /app/inside there, a path that the host does not have.
        """
        script = """
            root=$1; shift
            mount -t tmpfs none "$root"
            for dir in lib lib64 lib32 usr bin; do
                [ -e "/$dir" ] || continue
                mkdir -p "$root/$dir"; mount --rbind "/$dir" "$root/$dir"
            done
            mkdir -p "$root/app" "$root/proc"; mount -t proc none "$root/proc"
            cp "$1" "$root/app/inside"; shift
            exec chroot "$root" /app/inside "$@"
        """
        root = os.path.join(self.tmp, "root")
        os.makedirs(root, exist_ok=True)
        return ["unshare", "-pfm", "--mount-proc", "--kill-child", "sh", "-c", "set -e\n" + script, "sh", root,
                workload("shortlived")]

    @staticmethod
    def find(comm, parent):
        """The pid, as the host sees it, of a descendant that runs the program."""
        deadline = time.monotonic() + foldd.PATIENCE_S
        while time.monotonic() < deadline:
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                        name, _, rest = f.read().partition("(")[2].rpartition(")")
                except OSError:
                    continue
                if name == comm and int(rest.split()[1]) == parent:
                    return int(pid)
            time.sleep(0.02)
        raise AssertionError(f"{comm} did not start")

    def test_target_in_a_container(self):
        container = subprocess.Popen([*self.container_root(), "20", "3000"])
        try:
            pid = self.find("inside", container.pid)
            for target in (["-p", pid], ["-a"]):
                with self.subTest(target=target):
                    r = self.record(*target, "-d", "0.7s")
                    self.assertIn(pid, rows_by(r.summary(), "pid", "processes"))
                    asleep = self.asleep(r)
                    self.assertTrue(asleep)
                    for x in asleep:
                        self.assertIn("level_three", x.frames)
        finally:
            foldd.end(container)

    @staticmethod
    def asleep(recording):
        """The sleeps of the program inside, but for those whose end the kernel did not report."""
        return [
            x
            for x in recording.folded()
            if x.frames[0] == "inside" and x.frames[-1] == "[sleep]" and foldd.MISSED not in x.frames
        ]

    def test_exited_target_in_a_container(self):
        """Its root is gone with it: files must have been opened while it lived."""
        with Foldd("-a", "-d", "2s", out=self.out()) as f:
            f.await_attached()
            subprocess.run([*self.container_root(), "20", "25"], timeout=foldd.PATIENCE_S, check=True)
            r = f.finish()
        self.assert_status(r, EXIT_DONE)
        asleep = self.asleep(r)
        self.assertTrue(asleep)
        for x in asleep:
            self.assertIn("level_three", x.frames)

    def test_foldd_in_a_container(self):
        """Inside of a pid namespace foldd knows and shows the pids of that namespace."""
        out = self.out()
        script = '"$1" 20 3000 & target=$!; shift; "$@" -p $target; status=$?; kill $target; echo $target; exit $status'
        done = subprocess.run(
            ["unshare", "-pfm", "--mount-proc", "--kill-child", "sh", "-c", script, "sh", workload("shortlived"),
             FOLDD, "record", "--threads", "--quiet", "-d", "0.7s", "-o", out],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=foldd.PATIENCE_S, check=False,
        )
        r = foldd.Recording([], out, done.returncode, done.stdout, done.stderr.decode())
        self.assert_status(r, EXIT_DONE)
        summary = self.assert_complete(r)
        pid = int(done.stdout)
        window = summary["duration_s"] * 1e9
        row = rows_by(summary, "pid", "processes")[pid]
        self.assert_near(row["on_cpu_ns"] + row["off_cpu_ns"], window, 0.005 * window, "wall")
        self.assertIn("level_three", {f for x in r.folded() for f in x.frames})
        self.assertEqual({foldd.thread_id(x) for x in r.folded()}, {pid})


if __name__ == "__main__":
    foldd.main()
