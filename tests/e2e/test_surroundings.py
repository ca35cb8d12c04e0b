# SPDX-License-Identifier: BSD-2-Clause
"""What surrounds foldd: missing features, full disks, signals at any moment, containers."""

import os
import shutil
import signal
import subprocess
import time
import unittest

import foldd
from foldd import (
    EXIT_DONE, EXIT_INTERRUPTED, EXIT_KERNEL, EXIT_LOSSY, EXIT_PRIVILEGE, EXIT_RUNTIME, FOLDD, Foldd,
    TestCase, rows_by, run_foldd, workload,
)
from sleeper import Sleeper, in_mount_namespace


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
