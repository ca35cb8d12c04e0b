# SPDX-License-Identifier: BSD-2-Clause
"""A target for the tests of the command line."""

import subprocess

import foldd
from foldd import workload


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
