"""The client: a person's or a program's side of IMMP.

    async with immpd.client.connect("alice@a.com", password="…", device="laptop") as me:
        async for row in me.index("/inbox", limit=10):
            print(row.from_, row.subject)
        await me.send("bob@a.com", "Lunch?", "At twelve.")

``immpd.client.blocking`` offers the same without ``async``. Errors: ``immpd.client.errors``, all of them ImmpError.
"""

from immpd.model.feed import NodeOptions

from .caller import Caller, MessagePipeline, ReplyStream
from .client import Client, Secret, at
from .composing import Attachment, new_id
from .connecting import Server, connect, open_client
from .errors import (
    BadValue,
    CannotConnect,
    ClientError,
    ConnectionLost,
    FingerprintMismatch,
    ImidError,
    ImmpError,
    KnownPeersUnreadable,
    NotSecure,
    PasswordNeeded,
    ProtocolFault,
    Refused,
    ScramError,
    ServerNotProven,
    TooSlow,
)
from .events import Event
from .watching import Reconnecting

__all__ = [
    "Attachment",
    "BadValue",
    "Caller",
    "CannotConnect",
    "Client",
    "ClientError",
    "ConnectionLost",
    "Event",
    "FingerprintMismatch",
    "ImidError",
    "ImmpError",
    "KnownPeersUnreadable",
    "MessagePipeline",
    "NodeOptions",
    "NotSecure",
    "PasswordNeeded",
    "ProtocolFault",
    "Reconnecting",
    "Refused",
    "ReplyStream",
    "ScramError",
    "Secret",
    "Server",
    "ServerNotProven",
    "TooSlow",
    "at",
    "connect",
    "new_id",
    "open_client",
]
