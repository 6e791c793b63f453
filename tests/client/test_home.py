"""Where a client keeps what it must remember."""

from pathlib import Path

import pytest

from immpd.client.home import default_home


def test_immp_home_wins_then_xdg_then_the_home_folder() -> None:
    assert default_home({"IMMP_HOME": "/x/y", "XDG_CONFIG_HOME": "/z"}, "linux") == Path("/x/y")
    assert default_home({"XDG_CONFIG_HOME": "/z"}, "linux") == Path("/z/immp")
    assert default_home({}, "linux") == Path.home() / ".config" / "immp"


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_platforms_have_their_own_place(platform: str) -> None:
    assert default_home({}, platform).name == "immp"
    assert default_home({}, platform) != default_home({}, "linux")
