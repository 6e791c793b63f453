"""What a running server puts in order by itself, beside the conversations.

Rules: a chore is done in small bounded units of work, so that no delivery waits for it; a chore that
fails is logged and tried again at its next time; time is the injected clock's.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from immpd.service.accounts.administration import remove_rest
from immpd.service.damage import tell_of_damage
from immpd.service.feeds.digests import send_digests
from immpd.service.session import Services
from immpd.store.accounts.directory import ListAccounts, list_accounts
from immpd.store.errors import StoreUnavailable
from immpd.store.feeds.dismissals import ForgetDismissals, forget_dismissals
from immpd.store.feeds.keeping import ForgetItems, forget_items
from immpd.store.feeds.nodes import SweepNodes, sweep_nodes
from immpd.store.mail.bodies import unlink_doomed
from immpd.store.mail.changes import ForgetChanges, ForgetRetryKeys, forget_changes, forget_retry_keys
from immpd.store.mail.filing import ExpireTrash, expire_trash
from immpd.store.push.correspondents import ForgetAnswers, forget_answers
from immpd.store.push.notifications import ForgetNotifications, forget_notifications

DAY = 24 * 3600
TRASH_DAYS = 30
"""How long deleted messages can be taken back (docs/protocol.md, "Mailboxes")."""
RETRY_KEY_DAYS = 30
"""How long the same message sent again is known (docs/protocol.md, "Messages")."""
NOTIFICATION_DAYS = 30
"""How long a sender can ask what became of a notification (docs/protocol.md, "Notifications")."""
KEPT_CHANGES = 20_000
"""Changes of a mailbox that a client may have slept through; past them it lists again."""
REMOVED_DAYS = 30
"""How long those who were away can still learn that a node was removed."""
_PAGE = 200
ROOM_EVERY = 60.0
"""Seconds after which the room on the disk is looked at anyway."""


class Chore(msgspec.Struct, frozen=True):
    """Something to be done every so many seconds, in units of work as small as it likes."""

    name: str
    every: float
    work: Callable[[Services], Awaitable[object]]


async def unlink_files(services: Services) -> None:
    """Remove the body files of messages that were purged."""
    await unlink_doomed(services.store, services.bodies)


async def empty_trash(services: Services) -> None:
    """Purge what has been in TRASH for 30 days."""
    before = services.clock.now() - TRASH_DAYS * DAY * 1000
    while await services.store.write(expire_trash(ExpireTrash(before))):
        pass


async def drop_retry_keys(services: Services) -> None:
    """Forget which messages came more than 30 days ago."""
    before = services.clock.now() // (DAY * 1000) - RETRY_KEY_DAYS
    after: bytes | None = b""
    while after is not None:
        after = await services.store.write(forget_retry_keys(ForgetRetryKeys(before, after)))


async def drop_changes(services: Services) -> None:
    """Keep the last changes of every mailbox, forget those before."""
    after = ""
    while accounts := await services.store.read(list_accounts(ListAccounts(None, after, _PAGE))):
        for account in accounts:
            while await services.store.write(forget_changes(ForgetChanges(account.mailbox, KEPT_CHANGES))):
                pass
        after = accounts[-1].address


async def drop_notifications(services: Services) -> None:
    """Forget notifications that ended 30 days ago, and answers that nobody gave in time."""
    now = services.clock.now()
    while await services.store.write(forget_notifications(ForgetNotifications(now - NOTIFICATION_DAYS * DAY * 1000))):
        pass
    while await services.store.write(forget_answers(ForgetAnswers(now))):
        pass


async def drop_items(services: Services) -> None:
    """Forget items that their nodes need not keep any longer."""
    node = 0
    while True:
        found, more = await services.store.write(forget_items(ForgetItems(services.clock.now(), node)))
        if not found:
            return
        node = found - 1 if more else found


async def drop_dismissals(services: Services) -> None:
    """Forget who was done with items that are kept no longer."""
    after: int | None = 0
    while after is not None:
        after = await services.store.write(forget_dismissals(ForgetDismissals(after)))


async def sweep_removed_nodes(services: Services) -> None:
    """Forget nodes that were removed long ago, with all that they had."""
    before = services.clock.now() - REMOVED_DAYS * DAY * 1000
    while await services.store.write(sweep_nodes(SweepNodes(before))):
        pass


CHORES = (
    Chore("drop notifications", 3600, drop_notifications),
    Chore("unlink files", 60, unlink_files),
    Chore("send digests", 60, send_digests),
    Chore("empty trash", 900, empty_trash),
    Chore("drop retry keys", DAY, drop_retry_keys),
    Chore("drop changes", DAY, drop_changes),
    Chore("drop items", DAY, drop_items),
    Chore("drop dismissals", DAY, drop_dismissals),
    Chore("sweep removed nodes", DAY, sweep_removed_nodes),
)


REMOVAL = (Chore("remove accounts", 60, remove_rest),)
"""Beside the others, which must not wait until a large mailbox is gone."""


async def keep_room(services: Services) -> None:
    """Make the reserve, and while room is short give the disk back what was freed; until cancelled."""
    loop = asyncio.get_running_loop()
    wanted = loop.create_future()

    def want() -> None:
        if not wanted.done():
            wanted.set_result(None)

    def want_from_anywhere() -> None:
        loop.call_soon_threadsafe(want)

    services.room.wanted = want_from_anywhere
    while True:
        wanted = loop.create_future()
        try:
            await unlink_files(services)
            await services.store.give_back()
            await services.bodies.run(services.room.renew)
        except StoreUnavailable as error:
            services.log.warning("no room could be made", reason=str(error))
        await services.clock.wait(wanted, ROOM_EVERY)


async def tell_damage(services: Services) -> None:
    """Tell whoever looks after the domains, now and when damage is found; until cancelled."""
    loop = asyncio.get_running_loop()
    found = loop.create_future()

    def note() -> None:
        if not found.done():
            found.set_result(None)

    def note_from_anywhere() -> None:
        loop.call_soon_threadsafe(note)

    services.damage.on_found = note_from_anywhere
    while True:
        await tell_of_damage(services)
        found = loop.create_future()
        await found


async def keep_house(services: Services, chores: tuple[Chore, ...] = CHORES) -> None:
    """Do each chore at once and then at its times, until cancelled."""
    clock = services.clock
    due = {chore.name: clock.monotonic() for chore in chores}
    while True:
        for chore in chores:
            if due[chore.name] > clock.monotonic():
                continue
            due[chore.name] = clock.monotonic() + chore.every
            try:
                await chore.work(services)
            except StoreUnavailable as error:
                services.log.warning("chore put off", chore=chore.name, reason=str(error))
            except Exception as error:
                services.log.error("chore failed", chore=chore.name, exc_info=error)
            await asyncio.sleep(0)
        await clock.sleep(max(0.0, min(due.values()) - clock.monotonic()))
