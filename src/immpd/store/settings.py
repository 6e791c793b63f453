"""What an operator may set about the disk (docs/reference/settings.md is made from it)."""

from typing import Annotated

import msgspec


class Storage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Room on the disk of the data folder (docs/why/full-disk.md)."""

    keep_free: Annotated[
        int,
        msgspec.Meta(
            ge=0, description="octets free on the disk below which deliveries are refused, so that all else goes on"
        ),
    ] = 128 << 20
    reserve: Annotated[
        int,
        msgspec.Meta(
            ge=0, description="octets of a file that is given up where removing messages, or a start, needs them"
        ),
    ] = 32 << 20
