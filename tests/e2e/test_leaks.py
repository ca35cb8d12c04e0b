# SPDX-License-Identifier: BSD-2-Clause
"""Ten thousand rounds of map, unmap, exec and exit: what foldd holds does not grow with them."""

import os
import struct
import sys

import foldd
from foldd import Foldd, TestCase, Workload, loss_count, workload

ROUNDS = 10_000
FILES = 200
GROWTH_MAX = 8 << 20  # bytes of resident memory, from half of the rounds to all of them
FDS_SPARE = 64  # descriptors, of both, beside those of the files

# Each line on stdin is a number of rounds.
ROUNDER = """
import json, mmap, os, sys
files = [os.path.join(sys.argv[1], name) for name in sorted(os.listdir(sys.argv[1]))]
print(json.dumps({"event": "ready", "pid": os.getpid()}), flush=True)
at = 0
for line in sys.stdin:
    for _ in range(int(line)):
        with open(files[at % len(files)], "rb") as f:
            code = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
        child = os.posix_spawn("/bin/true", ["true"], {})
        code.close()
        os.waitpid(child, 0)
        at += 1
    print(json.dumps({"event": "done"}), flush=True)
"""


def held(pid):
    """(bytes of resident memory, descriptors)"""
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    return rss * 1024, len(os.listdir(f"/proc/{pid}/fd"))


class Leaks(TestCase):
    def files(self):
        """Copies of a library that say of themselves that they are different ones."""
        folder = os.path.join(self.tmp, "files")
        os.mkdir(folder)
        with open(workload("sleeplib.so"), "rb") as f:
            data = bytearray(f.read())
        note = struct.pack("<III", 4, 20, 3) + b"GNU\0"
        at = data.find(note)
        for number in range(FILES):
            if at >= 0:
                struct.pack_into("<20s", data, at + len(note), b"%020d" % number)
            with open(os.path.join(folder, f"lib{number}.so"), "wb") as f:
                f.write(data)
        return folder

    def rounds(self, w, f):
        w.process.stdin.write(f"{ROUNDS // 2}\n")
        w.process.stdin.flush()
        w.event("done")
        return held(f.pid())

    def test_rounds(self):
        with Workload(sys.executable, "-c", ROUNDER, self.files()) as w:
            w.event("ready")
            with Foldd("-a", out=self.out()) as f:
                f.await_attached()
                at_start = held(f.pid())
                at_half, at_end = (self.rounds(w, f) for _ in range(2))
                f.interrupt()
                r = f.finish()
        self.assert_status(r, foldd.EXIT_DONE)
        summary = self.assert_complete(r)
        print(f"start {at_start}, half {at_half}, end {at_end}", file=sys.stderr)
        self.assertLess(at_end[0] - at_half[0], GROWTH_MAX)
        self.assertLess(at_end[1] - at_half[1], FDS_SPARE)
        self.assertLess(at_half[1] - at_start[1], FILES + FDS_SPARE)
        for reason in ("pool_full", "objects_full", "processes_full", "mappings_full"):
            self.assertEqual(loss_count(summary, reason), 0, summary["losses"])


if __name__ == "__main__":
    foldd.main()
