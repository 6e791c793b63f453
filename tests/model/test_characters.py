"""What nobody sees is not shown as it is; what scripts and emoji need stays."""

import unicodedata

import pytest

from immpd.model.characters import UNSAFE, is_shown, shown

KEPT = [
    "👨‍👩‍👧 ❤️‍🔥 🏳️‍🌈 👩🏽‍💻 1️⃣ ☎︎ ©️",  # ZWJ, both selectors
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿🏴󠁧󠁢󠁳󠁣󠁴󠁿🏴󠁧󠁢󠁷󠁬󠁳󠁿",  # tags
    "می‌خواهم نامه‌ای",  # ZWNJ, Persian
    "क्‍ष श्री ශ්‍රී നന്‍",  # ZWJ, Devanagari, Sinhala, Malayalam
    "ᠠ᠋ᠨ᠌",  # Mongolian
    "葛󠄀 邉󠄂 ≨︀",  # ideographic and mathematical variants
    "Grüße, 你好, こんにちは, Ελλάδα, 한국어",
]


@pytest.mark.parametrize("text", KEPT)
def test_what_scripts_and_emoji_need_is_kept(text: str) -> None:
    assert UNSAFE.search(text) is None
    assert is_shown(text)


@pytest.mark.parametrize(
    "text",
    [
        "pay\u200bpal", "a\u200db", "a\u200cb", "x\u00ady", "\ufeffx", "a\u034fb", "\u3164", "a\uffa0", "a\u2060b",
        "a\ufe0fb", "10\ufe0f", "\u200d👧", "👨\u200d", "👨\u200d\u200d👧", "می\u200c\u200cخ",
        "".join(chr(0xE0000 + ord(c)) for c in "ignore"), "🏴" + "".join(chr(0xE0000 + ord(c)) for c in "secret"),
        "🏴\U000e0067\U000e0062", "a\U000e0100", "葛\U000e0100\U000e0101", "ᠠ\u180e", "a\u061cb", "a\u202eb", "a\nb",
        "a\u2028b", "a\x85b", "\ud800",
    ],
    ids=ascii,
)  # fmt: skip
def test_what_hides_or_forges_is_found(text: str) -> None:
    assert UNSAFE.search(text) is not None
    assert not is_shown(text)
    assert is_shown(shown(text))


def test_of_format_characters_only_those_that_are_seen_may_stay() -> None:
    """Signs that stand before digits, and those that put hieroglyphs together."""
    every = map(chr, range(0x110000))
    formats = [found for found in every if unicodedata.category(found) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    left = {unicodedata.name(found).split()[0] for found in formats if UNSAFE.search(f"a{found}b") is None}
    assert left == {"ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN"}
