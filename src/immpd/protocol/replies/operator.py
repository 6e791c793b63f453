"""Replies on the operator's socket."""

from immpd.protocol.codes import Code
from immpd.protocol.lines import Words

from .base import Listed, Reply


class AccountRow(Words, frozen=True, kw_only=True):
    """A row of ACCOUNT LIST."""

    CODE = Code.ACCOUNT
    WORDS = ("address",)
    address: str
    disabled: bool
    password: bool
    created: str


class Accounts(Listed, frozen=True, kw_only=True):
    """ACCOUNT LIST."""

    CODE = Code.ACCOUNT
    ROW = AccountRow
    rows: tuple[AccountRow, ...] = ()

    def end(self) -> str:
        """How many accounts."""
        return f"{self.count} accounts"


class Finding(Words, frozen=True, kw_only=True):
    """Something that STORE CHECK found wrong."""

    CODE = Code.FINDING
    text: str


class Findings(Listed, frozen=True, kw_only=True):
    """STORE CHECK: no rows means that all is well."""

    CODE = Code.FINDING
    ROW = Finding
    rows: tuple[Finding, ...] = ()

    def end(self) -> str:
        """The verdict."""
        return f"{self.count} findings"


class Salt(Reply, frozen=True, kw_only=True):
    """With what a verifier is made."""

    CODE = Code.SALT
    salt: str
    i: int
