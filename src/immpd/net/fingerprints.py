"""The keys of servers that a person's client has met, one small JSON file in the profile's folder.

Rules: a known domain that shows another key is an error that carries both, never a question of
luck; nothing seen by chance replaces or joins what is known; a file that cannot be read stops the
client instead of starting trust anew (docs/protocol.md, "Transport" and "Between domains").
"""

import fcntl
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from immpd.model.errors import ImmpError
from immpd.net.private_file import write_private_file

Verification = Literal["administrator", "web-pki", "first-sight"]
"""How a key was verified: somebody compared it by hand; an authority and the name; not at all, it was just seen."""

_STRENGTH: dict[Verification, int] = {"first-sight": 0, "web-pki": 1, "administrator": 2}
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class KnownKey(msgspec.Struct, frozen=True):
    """One key of a domain's server."""

    fingerprint: str
    """SHA-256 of the SubjectPublicKeyInfo, 64 lower-case hexadecimal digits."""
    verified: Verification
    since: str
    """When it was verified so, RFC 3339 UTC."""


class Known(msgspec.Struct, frozen=True):
    """The domain showed a key that is known; ``key`` tells since when and how it was verified."""

    domain: str
    key: KnownKey


class FirstSight(msgspec.Struct, frozen=True):
    """The domain was never met: the caller decides, and calls ``remember`` if the key is to be kept."""

    domain: str
    fingerprint: str


Trust = Known | FirstSight
_Peers = dict[str, tuple[KnownKey, ...]]
_R = TypeVar("_R")


class FingerprintMismatch(ImmpError):
    """A domain showed another key than a known one, or, where ``given``, than the one that its user named.

    It is a new key, or somebody in the middle.
    """

    def __init__(self, domain: str, known: tuple[str, ...], shown: str, *, given: bool = False) -> None:
        keys = " or ".join(known)
        was = f"is not the one that was given: given was {keys}" if given else f"has changed: known is {keys}"
        super().__init__(
            f"The key of {domain} {was}, shown was {shown}. Ask its administrator before you accept the new one."
        )
        self.domain = domain
        self.known = known
        self.shown = shown
        self.given = given


class KnownPeersUnreadable(ImmpError):
    """The file of known keys exists but cannot be understood; the text names it."""


class KnownPeers:
    """The known keys in ``folder`` (made on the first write), shared by all processes of a person."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "known-peers.json"

    def check(self, domain: str, fingerprint: str) -> Trust:
        """Compare the key that ``domain`` (A-label) shows with those known of it.

        Raises FingerprintMismatch, and KnownPeersUnreadable.
        """
        return _judge(self._read(), _domain(domain), _fingerprint(fingerprint))

    def remember(
        self, domain: str, fingerprint: str, verified: Verification, now: datetime, *, alone: bool = False
    ) -> KnownKey:
        """Keep a key of ``domain``, or note that a known one was verified better; returns what is kept.

        A key that was only seen cannot join keys that are known: FingerprintMismatch. ``alone`` drops all others.
        """
        domain, fingerprint = _domain(domain), _fingerprint(fingerprint)
        new = KnownKey(fingerprint, verified, now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"))

        def add(peers: _Peers) -> KnownKey:
            keys = peers.get(domain, ())
            if verified == "first-sight":
                _judge(peers, domain, fingerprint)
            old = next((key for key in keys if key.fingerprint == fingerprint), None)
            kept = old if old is not None and _STRENGTH[old.verified] >= _STRENGTH[verified] else new
            if alone:
                peers[domain] = (kept,)
            elif kept is new:
                peers[domain] = (*(key for key in keys if key is not old), new)
            return kept

        return self._change(add)

    def forget(self, domain: str, fingerprint: str | None = None) -> tuple[KnownKey, ...]:
        """Drop one key of ``domain``, or all of them: then it is met anew. Returns what was dropped."""
        domain = _domain(domain)

        def drop(peers: _Peers) -> tuple[KnownKey, ...]:
            keys = peers.pop(domain, ())
            kept = tuple(key for key in keys if fingerprint is not None and key.fingerprint != fingerprint)
            if kept:
                peers[domain] = kept
            return tuple(key for key in keys if key not in kept)

        return self._change(drop)

    def keys(self, domain: str) -> tuple[KnownKey, ...]:
        """All keys known of ``domain``, oldest first."""
        return self._read().get(_domain(domain), ())

    def domains(self) -> tuple[str, ...]:
        """All domains with a known key, in alphabetical order."""
        return tuple(sorted(self._read()))

    def _read(self) -> _Peers:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Peers)
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, OSError) as error:
            raise KnownPeersUnreadable(f"Cannot read the known keys in {self._path}: {error}") from error

    def _change(self, change: Callable[[_Peers], _R]) -> _R:
        """Read, change and write under a lock, so that two clients never lose each other's key."""
        with self._locked():
            peers = self._read()
            result = change(peers)
            octets = msgspec.json.format(msgspec.json.encode(dict(sorted(peers.items()))), indent=1)
            write_private_file(self._path, octets + b"\n", replace=True)
        return result

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A file of its own: the store itself is replaced at every change, and a lock on it would go with it.
        with open(self._path.with_suffix(".lock"), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _judge(peers: _Peers, domain: str, fingerprint: str) -> Trust:
    keys = peers.get(domain, ())
    for key in keys:
        if key.fingerprint == fingerprint:
            return Known(domain, key)
    if keys:
        raise FingerprintMismatch(domain, tuple(key.fingerprint for key in keys), fingerprint)
    return FirstSight(domain, fingerprint)


def _domain(domain: str) -> str:
    return domain.lower().removesuffix(".")


def _fingerprint(fingerprint: str) -> str:
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise ValueError(f"A fingerprint has 64 lower-case hexadecimal digits: {fingerprint!r}")
    return fingerprint
