# SPDX-License-Identifier: BSD-2-Clause
"""Files made to hurt whoever reads them, mapped as code by a profiled process."""

import contextlib
import ctypes
import glob
import lzma
import os
import random
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
import unittest

import foldd
from foldd import Foldd, TestCase, Workload, loss_count, workload

SECONDS = 12
NOBODY = 65534
RSS_MAX = 300 << 20  # bytes; of foldd while it reads all this

MNT_DETACH = 2

# Maps files as code where a line on stdin says so, or sleeps in one, or lays one file over another for itself alone;
# or waits in a page of code that it has made, as a JIT compiler does.
TRAPPER = """
import ctypes, json, mmap, os, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
held = []
def sleep_in_code():
    page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
    # push rbp; mov rbp, rsp; mov eax, 35; syscall; pop rbp; ret
    page.write(bytes.fromhex("554889e5b8230000000f055dc3"))
    held.append(page)
    call = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)(
        ctypes.addressof(ctypes.c_char.from_buffer(page)))
    time = (ctypes.c_long * 2)(0, 20_000_000)
    while True:
        call(ctypes.addressof(time), None)
print(json.dumps({"event": "ready", "pid": os.getpid()}), flush=True)
for line in sys.stdin:
    verb, *args = line.split()
    if verb == "map":
        with open(args[0], "rb") as f:
            held.append(mmap.mmap(f.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC))
    elif verb == "cover":
        if libc.mount(args[1].encode(), args[0].encode(), None, 1 << 12, None):
            raise OSError(ctypes.get_errno(), "mount")
    elif verb == "call":
        sleep = ctypes.CDLL(args[0]).sleeplib_sleep
        threading.Thread(target=sleep, args=(20, 1_000_000), daemon=True).start()
    elif verb == "jit":
        threading.Thread(target=sleep_in_code, daemon=True).start()
    print(json.dumps({"event": "done"}), flush=True)
"""

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


def xz_bomb():
    """1 GB of zeroes in some 150 KB."""
    packer, packed = lzma.LZMACompressor(preset=0), []
    for _ in range(64):
        packed.append(packer.compress(b"\0" * (16 << 20)))
    return b"".join([*packed, packer.flush()])


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
    bomb = xz_bomb()
    files["sections in a circle"] = elf([text, (".symtab", 2, 0, symbols, {"link": 3}),
                                         (".dynsym", 11, 2, symbols, {"link": 2})])
    over = {"offset": 0, "size": 8192, "link": 1}
    files["sections over each other"] = elf([text, *((f".symtab{i}", 2, 0, b"", over) for i in range(2000))])
    files["xz bomb"] = elf([text, (".gnu_debugdata", 1, 0, bomb, {})])
    files["xz bomb cut off"] = elf([text, (".gnu_debugdata", 1, 0, bomb[: len(bomb) // 2], {})])
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


class HostileCase(TestCase):
    def victim(self):
        return Workload(workload("names"), workload("sleeplib.so"), str(SECONDS))

    def assert_named(self, r):
        """The others are profiled as if nothing was."""
        named = sum(s.value for s in r.folded() if "named_sleep" in s.frames or "thread_main" in s.frames)
        self.assertGreater(named, 0)


class Hostile(HostileCase):
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
            with Foldd("-a", "-d", "2s", "--threads", out=self.out()) as f:
                f.await_attached()
                (worker,) = workers(f.pid())
                r = f.finish()
        self.assert_status(r, foldd.EXIT_DONE)
        # by their ids: another foldd may be at work on this host
        self.assertNotIn(worker, {row["pid"] for row in r.summary()["processes"]})
        self.assertNotIn(worker, {foldd.thread_id(s) for s in r.folded()})

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


# FUSE, as much of it as it takes to have a file mapped and then to fall silent

FUSE_LOOKUP, FUSE_FORGET, FUSE_GETATTR, FUSE_OPEN, FUSE_READ, FUSE_INIT = 1, 2, 3, 14, 15, 26
FUSE_FILE_INODE, FUSE_FILE_BYTES = 2, 65536


class StallingMount:
    """A file system with one file, `lib.so`, that answers until it is told not to."""

    def __init__(self, folder):
        self.folder, self.stalled, self.asked = folder, False, 0
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if libc.mount(b"foldd-test", folder.encode(), b"fuse", 0, options):
            os.close(self.fd)
            raise OSError(ctypes.get_errno(), "mount")
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    @staticmethod
    def attributes(inode):
        mode = stat.S_IFDIR | 0o755 if inode == 1 else stat.S_IFREG | 0o755
        return struct.pack("<6Q10I", inode, FUSE_FILE_BYTES, 128, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def answer(self, opcode, inode, body):
        if opcode == FUSE_INIT:
            return struct.pack("<4I2H2I2H8I", 7, 31, 65536, 0, 16, 12, 65536, 1, 16, 0, *[0] * 8)
        if opcode == FUSE_LOOKUP and body.rstrip(b"\0") == b"lib.so":
            return struct.pack("<4Q2I", FUSE_FILE_INODE, 0, 0, 0, 0, 0) + self.attributes(FUSE_FILE_INODE)
        if opcode == FUSE_GETATTR:
            return struct.pack("<Q2I", 0, 0, 0) + self.attributes(inode)
        if opcode == FUSE_OPEN:
            return struct.pack("<Q2I", 1, 0, 0)
        if opcode == FUSE_READ:
            return b"\0" * struct.unpack_from("<I", body, 16)[0]
        return None

    def serve(self):
        while True:
            try:
                data = os.read(self.fd, 1 << 20)
            except OSError:
                return  # unmounted
            _, opcode, unique, inode = struct.unpack_from("<2I2Q", data)
            if opcode == FUSE_FORGET:
                continue
            if self.stalled:
                self.asked += 1
                continue
            body = self.answer(opcode, inode, data[40:])
            error = 0 if body is not None else -38  # ENOSYS
            body = body or b""
            with contextlib.suppress(OSError):
                os.write(self.fd, struct.pack("<IiQ", 16 + len(body), error, unique) + body)

    def end(self):
        ctypes.CDLL(None).umount2(self.folder.encode(), MNT_DETACH)
        os.close(self.fd)


class Traps(HostileCase):
    """What is at a path is not what it should be."""

    def trapper(self):
        w = Workload(*(["unshare", "-m"] if foldd.can_unshare("-m") else []), sys.executable, "-c", TRAPPER)
        self.addCleanup(foldd.end, w.process)
        return w, w.event("ready")["pid"]

    def tell(self, w, *words):
        w.process.stdin.write(" ".join(words) + "\n")
        w.process.stdin.flush()
        w.event("done")

    def library(self, name, sections=(), mode=0o755):
        path = os.path.join(self.tmp, name)
        with open(path, "wb") as f:
            f.write(elf([(".text", 1, 6, b"\xc3" * 8192, {}), *sections]))
        os.chmod(path, mode)
        return path

    def record_both(self, pid, **kwargs):
        with self.victim() as v:
            victim = v.event("ready")["pid"]
            r = self.record("-p", f"{pid},{victim}", "-d", "3s", "--period", "0", **kwargs)
        self.assert_named(r)
        self.assertLess(r.summary()["cost"]["max_rss_bytes"], RSS_MAX)
        return r

    def refused(self, r):
        return {(f["path"], f["why"]) for f in r.summary().get("refused_files", [])}

    def test_mapped_path(self):
        """Another thing than the mapped file is where that was, and only the path leads there."""
        if not foldd.can_unshare("-m") or not shutil.which("setpriv"):
            self.skipTest("needs mount namespaces and setpriv")
        pipe = os.path.join(self.tmp, "pipe")
        os.mkfifo(pipe)
        libraries = {self.library("a.so"): pipe, self.library("b.so"): "/dev/zero"}
        gone = {self.library("c.so"): os.mkdir, self.library("d.so"): os.mkfifo,
                self.library("e.so"): lambda path: os.symlink("/dev/zero", path)}
        w, pid = self.trapper()
        for path in [*libraries, *gone]:
            self.tell(w, "map", path)
        for path, over in libraries.items():
            self.tell(w, "cover", path, over)
        for path, make in gone.items():
            os.unlink(path)
            make(path)
        # without these /proc/PID/map_files does not open
        r = self.record_both(pid, prefix=["setpriv", "--bounding-set=-sys_admin,-checkpoint_restore"])
        for path in libraries:
            self.assertIn((path, "not the file that is mapped"), self.refused(r))
        self.assertGreaterEqual(loss_count(r.summary(), "file_refused"), len(libraries))

    def perf_map(self, make, why):
        w, pid = self.trapper()
        path = f"/tmp/perf-{pid}.map"
        make(path)
        self.addCleanup(lambda: os.rmdir(path) if os.path.isdir(path) else os.unlink(path))
        self.tell(w, "jit")
        r = self.record_both(pid)
        self.assertIn("[jit]", {f for s in r.folded() for f in s.frames})
        self.assertIn((path, why), self.refused(r))
        self.assertGreaterEqual(loss_count(r.summary(), "file_refused"), 1)

    def test_perf_map_large(self):
        def make(path):
            with open(path, "wb") as f:
                f.truncate(1 << 30)

        self.perf_map(make, "too large")

    def test_perf_map_pipe(self):
        self.perf_map(os.mkfifo, "no regular file")

    def test_perf_map_folder(self):
        self.perf_map(os.mkdir, "no regular file")

    def test_perf_map_device(self):
        self.perf_map(lambda path: os.symlink("/dev/zero", path), "no regular file")

    def test_perf_map_of_another(self):
        def make(path):
            with open(path, "wb") as f:
                f.write(b"0 ffffffffffff wrong\n")
            os.chown(path, NOBODY, NOBODY)

        self.perf_map(make, "of another user than the process")

    def test_debuglink(self):
        """Frames are in the file, so that its debug file is looked for."""
        source = workload("sleeplib.so")
        for number, make in enumerate((os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path))):
            with self.subTest(make=make):
                path, link = os.path.join(self.tmp, f"lib{number}.so"), f"lib{number}.debug"
                if subprocess.run(["objcopy", "--remove-section=.note.gnu.build-id",
                                   f"--add-gnu-debuglink={self.debug_file(link)}", source, path],
                                  check=False).returncode:
                    self.skipTest("no objcopy")
                os.unlink(os.path.join(self.tmp, link))
                make(os.path.join(self.tmp, link))
                w, pid = self.trapper()
                self.tell(w, "call", path)
                r = self.record_both(pid)
                self.assertIn("sleeplib_sleep", {f for s in r.folded() for f in s.frames})
                self.assertIn((os.path.join(self.tmp, link), "no regular file"), self.refused(r))

    def debug_file(self, name):
        path = os.path.join(self.tmp, name)
        with open(path, "wb") as f:
            f.write(b"debug")
        return path

    def test_stalled_mount(self):
        """The server of a mapped file does not answer: nobody asks it."""
        folder = os.path.join(self.tmp, "mount")
        os.mkdir(folder)
        try:
            mount = StallingMount(folder)
        except OSError as e:
            self.skipTest(f"no FUSE: {e}")
        self.addCleanup(mount.end)
        path = os.path.join(folder, "lib.so")
        w, pid = self.trapper()
        self.tell(w, "map", path)
        mount.stalled = True
        r = self.record_both(pid)
        self.assertEqual(mount.asked, 0)
        self.assertIn((path, "on a file system that may stall"), self.refused(r))


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
