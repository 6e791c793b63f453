"""Runs the ``console`` blocks of a page as a person would, and compares what the commands print.

Rules: ``$ command`` is run by bash in an empty folder, with a home of its own; a command that ends in & goes on until
the page ends; a ``python`` block that begins with ``# name.py`` is that file; ids, times, states, keys and sizes of
time differ from run to run, so they match their like, and the same one stands for the same everywhere.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 20.0
_KINDS = (
    r"[0-9a-f]{64}",
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}Z| [0-9]{2}:[0-9]{2}:[0-9]{2} UTC)",
    r"\b[0-9]{2}:[0-9]{2}\b",
    r"\b[0-9a-f]{8}\.[0-9]+\b",
    r"\b[0-9a-f]{8}\b",
)
_TOKEN = re.compile("|".join(_KINDS))


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """(language, text) of the fenced blocks."""
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield found[1], found[2]


class Console:
    """A person at a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: dict[str, str] = {}
        """What stands on the page: what it is in this run."""
        self.running: list[subprocess.Popen[bytes]] = []
        self.ports = {port: _free_port() for port in ("127.0.0.1:1025", "127.0.0.1:1026")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "IMMP_HOME": str(folder / "home"), "COLUMNS": "120"}
        self.environment |= {"TZ": "UTC", "NO_COLOR": "1"}
        self.environment.pop("PYTHONUNBUFFERED", None)  # few people have it

    def play(self, page: str) -> None:
        """Every block in order; AssertionError shows the command."""
        for language, text in blocks(page):
            name = re.match(r"# (\w+\.py)\n", text)
            if language == "python" and name is not None:
                (self.folder / name[1]).write_text(self.here(text))
            elif language == "console":
                for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                    self.run(command, output)

    def here(self, text: str) -> str:
        """The page's text with the ports and ids of this run."""
        for written, actual in (*self.ports.items(), *self.seen.items()):
            text = text.replace(written, actual)
        return text

    def run(self, command: str, wanted: str) -> None:
        """One command."""
        if command.endswith("&"):
            words = ["bash", "-c", f"exec {self.here(command[:-1])}"]
            self.running.append(
                subprocess.Popen(
                    words, cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
            self.wait_for_server(self.running[-1])
            return
        done = subprocess.run(
            ["bash", "-c", self.here(command)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
        )
        self.compare(command, wanted, done.stdout.decode().replace("\r\n", "\n"))

    def wait_for_server(self, server: "subprocess.Popen[bytes]") -> None:
        """Until it accepts a connection."""
        host, _, port = self.ports["127.0.0.1:1025"].partition(":")
        began = time.monotonic()
        while server.poll() is None and time.monotonic() - began < PATIENCE:
            try:
                socket.create_connection((host, int(port)), 1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError("the server does not serve")

    def compare(self, command: str, wanted: str, got: str) -> None:
        pattern = ""
        at = 0
        new: list[str] = []
        text = wanted
        for written, actual in self.ports.items():
            text = text.replace(written, actual)
        for token in _TOKEN.finditer(text):
            pattern += re.escape(text[at : token.start()])
            at = token.end()
            if token[0] in self.seen:
                pattern += re.escape(self.seen[token[0]])
            elif token[0] in new:
                pattern += f"(?:\\{new.index(token[0]) + 1})"
            else:
                kind = next(kind for kind in _KINDS if re.fullmatch(kind, token[0]))
                pattern += f"({kind})"
                new.append(token[0])
        found = re.fullmatch(pattern + re.escape(text[at:]), got)
        assert found is not None, f"$ {command}\nexpected:\n{wanted}\ngot:\n{got}"
        stable = [token for token in new if not re.fullmatch(_KINDS[3], token)]  # a time of day is nobody's name
        self.seen |= {token: found[new.index(token) + 1] for token in stable}

    def close(self) -> None:
        """End what still runs."""
        for one in self.running:
            one.send_signal(signal.SIGTERM)
        for one in self.running:
            one.wait(PATIENCE)


def _free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"
