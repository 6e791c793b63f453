"""The keys that a client knows."""

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from immpd.net.fingerprints import FingerprintMismatch, FirstSight, Known, KnownKey, KnownPeers, KnownPeersUnreadable

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 2, 2, tzinfo=UTC)
ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


@pytest.fixture
def peers(tmp_path: Path) -> KnownPeers:
    return KnownPeers(tmp_path / "profile")


def test_a_domain_is_met_then_known(peers: KnownPeers) -> None:
    assert peers.check("a.com", ONE) == FirstSight("a.com", ONE)
    key = peers.remember("a.com", ONE, "first-sight", NOW)
    assert key == KnownKey(ONE, "first-sight", "2026-01-02T03:04:05Z")
    assert peers.check("A.com.", ONE) == Known("a.com", key)
    assert peers.domains() == ("a.com",)


def test_another_key_is_an_error_with_both(peers: KnownPeers) -> None:
    peers.remember("a.com", ONE, "administrator", NOW)
    peers.remember("a.com", TWO, "web-pki", NOW)
    with pytest.raises(FingerprintMismatch) as caught:
        peers.check("a.com", THREE)
    assert (caught.value.domain, caught.value.known, caught.value.shown) == ("a.com", (ONE, TWO), THREE)
    assert all(key in str(caught.value) for key in (ONE, TWO, THREE))
    assert isinstance(peers.check("a.com", TWO), Known)


def test_what_was_only_seen_never_joins_known_keys(peers: KnownPeers) -> None:
    peers.remember("a.com", ONE, "first-sight", NOW)
    with pytest.raises(FingerprintMismatch):
        peers.remember("a.com", TWO, "first-sight", NOW)
    assert [key.fingerprint for key in peers.keys("a.com")] == [ONE]


def test_verification_only_grows(peers: KnownPeers) -> None:
    first = peers.remember("a.com", ONE, "first-sight", NOW)
    assert peers.remember("a.com", ONE, "first-sight", LATER) == first
    best = peers.remember("a.com", ONE, "administrator", LATER)
    assert best.verified == "administrator"
    assert peers.remember("a.com", ONE, "web-pki", LATER) == best
    assert peers.keys("a.com") == (best,)


def test_a_key_may_take_the_place_of_all_others(peers: KnownPeers) -> None:
    peers.remember("a.test", ONE, "first-sight", NOW)
    peers.remember("a.test", TWO, "administrator", NOW)
    kept = peers.remember("a.test", TWO, "administrator", NOW, alone=True)
    assert peers.keys("a.test") == (kept,)
    with pytest.raises(FingerprintMismatch):
        peers.check("a.test", ONE)


def test_keys_are_forgotten_one_by_one_or_all(peers: KnownPeers) -> None:
    one = peers.remember("a.com", ONE, "administrator", NOW)
    two = peers.remember("a.com", TWO, "administrator", NOW)
    assert peers.forget("a.com", THREE) == ()
    assert peers.forget("a.com", ONE) == (one,)
    assert peers.keys("a.com") == (two,)
    assert peers.forget("a.com") == (two,)
    assert peers.check("a.com", ONE) == FirstSight("a.com", ONE)


def test_the_file_is_private_readable_and_shared(tmp_path: Path, peers: KnownPeers) -> None:
    peers.remember("b.com", TWO, "web-pki", NOW)
    peers.remember("a.com", ONE, "first-sight", NOW)
    path = tmp_path / "profile" / "known-peers.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert msgspec.json.decode(path.read_bytes()) == {
        "a.com": [{"fingerprint": ONE, "verified": "first-sight", "since": "2026-01-02T03:04:05Z"}],
        "b.com": [{"fingerprint": TWO, "verified": "web-pki", "since": "2026-01-02T03:04:05Z"}],
    }
    assert KnownPeers(tmp_path / "profile").domains() == ("a.com", "b.com")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a.com":[{"fingerprint":"x","verified":"luck","since":""}]}'])
def test_an_unreadable_file_stops_everything(tmp_path: Path, peers: KnownPeers, content: bytes) -> None:
    path = tmp_path / "profile" / "known-peers.json"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(KnownPeersUnreadable, match="known-peers"):
        peers.check("a.com", ONE)
    with pytest.raises(KnownPeersUnreadable):
        peers.remember("a.com", ONE, "first-sight", NOW)
    assert path.read_bytes() == content


@pytest.mark.parametrize("fingerprint", ["", "1" * 63, "1" * 64 + "\n", "A" * 64, "sha256:" + "1" * 57])
def test_a_fingerprint_is_64_lower_case_digits(peers: KnownPeers, fingerprint: str) -> None:
    with pytest.raises(ValueError, match="64 lower-case"):
        peers.check("a.com", fingerprint)


def test_clients_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    def meet(number: int) -> None:
        KnownPeers(tmp_path).remember(f"d{number}.com", ONE, "first-sight", NOW)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(meet, range(24)))
    assert len(KnownPeers(tmp_path).domains()) == 24
