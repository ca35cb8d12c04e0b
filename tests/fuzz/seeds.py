# SPDX-License-Identifier: BSD-2-Clause
"""seeds.py FOLDER: a corpus for each fuzzer, made of this machine's own files and of small hand-made inputs."""

import glob
import os
import struct
import subprocess
import sys
import tempfile

SMALL = 150_000  # bytes; larger files make a fuzzer slow


def put(folder, name, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "seed-" + name), "wb") as f:
        f.write(data)


def elf_files():
    """Small ones of all kinds, of the system and freshly linked."""
    found = []
    for pattern in ("/usr/bin/*", "/lib/x86_64-linux-gnu/*.so*", "/usr/lib64/*.so*", "/usr/lib/debug/**/*.debug"):
        for path in sorted(glob.glob(pattern, recursive=True)):
            try:
                with open(path, "rb") as f:
                    if os.path.getsize(path) < SMALL and f.read(4) == b"\x7fELF":
                        found.append(path)
            except OSError:
                pass
    # some of each size: neighbours are alike
    found.sort(key=os.path.getsize)
    for path in found[:: max(len(found) // 30, 1)]:
        with open(path, "rb") as f:
            yield os.path.basename(path), f.read()
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "a.c")
        with open(source, "w", encoding="ascii") as f:
            f.write("static int g(int *p) { return *p; }\n"
                    "int f(int n) { int a[n]; a[0] = n; return g(a); }\nint main(void) { return f(3); }\n")
        for i, options in enumerate((["-O2"], ["-O0", "-g"], ["-O2", "-c"],
                                     ["-O2", "-g", "-fno-asynchronous-unwind-tables"], ["-shared", "-fPIC", "-s"])):
            out = os.path.join(folder, f"out{i}")
            if not subprocess.run(["cc", *options, source, "-o", out], stderr=subprocess.DEVNULL, check=False).returncode:
                with open(out, "rb") as f:
                    yield f"built{i}", f.read()


def mmap2(path, start, build_id=b""):
    path += b"\0" * (8 - len(path) % 8)
    if build_id:
        where = struct.pack("<BBH", len(build_id), 0, 0) + build_id.ljust(20, b"\0")
    else:
        where = struct.pack("<IIQQ", 8, 1, 4711, 0)
    body = struct.pack("<IIQQQ", 1, 1, start, 4096, 0) + where + struct.pack("<II", 5, 2) + path
    body += struct.pack("<IIQ", 1, 1, 12345)
    misc = 2 | (0x4000 if build_id else 0)
    return struct.pack("<IHH", 10, misc, 8 + len(body)) + body


def record(kind, body, misc=2):
    return struct.pack("<IHH", kind, misc, 8 + len(body)) + body


def feed():
    sample = struct.pack("<IIQ", 1, 1, 12345)
    yield "mmap2", mmap2(b"/usr/bin/true", 0x400000)
    yield "build-id", mmap2(b"/usr/bin/true", 0x400000, bytes(range(20)))
    yield "comm", record(3, struct.pack("<II8s", 1, 1, b"true") + sample)
    yield "exec", record(3, struct.pack("<II8s", 1, 1, b"true") + sample, 0x2002)
    task = struct.pack("<IIIIQ", 2, 1, 2, 1, 99)
    yield "fork", record(7, task + sample)
    yield "exit", record(4, task + sample)
    yield "lost", record(2, struct.pack("<QQ", 1, 17) + sample)
    yield "all", b"".join(d for n, d in list(feed_of(sample, task)))


def feed_of(sample, task):
    yield "mmap2", mmap2(b"//anon", 0x7000)
    yield "fork", record(7, task + sample)
    yield "lost", record(2, struct.pack("<QQ", 1, 17) + sample)


def go_table():
    """One function, in the form of Go 1.20 and later."""
    names, pctab, func = b"main.main\0", b"\x02\x10\x00", struct.pack("<IIIIIIIIBBBB", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    head = 8 + 8 * 8
    functab = struct.pack("<III", 0, 12, 4096)
    offsets = [head, head, head + len(names), head + len(names), head + len(names) + len(pctab)]
    return (struct.pack("<IHBB", 0xFFFFFFF1, 0, 1, 8) + struct.pack("<QQQ", 1, 0, 0x401000) + struct.pack("<5Q", *offsets)
            + names + pctab + functab + func)


def replies():
    yield "symbols", b"\0" + struct.pack("<IIQ", 0x316D7973, 1, 5) + struct.pack("<QII", 0x1000, 16, 0) + b"main\0"
    yield "rows", (b"\1" + struct.pack("<IIIIIIIHH", 0x31776F72, 1, 1, 1, 0, 1, 0, 0, 0) + struct.pack("<ihBB", 8, 0, 5, 0)
                   + struct.pack("<II", 0, 1) + struct.pack("<I", 0))
    yield "info", b"\2" + bytes(32 + 256 + 64 * 32)
    yield "inlines", bytes([3 | 2 << 2]) + b"outer\0inner\0"


def main():
    root = sys.argv[1]
    for name, data in elf_files():
        put(os.path.join(root, "elf"), name, data)
        put(os.path.join(root, "cfi"), name, data)
    for name, data in (("plain", b"libc.so.6\0\0\0\x12\x34\x56\x78"), ("empty", b""), ("path", b"../../etc/passwd\0\0\0\0abcd"),
                       ("unended", b"x" * 40), ("long", b"y" * 300 + b"\0\0\0\0crc.")):
        put(os.path.join(root, "debuglink"), name, data)
    for name, data in (("plain", b"3ef414c0 398 RegExp:[{(]\n3ef418a0 3a1 LazyCompile:~f /a b.js:3\n"),
                       ("overlap", b"10 20 a\n18 4 b\n10 20 c\n"), ("bad", b"0x10 20 a\nzz\n\n10\n10 20\n-1 5 a\n"),
                       ("huge", b"ffffffffffffffff ffffffffffffffff end\n0 ffffffffffffffff all\n")):
        put(os.path.join(root, "perfmap"), name, data)
    put(os.path.join(root, "go"), "one", go_table())
    for name, data in replies():
        put(os.path.join(root, "reply"), name, data)
    for path in ("/proc/self/maps", "/proc/1/maps"):
        try:
            with open(path, "rb") as f:
                put(os.path.join(root, "maps"), path.strip("/").replace("/", "-"), f.read(4000))
        except OSError:
            pass
    put(os.path.join(root, "maps"), "escaped", b"00400000-00401000 r-xp 00000000 08:01 12 /tmp/a\\012b (deleted)\n")
    for name, data in feed():
        put(os.path.join(root, "feed"), name, data)
    for i, text in enumerate(("main", "a;b 3", "\u202etxt", "worker  3.5", "std::vector<int, std::allocator<int> >::f(int) const")):
        put(os.path.join(root, "folded"), str(i), text.encode())
    put(os.path.join(root, "folded"), "bytes", bytes(range(256)))


if __name__ == "__main__":
    main()
