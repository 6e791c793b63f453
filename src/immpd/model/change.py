"""A change of a mailbox: what a store's write unit reports and what watchers are told.

Rules: a Change is complete in itself and store-neutral; ``state`` is the mailbox's number of
this change, unique and rising in it, so a watcher that saw n uses a Change only if its number
follows (docs/protocol.md, "WATCH").
"""

from typing import Literal

import msgspec

ChangeKind = Literal[
    "new",
    "copied",
    "flags",
    "moved",
    "gone",
    "created",
    "renamed",
    "removed",
    "notified",
    "cleared",
    "answered",
    "subscription",
    "dismissed",
]
NOTICES = frozenset({"notified", "cleared", "answered"})
"""Those about notifications: they lie in no folder."""


class Change(msgspec.Struct, frozen=True):
    """One change of one mailbox.

    ``new``: a message came into ``folder`` (delivery, PUT, copy from another mailbox);
    ``copied``: a message of the mailbox now lies in ``folder`` too; ``flags``: its flags are now
    these; ``moved``: it went from ``origin`` to ``folder``; ``gone``: it is no longer in ``folder``;
    ``created``, ``renamed``, ``removed``: the folder ``path`` itself (renamed: it was ``old_path``);
    ``notified``, ``cleared``: a notification of the mailbox is shown, or has ended; ``answered``: one
    that the mailbox's person sent was answered.
    ``subscription``: the subscription ``id`` to the node ``path`` now is as ``keywords`` says;
    ``dismissed``: the person is done with the item ``id`` of the node ``path``.
    """

    kind: ChangeKind
    mailbox: int
    state: int
    """The mailbox's number of this change."""
    folder: int
    """The folder it is about; of a move, where the message is now."""
    id: bytes = b""
    """16 octets: the message's id in this mailbox; empty where it is about a folder."""
    origin: int = 0
    """Of a move: the folder the message was in."""
    flags: int = 0
    """The message's flags after the change (``model.flags.Flag`` bits)."""
    keywords: tuple[str, ...] = ()
    path: str = ""
    """Of folder changes: its path."""
    old_path: str = ""
    """Of a rename: its path before."""
    folders: tuple[int, ...] = ()
    """Of flags: every folder the message lies in."""
    details: bytes = b""
    """Of ``cleared`` and ``answered``: what else watchers are told, a JSON object."""
