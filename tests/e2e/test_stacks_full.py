# SPDX-License-Identifier: BSD-2-Clause
"""Stacks of large programs against gdb's: a PostgreSQL cluster at work and a Java virtual machine."""

import glob
import os
import pwd
import shutil
import subprocess
import time

import foldd
import gdb_stacks
from foldd import Workload
from test_stacks import StacksTest, is_marker, user_frames

WAITS = """
import java.util.concurrent.*;
public class Waits {
    static final Object lock = new Object();
    static void sleep() throws Exception { Thread.sleep(1_000_000); }
    static void park() throws Exception { new LinkedBlockingQueue<Integer>().take(); }
    static void monitor() throws Exception { synchronized (lock) { lock.wait(); } }
    static void accept() throws Exception { new java.net.ServerSocket(0).accept(); }
    interface Wait { void run() throws Exception; }
    static void start(String name, Wait w) {
        Thread t = new Thread(() -> { try { w.run(); } catch (Exception e) { } }, name);
        t.setDaemon(true);
        t.start();
    }
    public static void main(String[] args) throws Exception {
        start("t-sleep", Waits::sleep);
        start("t-park", Waits::park);
        start("t-monitor", Waits::monitor);
        start("t-accept", Waits::accept);
        Thread.sleep(500);
        System.out.println("{\\"event\\":\\"ready\\"}");
        System.in.read();
    }
}
"""


def is_jit(frame):
    return frame.startswith("[jit]") or frame.endswith("_[j]")


class Java(StacksTest):
    def test_threads(self):
        if not shutil.which("java"):
            self.skipTest("no java here")
        source = os.path.join(self.tmp, "Waits.java")
        with open(source, "w", encoding="ascii") as f:
            f.write(WAITS)
        if shutil.which("javac"):
            subprocess.run(["javac", "-d", self.tmp, source], check=True)
            command = ["java", "-cp", self.tmp, "Waits"]
        else:
            command = ["java", source]
        with Workload(*command) as w:
            w.event("ready")
            pid = w.process.pid
            time.sleep(0.5)
            lines = self.by_tid(self.record_pid(pid))
            frames = gdb_stacks.snapshot(pid)
            java = {tid for tid, of_one in lines.items() if any(is_jit(f) for s in of_one for f in s.frames)}
            native = set(frames) - java
            wrong = self.differences(pid, lines, native, frames)
            for _ in range(5):
                if wrong:
                    wrong = self.differences(pid, lines, set(wrong), gdb_stacks.snapshot(pid))
            self.assertEqual(wrong, {})
            self.assertGreaterEqual(len(java), 4)
            self.assertGreater(len(native), 5)
            whole = 0
            for tid in java:
                for s in lines[tid]:
                    outermost = user_frames(s)[-1]
                    self.assertTrue(is_marker(outermost) or not is_jit(outermost), ";".join(s.frames))
                    whole += not is_marker(outermost)
            total = sum(len(lines[t]) for t in java)
            print(f"{len(native)} native threads equal, {whole} of {total} java stacks whole", end=" ... ")


class Postgres(StacksTest):
    def setUp(self):
        super().setUp()
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        if not found and not shutil.which("initdb"):
            self.skipTest("no PostgreSQL here")
        self.bin = os.path.dirname(found[-1] if found else shutil.which("initdb"))
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            self.skipTest("no user postgres here")
        self.data = os.path.join(self.tmp, "pg")
        os.mkdir(self.data)
        os.chown(self.data, user.pw_uid, user.pw_gid)
        self.options = {"user": user.pw_uid, "group": user.pw_gid, "cwd": self.data, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
        self.run_tool("initdb", "-D", self.data, "-A", "trust", "--no-sync")
        self.server = subprocess.Popen(
            [os.path.join(self.bin, "postgres"), "-D", self.data, "-k", self.data, "-c", "listen_addresses=", "-c", "fsync=off"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.options)
        self.addCleanup(self.stop)
        for _ in range(200):
            if not self.run_tool("pg_isready", "-h", self.data, check=False).returncode:
                break
            time.sleep(0.1)

    def stop(self):
        self.server.terminate()  # it ends its children itself
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            foldd.end(self.server)

    def tool(self, name, *args):
        return [os.path.join(self.bin, name), *args]

    def run_tool(self, name, *args, check=True):
        return subprocess.run(self.tool(name, *args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              check=check, timeout=foldd.PATIENCE_S, **self.options)

    def test_backends(self):
        self.run_tool("pgbench", "-h", self.data, "-i", "-s", "1", "postgres")
        clients = [
            subprocess.Popen(self.tool(*c), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, **self.options)
            for c in (
                ("psql", "-h", self.data, "-c", "select pg_sleep(100)", "postgres"),
                ("psql", "-h", self.data, "-c", "begin; lock pgbench_accounts; select pg_sleep(100)", "postgres"),
                ("psql", "-h", self.data, "postgres"),
            )
        ]
        for c in clients:
            self.addCleanup(foldd.end, c)
        time.sleep(1)
        # one that waits for the lock of another
        blocked = subprocess.Popen(self.tool("pgbench", "-h", self.data, "-n", "-T", "100", "postgres"),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.options)
        self.addCleanup(foldd.end, blocked)
        time.sleep(1)
        with open(f"/proc/{self.server.pid}/task/{self.server.pid}/children", encoding="ascii") as f:
            pids = [self.server.pid, *map(int, f.read().split())]
        self.assertGreater(len(pids), 6)
        for pid in pids:
            with self.subTest(pid=pid):
                self.check_process(pid)


if __name__ == "__main__":
    foldd.main()
