# SPDX-License-Identifier: BSD-2-Clause
"""Files made to hurt whoever reads them, mapped as code by a profiled process."""

import contextlib
import glob
import os
import random
import signal
import struct
import sys
import time
import unittest

import foldd
from foldd import Foldd, TestCase, Workload, loss_count, workload

SECONDS = 12
NOBODY = 65534
RSS_MAX = 400 << 20  # bytes; of foldd while it reads all this

# Maps each file of a folder as code; "rewrite" goes on changing the last one; a line on stdin maps more.
MAPPER = """
import json, mmap, os, sys, threading, time
held = []
def hold(path):
    with open(path, "rb") as f:
        held.append(mmap.mmap(f.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC))
def rewrite(path):
    whole = open(path, "rb").read()
    with open(path, "r+b") as f:
        while True:
            for at in range(0, 512, 7):
                os.pwrite(f.fileno(), os.urandom(9), at)
            os.ftruncate(f.fileno(), len(whole) // 2)
            os.pwrite(f.fileno(), whole, 0)
            time.sleep(0.001)
for name in sorted(os.listdir(sys.argv[1])):
    hold(os.path.join(sys.argv[1], name))
if "rewrite" in sys.argv:
    threading.Thread(target=rewrite, args=(os.path.join(sys.argv[1], name),), daemon=True).start()
print(json.dumps({"event": "ready", "pid": os.getpid()}), flush=True)
for line in sys.stdin:
    if line.strip():
        hold(line.strip())
        print(json.dumps({"event": "mapped"}), flush=True)
"""


def elf(sections, phdrs=None, **header):
    """An ELF file of sections [(name, type, flags, data, {field: value})] with one executable segment."""
    names, at, body, table = b"\0", 64 + 56, b"", []
    for name, kind, flags, data, fields in [*sections, (".shstrtab", 3, 0, None, {})]:
        table.append((len(names), kind, flags, data, fields))
        names += name.encode() + b"\0"
    rows = [b"\0" * 64]
    for name, kind, flags, data, fields in table:
        data = names if data is None else data
        f = {"addr": at + len(body), "offset": at + len(body), "size": len(data), "link": 0, "info": 0,
             "align": 8, "entsize": 24 if kind in (2, 11) else 0, **fields}
        rows.append(struct.pack("<IIQQQQIIQQ", name, kind, flags, f["addr"], f["offset"], f["size"],
                                f["link"], f["info"], f["align"], f["entsize"]))
        body += data + b"\0" * (-len(data) % 8)
    shoff = at + len(body)
    whole = shoff + 64 * len(rows)
    h = {"phoff": 64, "shoff": shoff, "phentsize": 56, "phnum": 1, "shentsize": 64, "shnum": len(rows),
         "shstrndx": len(rows) - 1, **header}
    ehdr = b"\x7fELF\2\1\1" + b"\0" * 9 + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, h["phoff"], h["shoff"], 0, 64, h["phentsize"], h["phnum"],
        h["shentsize"], h["shnum"], h["shstrndx"])
    phdr = phdrs or struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, whole, whole, 4096)
    return ehdr + phdr + body + b"".join(rows)


def cie(augmentation=b"zR\0", rest=b"\x01\x78\x10\x01\x1b"):
    data = struct.pack("<I", 0) + b"\x01" + augmentation + rest
    data += b"\0" * (-len(data) % 8)
    return struct.pack("<I", len(data)) + data


def eh(data):
    return (".eh_frame", 1, 2, data, {})


def hostile_files():
    """{name: bytes}"""
    with open([*glob.glob("/lib/*/libc.so.6"), *glob.glob("/lib64/libc.so.6")][0], "rb") as f:
        libc = f.read()
    text = (".text", 1, 6, b"\xc3" * 256, {})
    files = {f"cut{n}": libc[:n] for n in (1, 16, 63, 64, 100, 4096, 100_000, len(libc) // 2, len(libc) - 64)}
    files["zeroes"] = b"\0" * 8192
    files["text"] = b"#!/bin/sh\n" * 1000
    files["counts"] = elf([text], phnum=0xFFFF, shnum=0xFFFF)
    files["xindex"] = elf([text], phnum=0xFFFF, shnum=0, shstrndx=0xFFFF)
    files["beyond"] = elf([text], shoff=2**63, phoff=2**64 - 8)
    symbols = b"".join(struct.pack("<IBBHQQ", 1, 0x12, 0, 1, 120, 2**64 - 1) for _ in range(5000))
    for size in (2**40, 2**62, 2**64 - 1):
        files[f"symtab{size}"] = elf([text, (".symtab", 2, 0, symbols, {"size": size, "link": 3}),
                                      (".strtab", 3, 0, b"\0a\0", {"size": size})])
    files["one name"] = elf([text, (".symtab", 2, 0, symbols, {"link": 3}),
                             (".strtab", 3, 0, b"\0" + b"_Z" + b"x" * 1_000_000, {})])
    files["links to itself"] = elf([text, (".symtab", 2, 0, symbols, {"link": 2})])
    files["augmentation without end"] = elf([text, eh(struct.pack("<I", 4000) + b"\0\0\0\0\1" + b"z" * 3995)])
    files["cie points to itself"] = elf([text, eh(struct.pack("<II", 0xFFC, 4) + b"\0" * 0xFF8)])
    files["fde cycle"] = elf([text, eh(cie() + b"".join(struct.pack("<II", 4, 2**32 - 8) for _ in range(400)))])
    files["length of all"] = elf([text, eh(struct.pack("<IQ", 0xFFFFFFFF, 2**64 - 1) + b"\0" * 64)])
    loops = b"\x0a" * 3000 + b"\x0b" * 5000 + b"\x04\xff\xff\xff\xff" * 500  # remember, restore, advance
    fde = struct.pack("<Iii", 0, -256, 2**31 - 1) + b"\0" + loops
    entry = cie()
    fde = struct.pack("<I", len(fde)) + struct.pack("<I", len(entry) + 4) + fde[4:]
    files["states"] = elf([text, eh(entry + fde + b"\0" * 16)])
    numbers = random.Random(7)
    for i in range(40):
        bent = bytearray(libc)
        for _ in range(200):
            # anywhere, but the headers above all
            at = numbers.randrange(len(bent)) if numbers.random() < 0.5 else numbers.randrange(64, 1024)
            bent[at] = numbers.randrange(256)
        files[f"bent{i}"] = bytes(bent)
    files["~changing"] = libc
    return files


def workers(pid):
    """The processes of this name that foldd has started."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError):
            with open(path, encoding="utf-8", errors="replace") as f:
                head, _, rest = f.read().rpartition(")")
            if head.endswith("(foldd-symd") and int(rest.split()[1]) == pid and rest.split()[0] != "Z":
                found.append(int(path.split("/")[2]))
    return found


class Hostile(TestCase):
    def files(self):
        folder = os.path.join(self.tmp, "files")
        os.mkdir(folder)
        for name, data in hostile_files().items():
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data.ljust(4096, b"\0") if len(data) < 4096 else data)
            os.chown(f.name, NOBODY, NOBODY)
        sparse = os.path.join(folder, "sparse")
        with open(sparse, "wb") as f:
            f.write(elf([(".text", 1, 6, b"\xc3" * 256, {}),
                         (".symtab", 2, 0, b"", {"offset": 4096, "size": 1 << 33, "link": 3}),
                         (".strtab", 3, 0, b"", {"offset": 4096, "size": 1 << 33})]))
            f.truncate(16 << 30)
        return folder

    def victim(self):
        return Workload(workload("names"), workload("sleeplib.so"), str(SECONDS))

    def assert_named(self, r):
        """The others are profiled as if nothing was."""
        named = sum(s.value for s in r.folded() if "named_sleep" in s.frames or "thread_main" in s.frames)
        self.assertGreater(named, 0)

    def test_files(self):
        folder = self.files()
        with Workload(sys.executable, "-c", MAPPER, folder, "rewrite") as w, self.victim() as v:
            pid, victim = w.event("ready")["pid"], v.event("ready")["pid"]
            r = self.record("-p", f"{pid},{victim}", "-d", "4s", "--period", "0")
        summary = r.summary()
        self.assert_named(r)
        self.assertLess(summary["cost"]["max_rss_bytes"], RSS_MAX)
        self.assertLess(summary["duration_s"], 6)
        # some of the files say that they are libc, but libc is libc
        cut = sum(s.value for s in r.folded() if s.frames[0] == "python3" and "read" in s.frames)
        self.assertGreater(cut, 0)
        # this reader takes them all; would it not, each was to be told by name
        for refused in summary.get("refused_files", []):
            print("refused:", refused)

    def test_stalled_worker(self):
        """A worker that does not answer: another one goes on, and the file is named."""
        folder = os.path.join(self.tmp, "none")
        os.mkdir(folder)
        late = os.path.join(self.tmp, "late.so")
        with open(late, "wb") as f:
            f.write(elf([(".text", 1, 6, b"\xc3" * 8192, {})]))
        with Workload(sys.executable, "-c", MAPPER, folder) as w, self.victim() as v:
            pid, victim = w.event("ready")["pid"], v.event("ready")["pid"]
            with Foldd("-p", f"{pid},{victim}", "-d", "6s", "--period", "0", out=self.out()) as f:
                f.await_attached()
                (worker,) = workers(f.pid())
                os.kill(worker, signal.SIGSTOP)
                w.process.stdin.write(late + "\n")
                w.process.stdin.flush()
                w.event("mapped")
                deadline = time.monotonic() + 5
                while workers(f.pid()) in ([worker], []) and time.monotonic() < deadline:
                    time.sleep(0.05)
                self.assertNotEqual(workers(f.pid()), [worker])
                r = f.finish()
        self.assert_status(r, foldd.EXIT_DONE)
        self.assert_complete(r)
        self.assert_named(r)
        summary = r.summary()
        self.assertEqual(loss_count(summary, "parser_killed"), 1)
        self.assertEqual(summary["refused_files"], [{"path": late, "why": "stalled the parser"}])
        self.assertIn(late, r.stderr)
        self.assertEqual(workers(f.pid()), [])

    def test_killed_worker(self):
        """Somebody kills it: nothing is lost."""
        with self.victim() as v:
            victim = v.event("ready")["pid"]
            with Foldd("-p", victim, "-d", "2s", "--period", "0", out=self.out()) as f:
                f.await_attached()
                (worker,) = workers(f.pid())
                os.kill(worker, signal.SIGKILL)
                r = f.finish()
        self.assert_status(r, foldd.EXIT_DONE)
        self.assert_complete(r)
        self.assert_named(r)
        self.assertEqual(loss_count(r.summary(), "parser_killed"), 0)

    def test_worker_is_no_target(self):
        with self.victim() as v:
            v.event("ready")
            with Foldd("-a", "-d", "2s", out=self.out()) as f:
                r = f.finish()
        self.assert_status(r, foldd.EXIT_DONE)
        comms = {row["comm"] for row in r.summary()["processes"]}
        self.assertNotIn("foldd-symd", comms)
        self.assertFalse([s for s in r.folded() if s.frames[0] == "foldd-symd"])

    def test_foldd_killed(self):
        """The worker does not outlive foldd."""
        with self.victim() as v:
            with Foldd("-p", v.event("ready")["pid"], out=self.out()) as f:
                f.await_attached()
                (worker,) = workers(f.pid())
                f.process.kill()
                f.process.wait()
                deadline = time.monotonic() + 5
                while os.path.exists(f"/proc/{worker}") and time.monotonic() < deadline:
                    time.sleep(0.02)
                self.assertFalse(os.path.exists(f"/proc/{worker}"))


class NoParser(unittest.TestCase):
    def test_foldd_has_none(self):
        """Not one of the functions that read an ELF file is linked into foldd."""
        with open(foldd.FOLDD, "rb") as f:
            data = f.read()
        if b"symd_info" not in data:
            self.skipTest("foldd has no symbols")
        for name in (b"object_info_read", b"symbols_read", b"cfi_build", b"object_demangle", b"object_crc32"):
            self.assertNotIn(name, data)


if __name__ == "__main__":
    foldd.main()
