"""Which characters of a text can forge or hide something where one line of it is shown (docs/why/invisible.md).

Rules: a control, a line separator, a change of direction, half a character and what nobody sees are not shown as they
are, wherever a line of text is; what emoji and scripts cannot do without stays, but only where it does its work.
"""

import re
from typing import Final

CONTROLS: Final = r"\x00-\x1f\x7f-\x9f"
"""C0, DEL and C1, inside a class of a pattern."""
_TURNS: Final = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_LINE_ENDS: Final = r"\u2028\u2029"
_SURROGATES: Final = r"\ud800-\udfff"
# Default_Ignorable_Code_Point of Unicode 16 but what turns the direction, and the interlinear annotations.
_IGNORABLE: Final = (
    r"\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)

# Scripts that are joined or written with ZWJ and ZWNJ: Arabic, Syriac and their like, the Brahmic ones, Mongolian.
_JOINING: Final = (
    r"\u0600-\u061b\u061d-\u115e\u1780-\u17b3\u17b6-\u180a\u1810-\u1cff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc"
    r"\U00010a00-\U00011fff"
)
_EMOJI: Final = r"\u00a9\u00ae\u203c\u2049\u2100-\u27bf\u2900-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_IDEOGRAPHS: Final = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KEPT: Final = (
    rf"(?<![{_JOINING}][\u200c\u200d])",
    rf"(?!(?<=[{_EMOJI}\ufe0f]\u200d)[{_EMOJI}])",
    rf"(?<![{_EMOJI}][\ufe0e\ufe0f])",
    r"(?!(?<=[0-9#*]\ufe0f)\u20e3)",
    rf"(?<![\u1000-\u109f\u2190-\u2bff\ua840-\ua87f{_IDEOGRAPHS}][\ufe00-\ufe02])",
    rf"(?<![{_IDEOGRAPHS}][\U000e0100-\U000e01ef])",
    r"(?<![\u1820-\u18aa][\u180b-\u180d\u180f])",
)


def _flags() -> str:
    """The flags of England, Scotland and Wales, the only emoji that hold tags: each tag between those beside it."""
    kept = ""
    for region in ("gbeng", "gbsct", "gbwls"):
        flag = "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"
        kept += "".join(f"(?!(?<={flag[:end]}){flag[end:]})" for end in range(2, len(flag) + 1))
    return kept


_NEEDLESS: Final = "".join(_KEPT) + _flags()
UNSAFE: Final = re.compile(rf"[{CONTROLS}{_TURNS}{_LINE_ENDS}{_SURROGATES}{_IGNORABLE}]{_NEEDLESS}")
"""One character that is not shown in a line."""
INVISIBLE: Final = re.compile(rf"[{_IGNORABLE}]{_NEEDLESS}")
"""One that nobody sees, where no emoji or script needs it."""
UNSAFE_IN_TEXT: Final = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_TURNS}{_LINE_ENDS}{_SURROGATES}]")
"""One that is not shown in several lines either: what a terminal obeys. Tab and line feed are no such ones."""
UNSAFE_IN_BODY: Final = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069{_LINE_ENDS}{_SURROGATES}]")
"""The same of a mail's text, which may hold the three implicit marks of Arabic and Hebrew: they reach no further than
their own line."""

_NOT_PRINTABLE: Final = dict.fromkeys([0x200C, 0x200D, *range(0xE0020, 0xE0080)])


def is_shown(text: str) -> bool:
    """Whether one line shows all of this text: printable characters, and those that emoji and scripts need."""
    if text.isascii():
        return text.isprintable()
    return UNSAFE.search(text) is None and text.translate(_NOT_PRINTABLE).isprintable()


def shown(text: str) -> str:
    """The text with U+FFFD for what ``is_shown`` refuses."""
    kept = UNSAFE.sub("\ufffd", text)
    return "".join(one if one.isprintable() or ord(one) in _NOT_PRINTABLE else "\ufffd" for one in kept)
