# SPDX-License-Identifier: BSD-2-Clause
"""Stacks as gdb sees them, and whether a stack of foldd's is the same, frame by frame.

foldd gives a frame as a name, or as "[file+0xaddress]" with the virtual address in the file; gdb gives an
address. What is at an address is read here from the symbol tables themselves, so that aliases do not
matter and neither program's choice of a name is believed. Inlined and tail-call frames, which gdb makes up
from debug information, are not on the stack and left out.
"""

import bisect
import collections
import functools
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile

Frame = collections.namedtuple("Frame", "pc exact name")  # exact: no return address

IN_GDB = """
import gdb, json

def frames():
    out, frame, after_signal, n = [], gdb.newest_frame(), True, 0
    while frame is not None and frame.is_valid() and n < 300:
        kind = frame.type()
        if kind not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            out.append((frame.pc(), after_signal or kind == gdb.SIGTRAMP_FRAME, frame.name() or ""))
            after_signal = kind == gdb.SIGTRAMP_FRAME
            n += 1
        frame = frame.older()
    return out

threads = {}
for thread in gdb.selected_inferior().threads():
    thread.switch()
    try:
        threads[thread.ptid[1]] = frames()
    except gdb.error as error:
        threads[thread.ptid[1]] = []
        print(error)
with open("OUTPUT", "w") as f:
    json.dump(threads, f)
"""


def have_gdb():
    """gdb, with its Python, and the right to attach."""
    if not shutil.which("gdb"):
        return False
    r = subprocess.run(["gdb", "-nx", "-batch", "-ex", "python print('yes')"], capture_output=True, check=False)
    return r.stdout.strip() == b"yes"


def snapshot(pid, timeout=120):
    """{tid: [Frame]}, innermost first; the threads stand still only while gdb looks."""
    with tempfile.TemporaryDirectory(prefix="foldd-gdb-") as folder:
        script, output = os.path.join(folder, "frames.py"), os.path.join(folder, "frames.json")
        with open(script, "w", encoding="ascii") as f:
            f.write(IN_GDB.replace("OUTPUT", output))
        env = {k: v for k, v in os.environ.items() if k != "DEBUGINFOD_URLS"}
        r = subprocess.run(
            ["gdb", "-nx", "-batch", "-ex", "set auto-load off", "-ex", "set print frame-info short-location",
             "-ex", "handle all nostop noprint pass", "-p", str(pid), "-x", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
            timeout=timeout, check=False,
        )
        if not os.path.exists(output):
            raise AssertionError("gdb failed: " + r.stdout.decode(errors="replace")[-2000:])
        with open(output, encoding="ascii") as f:
            threads = json.load(f)
    return {int(tid): [Frame(*frame) for frame in frames] for tid, frames in threads.items()}


# ELF files


class Elf:
    """Segments, and function symbols of the file and of its debug file."""

    def __init__(self, path):
        self.segments, self.symbols, self.links = [], [], []
        self.read(path, True)
        for debug in self.debug_files(path):
            if os.path.exists(debug):
                self.read(debug, False)
                break
        self.symbols.sort()
        self.starts = [s[0] for s in self.symbols]

    def read(self, path, main):
        with open(path, "rb") as f:
            data = f.read()
        shoff, = struct.unpack_from("<Q", data, 40)
        phoff, = struct.unpack_from("<Q", data, 32)
        phnum, shentsize, shnum, shstrndx = struct.unpack_from("<HHHH", data, 56)
        for i in range(phnum if main else 0):
            kind, flags, offset, vaddr, _, size = struct.unpack_from("<IIQQQQ", data, phoff + 56 * i)
            if kind == 1:
                self.segments.append((offset, offset + size, vaddr, flags & 1))
        sections = [struct.unpack_from("<IIQQQQIIQQ", data, shoff + shentsize * i) for i in range(shnum)]
        for section in sections:
            kind, offset, size, link = section[1], section[4], section[5], section[6]
            if kind in (2, 11):  # SYMTAB, DYNSYM
                self.read_symbols(data, offset, size, sections[link][4])
            if main and section[1] == 7:  # NOTE
                self.read_note(data, offset, size)
            name = sections[shstrndx][4] + section[0]
            if main and data[name:data.index(b"\0", name)] == b".gnu_debuglink":
                self.links.append(data[offset:data.index(b"\0", offset)].decode())

    def read_symbols(self, data, offset, size, strings):
        for name, info, _, shndx, value, length in struct.iter_unpack("<IBBHQQ", data[offset:offset + size]):
            if info & 15 in (0, 2, 10) and shndx and shndx < 0xff00 and name:  # NOTYPE, FUNC, IFUNC
                at = strings + name
                self.symbols.append((value, length, data[at:data.index(b"\0", at)].decode(errors="replace")))

    def read_note(self, data, offset, size):
        if size >= 20 and struct.unpack_from("<III", data, offset)[2] == 3 and data[offset + 12:offset + 15] == b"GNU":
            build_id = data[offset + 16:offset + 16 + struct.unpack_from("<I", data, offset + 4)[0]].hex()
            self.links.append(f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug")

    def debug_files(self, path):
        folder = os.path.dirname(path)
        for link in self.links:
            if link.startswith("/"):
                yield link
            else:
                yield from (os.path.join(folder, link), os.path.join(folder, ".debug", link),
                            "/usr/lib/debug" + os.path.join(folder, link))

    def vaddr(self, offset):
        for start, end, vaddr, code in sorted(self.segments, key=lambda s: not s[3]):
            if start <= offset < end:
                return vaddr + offset - start
        return None

    def names(self, vaddr):
        """All names of what is at the address; a symbol without a size reaches to the next one."""
        at, names = bisect.bisect_right(self.starts, vaddr) - 1, set()
        for i in range(at, max(at - 400, -1), -1):
            start, size, name = self.symbols[i]
            if vaddr < start + size or (size == 0 and start == self.symbols[at][0]):
                names.add(name)
        return names


@functools.lru_cache(None)
def elf(path):
    return Elf(path)


@functools.lru_cache(None)
def demangled(name):
    if not name.startswith("_Z") and not name.startswith("_R"):
        return name
    r = subprocess.run(["c++filt", name], capture_output=True, text=True, check=False)
    return r.stdout.strip() or name


class Space:
    """The executable mappings of a process."""

    def __init__(self, pid):
        self.mappings = []
        with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
            for line in f:
                fields = line.split(maxsplit=5)
                start, end = (int(x, 16) for x in fields[0].split("-"))
                if "x" in fields[1]:
                    path = fields[5].rstrip("\n") if len(fields) > 5 else ""
                    self.mappings.append((start, end, int(fields[2], 16), path))

    def find(self, pc):
        """(path, address in the file), (path or "", None) for what is no file, or None."""
        for start, end, offset, path in self.mappings:
            if start <= pc < end:
                return (path, elf(path).vaddr(pc - start + offset)) if path.startswith("/") else (path, None)
        return None


ADDRESS = re.compile(r"^\[(?P<file>.+)\+0x(?P<vaddr>[0-9a-f]+)\]$")


def same_frame(space, text, frame):
    """None, or what is wrong: foldd says text where gdb is at frame."""
    place = space.find(frame.pc - (0 if frame.exact else 1))
    if not place:
        return f"gdb is at {frame.pc:#x}, which is no code; foldd says {text}"
    path, vaddr = place
    if vaddr is None:  # the vdso, or code of a JIT compiler
        return None if text.startswith("[") or text.endswith("_[j]") or "vdso" in path else f"{text} in {path or 'JIT code'}"
    match = ADDRESS.match(text)
    if match:
        if match["file"] == os.path.basename(path) and int(match["vaddr"], 16) == vaddr:
            return None
        return f"{text} is {os.path.basename(path)}+{vaddr:#x}"
    names = elf(path).names(vaddr)
    if text in names or any(text == demangled(n) for n in names):
        return None
    # foldd's separators of frames and columns are escaped in names
    if any(re.sub(r"[;\s]", "", text) == re.sub(r"[;\s]", "", demangled(n)) for n in names):
        return None
    return f"{text} is {sorted(names)} ({os.path.basename(path)}+{vaddr:#x}, {frame.name} says gdb)"


def compare(space, texts, frames):
    """All differences between foldd's frames (innermost first) and gdb's, as texts; [] when equal."""
    if not frames:
        return ["gdb gives no stack"]
    wrong = [f"frame {i}: {w}" for i, (t, f) in enumerate(zip(texts, frames)) if (w := same_frame(space, t, f))]
    at_main = frames[-1].name == "main"  # gdb goes no further
    if len(texts) < len(frames) or (len(texts) > len(frames) and not at_main):
        wrong.append(f"{len(texts)} frames, gdb has {len(frames)}")
    if at_main and len(texts) > len(frames) + 4:
        wrong.append(f"{len(texts) - len(frames)} frames beyond main")
    return wrong
