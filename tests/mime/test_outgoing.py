"""Our messages as Internet mail and as text: what is written reads back, and nothing a sender wrote escapes."""

import email
import email.policy
from email.message import EmailMessage

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immpd.mime.incoming import READ_LIMIT, TEXT_LIMIT
from immpd.mime.outgoing import octets_shown, render, render_text
from immpd.model.message import Envelope, Part

ENVELOPE = Envelope(
    id="01990000-0000-7000-8000-000000000001",
    from_="helpdesk/bob@b.example",
    date="2013-09-02T10:00:00+02:00",
    to=("alice@a.example", "alice+lists@a.example"),
    subject="Grüße",
    in_reply_to="01990000-0000-7000-8000-000000000000",
    references=("x@c.example", "01990000-0000-7000-8000-000000000000"),
    importance="high",
    origin="b.example",
    headers={"x-tag": "a", "subject": "ignored", "from": "evil@x", "bad name": "x"},
)


def message(*contents: tuple[str, str, bytes]) -> tuple[list[Part], dict[int, bytes]]:
    """Parts out of (name, type, octets); a name makes an attachment."""
    parts = [
        Part(id=n, name=name, type=kind, length=len(octets), part_class="attachment" if name else "content")
        for n, (name, kind, octets) in enumerate(contents, 1)
    ]
    return parts, {n: octets for n, (_, _, octets) in enumerate(contents, 1)}


def rendered(envelope: Envelope, *contents: tuple[str, str, bytes]) -> EmailMessage:
    parts, octets = message(*contents)
    mail = email.message_from_bytes(render(envelope, parts, octets.__getitem__), policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    assert not mail.defects
    return mail


def test_one_text_is_a_simple_mail() -> None:
    parts, octets = message(("", "text/plain", b"Hello\nAlice\n"))
    assert render(ENVELOPE, parts, octets.__getitem__) == (
        b"From: helpdesk/bob@b.example\r\n"
        b"To: alice@a.example, alice+lists@a.example\r\n"
        b"Date: Mon, 02 Sep 2013 10:00:00 +0200\r\n"
        b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"
        b"Message-ID: <01990000-0000-7000-8000-000000000001@b.example>\r\n"
        b"In-Reply-To: <01990000-0000-7000-8000-000000000000@b.example>\r\n"
        b"References: <x@c.example> <01990000-0000-7000-8000-000000000000@b.example>\r\n"
        b"Importance: high\r\n"
        b"X-Tag: a\r\n"
        b"MIME-Version: 1.0\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hello\r\nAlice\r\n"
    )


def test_several_parts_are_mixed() -> None:
    photo = bytes(range(256)) * 10
    inner = b"Subject: inner\n\nbody \xff\n"
    mail = rendered(
        ENVELOPE,
        ("", "text/plain", "Grüße\n".encode()),
        ('a\\p"hö.jpg', "image/jpeg", photo),
        ("m.eml", "message/rfc822", inner),
        ("x", 'multipart/mixed; boundary="evil"', b"--evil"),
        ("y", "nonsense\r\nX: y", b"?"),
        ("z", "text/plain; charset=iso-8859-1", b"\xe9"),
    )
    text, jpeg, rfc822, odd, nonsense, latin = mail.iter_parts()
    assert text.get_content() == "Grüße\r\n"
    assert (jpeg.get_content(), jpeg.get_filename(), jpeg.get_content_type()) == (photo, 'p"hö.jpg', "image/jpeg")
    assert rfc822.get_content()["Subject"] == "inner"
    assert (odd.get_content_type(), odd.get_content()) == ("application/octet-stream", b"--evil")
    assert nonsense.get_content_type() == "application/octet-stream"
    assert latin.get_content() == "é"


@pytest.mark.parametrize(
    "given", ["../../x.txt", "/etc/x.txt", "C:\\a\\x.txt", "c:x.txt", "..\\x.txt", "....x.txt", "a/.x.txt"]
)
def test_an_attachment_loses_its_folders(given: str) -> None:
    mail = rendered(ENVELOPE, ("", "text/plain", b"x"), (given, "application/pdf", b"y"))
    assert [part.get_filename() for part in mail.iter_parts()] == [None, "x.txt"]
    parts, octets = message(("", "text/plain", b"x"), (given, "application/pdf", b"y"))
    assert "\n  2  x.txt  application/pdf" in render_text(ENVELOPE, parts, octets.__getitem__)


def mail_of(mail: bytes, author: str = "") -> bytes:
    parts, octets = message(("", "Message/RFC822", mail))
    return render(msgspec.structs.replace(ENVELOPE, author=author), parts, octets.__getitem__)


def test_internet_mail_goes_out_octet_for_octet() -> None:
    mail = b"From: x\nweird \xff\0\r\r\n\nbody\nSender: of the text"
    assert mail_of(mail) == mail


@pytest.mark.parametrize(
    ("mail", "author", "written"),
    [
        (b"From: eve@e.example\r\n\r\nx", "eve@e.example", b"From: eve@e.example\r\n\r\nx"),
        (b"From: eve@e.example\n\nx", "eve@e.example", b"From: eve@e.example\n\nx"),
        (b"Sender: ceo@x\r\nFrom: b\r\n\r\nx", "", b"X-IMMP-Unproven-Sender: ceo@x\r\nFrom: b\r\n\r\nx"),
        (b"A: x\rSENDER : y\r\nFrom: b\r\n\r\nx", "", b"A: x\rX-IMMP-Unproven-SENDER : y\r\nFrom: b\r\n\r\nx"),
        (b"From: b\nA: x\rFrom: eve\n\n", "", b"From: b\nA: x\rFrom: eve\n\n"),
        (b"Subject: nobody\n\nFrom: b\n", "", b"Subject: nobody\n\nFrom: b\n"),
        (b"no lines", "", b"no lines"),
    ],
)
def test_internet_mail_that_names_somebody_else_says_who_is_proven(mail: bytes, author: str, written: bytes) -> None:
    line_end = b"\r\n" if b"\r\n" in mail or b"\n" not in mail else b"\n"
    assert mail_of(mail, author) == b"Sender: helpdesk/bob@b.example" + line_end + written


def test_a_list_is_named_by_the_server_alone() -> None:
    envelope = msgspec.structs.replace(ENVELOPE, headers={"list-id": "news@b.example", "list-post": "x", "author": "x"})
    mail = rendered(envelope, ("", "text/plain", b"x"))
    assert (mail["List-Id"], mail["List-Post"], mail["Author"]) == ("news@b.example", None, None)


@pytest.mark.parametrize(
    ("imid", "written"),
    [
        ("alice@a.example", b"alice@a.example"),
        ("newsletter/updates@w.example", b"newsletter/updates@w.example"),
        ("a..b@a.example", b'"a..b"@a.example'),
        ("alice@a.example/INBOX/x", b'"alice@a.example/INBOX/x" <alice@a.example>'),
        ("jürgen@a.example", "jürgen@a.example".encode()),
        ("mailer-daemon", b'"mailer-daemon"@invalid'),
        ("a@b\r\nBcc: x@y", b'"a@b\xef\xbf\xbd\xef\xbf\xbdBcc: x@y"@invalid'),
        ('x"\\y@a.example', b'"x\\"\\\\y"@a.example'),
    ],
)
def test_imids_as_addresses(imid: str, written: bytes) -> None:
    envelope = Envelope(id="1", from_=imid, date="")
    assert render(envelope, [], lambda _: b"").split(b"\r\n")[0] == b"From: " + written


def test_other_origins_and_bcc_are_written_when_asked_for() -> None:
    envelope = Envelope(id="1", from_="a@a.example", date="", in_reply_to="0", bcc=("c@c.example",))
    plain = render(envelope, [], lambda _: b"")
    assert b"Bcc" not in plain
    assert b"Message-ID: <1@a.example>" in plain
    full = render(envelope, [], lambda _: b"", origin_of=lambda _: "z.example", with_bcc=True)
    assert b"Bcc: c@c.example\r\n" in full
    assert b"In-Reply-To: <0@z.example>\r\n" in full


@pytest.mark.parametrize(
    "body", [b"x" * 2000, "ж\n".encode() * 500, b"a\r\nb \n", b"\0", b"", b"From x\n.\n", "ü".encode()]
)
def test_text_survives(body: bytes) -> None:
    mail = rendered(ENVELOPE, ("", "text/plain", body))
    assert mail.get_content().replace("\r\n", "\n").rstrip("\n") == body.decode().replace("\r\n", "\n").rstrip("\n")
    parts, octets = message(("", "text/plain", body))
    assert max(map(len, render(ENVELOPE, parts, octets.__getitem__).split(b"\r\n"))) <= 998


def test_a_part_cannot_end_itself() -> None:
    parts, octets = message(("", "text/plain", b"x"), ("", "text/plain", b"y"))
    first = render(ENVELOPE, parts, octets.__getitem__)
    boundary = first.partition(b'boundary="')[2].partition(b'"')[0]
    octets[1] = b"x\r\n--" + boundary + b"--\r\n"
    mail = email.message_from_bytes(render(ENVELOPE, parts, octets.__getitem__), policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    assert [part.get_content().strip()[-2:] for part in mail.iter_parts()] == ["--", "y"]


TEXTS = st.one_of(
    st.text(max_size=80), st.sampled_from(["a\r\nBcc: x@y", "=?utf-8?q?=0d=0aBcc:_x?=" * 9, "a@b\n\nbody"])
)


@given(
    st.builds(
        Envelope,
        id=TEXTS,
        from_=TEXTS,
        date=TEXTS,
        to=st.lists(TEXTS, max_size=3).map(tuple),
        subject=TEXTS,
        author=TEXTS,
        reply_to=TEXTS,
        in_reply_to=TEXTS,
        references=st.lists(TEXTS, max_size=3).map(tuple),
        origin=TEXTS,
        received_date=TEXTS,
        headers=st.dictionaries(TEXTS, TEXTS, max_size=2),
    ),
    TEXTS,
    TEXTS,
)
@settings(max_examples=200, deadline=None)
def test_no_value_begins_a_field(envelope: Envelope, name: str, kind: str) -> None:
    parts = [Part(id=1, name="", type="text/plain", length=4), Part(1, name, kind, 4, part_class="attachment")]
    octets = render(envelope, parts, lambda _: b"body")
    head = octets.partition(b"\r\n\r\n")[0].split(b"\r\n")
    known = {"from", "to", "reply-to", "date", "subject", "message-id", "in-reply-to", "references", "x-immp-author"}
    known |= {"mime-version", "content-type"} | {given.lower() for given in envelope.headers}
    for line in head:
        assert b"\n" not in line
        assert b"\r" not in line
        assert line.startswith(b" ") or line.partition(b":")[0].decode().lower() in known
    assert octets.count(b"\r\n\r\nbody\r\n\r\n--=_") == 1
    text = render_text(envelope, parts, lambda _: b"body")
    assert f"\n{text}".count("\nbody\n") == 1


def test_how_a_message_looks_to_a_person() -> None:
    parts, octets = message(
        ("", "text/plain", b"Hello\r\n\x1b[31mAlice\n"),
        ("", "text/html; charset=utf-8", b"<p>more</p>"),
        ("", "application/json", b"{}"),
        ("photo.jpg", "image/jpeg", b"x" * 2048),
    )
    envelope = Envelope(
        id="1", from_="bob@b.example", author="Carol <carol@c.example>", date="2013-09-02T10:00:00Z",
        to=("alice@a.example",), cc=("dan@d.example", "eve@e.example"), subject="Hi\nFrom: evil",
        reply_to="else@e.example",
    )  # fmt: skip
    assert render_text(envelope, parts, octets.__getitem__) == (
        "From: bob@b.example (unproven: Carol <carol@c.example>)\n"
        "To: alice@a.example\n"
        "Cc: dan@d.example, eve@e.example\n"
        "Reply-To: else@e.example\n"
        "Date: 2013-09-02T10:00:00Z\n"
        "Subject: Hi\ufffdFrom: evil\n"
        "\n"
        "Hello\n\ufffd[31mAlice\n"
        "\n"
        "more\n"
        "\n"
        "Parts:\n"
        "  3  (no name)  application/json  2 B\n"
        "  4  photo.jpg  image/jpeg  2.0 KiB\n"
    )


def test_internet_mail_is_shown_as_its_text() -> None:
    parts, octets = message(("", "message/rfc822", b"Subject: x\n\ninside\n"))
    assert render_text(ENVELOPE, parts, octets.__getitem__).endswith("\nImportance: high\n\ninside\n")


def test_of_a_large_message_the_beginning_is_shown_and_how_to_get_the_rest() -> None:
    large = b"line\n" * 80_000
    parts, octets = message(
        ("", "text/plain", b"short\n"),
        ("", "text/plain", large),
        ("", "text/html", b"<p>x" * 10_000),
        ("", "message/rfc822", b"\n\ninside\n"),
        ("photo.jpg", "image/jpeg", b"x" * 2048),
    )
    asked: list[int] = []

    def read(number: int) -> bytes:
        asked.append(number)
        return octets[number]

    text = render_text(ENVELOPE, parts, read)
    assert asked == [1, 2]  # there is no room for more
    assert len(text) < TEXT_LIMIT + 1000
    assert "\nshort\n\nline\nline\n" in text
    assert text.endswith(
        "\n\n[Not all of part 2 is shown; FETCH with PART 2 brings its 390.6 KiB]"
        "\n\n[Not all of part 3 is shown; FETCH with PART 3 brings its 39.1 KiB]"
        "\n\n[Not all of part 4 is shown; FETCH with PART 4 brings its 9 B]"
        "\n\nParts:\n  5  photo.jpg  image/jpeg  2.0 KiB\n"
    )


def test_of_very_large_mails_no_more_is_looked_at_than_is_read() -> None:
    mail = Part(1, "", "message/rfc822", READ_LIMIT)
    parts = [mail, Part(2, "", "text/plain", 5), Part(3, "a", "text/plain", 1 << 40, part_class="attachment")]
    assert octets_shown(parts) == {1: READ_LIMIT, 2: 0}
    assert octets_shown([Part(1, "", "text/html", 1 << 40)]) == {1: TEXT_LIMIT}
    text = render_text(ENVELOPE, parts, lambda _: b"\n\ninside\n")
    assert "inside\n\n[Not all of part 2 is shown; FETCH with PART 2 brings its 5 B]" in text
