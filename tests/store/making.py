"""Accounts and deliveries for the tests of the store: each call makes another one."""

import hashlib
import itertools

import msgspec

from immpd.model.message import Envelope, Part
from immpd.store.accounts.directory import (
    Account,
    FindRecipient,
    NewAccount,
    Recipient,
    add_account,
    recipient,
)
from immpd.store.contract import Store
from immpd.store.mail.deliver import BodyFile, Delivered, Delivery, Target, deliver

NOW = 1_767_225_600_000
_numbers = itertools.count(1)


def new_id() -> bytes:
    """A fresh 16-octet id that sorts after those before it, as version-7 UUIDs do."""
    n = next(_numbers)
    return (NOW + n).to_bytes(6, "big") + b"\x70\x00\x80" + n.to_bytes(7, "big")


def new_account(address: str, skeleton: str | None = None) -> NewAccount:
    local, _, domain = address.partition("@")
    return NewAccount(
        address=address,
        domain=domain,
        local=local,
        skeleton=local if skeleton is None else skeleton,
        created=NOW,
        salt=b"s" * 16,
        iterations=600_000,
        stored_key=b"k" * 32,
        server_key=b"v" * 32,
        folders=tuple(new_id() for _ in range(6)),
    )


class Box(msgspec.Struct, frozen=True):
    """An account with what the tests need of its mailbox."""

    account: Account
    to: Recipient

    @property
    def id(self) -> int:
        return self.to.mailbox

    @property
    def inbox(self) -> int:
        return self.to.inbox


async def make_box(store: Store, address: str) -> Box:
    account = await store.write(add_account(new_account(address)))
    found = await store.read(recipient(FindRecipient(address)))
    assert found is not None
    return Box(account, found)


def target(box: Box, folder: int | None = None, **more: object) -> Target:
    return Target(box.id, box.inbox if folder is None else folder, box.inbox, new_id(), **more)  # type: ignore[arg-type]


def a_delivery(
    *targets: Target,
    body: bytes = b"hello\n",
    subject: str = "Hello",
    sender: str = "bob@b.example",
    now: int = NOW,
    files: tuple[BodyFile, ...] = (),
) -> Delivery:
    envelope = Envelope(
        id="0190b4c0-0000-7000-8000-000000000000", from_=sender, date="2026-01-01T00:00:00Z", subject=subject
    )
    parts = [Part(1, "message.txt", "text/plain", len(body))]
    parts += [Part(file.part, file.name, "application/octet-stream", file.length, "attachment") for file in files]
    size = sum(part.length for part in parts)
    row = msgspec.json.encode({"from": sender, "subject": subject, "size": size})[:-1]
    return Delivery(
        sender=sender,
        sent=NOW,
        size=size,
        row=row,
        parts=msgspec.json.encode(parts),
        envelope=msgspec.json.encode(envelope),
        octets=body,
        digest=hashlib.sha256(body).digest(),
        targets=targets,
        now=now,
        files=files,
    )


async def put(store: Store, box: Box, folder: int | None = None, **more: object) -> bytes:
    """Deliver one message into a folder and return its id."""
    flags = {key: more.pop(key) for key in ("flags", "keywords") if key in more}
    one = target(box, folder, **flags)
    results = await store.write(deliver(a_delivery(one, **more)))  # type: ignore[arg-type]
    assert results == ("delivered",)
    return one.id


async def fill(store: Store, box: Box, count: int, **more: object) -> list[bytes]:
    """Deliver ``count`` messages into INBOX, in one batch."""
    import asyncio

    made = [target(box) for _ in range(count)]
    results: list[tuple[Delivered, ...]] = await asyncio.gather(
        *[store.write(deliver(a_delivery(one, **more))) for one in made]  # type: ignore[arg-type]
    )
    assert results == [("delivered",)] * count
    return [one.id for one in made]
