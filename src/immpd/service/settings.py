"""What an operator may set about what the service allows (docs/reference/settings.md is made from it)."""

from typing import Annotated

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much one message or session may ask for."""

    max_message: Annotated[int, msgspec.Meta(ge=65_536, description="octets in all parts of a message")] = 1 << 28
    max_recipients: Annotated[int, msgspec.Meta(ge=1, le=250, description="recipients of one message")] = 100
    max_parts: Annotated[int, msgspec.Meta(ge=1, le=1000, description="parts of one message")] = 200
    max_notification: Annotated[int, msgspec.Meta(ge=1024, le=262_144, description="octets of a notification")] = 65_536
    pushes_per_minute: Annotated[int, msgspec.Meta(ge=1, description="notifications that an account may send")] = 600
    token_pushes_per_minute: Annotated[int, msgspec.Meta(ge=1, description="notifications that a token may send")] = 60
    max_folders: Annotated[int, msgspec.Meta(ge=10, description="folders of one mailbox")] = 1000
    max_item: Annotated[int, msgspec.Meta(ge=1024, le=1 << 20, description="octets of an item of a feed")] = 1 << 18
    items_per_minute: Annotated[int, msgspec.Meta(ge=1, description="items that an account may publish")] = 600
    max_nodes: Annotated[int, msgspec.Meta(ge=0, description="nodes of one account")] = 100
    max_members: Annotated[int, msgspec.Meta(ge=1, description="members and publishers of one node")] = 10_000
    max_subscriptions: Annotated[int, msgspec.Meta(ge=1, le=10_000, description="subscriptions of one mailbox")] = 1000
    bulk_commands: Annotated[
        int,
        msgspec.Meta(
            ge=1, description="commands of one account that change what a filter finds, at once; the others wait"
        ),
    ] = 2
    message_idle: Annotated[
        int, msgspec.Meta(ge=10, description="seconds until an open message that nothing is added to is dropped")
    ] = 600


class Authentication(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How accounts log in."""

    secret: Annotated[
        bool, msgspec.Meta(description="offer AUTH SECRET, which needs password-equivalents (sealed) in the store")
    ] = True
    iterations: Annotated[
        int, msgspec.Meta(ge=600_000, le=10_000_000, description="PBKDF2 rounds of new passwords")
    ] = 600_000
    guesses: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            description="wrong passwords that an address (of IPv6 a /64) may try; one a minute comes back",
        ),
    ] = 20
    attempts: Annotated[int, msgspec.Meta(ge=1, le=20, description="failed attempts until a connection is closed")] = 3
