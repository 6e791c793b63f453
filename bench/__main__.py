"""``make bench``, or ``python -m bench [names...] [--seconds S] [--runs N] [--save]``: see bench/README.md."""

import argparse
import os
import platform
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from pathlib import Path

import apsw
import uvloop

from .scenarios import ALL, Result, Settings
from .stage import BUILD, BenchError, allow_many_files, load_binary

RESULTS = Path(__file__).resolve().parent / "results.md"


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def cells(one: Result) -> tuple[str, ...]:
    goal = "" if one.goal is None else f"{'≤' if one.most else '≥'} {number(one.goal)}"
    met = {None: "", True: "yes", False: "NO"}[one.met]
    ratio = "" if not one.yardstick else f"{one.value / one.yardstick:.2f}"
    cores = "" if one.server is None else f"{one.server:.2f} + {one.generator:.2f} + {max(0.0, one.others or 0):.2f}"
    times = "" if one.p50 is None else f"{one.p50:.2f} / {one.p99:.2f}"
    return one.name, f"{number(one.value)} {one.unit}", goal, met, times, cores, number(one.yardstick), ratio, one.note


HEAD = (
    "what",
    "measured",
    "goal",
    "met",
    "p50 / p99 ms",
    "cores: server + load + others",
    "yardstick",
    "ratio",
    "note",
)
WIDTHS = (44, 18, 11, 3, 16, 29, 10, 5, 0)


def fsync_ms() -> float:
    """What the disk asks for 8 KiB that are really there."""
    times = []
    with tempfile.TemporaryFile(dir=BUILD) as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(os.urandom(8192))
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def slowed_by_neighbour() -> float:
    """How many times longer Python takes while another process is busy: 1 with real cores, 2 with shared ones."""
    spin = "import time\nend = time.time() + 0.6\nwhile time.time() < end: pass"
    alone = min(timeit.repeat(_some_python, number=200, repeat=5))
    with subprocess.Popen([sys.executable, "-c", spin]) as neighbour:
        time.sleep(0.1)
        beside = min(timeit.repeat(_some_python, number=200, repeat=5))
        neighbour.wait()
    return beside / alone


def _some_python() -> dict[str, int]:
    return {str(n): len(str(n)) for n in range(300)}


def machine() -> str:
    """What it ran on."""
    openssl = ssl.OPENSSL_VERSION.split()[:2]
    return (
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {' '.join(openssl)}, "
        f"SQLite {apsw.sqlite_lib_version()}, uvloop {uvloop.__version__}, "
        f"fsync {fsync_ms():.2f} ms, Python {slowed_by_neighbour():.1f} times slower beside a busy neighbour"
    )


def save(results: list[Result]) -> None:
    lines = ["# Results", "", f"Machine: {machine()}.", ""]
    lines += ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    lines += ["| " + " | ".join(cells(one)) + " |" for one in results]
    RESULTS.write_text("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(ALL)}; none: all")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a run")
    parser.add_argument("--runs", type=int, default=3, help="of which the median counts")
    parser.add_argument("--mailboxes", type=int, nargs="*", default=[1, 100, 10_000], help="that deliveries go to")
    parser.add_argument("--outstanding", type=int, nargs="*", default=[1, 8], help="deliveries on each connection")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.names if name not in ALL]
    if unknown:
        parser.error(f"there is no {unknown[0]}; there are {', '.join(ALL)}")
    settings = Settings(chosen.seconds, chosen.runs, tuple(chosen.mailboxes), tuple(chosen.outstanding))
    results: list[Result] = []

    def report(one: Result) -> None:
        results.append(one)
        print("  ".join(text.ljust(width) for text, width in zip(cells(one), WIDTHS, strict=True)).rstrip(), flush=True)

    try:
        allow_many_files()
        load_binary()
        print(machine())
        print("  ".join(text.ljust(width) for text, width in zip(HEAD, WIDTHS, strict=True)).rstrip())
        began = time.monotonic()
        for name in chosen.names or ALL:
            ALL[name](settings, report)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(f"{len(results)} measured in {time.monotonic() - began:.0f} s")
    if chosen.save:
        save(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
