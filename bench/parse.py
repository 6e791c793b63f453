"""What a line costs on its way from octets to a request, against ``shlex.split`` of the same line.

    python bench/parse.py [--hostile]

For each line the best of seven runs, in microseconds: ``parse_line`` on a line that came before (``again``) and on
lines that differ each time in an id or a number (``anew``), and ``shlex.split``, which finds only the words. Then
``ServerConnection.receive_data`` with 64 KiB of NOOP. ``--hostile`` shows in milliseconds what the worst lines of
16 KiB cost that anybody thought of; names beyond ASCII (PRECIS, IDNA) are the dearest octets there are.
"""

import argparse
import itertools
import shlex
import time
import timeit
from collections.abc import Callable

from immpd.protocol.connection import MAX_LINE, ServerConnection
from immpd.protocol.grammar import parse_line

ID = "%08x-7c3e-7d4a-8f00-1b2c3d4e5f60"
LINES = {
    "NOOP": "NOOP",
    "DONE": "DONE",
    "NOOP in a pipeline": "AS p%d NOOP",
    "DATA": "DATA body LENGTH %d +CONTENT",
    "DATA as our client writes it": 'DATA message.txt TYPE "text/plain; charset=utf-8" LENGTH %d +CONTENT',
    "DELIVER": f"DELIVER TO bob@b.example ID {ID}",
    "DELIVER with a subject": f'DELIVER TO bob@b.example SUBJECT "Minutes of the meeting" ID {ID}',
    "FETCH of one message": f"FETCH /INBOX#{ID}",
    "FETCH, JSON, in a pipeline": f"AS p1 FETCH /INBOX#{ID} +JSON -READ",
    "MBOX INDEX": f"MBOX INDEX /INBOX AFTER {ID} LIMIT 100 +JSON",
    "MBOX FLAG": f"MBOX FLAG /INBOX#{ID} +READ -FLAGGED",
}
HOSTILE = {
    "a quoted value, and then a letter": 'NOOP "' + "a" * 16_300 + '"x',
    "quotes that never end": 'NOOP "' + '\\"' * 8_000,
    "semicolons": ";" * MAX_LINE,
    "commands": "NOOP;" * 3_276,
    "unknown commands": "X;" * 8_190,
    "half commands": "MBOX;" * 3_276,
    "flags": "MBOX FLAG /a" + " +a" * 5_400,
    "words": "HELP" + " a" * 8_100,
    "quoted words": "HELP" + ' "a"' * 4_000,
    "a deep path": "MBOX CHECK " + "/a" * 8_100,
    "ids": "FETCH /a#" + ",".join(ID % n for n in range(440)),
    "addresses": "DELIVER" + "".join(f" TO {n:x}@b" for n in range(1_600)),
    "addresses beyond ASCII": "DELIVER" + "".join(f" TO é{n:x}@b" for n in range(1_400)),
    "domains beyond ASCII": "DELIVER" + "".join(f" TO {chr(0x4E00 + n)}@{chr(0x4E00 + n)}" for n in range(1_450)),
    "filters beyond ASCII": "MBOX CHECK /a::" + ",".join(f"assigned:é{n:x}@é" for n in range(850)),
}
RUNS = 7
LINES_EACH = 2_000


def microseconds(work: Callable[[], object], number: int) -> float:
    return min(timeit.repeat(work, number=1, repeat=RUNS)) / number * 1e6


def each(act: Callable[[bytes], object], lines: list[bytes]) -> float:
    def run() -> None:
        for line in lines:
            act(line)

    return microseconds(run, len(lines))


def split(line: bytes) -> list[str]:
    return shlex.split(line.decode())


def table() -> None:
    print(f"{'µs a line':32} {'again':>8} {'anew':>8} {'shlex':>8}")
    for name, line in LINES.items():
        again = [(line % 1 if "%" in line else line).encode()] * LINES_EACH
        numbers = itertools.count()
        anew = ""
        if "%" in line:
            # new lines for every run, so that nothing of the last run is kept
            fresh = [[(line % next(numbers)).encode() for _ in range(LINES_EACH)] for _ in range(RUNS)]
            runs = iter(fresh)
            anew = f"{microseconds(lambda runs=runs: [parse_line(one) for one in next(runs)], LINES_EACH):8.2f}"
        print(f"{name:32} {each(parse_line, again):8.2f} {anew:>8} {each(split, again[:200]):8.2f}")
    octets = b"NOOP\n" * (65_536 // 5)
    cost = microseconds(lambda: ServerConnection().receive_data(octets), octets.count(b"\n"))
    print(f"{'NOOP by receive_data of 64 KiB':32} {cost:8.2f}")


def hostile() -> None:
    print(f"\n{'ms for 16 KiB':40} {'first':>8} {'again':>8}")
    for name, line in HOSTILE.items():
        octets = line.encode()[:MAX_LINE]
        octets = octets.decode(errors="ignore").encode()
        times = []
        for _ in range(3):
            began = time.perf_counter()
            parse_line(octets)
            times.append((time.perf_counter() - began) * 1e3)
        print(f"{name:40} {times[0]:8.2f} {min(times):8.2f}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--hostile", action="store_true", help="also what hostile lines cost")
    chosen = arguments.parse_args()
    table()
    if chosen.hostile:
        hostile()


if __name__ == "__main__":
    main()
