"""Header blocks of DATA +HEADERS."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immpd.mime.headers import BLOCK_LIMIT, HeaderError, is_commands_only, parse_header_block
from immpd.model.message import Envelope


def test_fields_come_back_in_order_with_names_in_lower_case() -> None:
    block = "Subject: Grüße\r\nX-Tag: a: b\r\n  and more\r\nIn-Reply-To: x\r\nX-Empty:\r\n\r\n"
    fields = parse_header_block(block)
    assert fields == {"subject": "Grüße", "x-tag": "a: b and more", "in-reply-to": "x", "x-empty": ""}
    assert parse_header_block(block.encode()) == fields
    assert parse_header_block(b"") == {}


@pytest.mark.parametrize(
    ("block", "line", "reason"),
    [
        (b"Subject: a\nno colon", 2, "write it as"),
        (b" starts with a space", 1, "continues nothing"),
        (b"Bad Name: x", 1, "write it as"),
        (b": x", 1, "write it as"),
        (b"A: 1\nB: 2\na: 3", 3, "second time"),
        (b"A: 1\n\nB: 2", 2, "empty line"),
        (b"A: \xff", 1, "not UTF-8"),
        (b"A: 1\nB: x\x07", 2, "control"),
        (b"A: x\ry", 1, "control"),
        ("A: x\u2028B: y".encode(), 1, "control"),
        (b"A: x\n y\0", 2, "control"),
        (b"x" * (BLOCK_LIMIT + 1), 1, "at most 32768"),
        (b"".join(b"X-%d: x\n" % n for n in range(300)), 201, "at most 200"),
    ],
)
def test_what_is_refused_is_named_with_its_line(block: bytes, line: int, reason: str) -> None:
    with pytest.raises(HeaderError, match=reason) as caught:
        parse_header_block(block)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "name",
    [
        "From",
        "TO",
        "cc",
        "Bcc",
        "Id",
        "Message-ID",
        "Origin",
        "Received",
        "Received-From",
        "received-via",
        "Verified",
        "Sender",
        "Content-Type",
        "MIME-Version",
        "DKIM-Signature",
        "Authentication-Results",
        "Author",
        "Importance",
        "List-Id",
        "list-unsubscribe",
        "X-IMMP-Author",
        "X-Spam-Status",
    ],
)
def test_what_only_commands_may_say(name: str) -> None:
    with pytest.raises(HeaderError, match="only commands") as caught:
        parse_header_block(f"Subject: x\n{name}: y")
    assert (caught.value.line, caught.value.field) == (2, name)


def test_of_the_envelope_a_sender_says_these_and_no_others() -> None:
    names = {field.encode_name for field in msgspec.structs.fields(Envelope)}
    own = {name for name in names if not is_commands_only(name)}
    assert own == {"subject", "date", "reply-to", "in-reply-to", "references", "headers"}


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_a_block_is_read_or_refused(block: str | bytes) -> None:
    try:
        fields = parse_header_block(block)
    except HeaderError:
        return
    assert all(name == name.lower() for name in fields)
    assert not any(ord(c) < 32 for value in fields.values() for c in value)
