"""``make demo`` shows the main job through the installed commands, and leaves nothing behind."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(180)
def test_the_demo_ticks_every_step(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KEEP"}
    done = subprocess.run(
        [sys.executable, ROOT / "demo" / "demo.py"],
        capture_output=True,
        text=True,
        env={**environment, "TMPDIR": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") >= 11
    for step in ("the site knows", "a device reports", "left for good"):
        assert step in done.stdout
    assert "✗" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_what_it_says_to_do_by_hand_works(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "demo"))
    try:
        import demo
    finally:
        sys.path.remove(str(ROOT / "demo"))
    kept = demo.Demo(tmp_path)
    words = ("--data", kept.data)
    kept.run("immpd", "init", *words, "--domain", "demo.test")
    kept.run("immpd", "account", "add", "alice@demo.test", *words, "--password-stdin", given="wonderland\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        here = f"127.0.0.1:{free.getsockname()[1]}"
    serve, login, ls = (line.replace("127.0.0.1:1025", here) for line in demo.by_hand(tmp_path))
    ready = tmp_path / "ready"
    with subprocess.Popen(["bash", "-c", f"exec {serve.removesuffix('&')} --ready-file {ready}"]) as server:
        try:
            while not ready.exists():
                assert server.poll() is None
                time.sleep(0.01)
            assert json.loads(ready.read_text())["listen_tls"] == ""
            for line, said in ((login, "Logged in as alice@demo.test"), (ls, "")):
                done = subprocess.run(["bash", "-c", line], stdin=subprocess.DEVNULL, capture_output=True, check=False)
                assert (done.returncode, said in done.stdout.decode()) == (0, True), done.stderr
        finally:
            server.terminate()
