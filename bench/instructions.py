"""``python -m bench.instructions [groups...]``: instructions of the server for one command, counted by valgrind.

Times swing on a shared machine, counts do not: two runs of the same code differ by less than a hundredth. So this is
how two commits are compared, and what a change costs. The server runs with its shares of the loop and its slices of
time widened, since under valgrind everything takes thirty times as long; the count of 300 commands is taken from that
of 1,300, so that starting and stopping do not matter. A group is one of the load generator's (bench/README.md).
"""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from . import stage

GROUPS = (
    "deliver,conns=8,depth=8,to=10,parts=1",
    "deliver,conns=8,depth=8,to=10",
    "fetch,conns=4,depth=64,user=u0,args=+RAW -READ",
)
FEW, MANY = 300, 1300
SLOWER = 50
TOOL = "valgrind"


def serve(arguments: list[str]) -> int:
    """``immpd`` with time that is as long as it seems under valgrind."""
    import immpd.server.turns as turns
    import immpd.store.sqlite.engine as engine
    from immpd.commands.immpd import main

    turns.SHARE, turns.ROUND = turns.SHARE * SLOWER, turns.ROUND * SLOWER
    engine.SLICE *= SLOWER
    sys.argv = ["immpd", *arguments]
    return main() or 0


def counted(group: str, count: int, log: Path) -> int:
    """Instructions of a server that starts, does this so often, and stops."""
    log.unlink(missing_ok=True)
    with stage.data_folder(10, 10) as folder, stage.serving(folder) as server:
        if not group.startswith("deliver"):
            server.load("deliver,conns=4,depth=8,to=1,count=200")
        server.load(f"{group},count={count}")
    found = re.search(r"I\s+refs:\s+([\d,]+)", log.read_text())
    if found is None:
        raise stage.BenchError(f"{TOOL} counted nothing: {log.read_text()}")
    return int(found[1].replace(",", ""))


def main() -> int:
    if shutil.which(TOOL) is None:
        print(f"{TOOL} is missing; Debian has it as the package {TOOL}", file=sys.stderr)
        return 1
    log, shell = stage.BUILD / "instructions.log", stage.BUILD / "instructions" / "immpd"
    shell.parent.mkdir(parents=True, exist_ok=True)
    shell.write_text(
        f"#!/bin/sh\nexec {TOOL} --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null"
        f' --log-file={log} {sys.executable} -m bench.instructions --serve "$@"\n'
    )
    shell.chmod(shell.stat().st_mode | stat.S_IXUSR)
    stage.BIN, stage.PATIENCE = shell.parent, 400.0
    stage.SETTINGS |= {"IMMPD_BOUNDS__BEFORE_LOGIN": "600", "IMMPD_BOUNDS__HANDSHAKE": "300"}
    os.environ["PYTHONHASHSEED"] = "0"
    stage.load_binary()
    print(subprocess.run([TOOL, "--version"], capture_output=True, text=True, check=True).stdout.strip())
    for group in sys.argv[1:] or GROUPS:
        each = (counted(group, MANY, log) - counted(group, FEW, log)) / (MANY - FEW)
        print(f"{each / 1000:9.1f} thousand instructions  {group}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(serve(sys.argv[2:]) if sys.argv[1:2] == ["--serve"] else main())
