"""Mutations of real mail through src/immpd/mime, and messages of our own out and in again."""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from hypothesis import Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from immpd.mime.headers import HeaderError, parse_header_block
from immpd.mime.incoming import attachment_octets, attachments, part_text, read_headers, read_text
from immpd.mime.outgoing import render, render_text
from immpd.mime.structure import leaves, read_structure
from immpd.model.message import Envelope, Part

from .finding import Found, Run, smallest

ROOT = Path(__file__).resolve().parents[1]
CORPORA = (ROOT.parent / "shared" / "corpus" / "mail", ROOT / "tests" / "mime" / "samples")
"""The first that is there is taken, and the samples of the tests always."""
SLOWEST = 2.0, 4e-6
"""Processor seconds for any mail, and more for each octet."""
MOST_GROWTH = 1 << 30
"""Octets that the process may grow by."""
PIECES = (
    b"--", b"\r\n\r\n", b"\n\n", b"\r", b"\0", b"\xff\xfe",
    b"=?utf-8?q?", b"?=", b"=?", b'"', b"<", b">", b"(", b"@", b",;:",
    b"<!--", b"<![CDATA[", b"&#9999999999;", b"<a href=", b"<pre>",
    b"\n--x\n", b"filename*0*=utf-8''%", b"; charset=idna",
    b"; boundary=\"\"", b"Content-Type: multipart/mixed; boundary=x\n",
    b"Content-Type: message/rfc822\n\n", b"=\n", b"==",
    b"Content-Transfer-Encoding: base64\n",
    b"Content-Type: text/html; charset=utf-7\n\n", b"\n ", b"<" * 500, b"\xe2\x80\xae",
)  # fmt: skip
BOUNDED = ("\x00", "\x1b", "\u202e", "\u2028", "\ud800")


def mutated(mails: list[bytes], chosen: Random) -> bytes:
    """A mail with some of its octets cut, doubled, changed, repeated, or put into another's."""
    octets = chosen.choice(mails)
    for _ in range(chosen.choice((1, 2, 4, 8, 30))):
        first = chosen.randrange(len(octets) + 1)
        last = min(len(octets), first + chosen.choice((1, 5, 50, 500, 5000)))
        piece = chosen.choice((octets[first:last], chosen.choice(PIECES), chosen.randbytes(3)))
        if chosen.random() < 0.05:
            piece = chosen.choice(mails)
        often = chosen.choice((0, 1, 1, 1, 2, 100)) if len(piece) < 600 else 1
        octets = octets[:first] + piece * often + octets[chosen.choice((first, last)) :]
    return octets[: 1 << 20]


def _unmarked(octets: bytes) -> bytes:
    return octets.replace(b"X-IMMP-Unproven-", b"")


def taken_in(octets: bytes) -> None:
    """Everything that is done with a mail that comes; nothing of it may raise."""
    said = read_headers(octets)
    for text in (said.subject, said.author, said.author_address, said.reply_to, *said.to, *said.cc, *said.references):
        assert text.isprintable() or not any(sign in text for sign in (*BOUNDED, "\n")), f"a header says {text[:100]!r}"
    text = read_text(octets)
    assert not any(sign in text for sign in BOUNDED), "the text holds what could move a cursor"
    text.encode()
    structure = read_structure(octets)
    for one in attachments(octets)[:10]:
        found = attachment_octets(octets, one.number)
        assert found is not None, f"attachment {one.number} is listed and not there"
        assert len(found) == one.size, f"attachment {one.number} has another size than is listed"
    for leaf in leaves(structure)[:20]:
        part_text(leaf.type, leaf.content).encode()
    part_text("text/html; charset=utf-8", octets).encode()
    envelope = Envelope(id="x", from_="a@b.example", date="2026-01-01T00:00:00Z")
    whole = Part(1, "", "message/rfc822", len(octets))
    passed = render(envelope, [whole], lambda _: octets)
    if passed != octets:  # it may name somebody else: who is proven to have sent it stands before
        sender, _, passed = passed.partition(b"\n")
        assert sender.rstrip() == b"Sender: a@b.example", f"a mail is passed on with {sender[:100]!r}"
        assert _unmarked(passed) == _unmarked(octets), "a mail is not passed on as it came"
    read_text(render(envelope, [whole, Part(2, "", "text/plain", len(octets))], lambda _: octets))
    render_text(envelope, [whole], lambda _: octets).encode()


def header_block(octets: bytes) -> None:
    """A +HEADERS part is read, or refused with its one error."""
    try:
        parse_header_block(octets)
    except HeaderError:
        pass


def wrong(work: Callable[[bytes], None], octets: bytes) -> str:
    """What is wrong with what ``work`` does to these octets; empty where nothing is."""
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        work(octets)
    except Exception as error:
        return f"{work.__name__}: {type(error).__name__}: {str(error)[:500]}"
    took = time.process_time() - began
    if took > SLOWEST[0] + SLOWEST[1] * len(octets):
        return f"{work.__name__}: too slow: {len(octets)} octets took {took:.1f} s"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    return f"{work.__name__}: too much memory: {grown >> 20} MiB" if grown > MOST_GROWTH else ""


texts = st.text(max_size=60)
kinds = st.sampled_from(
    ("text/plain", "text/html", "image/png", "application/x; a=b", "multipart/mixed", "text/x; name=é")
)
parts = st.lists(st.tuples(texts, kinds | texts, st.binary(max_size=300), st.booleans()), min_size=1, max_size=4)


@settings(max_examples=100, deadline=None, database=None, phases=[Phase.generate, Phase.shrink])
@given(st.builds(Envelope, id=texts, from_=texts, date=texts, subject=texts, to=st.tuples(texts), origin=texts), parts)
def out_and_in(envelope: Envelope, made: list[tuple[str, str, bytes, bool]]) -> None:
    """What goes out as Internet mail is read again with as many parts, attachments octet for octet."""
    described = [
        Part(number, name, kind, len(octets), "attachment" if attached else "content")
        for number, (name, kind, octets, attached) in enumerate(made, 1)
    ]
    mail = render(envelope, described, lambda number: made[number - 1][2])
    found = leaves(read_structure(mail))
    assert len(found) == len(made), mail
    for leaf, (_, _, octets, _) in zip(found, made, strict=True):
        same = leaf.content == octets or leaf.type.startswith("text/")
        assert same or leaf.type == "message/rfc822", mail
    assert mail.partition(b"\r\n\r\n")[0].count(b"\nFrom:") <= 1, mail


async def mime(run: Run) -> str:
    """Nothing that takes a mail raises, is slow, or needs much memory; what we write can be read."""
    corpus = next(one for one in CORPORA if one.is_dir())
    files = {file for one in (corpus, CORPORA[1]) for file in one.rglob("*.eml")}
    mails = [file.read_bytes()[: 256 << 10] for file in sorted(files)]
    octets_in_all = number = 0
    for number in run.rounds():
        octets = mutated(mails, run.chosen)
        octets_in_all += len(octets)
        for work in (taken_in, header_block):
            what = wrong(work, octets)
            if what:
                run.say(f"found with {len(octets)} octets, making them fewer: {what}")

                async def fails(fewer: bytes, work: Callable[[bytes], None] = work, what: str = what) -> bool:
                    return wrong(work, fewer)[:20] == what[:20]

                raise Found(what, await smallest(octets, fails))
        if number % 200 == 1:
            try:
                seeded(run.chosen.getrandbits(32))(out_and_in)()
            except Exception as error:
                raise Found(f"out and in again: {error}") from error
    return f"{number} mails of {len(mails)}, {octets_in_all >> 20} MiB"
