"""Profiles: the log-ins that a person's client keeps.

Rules: a profile holds h, which is as good as the password, so its file is readable by its owner
alone; the password itself is never kept; a profile that cannot be read is an error, never empty.
"""

from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from immpd.net.private_file import write_private_file

from .common import NotLoggedIn


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One log-in."""

    address: str
    server: str = ""
    """HOST:PORT; empty: found by the address."""
    direct: bool = False
    """TLS from the first octet."""
    device: str = ""
    h: bytes
    """What the password became, with ``salt`` and ``iterations``."""
    salt: bytes
    iterations: int


class Profiles:
    """The profiles in a folder."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "profiles"
        self._current = home / "current-profile"

    def names(self) -> list[str]:
        """All profiles, in alphabetical order."""
        return sorted(unquote(path.name.removesuffix(".json")) for path in self._folder.glob("*.json"))

    def current(self) -> str | None:
        """The profile that is used where none is named."""
        try:
            name = self._current.read_text().strip()
        except FileNotFoundError:
            name = ""
        names = self.names()
        return name if name in names else names[0] if len(names) == 1 else None

    def load(self, wanted: str | None) -> tuple[str, Profile]:
        """A profile by its name or address, else the current one; raises NotLoggedIn."""
        names = self.names()
        name = wanted or self.current()
        if name is None:
            if names:
                raise NotLoggedIn(f"Say which log-in with --profile: {', '.join(names)}")
            raise NotLoggedIn("You are not logged in; immp login ADDRESS does it")
        if name not in names:
            same = [one for one in names if self._read(one).address == name.lower()]
            if len(same) != 1:
                raise NotLoggedIn(f"There is no log-in {name}; immp login ADDRESS makes one")
            name = same[0]
        return name, self._read(name)

    def save(self, name: str, profile: Profile, *, make_current: bool = True) -> None:
        """Keep a profile, by default as the one that is used from now on."""
        octets = msgspec.json.format(msgspec.json.encode(profile), indent=1)
        write_private_file(self._path(name), octets + b"\n", replace=True)
        if make_current:
            write_private_file(self._current, f"{name}\n".encode(), replace=True)

    def remove(self, name: str) -> None:
        """Forget a profile."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{quote(name, safe='@+')}.json"

    def _read(self, name: str) -> Profile:
        path = self._path(name)
        try:
            return msgspec.json.decode(path.read_bytes(), type=Profile)
        except (msgspec.DecodeError, OSError) as error:
            raise NotLoggedIn(f"{path} cannot be read ({error}); immp login makes it anew") from None
