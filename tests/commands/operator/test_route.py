import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.federation.name_server import NameServer, name_server
from tests.serving import Serving

from immpd.commands.operator.main import main


@pytest.fixture
def names() -> Iterator[NameServer]:
    """A DNS server in a loop of its own, for commands that have theirs."""
    ready = threading.Event()
    found: list[NameServer] = []
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with name_server() as server:
            found.append(server)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    yield found[0]
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


@pytest.fixture
def data(tmp_path: Path, names: NameServer, capsys: pytest.CaptureFixture[str]) -> str:
    """A data folder whose server asks that DNS server."""
    assert main(["init", "--data", str(tmp_path / "data"), "--domain", "a.test"]) == 0
    file = tmp_path / "data" / "immpd.toml"
    there = f'[federation]\nresolvers = ["{names.address}"]\nhosts = {{ "Box.LAN" = "127.0.0.1:4025" }}\n'
    file.write_text(file.read_text().replace("[federation]\n", there))
    capsys.readouterr()
    return str(tmp_path / "data")


def test_where_a_domain_is_found(data: str, names: NameServer, capsys: pytest.CaptureFixture[str]) -> None:
    names.add("_immp._tcp.b.test", "SRV", "10 0 4025 mail.b.test.")
    names.add("mail.b.test", "AAAA", "2600::1")
    names.add("mail.b.test", "A", "8.8.8.1")
    names.validated |= {"_immp._tcp.b.test", "mail.b.test"}
    assert main(["route", "B.test", "--data", data]) == 0
    assert capsys.readouterr().out == "[2600::1]:4025  mail.b.test  DNSSEC\n8.8.8.1:4025  mail.b.test  DNSSEC\n"
    assert main(["route", "box.lan", "--json", "--data", data]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["port"] == 4025


@pytest.mark.parametrize(
    ("domain", "code", "said"),
    [
        ("c.test", 1, "there is no c.test in DNS"),
        ("poisoned.test", 75, "poisoned.test has no public address in DNS, only 10.0.0.1"),
        ("a.test", 0, "a.test is served here"),
        ("not a domain", 2, "not a domain"),
    ],
)
def test_where_a_domain_is_not_found(
    data: str, names: NameServer, capsys: pytest.CaptureFixture[str], domain: str, code: int, said: str
) -> None:
    names.add("poisoned.test", "A", "10.0.0.1")
    assert main(["route", domain, "--data", data]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert shown.err.count("\n") == 1


async def test_who_answers_there(
    server: Serving, data: str, names: NameServer, capsys: pytest.CaptureFixture[str]
) -> None:
    host, port = server.listen
    file = Path(data) / "immpd.toml"
    file.write_text(file.read_text().replace("127.0.0.1:4025", f"{host}:{port}"))
    assert await asyncio.to_thread(main, ["route", "box.lan", "--call", "--data", data]) == 0
    expected = f"{host}:{port}  {host}\nSHA-256 {server.fingerprint}  vouched for by nobody\n"
    assert capsys.readouterr().out == expected
    assert await asyncio.to_thread(main, ["route", "box.lan", "--call", "--json", "--data", data]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["fingerprint"], shown["dane"], shown["authority"]) == (server.fingerprint, False, False)


def test_nobody_answers_there(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
    file = Path(data) / "immpd.toml"
    file.write_text(file.read_text().replace("127.0.0.1:4025", f"127.0.0.1:{port}"))
    assert main(["route", "box.lan", "--call", "--data", data]) == 75
    assert "Connection refused" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('hosts = { "b.test" = "nowhere:0" }', "federation.hosts: b.test: 'nowhere:0' is no HOST:PORT"),
        ('hosts = { "b test" = "127.0.0.1" }', "federation.hosts: b test: "),
        ('resolvers = ["ns.test"]', "federation.resolvers: 'ns.test' is no address of a DNS server"),
    ],
)
def test_settings_that_cannot_be_meant(data: str, capsys: pytest.CaptureFixture[str], line: str, said: str) -> None:
    file = Path(data) / "immpd.toml"
    file.write_text(f'domains = ["a.test"]\n[federation]\n{line}\n')
    assert main(["config", "check", "--data", data]) == 2
    assert said in capsys.readouterr().err


def test_where_a_setting_of_a_table_comes_from(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--data", data]) == 0
    assert 'federation.hosts = {"box.lan":"127.0.0.1:4025"}  # file\n' in capsys.readouterr().out
