# ruff: noqa: S608  (SQL is put together from constants of this module only; values are always parameters)
"""Reading messages: INDEX and FETCH by pages, single messages, and filters.

Rules: a page goes on by ``seq``, the message's place in its folder, so that no cursor is held
open while a client is slow; a filtered page looks at a bounded number of rows, so that the loop is
never held, and may be short or empty and yet have a next; index rows are ready-made, only id,
folder, flags and state are joined to them (docs/protocol.md, "MBOX INDEX" and "MBOX FETCH").
"""

from typing import Any

import msgspec

from immpd.model.flags import FLAG_MASK, Flag, flag_names
from immpd.store.errors import NoMessage, StoreDamaged
from immpd.store.units import Tx, read_unit

from .damaged_rows import damaged_row

SCAN_FLAGS = 4000
"""Rows that a page looks at when the filter asks only about flags, keywords and times."""
SCAN_CONTENT = 1000
"""Rows that a page looks at when the filter asks about the content too."""
FETCH_OCTETS = 1 << 20
"""Octets after which a page of FETCH ends."""


class Filter(msgspec.Struct, frozen=True):
    """Which messages: all conditions hold. The empty filter is ``*`` (docs/protocol.md, "Names", filter)."""

    on: int = 0
    """Flag bits that must be set."""
    off: int = 0
    """Flag bits that must be clear."""
    keywords: tuple[str, ...] = ()
    without_keywords: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    """Each a part of the canonical ``from``, without case."""
    without_senders: tuple[str, ...] = ()
    since: int | None = None
    """Came into the mailbox at this time or later; milliseconds UTC."""
    before: int | None = None
    """Came into the mailbox earlier."""
    changed_since: int | None = None
    """Changed after this state of the mailbox."""
    thread: str | None = None
    """Of this thread, as its row says."""
    none: bool = False
    """Nothing matches."""


ALL = Filter()


class IndexPage(msgspec.Struct, frozen=True):
    """Arguments of ``index_page``. ``cursor`` None: from the newest message (``reverse``: from the oldest)."""

    mailbox: int
    folder: int
    path: str
    """The folder's path, as the rows show it."""
    epoch: str
    cursor: int | None = None
    limit: int = 100
    filter: Filter = ALL
    reverse: bool = False


class Index(msgspec.Struct, frozen=True):
    """A page of ready index rows, each a JSON object; ``next`` is the cursor of the next page, None at the end."""

    rows: list[bytes]
    next: int | None
    damaged: tuple[bytes, ...] = ()
    """Ids of those of which the store has lost what they are; their rows say so."""


class IdsPage(msgspec.Struct, frozen=True):
    """Arguments of ``ids_page``."""

    folder: int
    cursor: int | None = None
    limit: int = 200
    filter: Filter = ALL
    reverse: bool = False


class Ids(msgspec.Struct, frozen=True):
    """A page of ids."""

    ids: list[bytes]
    next: int | None


class CountPage(msgspec.Struct, frozen=True):
    """Arguments of ``count_page``."""

    folder: int
    cursor: int | None
    filter: Filter


class Count(msgspec.Struct, frozen=True):
    """How many messages of a page's rows match, and how many of these are unread."""

    total: int
    unread: int
    next: int | None


class SortPage(msgspec.Struct, frozen=True):
    """Arguments of ``sort_page``."""

    folder: int
    cursor: int | None = None
    limit: int = 1000
    filter: Filter = ALL


class Keys(msgspec.Struct, frozen=True):
    """A page of what INDEX SORT sorts by: (seq, id, date, size, from)."""

    keys: list[tuple[int, bytes, int, int, str]]
    next: int | None


class IndexSeqs(msgspec.Struct, frozen=True):
    """Arguments of ``index_seqs``: rows at these places, at most some hundreds."""

    folder: int
    path: str
    epoch: str
    seqs: tuple[int, ...]


class FetchPage(msgspec.Struct, frozen=True):
    """Arguments of ``fetch_page``."""

    mailbox: int
    folder: int
    cursor: int | None = None
    limit: int = 100
    filter: Filter = ALL
    reverse: bool = False
    with_folders: bool = False
    octets: int = FETCH_OCTETS
    """The page ends after this many octets of bodies."""


class FetchIds(msgspec.Struct, frozen=True):
    """Arguments of ``fetch_ids``: at most some tens."""

    mailbox: int
    folder: int
    ids: tuple[bytes, ...]
    with_folders: bool = False


class PositionOf(msgspec.Struct, frozen=True):
    """Arguments of ``position_of``."""

    mailbox: int
    folder: int
    id: bytes


class Stored(msgspec.Struct, frozen=True):
    """A message as stored, in one folder."""

    seq: int
    id: bytes
    flags: int
    keyword_text: str | None
    state: int
    content: int
    size: int
    files: str | None
    """JSON {"part": "file name"}; None where every part lies in ``octets``."""
    parts: bytes
    """JSON list of model.Part."""
    envelope: bytes
    """JSON of model.Envelope."""
    octets: bytes | None
    """The parts that are not files, one after the other."""
    private: bytes | None
    digests: bytes | None = None
    """SHA-256 of each part, one after the other; None where they are not known."""
    folder_text: str | None = None

    @property
    def keywords(self) -> tuple[str, ...]:
        """Its keywords."""
        return () if self.keyword_text is None else tuple(self.keyword_text.split())

    @property
    def folders(self) -> tuple[str, ...]:
        """Paths of the folders it lies in, where they were asked for."""
        return () if self.folder_text is None else tuple(sorted(self.folder_text.split("\n")))

    def digest_of(self, part: int) -> bytes | None:
        """SHA-256 of a part, where it is known."""
        return None if self.digests is None else self.digests[32 * (part - 1) : 32 * part]

    def file_names(self) -> dict[int, str]:
        """The files of its large parts, by part."""
        return {} if self.files is None else msgspec.json.decode(self.files, type=dict[int, str], strict=False)


class Fetched(msgspec.Struct, frozen=True):
    """A page of messages."""

    messages: list[Stored]
    next: int | None


def keyword_text(keywords: tuple[str, ...]) -> str | None:
    """Keywords as stored: a space before and after each, so that one is found by ' name '."""
    return f" {' '.join(keywords)} " if keywords else None


# ---------------------------------------------------------------------- pages


class _Range(msgspec.Struct, frozen=True):
    """A page's rows: WHERE and ORDER BY, their parameters, and where the next page begins."""

    where: str
    params: dict[str, Any]
    bound: int | None
    """The last seq that was looked at, if the filter's scan ended before the folder did."""
    on_content: bool
    """The filter asks about the content."""

    def following(self, seqs_found: int, limit: int, last: int | None) -> int | None:
        """The cursor of the next page."""
        return last if seqs_found >= limit else self.bound


def _range(tx: Tx, folder: int, cursor: int | None, reverse: bool, filter: Filter) -> _Range:
    after, until, order = (">", "<=", "ASC") if reverse else ("<", ">=", "DESC")
    params: dict[str, Any] = {"folder": folder, "cursor": cursor}
    where = "p.folder = :folder"
    if cursor is not None:
        where += f" AND p.seq {after} :cursor"
    bound = None
    on_content = False
    if filter is not ALL and filter != ALL:
        conditions, on_content = _conditions(filter, params)
        params["scan"] = SCAN_CONTENT if on_content else SCAN_FLAGS
        row = tx.one(
            f"SELECT p.seq FROM placement p WHERE {where} ORDER BY p.seq {order} LIMIT 1 OFFSET :scan - 1", params
        )
        if row is not None:
            bound = params["bound"] = row[0]
            where += f" AND p.seq {until} :bound"
        where += conditions
    return _Range(f" WHERE {where} ORDER BY p.seq {order} LIMIT :limit", params, bound, on_content)


def _conditions(filter: Filter, params: dict[str, Any]) -> tuple[str, bool]:
    """The filter as SQL on ``p`` (placement) and ``c`` (content), and whether it asks about content."""
    found = []
    if filter.none:
        found.append("1 = 0")
    if filter.on:
        params["on"] = filter.on
        found.append("(p.flags & :on) = :on")
    if filter.off:
        params["off"] = filter.off
        found.append("(p.flags & :off) = 0")
    for name, bound, compare in (
        ("since", filter.since, "p.placed >= :since"),
        ("before", filter.before, "p.placed < :before"),
        ("changed", filter.changed_since, "p.state > :changed"),
    ):
        if bound is not None:
            params[name] = bound
            found.append(compare)
    for negated, keywords in (("", filter.keywords), ("NOT ", filter.without_keywords)):
        for keyword in keywords:
            name = f"k{len(params)}"
            params[name] = f"% {_literal(keyword)} %"
            found.append(f"{negated}lower(coalesce(p.keywords, '')) LIKE :{name} ESCAPE '\\'")
    for negated, senders in (("", filter.senders), ("NOT ", filter.without_senders)):
        for sender in senders:
            name = f"s{len(params)}"
            params[name] = f"%{_literal(sender)}%"
            found.append(f"{negated}lower(c.sender) LIKE :{name} ESCAPE '\\'")
    if filter.thread is not None:
        # Quotes in what a sender wrote are escaped in the row, so that only its own field can be this.
        params["thread"] = b'"thread":' + msgspec.json.encode(filter.thread)
        found.append("instr(c.row, :thread) > 0")
    on_content = bool(filter.senders or filter.without_senders or filter.thread is not None)
    return "".join(f" AND {one}" for one in found), on_content


def _literal(text: str) -> str:
    """Text that stands for itself in a LIKE pattern, lower-case."""
    return text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


# ---------------------------------------------------------------------- INDEX

# A content that is lost must not make its row disappear: the joins are outer ones.
_INDEX = (
    "SELECT c.row, p.id, p.flags, p.keywords, p.state, p.seq FROM placement p LEFT JOIN content c ON c.id = p.content"
)
_INDEX_ALONE = "SELECT p.content, p.id, p.flags, p.keywords, p.state, p.seq FROM placement p"


def _flag_list(flags: int, keywords: str | None) -> bytes:
    return msgspec.json.encode([*flag_names(flags), *(keywords.split() if keywords else ())])


def _render(rows: list[tuple[Any, ...]], path: str, epoch: str) -> list[bytes]:
    """Join what changes to the ready rows; nothing here may cost more than it must."""
    before = b'","folder":' + msgspec.json.encode(path) + b',"flags":'
    after = f',"state":"{epoch}.'.encode()
    middles = [before + _flag_list(bits, None) + after for bits in range(FLAG_MASK + 1)]
    out: list[bytes] = []
    add = out.append
    for row, raw, flags, keywords, state, _ in rows:
        if row is None:
            row = damaged_row(raw)  # noqa: PLW2901
        h = raw.hex()
        middle = middles[flags] if keywords is None else before + _flag_list(flags, keywords) + after
        text = f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}".encode()
        add(b'%b,"id":"%b%b%d"}' % (row, text, middle, state))
    return out


@read_unit
def index_page(tx: Tx, args: IndexPage) -> Index:
    """A page of INDEX rows, newest first unless ``reverse``."""
    limit = args.limit
    range_ = _range(tx, args.folder, args.cursor, args.reverse, args.filter)
    params = {**range_.params, "limit": limit}
    try:
        rows = tx.rows(_INDEX + range_.where, params)
    except StoreDamaged:
        if range_.on_content:
            raise  # what does not match cannot be told from what cannot be read
        rows = [(_row_of(tx, row[0]), *row[1:]) for row in tx.rows(_INDEX_ALONE + range_.where, params)]
    return Index(
        _render(rows, args.path, args.epoch),
        range_.following(len(rows), limit, rows[-1][5] if rows else None),
        tuple([row[1] for row in rows if row[0] is None]),
    )


def _row_of(tx: Tx, content: int) -> bytes | None:
    """What never changes of an index row; None where it cannot be read."""
    try:
        row = tx.one("SELECT row FROM content WHERE id = ?", (content,))
    except StoreDamaged:
        return None
    return None if row is None else row[0]


@read_unit
def index_seqs(tx: Tx, args: IndexSeqs) -> list[bytes]:
    """INDEX rows of these places, in that order; places that are empty by now are left out."""
    rows = tx.rows_of_many(_INDEX + " WHERE p.folder = ? AND p.seq = ?", [(args.folder, seq) for seq in args.seqs])
    return _render(rows, args.path, args.epoch)


@read_unit
def sort_page(tx: Tx, args: SortPage) -> Keys:
    """A page of sort keys, newest first: INDEX SORT goes through all of them, then reads rows by place."""
    range_ = _range(tx, args.folder, args.cursor, False, args.filter)
    rows = tx.rows(
        "SELECT p.seq, p.id, coalesce(c.sent, 0), coalesce(c.size, 0), coalesce(c.sender, '')"
        " FROM placement p LEFT JOIN content c ON c.id = p.content" + range_.where,
        {**range_.params, "limit": args.limit},
    )
    keys = [(row[0], row[1], row[2], row[3], row[4]) for row in rows]
    return Keys(keys, range_.following(len(rows), args.limit, rows[-1][0] if rows else None))


@read_unit
def ids_page(tx: Tx, args: IdsPage) -> Ids:
    """A page of the ids of a filtered view, for what is done to all of it."""
    range_ = _range(tx, args.folder, args.cursor, args.reverse, args.filter)
    content = " JOIN content c ON c.id = p.content" if args.filter.senders or args.filter.without_senders else ""
    rows = tx.rows(
        f"SELECT p.id, p.seq FROM placement p{content}" + range_.where, {**range_.params, "limit": args.limit}
    )
    return Ids([row[0] for row in rows], range_.following(len(rows), args.limit, rows[-1][1] if rows else None))


@read_unit
def count_page(tx: Tx, args: CountPage) -> Count:
    """How many messages of a filtered view lie in the next rows of a folder."""
    range_ = _range(tx, args.folder, args.cursor, False, args.filter)
    content = " JOIN content c ON c.id = p.content" if args.filter.senders or args.filter.without_senders else ""
    row = tx.one(
        "SELECT count(*), coalesce(sum(CASE WHEN (flags & :read) = 0 THEN 1 ELSE 0 END), 0)"
        f" FROM (SELECT p.flags AS flags FROM placement p{content}{range_.where})",
        {**range_.params, "limit": SCAN_FLAGS, "read": int(Flag.READ)},
    )
    assert row is not None
    return Count(row[0], row[1], range_.bound)


@read_unit
def position_of(tx: Tx, args: PositionOf) -> int:
    """Where a message lies, or lay before it left, in a folder: INDEX AFTER it goes on there. Raises NoMessage."""
    for table in ("message_place", "gone"):
        row = tx.one(
            f"SELECT seq FROM {table} WHERE id = :id AND mailbox = :mailbox AND folder = :folder",
            {"id": args.id, "mailbox": args.mailbox, "folder": args.folder},
        )
        if row is not None:
            return int(row[0])
    raise NoMessage(args.id)


# ---------------------------------------------------------------------- FETCH

STORED = (
    "p.seq, p.id, p.flags, p.keywords, p.state, p.content, coalesce(c.size, -1), c.files, c.parts, c.envelope,"
    " c.octets, p.private, c.digests"
)
"""The columns of ``Stored`` of a placement ``p`` and its content ``c``; ``folders`` may come behind them."""
_FOLDERS = (
    ", (SELECT string_agg(f.path, '\n') FROM message_place o JOIN folder f ON f.id = o.folder"
    " WHERE o.id = p.id AND o.mailbox = :mailbox)"
)
_STORED_FROM = " FROM placement p LEFT JOIN content c ON c.id = p.content"
_FROM_ID = (
    " FROM message_place m JOIN placement p ON p.folder = m.folder AND p.seq = m.seq"
    " LEFT JOIN content c ON c.id = p.content WHERE m.id = :id AND m.mailbox = :mailbox AND m.folder = :folder"
)
_BY_ID = f"SELECT {STORED}{_FROM_ID}"
_BY_ID_WITH_FOLDERS = f"SELECT {STORED}{_FOLDERS}{_FROM_ID}"


@read_unit
def fetch_page(tx: Tx, args: FetchPage) -> Fetched:
    """A page of messages with their small bodies; it ends early after ``octets`` of them."""
    limit, room = args.limit, args.octets
    range_ = _range(tx, args.folder, args.cursor, args.reverse, args.filter)
    messages: list[Stored] = []
    columns = f"SELECT {STORED}" + (_FOLDERS if args.with_folders else "")
    params = {**range_.params, "limit": limit, "mailbox": args.mailbox}
    try:
        for row in tx.execute(columns + _STORED_FROM + range_.where, params):
            messages.append(Stored(*row))
            room -= len(row[10] or b"")
            if room <= 0:
                return Fetched(messages, row[0])
    except StoreDamaged:
        if range_.on_content or messages:
            if range_.on_content:
                raise
            return Fetched(messages, messages[-1].seq)  # the next page begins at the damage
        # One message alone: it, or what says that it cannot be read.
        first = tx.one(_INDEX_ALONE + range_.where, {**params, "limit": 1})
        if first is None:
            raise
        return Fetched([_one_of(tx, args, columns, first)], first[5])
    return Fetched(messages, range_.following(len(messages), limit, messages[-1].seq if messages else None))


def _one_of(tx: Tx, args: FetchPage, columns: str, alone: tuple[Any, ...]) -> Stored:
    """The message of this placement, as far as it can be read."""
    content, id_, flags, keywords, state, seq = alone
    where = " WHERE p.folder = :folder AND p.seq = :seq"
    try:
        row = tx.one(columns + _STORED_FROM + where, {"folder": args.folder, "seq": seq, "mailbox": args.mailbox})
    except StoreDamaged:
        row = None
    if row is not None:
        return Stored(*row)
    return Stored(seq, id_, flags, keywords, state, content, -1, None, b"[]", b"{}", None, None)


@read_unit
def fetch_ids(tx: Tx, args: FetchIds) -> list[Stored]:
    """These messages of a folder, in that order. Raises NoMessage with the ids that are not there."""
    sql = _BY_ID_WITH_FOLDERS if args.with_folders else _BY_ID
    place = {"mailbox": args.mailbox, "folder": args.folder}
    rows = tx.rows_of_many(sql, [{**place, "id": one} for one in args.ids])
    if len(rows) != len(args.ids):
        found = {row[1] for row in rows}
        raise NoMessage(*(one for one in args.ids if one not in found))
    return [Stored(*row) for row in rows]
