"""IMIDs: the table of docs/protocol.md ("Names"), every error, and properties over arbitrary text."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import immpd.model.imid as imid_module
from immpd.model.filters import AssignedTerm, FromTerm, KeywordTerm, SinceTerm, StateTerm
from immpd.model.imid import RESERVED_FOLDERS, Imid, ImidError, parse_domain, parse_imid, read_uuid

ID = "0190a5c8-7a5b-7c3d-8e2f-1a2b3c4d5e6f"
ID2 = "0190a5c8-7a5b-7c3d-8e2f-1a2b3c4d5e70"

# --- the forms -------------------------------------------------------------------------------------------


def test_person() -> None:
    imid = parse_imid("alice@a.com")
    assert imid == Imid("alice", "a.com")
    assert (imid.address, imid.key, str(imid), imid.link()) == ("alice@a.com",) * 3 + ("immp:alice@a.com",)
    assert not imid.is_own_box
    assert (imid.folder, imid.path, imid.filter, imid.ids, imid.options) == (None, (), None, (), ())


def test_plus_folder() -> None:
    imid = parse_imid("alice+Lists@a.com")
    assert imid.folder == "Lists"
    assert imid.address == "alice@a.com"
    assert str(imid) == "alice+Lists@a.com"
    assert imid == parse_imid("alice+lists@a.com")
    assert imid.grant is None
    assert parse_imid("alice+a%2Fb%40c@a.com").folder == "a/b@c"


def test_reserved_plus_folders_still_parse() -> None:
    # such mail goes to INBOX: not an error of the name
    assert frozenset({"INBOX", "DRAFTS", "SENT", "JUNK", "TRASH"}) == RESERVED_FOLDERS
    assert parse_imid("alice+sent@a.com").folder == "sent"


def test_grant() -> None:
    code = "abcdefghijklmnopqrstuvwx23"
    assert parse_imid(f"alice+g-{code}@a.com").grant == code
    assert parse_imid(f"alice+G-{code.upper()}@a.com").grant == code


def test_member_of_a_shared_mailbox() -> None:
    imid = parse_imid("helpdesk/alice@a.com")
    assert imid.local == "helpdesk/alice"
    assert imid.segments == ("helpdesk", "alice")
    assert imid.path == ()


def test_node_in_both_spellings() -> None:
    canonical = parse_imid("newsletter/updates@w.com")
    other = parse_imid("newsletter@w.com/Updates")
    assert other != canonical  # a folder, until a command takes a node
    assert other.path == ("Updates",)
    assert other.as_node() == canonical.as_node() == canonical
    assert str(other.as_node()) == "newsletter/updates@w.com"
    link = parse_imid("immp://newsletter/updates@w.com?subscribe")
    assert link.as_node() == canonical
    assert parse_imid(f"news@w.com/x#{ID}").as_node() == parse_imid(f"news/x@w.com#{ID}")


@pytest.mark.parametrize("text", ["/news", "a+b@w.com/x", "a@w.com/x::unread", "a@w.com/x%20y", "a@w.com/" + "x" * 65])
def test_what_is_no_node(text: str) -> None:
    with pytest.raises(ImidError):
        parse_imid(text).as_node()


def test_a_node_is_bounded_like_a_name() -> None:
    with pytest.raises(ImidError, match="255 octets"):
        parse_imid("a@w.com" + "/segment-of-some-length" * 12).as_node()


def test_folder_path() -> None:
    imid = parse_imid("alice@a.com/Work/Offers%20and%20bids")
    assert imid.path == ("Work", "Offers and bids")
    assert imid.address == "alice@a.com"
    assert str(imid) == "alice@a.com/Work/Offers%20and%20bids"
    assert imid == parse_imid("ALICE@A.com/wORK/offers%20AND%20bids")
    assert hash(imid) == hash(parse_imid("alice@a.com/WORK/OFFERS%20AND%20BIDS"))


def test_every_sign_a_folder_name_encodes() -> None:
    name = '/+@:#?%"\\; '
    imid = Imid(path=("x" + name + "y",))
    assert str(imid) == "/x%2F%2B%40%3A%23%3F%25%22%5C%3B%20y"
    assert parse_imid(str(imid)).path == imid.path


def test_message() -> None:
    imid = parse_imid(f"alice@a.com/INBOX#{ID}")
    assert imid.ids == (UUID(ID),)
    own = parse_imid(f"/inbox#{ID.upper()},{ID2},{ID}")
    assert own.ids == (UUID(ID), UUID(ID2))
    assert own.is_own_box
    assert (own.local, own.domain, own.address) == ("", "", "")
    assert str(own) == f"/inbox#{ID},{ID2}"


def test_filters() -> None:
    imid = parse_imid("/inbox::unread,!FLAGGED,keyword:Later,from:bob@b.com,assigned:Helpdesk/Alice@A.com,mine")
    assert imid.filter == (
        StateTerm("unread"),
        StateTerm("flagged", negated=True),
        KeywordTerm("later"),
        FromTerm("bob@b.com"),
        AssignedTerm("helpdesk/alice@a.com"),
        StateTerm("mine"),
    )
    assert str(imid) == "/inbox::unread,!flagged,keyword:later,from:bob@b.com,assigned:helpdesk/alice@a.com,mine"


def test_all_messages_is_not_no_filter() -> None:
    assert parse_imid("/inbox::*").filter == ()
    assert parse_imid("/inbox").filter is None
    assert parse_imid("/inbox::*") != parse_imid("/inbox")
    assert str(parse_imid("/inbox::*")) == "/inbox::*"


def test_filter_with_ids_and_account() -> None:
    imid = parse_imid(f"alice@a.com/inbox::unread#{ID}")
    assert (imid.filter, imid.ids) == ((StateTerm("unread"),), (UUID(ID),))
    assert str(imid) == f"alice@a.com/inbox::unread#{ID}"


def test_filter_spellings_that_mean_the_same() -> None:
    assert parse_imid("/i::!read") == parse_imid("/i::UNREAD")
    assert parse_imid("/i::!unread,flagged") == parse_imid("/i::flagged,read,flagged")
    assert parse_imid("/i::from:Bob") == parse_imid("/I::from:bob")
    assert parse_imid("/i::from:Bob,from:bob") == parse_imid("/I::from:bob")
    assert parse_imid("/i::from:a%2Cb").filter == (FromTerm("a,b"),)
    assert parse_imid("/i::from:a::b").filter == (FromTerm("a::b"),)


@pytest.mark.parametrize(
    ("written", "moment", "printed"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31"),
        ("2026-01-31T00:00:00Z", datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31"),
        ("2026-01-31t08:00:00+02:00", datetime(2026, 1, 31, 6, tzinfo=UTC), "2026-01-31T06:00:00Z"),
        ("2026-01-31T08:00:00.25z", datetime(2026, 1, 31, 8, 0, 0, 250_000, tzinfo=UTC), "2026-01-31T08:00:00.250000Z"),
    ],
)
def test_since(written: str, moment: datetime, printed: str) -> None:
    imid = parse_imid(f"/inbox::since:{written}")
    assert imid.filter == (SinceTerm(moment),)
    assert str(imid) == f"/inbox::since:{printed}"


@pytest.mark.parametrize("scheme", ["", "imid:", "immp:", "immp://", "IMMP:", "Immp://"])
def test_schemes(scheme: str) -> None:
    assert parse_imid(scheme + "newsletter/updates@w.com") == Imid("newsletter/updates", "w.com")


def test_links() -> None:
    imid = parse_imid("immp://newsletter/updates@w.com?subscribe")
    assert imid.options == (("subscribe", ""),)
    assert imid.link() == "immp:newsletter/updates@w.com?subscribe"
    compose = parse_imid("immp:alice@a.com?Compose&subject=Hi%20%26%20bye&body=a%0D%0Ab")
    assert compose.options == (("compose", ""), ("subject", "Hi & bye"), ("body", "a\nb"))
    assert compose.link() == "immp:alice@a.com?compose&subject=Hi%20%26%20bye&body=a%0Ab"
    assert parse_imid(compose.link()) == compose
    assert parse_imid(f"a@b/x#{ID}?open").options == (("open", ""),)
    assert compose.bare() == parse_imid("alice@a.com")
    assert compose.bare().is_bare
    assert not compose.is_bare
    with pytest.raises(ImidError, match="no link"):
        parse_imid("/inbox").link()


def test_a_browser_percent_encodes_what_is_not_ascii() -> None:
    assert parse_imid("immp:%C3%A4lice@b%C3%BCcher.example/%C3%84") == parse_imid("älice@bücher.example/Ä")
    with pytest.raises(ImidError, match="sign %"):
        parse_imid("%C3%A4lice@a.com")
    with pytest.raises(ImidError, match="sign %"):
        parse_imid("immp:a%40b@a.com")


# --- normalisation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("Alice@A.COM", "alice@a.com"),
        ("ÄLICE@Bücher.Example", "älice@xn--bcher-kva.example"),
        ("a\u0308lice@a.com", "älice@a.com"),
        ("ａｌｉｃｅ@ａ．com", "alice@a.com"),
        ("alice@a。com", "alice@a.com"),
        ("alice@XN--BCHER-KVA.example", "alice@xn--bcher-kva.example"),
        ("straße@faß.de", "straße@xn--fa-hia.de"),
        ("o'brien=x@a.com", "o'brien=x@a.com"),
        ("alice@localhost", "alice@localhost"),
        ("alice@4you.3m", "alice@4you.3m"),
    ],
)
def test_canonical_forms(written: str, canonical: str) -> None:
    imid = parse_imid(written)
    assert str(imid) == canonical
    assert imid == parse_imid(canonical)


def test_domain_for_people() -> None:
    assert parse_imid("alice@xn--bcher-kva.example").unicode_domain == "bücher.example"
    assert parse_imid("alice@a.com").unicode_domain == "a.com"


def test_domain_ref() -> None:
    assert parse_domain("Bücher.Example") == "xn--bcher-kva.example"
    for wrong in ("", "a@b", "[::1]", "1.2.3.4", "a.com.", "a b", "a/b", "*.a.com"):
        with pytest.raises(ImidError):
            parse_domain(wrong)


def test_limits_hold_to_the_octet() -> None:
    label = "d" * 63
    longest = ".".join([label, label, label, "d" * 61])
    assert parse_imid(f"{'a' * 64}@{longest}").domain == longest
    assert parse_imid("ä" * 32 + "@a.com").local == "ä" * 32
    local = "/".join(["a" * 63] * 3 + ["a" * 63])  # 255
    assert parse_imid(f"{local}@a.com").local == local
    assert parse_imid("/" + "f" * 255).path == ("f" * 255,)
    for wrong in (
        f"{'a' * 65}@a.com",
        "ä" * 33 + "@a.com",
        f"{local}a@a.com",
        f"{local}+x@a.com",
        f"{local[:-2]}/aa@a.com",
        f"a@{longest}d",
        f"a@d{label}.com",
        "/" + "f" * 256,
        "/" + "ä" * 128,
        "/" + "x/" * 8192,
    ):
        with pytest.raises(ImidError, match=r"octets|no domain"):
            parse_imid(wrong)


# --- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "", "There is no @"),
        ("alice", "alice", "There is no @"),
        ("#" + ID, "#" + ID, "There is no @"),
        ("@a.com", "@a.com", "before the @ is missing"),
        ("alice@", "", "domain is missing"),
        ("a//b@a.com", "", "is empty"),
        ("/a@a.com/", "a@a.com", "the sign @ as it is; write %40"),
        ("al ice@a.com", "al ice", "cannot hold a space"),
        ('"alice"@a.com', '"alice"', "quotation mark"),
        ("a;b@a.com", "a;b", "the sign ;"),
        ("a:b@a.com", "a:b", "the sign :"),
        ("a\\b@a.com", "a\\b", "a backslash"),
        ("a%41@a.com", "a%41", "the sign %"),
        ("a＠b@a.com", "a＠b", "the sign @"),
        ("aﬁ@a.com", "aﬁ", "RFC 8265"),
        ("a\u200d@a.com", "a\u200d@a.com", "U+200D"),
        ("aא@a.com", "aא", "bidi rule"),
        ("alice+@a.com", "", "folder name is empty"),
        ("alice+a+b@a.com", "a+b", "write %2B"),
        ("alice+a/b@a.com", "a/b", "write %2F"),
        ("alice@[1.2.3.4]", "[1.2.3.4]", "in brackets"),
        ("alice@[::1]", "[", "in brackets"),
        ("alice@1.2.3.4", "1.2.3.4", "numeric"),
        ("alice@a.0x7f", "a.0x7f", "numeric"),
        ("alice@a..com", "a..com", "no domain"),
        ("alice@a.com.", "a.com.", "without a dot"),
        ("alice@-a.com", "-a.com", "no domain"),
        ("alice@a_b.com", "a_b.com", "no domain"),
        ("alice@ab--c.com", "ab--c.com", "no domain"),
        ("alice@xn--a.com", "xn--a.com", "no domain"),
        ("alice@b@c.com", "b@c.com", "no domain"),
        ("alice@a.com/", "/", "folder name is empty"),
        ("/", "/", "folder name is empty"),
        ("//a.com/x", "//a.com/x", "folder name is empty"),
        ("/a/%20/b", "%20", "folder name is empty"),
        ("/a/../b", "..", "cannot have this name"),
        ("/my folder", "my folder", "a space as it is; write %20"),
        ("/a:b", "a:b", "write %3A"),
        ("/a%0Ab", "a%0Ab", "U+000A"),
        ("/a%E2%80%AEb", "a%E2%80%AEb", "U+202E"),
        ("/a%", "a%", "two hexadecimal digits"),
        ("/a%zz", "a%zz", "two hexadecimal digits"),
        ("/a%FF", "a%FF", "not UTF-8"),
        ("/a%ED%A0%80", "a%ED%A0%80", "not UTF-8"),
        ("/inbox::", "::", "comes a filter"),
        ("/inbox::unread,", "", "term of the filter is empty"),
        ("/inbox::!", "!", "term of the filter is empty"),
        ("/inbox::new", "new", "no such filter"),
        ("/inbox::unread:1", "unread:1", "no such filter"),
        ("/inbox::*,unread", "*", "no such filter"),
        ("/inbox::from:", "from:", "needs a value"),
        ("/inbox::from:%0A", "\n", "U+000A"),
        ("/inbox::keyword:a%20b", "a b", "keyword is"),
        ("/inbox::assigned:alice", "alice", "needs an address"),
        ("/inbox::assigned:alice@", "", "domain is missing"),
        ("/inbox::since:yesterday", "yesterday", "needs a date"),
        ("/inbox::since:2026-02-30", "2026-02-30", "needs a date"),
        ("/inbox::since:20260201", "20260201", "needs a date"),
        ("/inbox::since:2026-02-01T08:00:00", "2026-02-01T08:00:00", "needs a date"),
        ("/inbox::since:0001-01-01T00:00:00+23:00", "0001-01-01T00:00:00+23:00", "needs a date"),
        ("/inbox::since:２０２６-01-01", "２０２６-01-01", "needs a date"),
        ("/inbox#", "#", "which are UUIDs"),
        ("/inbox#1", "1", "which are UUIDs"),
        (f"/inbox#{ID},", f"#{ID},", "which are UUIDs"),
        (f"/inbox#{{{ID}}}", f"{{{ID}}}", "which are UUIDs"),
        ("/inbox?subscribe", "?subscribe", "no options"),
        ("immp:/inbox", "immp:/inbox", "link names an account"),
        ("imid://a@b", "imid://a@b", "link names an account"),
        ("http://a@b", "http:", "the sign :"),
        ("a@b?", "?", "option of a link"),
        ("a@b?x&", "?", "option of a link"),
        ("a@b?a b=1", "a b=1", "option of a link"),
        (f"a@b?x#{ID}", f"x#{ID}", "Ids come before"),
        ("a@b?subject=a%0Ab", "a\nb", "U+000A"),
        ("a@b?body=a%00b", "a\x00b", "U+0000"),
        ("a@b\n", "a@b\n", "U+000A"),
        ("\ud800@b", "\ud800@b", "U+D800"),
        ("a@b/\u202e", "a@b/\u202e", "U+202E"),
        ("a" * 16_385, "a" * 16_385, "16384 octets"),
        ("a@b/" + "ä/" * 5_500 + "x", "a@b/" + "ä/" * 5_500 + "x", "16384 octets"),
        ("a@b?x=" + " " * 6_000, "a@b?x=" + " " * 6_000, "16384 octets"),
    ],
)
def test_errors_name_the_place(text: str, place: str, words: str) -> None:
    with pytest.raises(ImidError) as caught:
        parse_imid(text)
    assert words in str(caught.value)
    assert caught.value.place == place
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


# --- properties ------------------------------------------------------------------------------------------

# fmt: off
_PIECES = st.sampled_from([
    "a", "B", "ä", "ß", "İ", "Σ", "ſ", "ﬁ", "Ａ", "＠", "1", "/", "+", "@", "::", ":", "#", ",", "?", "&", "=", "%",
    "%C3", "%A4", "%2F", "%20", "%0A", "\u0301", "\u0345", "\u200d", "א", ".", "..", "-", "--", "xn--",
    "xn--bcher-kva", "!", "*", "unread", "read", "from:", "since:", "2026-01-31", "T08:00:00+01:00", "assigned:",
    "keyword:", ID, "inbox", "immp:", "immp://", "imid:", "a.com", "@b.com", "subscribe", "body=", "\n", "\ud800",
    "\u202e", ";", '"', "\\", " ",
])
_UNITS = [
    "a", "/a", "a/", "a@", "@a.", "a.", "-", "a-", "xn--", "ä", "ä.", "\u0301", "%", "%41", "%C3%A4", "::", "::a,",
    "#,", "?a&", "&", "+", "immp:", "/%2F", "a@b/ǅ", "a@b::from:x,", ID + ",", "\u202e", "\ud800",
]
# fmt: on
_MIXED = st.lists(_PIECES, max_size=14).map("".join)

_segment = st.text(st.characters(categories=("Ll", "Lo", "Nd")), min_size=1, max_size=8)
_name = st.text(min_size=1, max_size=12)
_domain = st.lists(st.text("abcäöß日é1", min_size=1, max_size=6), min_size=1, max_size=3).map(".".join)


def _try(text: str) -> Imid | None:
    try:
        return parse_imid(text)
    except ImidError:
        return None


def _check(imid: Imid) -> None:
    text = str(imid)
    again = Imid.parse(text)
    assert again == imid
    assert hash(again) == hash(imid)
    assert str(again) == text  # idempotent to the letter
    assert again.key == imid.key
    if len(text) < 2_000:  # folding may make it longer than an IMID can be
        assert Imid.parse(imid.key) == imid
    if imid.domain:
        assert Imid.parse(imid.link()) == imid
        assert Imid.parse(imid.address) == imid.bare()


@given(st.one_of(st.text(), _MIXED))
@example("ŉ@a.com")
@example("/\u0345\u0301")
@example("/ẞ/ǅ/İ")
def test_any_text_is_an_imid_or_an_imid_error(text: str) -> None:
    imid = _try(text)
    if imid is not None:
        _check(imid)


@given(
    st.lists(_segment, min_size=1, max_size=3).map("/".join),
    _domain,
    st.none() | _name,
    st.lists(_name, max_size=3),
    st.sampled_from(["", "::*", "::unread", "::!flagged,from:%C3%A4", "::since:2026-01-31T08:00:00+01:00"]),
    st.lists(st.uuids(), max_size=3),
    st.lists(st.tuples(st.from_regex(r"[A-Za-z0-9._-]{1,8}", fullmatch=True), _name), max_size=3),
)
def test_round_trip(
    local: str,
    domain: str,
    folder: str | None,
    path: list[str],
    terms: str,
    ids: list[UUID],
    options: list[tuple[str, str]],
) -> None:
    def quoted(text: str) -> str:
        return "".join(f"%{octet:02x}" for octet in text.encode("utf-8", "surrogatepass"))

    text = local + ("" if folder is None else "+" + quoted(folder)) + "@" + domain
    text += "".join("/" + quoted(name) for name in path) + terms
    text += "#" + ",".join(map(str, ids)) if ids else ""
    text += "?" + "&".join(f"{name}={quoted(value)}" for name, value in options) if options else ""
    imid = _try(text)
    if imid is not None:
        _check(imid)
        assert imid.ids == tuple(dict.fromkeys(ids))


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=10))
def test_case_of_a_folder_does_not_matter(name: str) -> None:
    imid = _try(str(Imid(path=(name,))))
    if imid is not None:
        assert imid == parse_imid(str(Imid(path=(imid.path[0].casefold(),))))


@given(st.text("aBz09._-", min_size=1, max_size=70), st.text("aBz09.-", min_size=1, max_size=80))
def test_the_short_way_agrees_with_the_long_one(local: str, domain: str) -> None:
    # a scheme keeps the text from the compiled pattern for plain addresses
    assert _try(f"{local}@{domain}") == _try(f"imid:{local}@{domain}")


@pytest.mark.parametrize("unit", _UNITS)
@pytest.mark.parametrize(
    "before", ["", "a@", "a@b/", "/", "/a::", "/a::from:", "a@b#", "a@b?", "a@b?body=", "ä", "immp:"]
)
def test_sixteen_kibibytes_take_bounded_time(before: str, unit: str) -> None:
    text = (before + unit * (16_384 // len(unit)))[:16_384]
    start = time.process_time()
    imid = _try(text)
    if imid is not None:
        _check(imid)
    assert time.process_time() - start < 0.5


def test_the_cache_keeps_no_long_text() -> None:
    from immpd.model import imid as module

    before = module._cached.cache_info().currsize
    for number in range(50):
        parse_imid(f"/{number}-" + "x/" * 200 + "x")
    assert module._cached.cache_info().currsize == before


def test_plain_names_load_neither_precis_nor_idna() -> None:
    code = (
        "import sys; from immpd.model.imid import parse_imid; parse_imid('alice+x@a.com/Wörk::unread?compose'); "
        "assert not {'idna', 'precis_i18n'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20, env={"PYTHONPATH": "src"})


# --- the road of the wire --------------------------------------------------------------------------------


def outcome(parse: Callable[[str], Imid], text: str) -> object:
    try:
        imid = parse(text)
    except ImidError as error:
        return str(error)
    return tuple(getattr(imid, field) for field in imid.__struct_fields__)


@pytest.mark.parametrize(
    "place", ["/INBOX", "/to%20do/x", "alice@a.com/x", "a+b@a.com", "/x::unread", "", "/", "a", "/..", "a@b?x", "?"]
)
@pytest.mark.parametrize(
    "tail", ["", f"#{ID}", f"#{ID.upper()}", f"#{ID},{ID2}", "#", "#x", f"#{ID[:-1]}g", f"#{ID}?x", f"#{'x' * 36}"]
)
def test_the_short_road_leads_to_the_same_place(place: str, tail: str) -> None:
    assert outcome(parse_imid, place + tail) == outcome(Imid.parse, place + tail)


def test_of_a_message_only_the_folder_is_kept() -> None:
    parse_imid("/kept-folder")
    before = imid_module._cached.cache_info().currsize
    for number in range(10):
        assert parse_imid(f"/kept-folder#{UUID(int=number)}").ids == (UUID(int=number),)
    assert imid_module._cached.cache_info().currsize == before


@given(st.uuids(), st.booleans())
def test_uuids_in_their_one_form(value: UUID, upper: bool) -> None:
    text = str(value).upper() if upper else str(value)
    assert read_uuid(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        ID[:-1],
        ID + "0",
        ID.replace("-", ""),
        "{" + ID[1:-1] + "}",
        ID.replace("-", "_"),
        ID[:-1] + "g",
        "-".join(ID.replace("-", ""))[:36],
    ],
)
def test_no_uuid(text: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        read_uuid(text)
