"""THE registry: every command of IMMP/1.0 that this version knows, one frozen struct each.

Rules: the order here is the order of the reference; adding a command is a struct in one of these modules, a
handler in one module of ``service``, and a conversation in tests/sessions (a completeness test asks for all).
"""

# ruff: noqa: I001 - the order in which they are imported is that of the reference
from .session import Cancel, Caps, Help, Noop, Quit, Upgrade, Who
from .authentication import AuthPassword, AuthResponse, AuthScram, AuthScramPlus, AuthSecret
from .delivery import Abort, Data, Deliver, Done
from .mailboxes import (
    Ack,
    MboxCheck,
    MboxCopy,
    MboxCreate,
    MboxDelete,
    MboxFetch,
    MboxFlag,
    MboxIndex,
    MboxList,
    MboxMove,
    MboxPut,
    MboxRemove,
    MboxRename,
    Watch,
)
from .operator import AccountAdd, AccountDisable, AccountList, AccountPasswd, AccountSalt, StoreCheck

__all__ = [
    "Abort",
    "AccountAdd",
    "AccountDisable",
    "AccountList",
    "AccountPasswd",
    "AccountSalt",
    "Ack",
    "AuthPassword",
    "AuthResponse",
    "AuthScram",
    "AuthScramPlus",
    "AuthSecret",
    "Cancel",
    "Caps",
    "Data",
    "Deliver",
    "Done",
    "Help",
    "MboxCheck",
    "MboxCopy",
    "MboxCreate",
    "MboxDelete",
    "MboxFetch",
    "MboxFlag",
    "MboxIndex",
    "MboxList",
    "MboxMove",
    "MboxPut",
    "MboxRemove",
    "MboxRename",
    "Noop",
    "Quit",
    "StoreCheck",
    "Upgrade",
    "Watch",
    "Who",
]
