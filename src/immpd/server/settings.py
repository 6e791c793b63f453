"""What an operator may set about connections (docs/reference/settings.md is made from it)."""

from typing import Annotated

import msgspec


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time and room that a connection gets (docs/protocol.md, "Bounds")."""

    handshake: Annotated[int, msgspec.Meta(ge=1, description="seconds for the TLS handshake")] = 10
    before_login: Annotated[int, msgspec.Meta(ge=1, description="seconds until a connection must have logged in")] = 60
    before_login_octets: Annotated[
        int, msgspec.Meta(ge=16_384, description="octets a connection may send before it logged in")
    ] = 65_536
    before_login_pipelines: Annotated[int, msgspec.Meta(ge=1, description="pipelines before log-in")] = 4
    idle: Annotated[int, msgspec.Meta(ge=60, description="seconds until an idle session is closed")] = 1800
    untaken: Annotated[
        int, msgspec.Meta(ge=1, description="seconds in which a client must take something others wait for")
    ] = 30
    alive: Annotated[int, msgspec.Meta(ge=1, description="seconds between signs of life of an idle watch")] = 300
    pipelines: Annotated[int, msgspec.Meta(ge=1, le=1024, description="pipelines of a session")] = 64
    unanswered: Annotated[
        int, msgspec.Meta(ge=65_536, description="octets of unanswered commands until reading stops")
    ] = 1 << 20
    connections: Annotated[int, msgspec.Meta(ge=1, description="connections in all")] = 20_000
    per_address: Annotated[
        int, msgspec.Meta(ge=1, description="connections of one address (IPv6: of one /64) before log-in")
    ] = 100
    per_account: Annotated[int, msgspec.Meta(ge=1, description="connections of one account")] = 100
    quit: Annotated[
        int, msgspec.Meta(ge=1, description="seconds that running commands get after QUIT and at shutdown")
    ] = 30


class Debug(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What helps to find out why a server is slow."""

    held: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=60_000,
            description="log what holds up everybody for longer than so many milliseconds; 0: nothing",
        ),
    ] = 0
