"""A backup is made while the server runs, is whole, and is put back with a new epoch."""

import pytest

from immpd.app.backup import MANIFEST, NoBackup, back_up, put_back
from immpd.store.errors import StoreError
from immpd.store.sqlite.files import FILE_NAME


async def test_a_backup_of_a_running_server_is_put_back(serve, talk, tmp_path):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    bodies = (b"small", bytes(400_000))
    for body in bodies:
        assert (await one.deliver(alice, body=body)).code == 273
    state = (await one.ask("MBOX CHECK /inbox")).fields["s"]
    manifest = await back_up(server.folder, tmp_path / "backup")
    assert manifest.bodies == 1
    assert (await one.deliver(alice, body=b"later")).code == 273
    await put_back(tmp_path / "backup", tmp_path / "again")
    other = await serve(tmp_path / "again")
    two = await talk(alice, on=other)
    fetched = await two.ask("FETCH /inbox::* +RAW")
    assert fetched.octets() == b"".join(reversed(bodies))
    assert other.services.store.epoch != server.services.store.epoch
    answer = await two.ask(f"WATCH /inbox SINCE {state}")
    assert (answer.code, answer.word) == (409, "STATE-GONE")


async def test_nothing_is_written_over(serve, tmp_path):
    server = await serve()
    await back_up(server.folder, tmp_path / "backup")
    with pytest.raises(NoBackup, match="not empty"):
        await back_up(server.folder, tmp_path / "backup")
    await server.running.stop()
    with pytest.raises(NoBackup, match="has a store"):
        await put_back(tmp_path / "backup", server.folder)
    (tmp_path / "backup" / MANIFEST).unlink()
    with pytest.raises(NoBackup, match="no complete backup"):
        await put_back(tmp_path / "backup", tmp_path / "again")


async def test_a_backup_that_is_damaged_is_not_put_back(serve, tmp_path):
    server = await serve()
    await back_up(server.folder, tmp_path / "backup")
    with (tmp_path / "backup" / FILE_NAME).open("r+b") as file:
        file.write(b"not a database any more")
    with pytest.raises(StoreError):
        await put_back(tmp_path / "backup", tmp_path / "again")
