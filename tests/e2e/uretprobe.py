# SPDX-License-Identifier: BSD-2-Clause
"""Return probes on functions of a program, by perf_event_open alone: they only count."""

import ctypes
import os
import struct

NR_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}.get(os.uname().machine)
UPROBE_PMU = "/sys/bus/event_source/devices/uprobe"


def supported():
    return os.path.exists(UPROBE_PMU + "/format/retprobe")


class ReturnProbes:
    """While this is open, every return from these functions (by offset in the file) takes the kernel's way."""

    def __init__(self, path, offsets):
        with open(UPROBE_PMU + "/type", encoding="ascii") as f:
            kind = int(f.read())
        with open(UPROBE_PMU + "/format/retprobe", encoding="ascii") as f:
            bit = int(f.read().partition(":")[2])
        libc, self.fds = ctypes.CDLL(None, use_errno=True), []
        name = ctypes.create_string_buffer(path.encode())
        for offset in offsets:
            # struct perf_event_attr, its first 112 bytes: type, size, config; config1 and config2 at 56
            attr = bytearray(112)
            struct.pack_into("<IIQ", attr, 0, kind, len(attr), 1 << bit)
            struct.pack_into("<QQ", attr, 56, ctypes.addressof(name), offset)
            buffer = (ctypes.c_char * len(attr)).from_buffer(attr)
            fd = libc.syscall(NR_PERF_EVENT_OPEN, buffer, -1, 0, -1, 8)  # CPU 0, PERF_FLAG_FD_CLOEXEC
            if fd < 0:
                self.close()
                raise OSError(ctypes.get_errno(), "perf_event_open of a uretprobe")
            self.fds.append(fd)

    def close(self):
        while self.fds:
            os.close(self.fds.pop())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
