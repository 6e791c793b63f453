"""Sealed secrets open for their own account alone; salts tell nothing."""

import itertools
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immpd.service.accounts.sealing import Sealer, SealError, account_salt, key_id_of, load_or_make_key

H = bytes(range(32))
SALT = bytes(16)
OWN = ("alice@a.com", "phone", SALT, 600_000)


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    return Sealer(tmp_path / "keys", os.urandom)


def test_what_is_sealed_opens(sealer: Sealer) -> None:
    sealed = sealer.seal(H, *OWN)
    assert H not in sealed
    assert sealer.unseal(sealed, *OWN) == H
    assert sealer.seal(H, *OWN) != sealed


@pytest.mark.parametrize(
    "other",
    [
        ("bob@a.com", "phone", SALT, 600_000),
        ("alice@a.com", "", SALT, 600_000),
        ("alice@a.comp", "hone", SALT, 600_000),
        ("alice@a.com", "phone", bytes(15) + b"\x01", 600_000),
        ("alice@a.com", "phone", SALT, 600_001),
    ],
)
def test_it_opens_for_nobody_else(sealer: Sealer, other: tuple[str, str, bytes, int]) -> None:
    with pytest.raises(SealError, match="does not open"):
        sealer.unseal(sealer.seal(H, *OWN), *other)


def test_no_octet_of_it_may_change(sealer: Sealer) -> None:
    sealed = sealer.seal(H, *OWN)
    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(SealError):
            sealer.unseal(bytes(altered), *OWN)
    for length in range(len(sealed)):
        with pytest.raises(SealError):
            sealer.unseal(sealed[:length], *OWN)


@given(octets=st.binary(max_size=80))
def test_other_octets_do_not_open(tmp_path_factory: pytest.TempPathFactory, octets: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "sealing-keys"
    with pytest.raises(SealError):
        Sealer(folder, os.urandom).unseal(octets, *OWN)


def test_keys_are_private_and_outlive_the_process(tmp_path: Path, sealer: Sealer) -> None:
    path = tmp_path / "keys" / "seal-1.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Sealer(tmp_path / "keys", os.urandom).unseal(sealer.seal(H, *OWN), *OWN) == H


def test_a_rotation_seals_anew_and_opens_the_old(tmp_path: Path, sealer: Sealer) -> None:
    other_process = Sealer(tmp_path / "keys", os.urandom)
    old = sealer.seal(H, *OWN)
    assert sealer.rotate() == 2
    new = sealer.seal(H, *OWN)
    assert (key_id_of(old), key_id_of(new), sealer.newest) == (1, 2, 2)
    assert sealer.unseal(old, *OWN) == sealer.unseal(new, *OWN) == H
    with pytest.raises(SealError, match=r"seal-2\.key"):
        other_process.unseal(new, *OWN)
    other_process.reload()
    assert other_process.unseal(new, *OWN) == H


def test_keys_are_ordered_by_number(tmp_path: Path, sealer: Sealer) -> None:
    for _ in range(10):
        sealer.rotate()
    assert sealer.newest == Sealer(tmp_path / "keys", os.urandom).newest == 11


def test_a_lost_key_is_named(tmp_path: Path, sealer: Sealer) -> None:
    sealed = sealer.seal(H, *OWN)
    sealer.rotate()
    (tmp_path / "keys" / "seal-1.key").unlink()
    sealer.reload()
    with pytest.raises(SealError, match=r"seal-1\.key"):
        sealer.unseal(sealed, *OWN)


@pytest.mark.parametrize("content", ["", "00" * 31, "zz" * 32, "é"])
def test_a_broken_key_is_never_replaced(tmp_path: Path, sealer: Sealer, content: str) -> None:
    path = tmp_path / "keys" / "seal-1.key"
    path.write_text(content)
    for use in (sealer.reload, lambda: load_or_make_key(path, os.urandom)):
        with pytest.raises(SealError, match=r"seal-1\.key"):
            use()
    assert path.read_text() == content


def test_a_key_is_made_once(tmp_path: Path) -> None:
    key = load_or_make_key(tmp_path / "salt.key", os.urandom)
    assert len(key) == 32
    assert load_or_make_key(tmp_path / "salt.key", os.urandom) == key


def test_salts_differ_by_key_account_and_device() -> None:
    names = [("alice@a.com", ""), ("alice@a.com", "phone"), ("alice@a.comp", "hone"), ("bob@a.com", "")]
    salts = [account_salt(key, *name) for key, name in itertools.product((bytes(32), H), names)]
    assert len(set(salts)) == len(salts)
    assert {len(salt) for salt in salts} == {16}
    assert account_salt(H, "alice@a.com", "") == account_salt(H, "alice@a.com", "")
