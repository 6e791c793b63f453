"""Every reply, encoded by the server and decoded by the client, whatever a person wrote into it."""

import re
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.protocol.making import any_texts, lines_of, map_texts

from immpd.model.message import IndexRow
from immpd.model.notification import Action, NotificationRow
from immpd.protocol import replies as r
from immpd.protocol.codes import Code
from immpd.protocol.lines import Line, Words
from immpd.protocol.registry import COMMANDS
from immpd.protocol.replies import Reply
from immpd.protocol.text import clean

REPLIES = sorted(
    {kind for kind in vars(r).values() if isinstance(kind, type) and issubclass(kind, Reply) and hasattr(kind, "CODE")},
    key=lambda kind: kind.__name__,
)
_tokens = st.from_regex(r"[A-Z0-9\-.]{1,8}", fullmatch=True)
_decoded = any_texts.map(lambda text: text.encode(errors="replace").decode())


_JSON = (IndexRow, NotificationRow, Action)
"""Rows of JSON: what a person wrote comes as UTF-8."""


def values_of(hint: Any, texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Any value of a field."""
    if hint is str:
        return texts
    if hint is int:
        return st.integers(0, 2**53)
    if hint is bool:
        return st.booleans()
    if typing.get_origin(hint) is typing.Literal:
        return st.sampled_from(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        if item is str:
            return st.lists(_tokens, max_size=3).map(tuple)
        return st.lists(values_of(item, texts), max_size=3).map(tuple)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return structs_of(hint, _decoded if hint in _JSON else texts)
    kinds = typing.get_args(hint)
    assert type(None) in kinds, hint
    return st.none() | values_of(kinds[0], texts)


def structs_of(kind: type[msgspec.Struct], texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Any value of a struct."""
    fields = {field.name: values_of(field.type, texts) for field in msgspec.structs.fields(kind)}
    if kind is r.Counts:
        fields["rows"] = st.lists(structs_of(r.FolderCounts, texts), min_size=1, max_size=3).map(tuple)
    if "before" in fields:  # what was written before is not on the line
        fields["before"] = st.just(0)
    if kind is r.Help:
        fields["lines"] = st.lists(texts, max_size=3).map(tuple)
    return st.builds(kind, **fields)


def decoded(kind: type[Reply], octets: bytes) -> Reply:
    return kind.decode([line for _, line in lines_of(octets)])


@pytest.mark.parametrize("kind", REPLIES, ids=lambda kind: kind.__name__)
@given(data=st.data(), prefix=st.sampled_from(["", "p1: "]))
def test_every_reply_round_trips_and_forges_nothing(kind: type[Reply], data: st.DataObject, prefix: str) -> None:
    reply = data.draw(structs_of(kind, any_texts))
    octets = reply.encode(prefix)
    lines = lines_of(octets)
    rows = getattr(reply, "rows", getattr(reply, "lines", ()))
    assert len(lines) == {r.Counts: len(rows), r.SecretChallenge: 2, r.Subscribed: 2}.get(kind, len(rows) + 1)
    assert [pid for pid, _ in lines] == ["p1" if prefix else None] * len(lines)
    allowed = {kind.CODE, getattr(getattr(kind, "ROW", kind), "CODE", None), Code.NONCES, Code.METADATA, Code.ITEM}
    assert all(line.code in allowed for _, line in lines)
    if kind not in (r.SecretChallenge, r.Subscribed):
        assert [line.more for _, line in lines] == [True] * (len(lines) - 1) + [False]
    expected = map_texts(reply, clean)
    if isinstance(reply, (r.IndexPage, r.Notifications)):
        expected = msgspec.structs.replace(expected, rows=reply.rows)
    assert decoded(kind, octets) == expected


def test_every_command_answers_one_of_them() -> None:
    assert {command.reply for command in COMMANDS} <= set(REPLIES)
    for command in COMMANDS:
        assert command.reply.CODE in command.codes


# --- how it looks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "octets"),
    [
        (r.Ok(), b"200 Done\n"),
        (r.Ok(text=""), b"200\n"),
        (r.Goodbye(), b"203 Good-bye\n"),
        (r.Capabilities(d="a.example"), b"101 p=IMMP v=1.0 d=a.example max-message=0 max-to=0\n"),
        (
            r.Capabilities(auth=("SECRET", "X"), cb="y", caps=("WATCH",), max_message=5, max_to=2),
            b"101 p=IMMP v=1.0 auth=SECRET,X cb=y caps=WATCH max-message=5 max-to=2\n",
        ),
        (r.ScramChallenge(data="YQ=="), b"304 YQ==\n"),
        (
            r.SecretChallenge(n1="u", n2=5, kda="pbkdf2-sha256", salt="YQ==", i=600000),
            b"302 Nonces follow\n303 n1=u n2=5 kda=pbkdf2-sha256 salt=YQ== i=600000\n",
        ),
        (r.Authenticated(text="Accepted for a@b", v="YQ=="), b"210 Accepted for a@b v=YQ==\n"),
        (r.Authenticated(text="Accepted for a=b@c", v="x"), b'210 "Accepted for a=b@c" v=x\n'),
        (r.Changed(n=0, s="5-7"), b"200 n=0 s=5-7\n"),
        (r.Changed(n=1, s=""), b'200 n=1 s=""\n'),
        (r.Help(lines=("NOOP", "  Do")), b"200- NOOP\n200-   Do\n200 End\n"),
        (
            r.Counts(rows=(r.FolderCounts(path="/a b", u=0, t=5, s="x"), r.FolderCounts(path="/u=1", u=2, t=3, s="y"))),
            b'240- "/a b" u=0 t=5 s=x\n240 /u=1 u=2 t=3 s=y\n',
        ),
        (
            r.Delivered(
                id="u", rows=(r.DeliveredRow(imid="a@b", outcome="refused", code=404, text="[X] code=5 Nobody"),)
            ),
            b"273- a@b refused 404 [X] code=5 Nobody\n273 u\n",
        ),
        (r.Copied(rows=(r.CopiedRow(old="a", new="b"),)), b"251- a b\n251 1 copied\n"),
        (r.Findings(), b"290 0 findings\n"),
        (r.Fetched(n=2, more="yes"), b"250 n=2 more=yes\n"),
        (r.IndexPage(n=0, s="x"), b"250 n=0 s=x\n"),
        (r.WatchEnded(), b"260 The watch has ended\n"),
    ],
)
def test_octets(reply: Reply, octets: bytes) -> None:
    assert reply.encode() == octets
    assert decoded(type(reply), octets) == reply
    assert reply.encode("p: ") == re.sub(b"(?m)^", b"p: ", octets).removesuffix(b"p: ")


def test_text_that_looks_like_fields_stays_text() -> None:
    assert r.Ok(text="n=5 of 6").encode() == b'200 "n=5 of 6"\n'
    assert r.Finding(text="u=5  but 6").to_text() == '"u=5  but 6"'
    assert r.Finding.from_text("u is 5  but n=6") == r.Finding(text="u is 5  but n=6")


# --- readers of another version --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (r.Ok, "new=1 Done", r.Ok(text="Done")),
        (r.Changed, 'n=1 new="a b" s=x', r.Changed(n=1, s="x")),
        (r.Changed, "s=x n=1 n=2 and more", r.Changed(n=1, s="x")),
        (r.Capabilities, "p=IMMP v=1.0 d=a auth= caps=A,,B new", r.Capabilities(d="a", caps=("A", "B"))),
        (r.Authenticated, "Accepted new=1 v=x newer=2", r.Authenticated(text="Accepted", v="x")),
        (r.FolderCounts, "/a u=1 new=5 t=2 s=x", r.FolderCounts(path="/a", u=1, t=2, s="x")),
        (r.ScramChallenge, "data==", r.ScramChallenge(data="data==")),
    ],
)
def test_what_is_not_known_is_ignored(kind: type[Words], text: str, expected: Words) -> None:
    assert kind.from_text(text) == expected


@pytest.mark.parametrize(
    ("kind", "text"),
    [(r.Changed, ""), (r.Changed, "n=x s=y"), (r.FolderCounts, ""), (r.Stored, ""), (r.DeliveredRow, "a b c")],
)
def test_what_is_missing_or_impossible(kind: type[Words], text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        kind.from_text(text)


@given(st.sampled_from(REPLIES), _decoded)
@example(r.IndexPage, "n=0 rows=x")
@example(r.Capabilities, "auth=,")
def test_any_line_is_read_or_refused(kind: type[Reply], text: str) -> None:
    for lines in ([Line(200, text)], [Line(200, text, True), Line(200, text)]):
        try:
            kind.decode(lines)
        except (msgspec.ValidationError, msgspec.DecodeError):
            pass


@pytest.mark.parametrize("items", [("a,b",), ("",), ("a", "")])
def test_a_list_has_no_item_that_would_become_another(items: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="comma"):
        r.Capabilities(auth=items).encode()
