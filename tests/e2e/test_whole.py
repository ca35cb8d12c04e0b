# SPDX-License-Identifier: BSD-2-Clause
"""How many of the stacks of a host at work reach the root. For tools/test.sh --full: who else is at work counts."""

import os
import shutil
import subprocess
import time

import foldd
from foldd import Foldd, TestCase, workload
from test_stacks import PYTHON, PYTHON_THREADS, is_marker

WHOLE = 0.995  # of the walks

COMPILED = """
#include <stdio.h>
#include <stdlib.h>
int main(void) { return printf("%d", rand()); }
"""

PERL = """
use threads; use strict;
my @all = map { threads->create(sub { my %h; for (1..1e9) { $h{$_ % 1000} .= 'x'; select(undef, undef, undef, 0.001) unless $_ % 500; %h = () unless $_ % 100000 } }) } 1 .. 2;
$_->join for @all;
"""
PERL_PLAIN = "my %h; for (1..1e9) { $h{$_ % 1000} .= 'x'; select(undef, undef, undef, 0.001) unless $_ % 500 }"

NODE = """
const fs = require('fs');
function work() { let s = 0; for (let i = 0; i < 1e5; i++) s += JSON.parse('{"a":[1,2,3]}').a.length; return s; }
setInterval(work, 7);
setInterval(() => fs.readFile(process.argv[0], () => {}), 50);
"""

# The work is cut into pieces, so that the program also sleeps and shares the interpreter's lock.
PYTHON_WORK = """
import hashlib, json, re, threading, time
def work():
    while True:
        hashlib.sha256(json.dumps([re.sub("a", "b", "a" * 100)] * 20).encode()).hexdigest()
        time.sleep(0.001)
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(1000)
"""

SQLITE = """
create table if not exists t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i + 1 from n limit 2000) insert into t(b) select hex(randomblob(20)) from n;
select count(*) from t a join t b on a.b = b.b;
delete from t where a % 3 = 0;
"""


class Whole(TestCase):
    def loads(self):
        source, database = os.path.join(self.tmp, "load.c"), os.path.join(self.tmp, "db")
        with open(source, "w", encoding="ascii") as f:
            f.write(COMPILED)
        loop = 'while [ -e "$1" ]; do {} || exit 1; done'
        yield ["sh", "-c", loop.format('cc -O2 -g "$1" -o "$1.o"'), "sh", source]
        yield [PYTHON, "-c", PYTHON_WORK]
        yield [PYTHON, "-c", PYTHON_THREADS.format(timeout=0.02)]
        if shutil.which("sqlite3"):
            statements = os.path.join(self.tmp, "load.sql")
            with open(statements, "w", encoding="ascii") as f:
                f.write(SQLITE)
            yield ["sh", "-c", loop.format('sqlite3 "$2" <"$3"'), "sh", source, database, statements]
        if shutil.which("node"):
            yield ["node", "-e", NODE]
        if shutil.which("perl"):
            yield ["perl", "-e", PERL if "usethreads" in subprocess.run(
                ["perl", "-V"], capture_output=True, text=True, check=False).stdout else PERL_PLAIN]
        yield [workload("nofp"), "busy"]

    def stop(self, running):
        os.unlink(os.path.join(self.tmp, "load.c"))  # ends the loops, whose children would outlive a kill
        for p, loops in running:
            if not loops:
                foldd.end(p)
        for p, loops in running:
            if loops:
                p.wait(foldd.PATIENCE_S)
                foldd.end(p)

    def group(self):
        """A cgroup of our own, so that what else runs on the host does not count; None: all of the host."""
        mount = foldd.cgroup2_mount()
        if not mount:
            return None
        folder = os.path.join(mount, f"foldd-test-{os.getpid()}")
        try:
            os.mkdir(folder)
        except OSError:
            return None

        def remove():
            for _ in range(50):  # until the last of its processes is gone
                try:
                    return os.rmdir(folder)
                except OSError:
                    time.sleep(0.1)

        self.addCleanup(remove)
        return folder

    def test_share_of_the_host(self):
        running = []
        group = self.group()
        prefix = ["sh", "-c", 'echo $$ >"$0"/cgroup.procs; exec "$@"', group] if group else []
        target = ["-C", group] if group else ["-a"]
        try:
            for command in self.loads():
                running.append((subprocess.Popen([*prefix, *command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                                 stderr=subprocess.DEVNULL), command[0] == "sh"))
            time.sleep(1)
            with Foldd(*target, "-d", "8s", "-k", "offcpu", "--no-kernel", out=self.out()) as f:
                r = f.finish()
        finally:
            self.stop(running)
        self.assert_status(r, foldd.EXIT_DONE)
        unwind = self.assert_complete(r, {"offcpu.folded", "summary.json"})["unwind"]
        # a thread that is being taken apart has no user stack any more
        wanted = unwind["walks"] - unwind["reasons"].get("exited", 0)
        share = unwind["root"] / wanted
        print(f"{target[0]}: {share:.4%} of {unwind['walks']} walks, {unwind['reasons']}", end=" ... ")
        cut = {}
        for s in r.folded():
            if any(map(is_marker, s.frames)):
                key = ";".join(s.frames)
                cut[key] = cut.get(key, 0) + s.value
        self.assertGreater(unwind["walks"], 1000)
        self.assertGreaterEqual(share, WHOLE, "\n".join(sorted(cut, key=cut.get)[-10:]))
        ends = sum(n for reason, n in unwind["reasons"].items() if reason != "no_user")
        self.assertEqual(ends, unwind["walks"])


if __name__ == "__main__":
    foldd.main()
