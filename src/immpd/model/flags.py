"""Flags of a message in its mailbox: five that the server understands, and free keywords.

Two rules: the five have a bit each and are stored as one number; everything else is a
keyword, kept as written and compared without case (docs/protocol.md, "Flags").
"""

from enum import IntFlag


class Flag(IntFlag):
    """The flags that the server itself understands (docs/protocol.md, "Flags")."""

    READ = 1
    FLAGGED = 2
    ANSWERED = 4
    IMPORTANT = 8
    DRAFT = 16


MAX_KEYWORDS = 64
"""Keywords of one message: its index row is a line."""
FLAG_BITS: dict[str, int] = {flag.name or "": int(flag) for flag in Flag}
FLAG_MASK = sum(FLAG_BITS.values())
_NAMES: tuple[tuple[str, ...], ...] = tuple(
    tuple(name for name, bit in FLAG_BITS.items() if bits & bit) for bits in range(FLAG_MASK + 1)
)


def flag_names(bits: int) -> tuple[str, ...]:
    """The names of the flags set in ``bits``, in the order of the table."""
    return _NAMES[bits & FLAG_MASK]


def split_flags(names: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    """Divide names as a person wrote them into the bits of known flags and the keywords."""
    bits = 0
    keywords = []
    for name in names:
        bit = FLAG_BITS.get(name.upper())
        if bit is None:
            keywords.append(name)
        else:
            bits |= bit
    return bits, tuple(keywords)
