"""INDEX and FETCH by pages and filters, on every backend."""

import msgspec
import pytest
from tests.store.making import NOW, Box, a_delivery, fill, make_box, put, target

from immpd.model.flags import Flag
from immpd.store.contract import Store
from immpd.store.errors import NoMessage
from immpd.store.ids import uuid_octets
from immpd.store.mail.bodies import INLINE
from immpd.store.mail.deliver import deliver
from immpd.store.mail.filing import FlagMessages, MoveMessages, flag, move
from immpd.store.mail.messages import (
    SCAN_CONTENT,
    SCAN_FLAGS,
    FetchIds,
    FetchPage,
    Filter,
    IdsPage,
    IndexPage,
    IndexSeqs,
    PositionOf,
    SortPage,
    fetch_ids,
    fetch_page,
    ids_page,
    index_page,
    index_seqs,
    position_of,
    sort_page,
)


async def all_ids(store: Store, box: Box, filter: Filter, *, limit: int = 3, reverse: bool = False) -> list[bytes]:
    """Go through a filtered view page by page."""
    found: list[bytes] = []
    cursor = None
    while True:
        page = await store.read(ids_page(IdsPage(box.inbox, cursor, limit, filter, reverse)))
        found += page.ids
        if page.next is None:
            return found
        assert page.next != cursor
        cursor = page.next


async def test_an_index_row_is_what_was_stored_with_what_changes_beside_it(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    one = await put(store, box, flags=int(Flag.FLAGGED), keywords=("Späße", "b"), subject="Grüße")
    page = await store.read(index_page(IndexPage(box.id, box.inbox, '/IN"BOX', store.epoch)))
    row = msgspec.json.decode(page.rows[0])
    assert uuid_octets(row.pop("id")) == one
    assert row == {
        "from": "bob@b.example",
        "subject": "Grüße",
        "size": 6,
        "folder": '/IN"BOX',
        "flags": ["FLAGGED", "Späße", "b"],
        "state": f"{store.epoch}.1",
    }
    assert page.next is None


async def test_pages_go_on_where_the_last_ended(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    made = await fill(store, box, 10)
    for reverse in (False, True):
        expected = made if reverse else made[::-1]
        assert await all_ids(store, box, Filter(), limit=4, reverse=reverse) == expected
        assert await all_ids(store, box, Filter(), limit=5, reverse=reverse) == expected
        fetched: list[bytes] = []
        indexed: list[bytes] = []
        cursor = None
        for _ in range(4):
            page = await store.read(fetch_page(FetchPage(box.id, box.inbox, cursor, 4, reverse=reverse)))
            rows = await store.read(index_page(IndexPage(box.id, box.inbox, "/", "e", cursor, 4, reverse=reverse)))
            fetched += [message.id for message in page.messages]
            indexed += [uuid_octets(msgspec.json.decode(row)["id"]) for row in rows.rows]
            assert page.next == rows.next
            if (cursor := page.next) is None:
                break
        assert fetched == indexed == expected


async def test_filters_and_their_negations(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    read = await put(store, box, flags=int(Flag.READ), sender="bob@b.example", now=NOW)
    work = await put(store, box, keywords=("Work_1",), sender="carol@c.example", now=NOW + 1000)
    both = await put(store, box, flags=int(Flag.READ | Flag.FLAGGED), keywords=("work11", "x"), now=NOW + 2000)
    cases = [
        (Filter(), [both, work, read]),
        (Filter(on=int(Flag.READ)), [both, read]),
        (Filter(off=int(Flag.READ)), [work]),
        (Filter(on=int(Flag.READ), off=int(Flag.FLAGGED)), [read]),
        (Filter(keywords=("work_1",)), [work]),
        (Filter(without_keywords=("WORK_1",)), [both, read]),
        (Filter(keywords=("X", "work11")), [both]),
        (Filter(keywords=("ork",)), []),
        (Filter(senders=("@C.example",)), [work]),
        (Filter(without_senders=("carol",)), [both, read]),
        (Filter(senders=("%",)), []),
        (Filter(since=NOW + 1000), [both, work]),
        (Filter(before=NOW + 1000), [read]),
        (Filter(since=NOW + 1, before=NOW + 1999), [work]),
        (Filter(changed_since=1), [both, work]),
        (Filter(none=True), []),
    ]
    for filter, expected in cases:
        assert await all_ids(store, box, filter, limit=1) == expected, filter
        assert await all_ids(store, box, filter, reverse=True) == expected[::-1], filter


async def test_a_filtered_page_looks_at_few_rows_and_still_finds_all(store: Store) -> None:
    """Around the edges of what one page looks at, from either end."""
    box = await make_box(store, "alice@a.example")
    count = SCAN_FLAGS + 10
    made = await fill(store, box, count)
    edges = {at for scan in (SCAN_CONTENT, SCAN_FLAGS) for at in (0, 1, scan - 1, scan, scan + 1)}
    wanted = [made[at] for at in sorted(edges | {count - 1 - at for at in edges})]
    await store.write(flag(FlagMessages(box.id, box.inbox, tuple(wanted), on=int(Flag.FLAGGED))))
    for reverse in (False, True):
        expected = wanted if reverse else wanted[::-1]
        for filter in (Filter(on=int(Flag.FLAGGED)), Filter(on=int(Flag.FLAGGED), senders=("bob",))):
            assert await all_ids(store, box, filter, limit=2, reverse=reverse) == expected


async def test_single_messages_and_those_that_are_missing(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    first, second = await fill(store, box, 2)
    found = await store.read(fetch_ids(FetchIds(box.id, box.inbox, (second, first))))
    assert [message.id for message in found] == [second, first]
    with pytest.raises(NoMessage) as caught:
        await store.read(fetch_ids(FetchIds(box.id, box.inbox, (second, b"?" * 16, first))))
    assert caught.value.ids == (b"?" * 16,)
    with pytest.raises(NoMessage):
        await store.read(fetch_ids(FetchIds(box.id, box.to.sent, (first,))))


async def test_a_page_of_large_bodies_ends_early(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    await fill(store, box, 5, body=b"x" * INLINE)
    page = await store.read(fetch_page(FetchPage(box.id, box.inbox, octets=2 * INLINE)))
    assert [len(message.octets or b"") for message in page.messages] == [INLINE] * 2
    page = await store.read(fetch_page(FetchPage(box.id, box.inbox, page.next, octets=10 * INLINE)))
    assert len(page.messages) == 3
    assert page.next is None


async def test_after_an_id_that_left_the_folder(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    made = await fill(store, box, 5)
    before = await store.read(position_of(PositionOf(box.id, box.inbox, made[2])))
    await store.write(move(MoveMessages(box.id, box.inbox, box.to.sent, (made[2],), NOW)))
    assert await store.read(position_of(PositionOf(box.id, box.inbox, made[2]))) == before
    page = await store.read(ids_page(IdsPage(box.inbox, before)))
    assert page.ids == [made[1], made[0]]
    with pytest.raises(NoMessage):
        await store.read(position_of(PositionOf(box.id, box.inbox, b"?" * 16)))


async def test_sorting_goes_through_keys_and_then_reads_rows(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    for size in (3, 1, 2):
        await put(store, box, body=b"x" * size)
    keys = (await store.read(sort_page(SortPage(box.inbox, limit=2)))).keys
    page = await store.read(sort_page(SortPage(box.inbox, keys[-1][0], limit=2)))
    assert page.next is None
    keys += page.keys
    keys.sort(key=lambda key: key[3])
    rows = await store.read(index_seqs(IndexSeqs(box.inbox, "/INBOX", "e", tuple(key[0] for key in keys))))
    assert [msgspec.json.decode(row)["size"] for row in rows] == [1, 2, 3]


async def test_a_message_may_lie_in_a_batch_with_others_of_any_size(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    results = await store.write(deliver(a_delivery(target(box), body=b"")))
    assert results[0] == "delivered"
    (message,) = (await store.read(fetch_page(FetchPage(box.id, box.inbox)))).messages
    assert message.octets == b""
    assert message.file_names() == {}
