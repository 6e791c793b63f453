"""The main job, shown with the installed commands: a server, people, real mail, live events, notifications, a feed.

Every step is ticked, or the step that failed is named with the reason and the exit code is 1. Nothing is
left behind unless KEEP=1.
"""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from feeds import newsletter
from notifications import device_reports, site_asks

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
CORPUS = HERE.parent.parent / "shared" / "corpus" / "mail"
PASSWORDS = {"alice@demo.test": "wonderland", "bob@demo.test": "bob-the-builder", "shop@shop.test": "at-the-cashier"}
PATIENCE = 30.0


class Failed(Exception):
    """A step did not do what it should."""


class Demo:
    """The steps, in order, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.server: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, str] = {}
        self.bodies: list[Path] = []

    def run(self, *words: str | Path, who: str | None = None, given: str = "") -> str:
        """One installed command; its output, or Failed with what it said."""
        environment = {**os.environ}
        if who is not None:
            environment["IMMP_HOME"] = str(self.folder / who)
        command = [str(BIN / str(words[0])), *map(str, words[1:])]
        done = subprocess.run(
            command, input=given.encode(), capture_output=True, env=environment, timeout=PATIENCE, check=False
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise Failed(f"{' '.join(map(str, words))} ended with {done.returncode}: {said}")
        return done.stdout.decode(errors="replace")

    def refused(self, *words: str | Path, who: str) -> str:
        """What an installed command says that must not succeed."""
        try:
            said = self.run(*words, who=who)
        except Failed as error:
            return str(error).partition(": ")[2]
        raise Failed(f"{' '.join(map(str, words))} was not refused: {said}")

    def start(self) -> str:
        """A server process for two domains on the embedded store."""
        self.run("immpd", "init", "--data", self.data, "--domain", "demo.test", "--domain", "shop.test")
        ready = self.folder / "ready.json"
        log = (self.folder / "server.log").open("wb")
        words = ["serve", "--data", self.data, "--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0"]
        began = time.monotonic()
        self.server = subprocess.Popen([BIN / "immpd", *words, "--ready-file", ready], stderr=log, stdout=log)
        while not ready.exists():
            if self.server.poll() is not None or time.monotonic() - began > PATIENCE:
                raise Failed(f"the server did not start: {(self.folder / 'server.log').read_text()}")
            time.sleep(0.01)
        self.ready = json.loads(ready.read_text())
        return f"serving at {self.ready['listen']} after {(time.monotonic() - began) * 1000:.0f} ms"

    def encryption(self) -> str:
        """TLS 1.3, seen by the standard library's client."""
        context = ssl.create_default_context()
        context.check_hostname = False  # the certificate is self-signed: clients know its fingerprint instead
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["immp/1"])
        host, _, port = self.ready["listen_tls"].rpartition(":")
        with (
            socket.create_connection((host, int(port)), PATIENCE) as raw,
            context.wrap_socket(raw, server_hostname="demo.test") as tls,
        ):
            version, greeting = tls.version(), tls.recv(100).decode().splitlines()[0]
        if version != "TLSv1.3":
            raise Failed(f"the server speaks {version}")
        return f"{version} at {self.ready['listen_tls']}: {greeting}"

    def accounts(self) -> str:
        """Alice, Bob and a shop get accounts while it runs, and log in."""
        for address, password in PASSWORDS.items():
            self.run("immpd", "account", "add", address, "--data", self.data, "--password-stdin", given=password + "\n")
            login = ["login", address, "--server", self.ready["listen"], "--fingerprint", self.ready["fingerprint"]]
            self.run("immp", *login, "--password-stdin", who=address.partition("@")[0], given=password + "\n")
        return "alice, bob and a shop log in with SCRAM-SHA-256-PLUS over TLS"

    def internet_mail(self) -> str:
        """Real Internet mail, octet for octet."""
        folder = CORPUS if CORPUS.is_dir() else HERE / "samples"
        mails = sorted(folder.rglob("*.eml"))[:60]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(
                lambda mail: self.run("immp", "send", "alice@demo.test", "--eml", mail, who="bob"), mails
            ):
                pass
        return f"{len(mails)} mails from {'the corpus' if folder == CORPUS else 'the built-in samples'} delivered"

    def native_message(self) -> str:
        """A message with two attachments."""
        photo, notes = self.folder / "photo.bin", self.folder / "notes.txt"
        photo.write_bytes(os.urandom(300_000))
        notes.write_text("one\ntwo\nthree\n")
        words = ["send", "alice@demo.test", "-s", "Two attachments", "-a", photo, "-a", notes]
        self.run("immp", *words, who="bob", given="Hello Alice,\nhere they are.\n")
        return "Bob to Alice, 300 KB and a text"

    def index(self) -> str:
        """What Alice finds."""
        listing = self.run("immp", "ls", "--limit", "6", who="alice")
        folders = self.run("immp", "folders", who="alice")
        return "Alice's INBOX\n" + indented(listing) + "\n" + indented(folders)

    def one_message(self) -> str:
        """She reads the newest, and the attachment is what Bob sent."""
        row = json.loads(self.run("immp", "ls", "--limit", "1", "--json", who="alice").splitlines()[0])
        if row["subject"] != "Two attachments":
            raise Failed(f"the newest message is {row['subject']!r}")
        text = self.run("immp", "read", row["id"], who="alice")
        out = self.folder / "got.bin"
        self.run("immp", "read", row["id"], "--part", "2", "-o", out, who="alice")
        if out.read_bytes() != (self.folder / "photo.bin").read_bytes():
            raise Failed("the attachment is not what was sent")
        return "one message, and its attachment octet for octet\n" + indented(text)

    def watch(self) -> str:
        """A change as it happens."""

        def send() -> None:
            self.run("immp", "send", "alice@demo.test", "-s", "Live", who="bob", given="now\n")

        event = self.see("alice", send, lambda event: event["event"] == "mail" and event.get("subject") == "Live")
        return "a live event at Alice's watch\n" + indented(json.dumps(event, separators=(",", ":"))[:300])

    def see(self, who: str, act: Callable[[], None], wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Watch as somebody, do something once the watch stands, and wait for an event."""
        environment = {**os.environ, "IMMP_HOME": str(self.folder / who)}
        watcher = subprocess.Popen(
            [BIN / "immp", "watch", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        assert watcher.stdout is not None
        alarm = threading.Timer(PATIENCE, watcher.kill)
        alarm.start()
        acted = False
        try:
            for line in watcher.stdout:
                event: dict[str, Any] = json.loads(line)
                if event["event"] == "watching" and not acted:
                    acted = True
                    act()
                elif wanted(event):
                    return event
        finally:
            alarm.cancel()
            watcher.terminate()
            watcher.wait()
            watcher.stdout.close()
        raise Failed("no event arrived")

    def site(self) -> str:
        """A site asks, and hears the answer."""
        return site_asks(self)

    def device(self) -> str:
        """A device reports."""
        return device_reports(self)

    def feed(self) -> str:
        """A newsletter."""
        return newsletter(self)

    def sound(self) -> str:
        """The store verifies itself, the server stops gracefully."""
        self.run("immpd", "check", "--data", self.data)
        return "the store is sound: every row has its octets, every count is right"

    def stop(self) -> None:
        """End the server."""
        if self.server is not None and self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(PATIENCE)


def indented(text: str) -> str:
    """Lines under a step."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines())


def by_hand(folder: Path) -> list[str]:
    """What to type to go on as alice with what is kept, at the usual port and on this machine only."""
    alice = f"IMMP_HOME={folder}/alice {BIN}/immp"
    return [
        f"{BIN}/immpd serve --data {folder}/data --listen 127.0.0.1:1025 &",
        f"echo {PASSWORDS['alice@demo.test']} | {alice} login alice@demo.test --server 127.0.0.1:1025 --password-stdin",
        f"{alice} ls",
    ]


def main() -> int:
    """Run every step; 0 when all are ticked."""
    folder = Path(tempfile.mkdtemp(prefix="immpd-demo-"))
    demo = Demo(folder)
    steps: list[Callable[[], str]] = [
        demo.start,
        demo.encryption,
        demo.accounts,
        demo.internet_mail,
        demo.native_message,
        demo.index,
        demo.one_message,
        demo.watch,
        demo.site,
        demo.device,
        demo.feed,
        demo.sound,
    ]
    keep = os.environ.get("KEEP") == "1"
    code = 0
    try:
        for step in steps:
            try:
                print(f"✓ {step()}", flush=True)
            except (Failed, OSError, subprocess.TimeoutExpired, ValueError) as error:
                print(f"✗ {step.__doc__} {error}", flush=True)
                code = 1
                break
        if code == 0:
            demo.stop()
            if demo.server is not None and demo.server.returncode != 0:
                print(f"✗ the server ended with {demo.server.returncode}")
                code = 1
    finally:
        demo.stop()
        if keep:
            print(f"\nKept in {folder}. Go on by hand:\n")
            print("\n".join(f"  {line}" for line in by_hand(folder)))
        else:
            shutil.rmtree(folder, ignore_errors=True)
            print("\nGo on by hand: KEEP=1 make demo leaves all this in place and says how to use it.")
    return code


if __name__ == "__main__":
    sys.exit(main())
