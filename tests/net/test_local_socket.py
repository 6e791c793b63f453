"""Sockets at paths that the kernel would not take."""

import stat
from pathlib import Path

import pytest

from immpd.net.local_socket import MAX_PATH, bind_local, connect_local


@pytest.mark.parametrize("depth", [0, 12])
def test_a_socket_is_private_and_answers_at_any_depth(tmp_path: Path, depth: int) -> None:
    folder = tmp_path.joinpath(*["a-rather-long-name"] * depth)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "immpd.sock"
    assert (len(str(path)) > MAX_PATH) == bool(depth)
    with bind_local(path) as listener:
        listener.listen()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with connect_local(path) as one:
            listener.setblocking(True)
            other, _ = listener.accept()
            with other:
                one.sendall(b"here")
                assert other.recv(4) == b"here"


def test_what_was_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "immpd.sock"
    bind_local(path).close()
    bind_local(path).close()


def test_nobody_there(tmp_path: Path) -> None:
    path = tmp_path / "immpd.sock"
    with pytest.raises(FileNotFoundError):
        connect_local(path)
    bind_local(path).close()
    with pytest.raises(ConnectionRefusedError):
        connect_local(path)


def test_a_name_that_no_trick_shortens(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="at most 100 octets"):
        bind_local(tmp_path / ("n" * 150))
