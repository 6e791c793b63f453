"""Names on the command line."""

import pytest

from immpd.cli.person.common import UsageError
from immpd.cli.person.naming import folder_path, split_name


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("INBOX", "/INBOX"),
        ("/inbox", "/inbox"),
        ("writing/plans", "/writing/plans"),
        ("My plans", "/My%20plans"),
        ("INBOX::unread", "/INBOX::unread"),
        ("INBOX::from:bob@a.test", "/INBOX::from:bob@a.test"),
        ("alice@a.test/INBOX", "alice@a.test/INBOX"),
    ],
)
def test_folders(written: str, path: str) -> None:
    assert str(folder_path(written)) == path


def test_messages() -> None:
    assert split_name("1A2B", "INBOX") == ("INBOX", ["1a2b"])
    assert split_name("archive#1a2b,3c4d", "INBOX") == ("archive", ["1a2b", "3c4d"])
    assert split_name("#1a2b", "INBOX") == ("INBOX", ["1a2b"])


@pytest.mark.parametrize("name", ["", "abc", "xyz1", "archive#", "1a2b,", "1a2b;rm"])
def test_what_is_no_message(name: str) -> None:
    with pytest.raises(UsageError):
        split_name(name, "INBOX")
