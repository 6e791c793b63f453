"""Profiles on disk."""

from pathlib import Path

import pytest

from immpd.cli.person.common import NotLoggedIn
from immpd.cli.person.profile import Profile, Profiles


def _profile(address: str) -> Profile:
    return Profile(address=address, h=b"h" * 32, salt=b"s" * 16, iterations=600_000)


def test_the_last_one_saved_is_used(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path)
    with pytest.raises(NotLoggedIn, match="not logged in"):
        profiles.load(None)
    profiles.save("helpdesk/alice@a.test", _profile("helpdesk/alice@a.test"))
    profiles.save("home", _profile("alice@b.test"))
    assert profiles.names() == ["helpdesk/alice@a.test", "home"]
    assert profiles.load(None) == ("home", _profile("alice@b.test"))
    assert profiles.load("Alice@b.test")[0] == "home"
    assert profiles.load("helpdesk/alice@a.test")[1].address == "helpdesk/alice@a.test"
    profiles.remove("home")
    assert profiles.load(None)[0] == "helpdesk/alice@a.test"


def test_two_of_one_address_must_be_named(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path)
    for name in ("a", "b"):
        profiles.save(name, _profile("alice@b.test"))
    with pytest.raises(NotLoggedIn):
        profiles.load("alice@b.test")


def test_a_broken_profile_is_told(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path)
    profiles.save("a", _profile("alice@b.test"))
    (tmp_path / "profiles" / "a.json").write_text("{")
    with pytest.raises(NotLoggedIn, match=r"a\.json"):
        profiles.load(None)
