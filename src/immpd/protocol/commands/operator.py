"""Commands of the operator's socket."""

from typing import Annotated

from immpd.model.imid import Imid
from immpd.protocol import replies as r
from immpd.protocol.codes import Code
from immpd.protocol.registry import Positional, Request, Shape, command
from immpd.protocol.states import OPERATOR


@command(
    "ACCOUNT SALT", states=OPERATOR, shape=Shape.NOW, codes=(Code.SALT, Code.NOT_FOUND), summary="Salt of a verifier"
)
class AccountSalt(Request[r.Salt], frozen=True, kw_only=True):
    """With what the verifier of an account, existing or not, is made."""

    address: Annotated[Imid, Positional, "account"]


@command(
    "ACCOUNT ADD",
    states=OPERATOR,
    shape=Shape.UNIT,
    codes=(Code.OK, Code.CONFLICT, Code.BAD_VALUE, Code.NOT_FOUND, Code.TEMPORARY),
    summary="Make an account and its mailbox",
)
class AccountAdd(Request[r.Ok], frozen=True, kw_only=True):
    """Without a verifier nobody can log in yet."""

    address: Annotated[Imid, Positional, "account"]
    stored: bytes | None = None
    server: bytes | None = None
    i: int | None = None
    secret: bytes | None = None


@command("ACCOUNT LIST", states=OPERATOR, shape=Shape.UNIT, codes=(Code.ACCOUNT,), summary="All accounts")
class AccountList(Request[r.Accounts], frozen=True, kw_only=True):
    """All accounts of all domains."""


@command(
    "ACCOUNT PASSWD",
    states=OPERATOR,
    shape=Shape.UNIT,
    codes=(Code.OK, Code.NOT_FOUND, Code.BAD_VALUE, Code.TEMPORARY),
    summary="Set an account's password",
)
class AccountPasswd(Request[r.PasswordChanged], frozen=True, kw_only=True):
    """A new verifier; it ends the account's sessions at once."""

    address: Annotated[Imid, Positional, "account"]
    stored: bytes
    server: bytes
    i: int
    secret: bytes | None = None
    keep_sessions: bool = False
    remove_tokens: bool = False


@command(
    "ACCOUNT DISABLE",
    states=OPERATOR,
    shape=Shape.UNIT,
    codes=(Code.OK, Code.NOT_FOUND, Code.TEMPORARY),
    summary="Refuse log-in and delivery; -DISABLED takes it back",
)
class AccountDisable(Request[r.Ok], frozen=True, kw_only=True):
    """Ends the account's sessions at once; its mail stays."""

    address: Annotated[Imid, Positional, "account"]
    disabled: bool = True


@command(
    "ACCOUNT REMOVE",
    states=OPERATOR,
    shape=Shape.UNIT,
    codes=(Code.OK, Code.NOT_FOUND, Code.CONFLICT, Code.TEMPORARY),
    summary="Remove an account and all that it has, for good",
)
class AccountRemove(Request[r.Ok], frozen=True, kw_only=True):
    """Closes the account and ends its sessions at once; what it has goes soon."""

    address: Annotated[Imid, Positional, "account"]


@command("STORE CHECK", states=OPERATOR, shape=Shape.AWAIT, codes=(Code.FINDING,), summary="The store verifies itself")
class StoreCheck(Request[r.Findings], frozen=True, kw_only=True):
    """Every row has its octets, every count is right."""
