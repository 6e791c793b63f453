"""Private files: mode, atomicity, durability."""

import os
import stat
from pathlib import Path

import pytest

from immpd.net.private_file import write_private_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "deep" / "a.key"
    before = os.umask(0)
    try:
        write_private_file(path, b"secret", replace=False)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"secret"
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700


def test_another_mode_may_be_asked_for(tmp_path: Path) -> None:
    write_private_file(tmp_path / "cert.pem", b"public", replace=True, mode=0o644)
    assert mode(tmp_path / "cert.pem") == 0o644


def test_what_exists_is_kept_unless_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    write_private_file(path, b"old", replace=False)
    with pytest.raises(FileExistsError):
        write_private_file(path, b"new", replace=False)
    assert path.read_bytes() == b"old"
    write_private_file(path, b"new", replace=True)
    assert path.read_bytes() == b"new"
    assert [found.name for found in tmp_path.iterdir()] == ["a.key"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(OSError, match="folder"):
        write_private_file(target, b"x", replace=True)
    assert [found.name for found in tmp_path.iterdir()] == ["folder"]


def test_content_is_synced_before_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    sync, replace = os.fsync, os.replace

    def seen_sync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def seen_replace(source: Path, target: Path) -> None:
        steps.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", seen_sync)
    monkeypatch.setattr(os, "replace", seen_replace)
    write_private_file(tmp_path / "a.key", b"x", replace=True)
    assert steps == ["file", "name", "folder"]
