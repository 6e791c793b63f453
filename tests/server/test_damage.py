"""Damage is said, by whom it meets, by STORE CHECK and in the log; what is whole is still read."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest
from tests.server.quiet import conversation_of, until
from tests.serving import Serving

from immpd.protocol.commands import StoreCheck
from immpd.service.mail.system_messages import DAMAGED
from immpd.store.mail.bodies import unlink_doomed
from immpd.store.sqlite.files import FILE_NAME, PAGE_SIZE

COUNT = 60
"""Messages that fill several pages."""


def damage(folder: Path, table: str, where: int = 0) -> None:
    """Write over a leaf of a table, as a failing disk does: in its middle, or (-1) the last."""
    with closing(apsw.Connection(str(folder / FILE_NAME))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        pages = [
            row[0]
            for row in connection.execute(
                "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path", (table,)
            )
        ]
    with (folder / FILE_NAME).open("r+b") as file:
        page = pages[-1] if where == -1 else pages[len(pages) // 2]
        file.seek((page - 1) * PAGE_SIZE)
        file.write(b"\xa5" * PAGE_SIZE)


@pytest.fixture
async def filled(serve, talk, tmp_path):
    """The folder of a server with messages in INBOX of alice, stopped."""
    server = await serve(tmp_path)
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    for number in range(COUNT):
        assert (await one.deliver(alice, body=b"%d " % number * 300, subject=f"n{number}")).code == 273
    await one.close()
    await server.running.stop()
    return tmp_path, alice


async def checked(server: Serving) -> list[str]:
    return [row.text for row in (await server.operator.call(StoreCheck())).rows]


async def test_a_damaged_message_hides_nothing(filled, serve, talk):
    """Nor itself: INDEX has a row for it, FETCH says of how many it cannot be, and which are whole come."""
    folder, alice = filled
    damage(folder, "content")
    server: Serving = await serve(folder)
    one = await talk(alice, on=server)
    rows = (await one.ask("MBOX INDEX /inbox LIMIT 1000")).rows
    lost = [row for row in rows if "is damaged" in row]
    assert len(rows) == COUNT
    assert 0 < len(lost) < COUNT / 2
    fetched = await one.ask("FETCH /inbox::* +RAW -READ")
    assert (fetched.code, len(fetched.blocks)) == (250, COUNT - len(lost))
    assert fetched.fields["skipped"] == str(len(lost))
    answer = await one.ask(f"FETCH /inbox#{lost[0].split(' ')[0]} +RAW")
    assert (answer.code, answer.word) == (750, "STORE-DAMAGED")
    told = [fields["what"] for fields in server.log.events("the store is damaged")]
    assert told[0] == "database: database disk image is malformed"
    server.log.take_errors()
    await server.running.stop()


@pytest.mark.parametrize("table", ["content", "placement", "message_place", "mailbox", "retry"])
async def test_a_check_finds_it_and_writing_ends(filled, serve, talk, table):
    folder, alice = filled
    damage(folder, table)
    server: Serving = await serve(folder)
    postmaster = await server.add_account("postmaster") if table == "content" else None
    findings = await checked(server)
    assert any(one.startswith("file database:") for one in findings), findings
    await until(lambda: server.services.damage.writing_ends)
    one = await talk(alice, on=server)
    for line in (f"DELIVER TO {alice}", "MBOX CREATE /x"):
        answer = await one.ask(line)
        assert (answer.code, answer.word, answer.fields["retry"]) == (450, "STORE-DAMAGED", "3600")
    if postmaster is not None:
        (row,) = (await (await talk(postmaster, on=server)).ask("MBOX INDEX /inbox")).rows
        assert DAMAGED in row
    server.log.take_errors()
    await server.running.stop()
    # It is remembered, and nobody is told a second time.
    server = await serve(folder)
    assert server.log.events("the store is known to be damaged")
    one = await talk(alice, on=server)
    assert (await one.ask(f"DELIVER TO {alice}")).word == "STORE-DAMAGED"
    if postmaster is not None:
        assert len((await (await talk(postmaster, on=server)).ask("MBOX INDEX /inbox")).rows) == 1
    server.log.take_errors()
    await server.running.stop()


@pytest.mark.parametrize("table", ["placement", "message_place"])
async def test_a_delivery_that_meets_it_is_told_why(filled, serve, talk, table):
    folder, alice = filled
    damage(folder, table, where=-1)
    server: Serving = await serve(folder)
    one = await talk(alice, on=server)
    answer = await one.deliver(alice, body=b"x")
    assert (answer.code, answer.word) == (750, "STORE-DAMAGED")
    (failed,) = server.log.events("command failed")
    assert failed["command"] == "DONE"
    answer = await one.ask(f"DELIVER TO {alice}")
    assert (answer.code, answer.word) == (450, "STORE-DAMAGED")
    server.log.take_errors()
    await server.running.stop()


async def test_what_was_repaired_is_written_again(filled, serve, talk):
    folder, alice = filled
    whole = (folder / FILE_NAME).read_bytes()
    damage(folder, "content")
    server: Serving = await serve(folder)
    assert await checked(server) != []
    server.log.take_errors()
    await server.running.stop()
    (folder / FILE_NAME).write_bytes(whole)
    server = await serve(folder)
    one = await talk(alice, on=server)
    assert (await one.ask(f"DELIVER TO {alice}")).word == "STORE-DAMAGED"  # until a check says otherwise
    assert await checked(server) == []
    assert (await one.deliver(alice)).code == 273
    server.log.take_errors()
    await server.running.stop()


async def test_a_flipped_bit_in_a_file_is_not_served(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    assert (await one.deliver(alice, body=bytes(400_000))).code == 273
    assert await checked(server) == []
    (path,) = (server.folder / "bodies").iterdir()
    with path.open("r+b") as file:
        file.seek(200_000)
        file.write(b"\x01")
    answer = await one.ask("FETCH /inbox::* +RAW -READ")
    assert (answer.code, answer.word) == (750, "STORE-DAMAGED")
    assert all(block.more for block in answer.blocks)  # nobody takes it for the whole
    (finding,) = await checked(server)
    assert finding.endswith("has other octets than came")
    assert (await one.deliver(alice)).code == 273  # one file is no reason to refuse others
    server.log.take_errors()


async def test_a_flipped_bit_in_a_row_is_found(filled, serve):
    folder, _ = filled
    with closing(apsw.Connection(str(folder / FILE_NAME))) as connection:
        connection.execute("UPDATE content SET octets = zeroblob(octet_length(octets)) WHERE id = 7").fetchall()
    server = await serve(folder)
    (finding,) = await checked(server)
    assert finding == "content content 7 part 1: has other octets than came"
    server.log.take_errors()


async def test_a_file_that_goes_with_its_message_during_a_fetch_is_no_damage(serve, talk):
    """Else everybody could have the store called damaged, and its postmaster frightened."""
    server = await serve()
    alice = await server.add_account("alice")
    one, slow = await talk(alice, on=server), await talk(alice, on=server)
    for size in (400_000, 16 << 20):
        assert (await one.deliver(alice, body=bytes(size))).code == 273
    (folder,) = [row for row in (await one.ask("MBOX INDEX /inbox LIMIT 2 +JSON")).rows if '"size":400000' in row]
    name = folder.partition('"id":"')[2][:36]
    slow.send("FETCH /inbox::* +RAW -READ\n")
    await until(lambda: conversation_of(server, slow).stream.paused)
    assert (await one.ask(f"MBOX DELETE /inbox#{name} +PURGE")).code == 200
    await one.ask("MBOX DELETE /sent::* +PURGE")
    assert await unlink_doomed(server.services.store, server.services.bodies) == 1
    answer = await slow.reply()
    assert (answer.code, answer.fields["n"], answer.fields["skipped"]) == (250, "1", "1")
    assert not server.services.damage.known.found
    assert await checked(server) == []
