"""Chores: what is put in order now and then; a table.

Rules: a chore is done in small bounded units of work, so that no delivery waits for it. One whose table can be asked
whether anything is to be done is asked every so often; the others go through everything in rounds, and the store knows
when the next begins. A round that was cut short begins anew.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Any

import msgspec

from immpd.service.session import Services
from immpd.store.accounts.directory import ListAccounts, list_accounts
from immpd.store.accounts.removal import RemoveSome, any_removal, remove_some
from immpd.store.feeds.dismissals import ForgetDismissals, forget_dismissals
from immpd.store.feeds.keeping import ForgetItems, forget_items
from immpd.store.feeds.nodes import SweepNodes, any_to_sweep, sweep_nodes
from immpd.store.jobs.leases import Lease
from immpd.store.jobs.rounds import RoundOver, end_round, round_due
from immpd.store.mail.bodies import SomeDoomed, doomed_files, unlink_some
from immpd.store.mail.changes import ForgetChanges, ForgetRetryKeys, forget_changes, forget_retry_keys
from immpd.store.mail.filing import ExpireTrash, any_expired, expire_trash
from immpd.store.push.correspondents import ForgetAnswers, any_unused, forget_answers
from immpd.store.push.notifications import ForgetNotifications, any_forgettable, forget_notifications

from .job import Found, Job

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


class Chore(msgspec.Struct, frozen=True):
    """Something to be done every so many seconds."""

    name: str
    every: float
    step: Callable[[Services, Any], Awaitable[Any]]
    """Given where the last step of the round ended (None: it begins); returns where this one did (None: the round)."""
    outstanding: Callable[[Services], Awaitable[bool]] | None = None
    """Whether anything is to be done; None: only a round tells."""


def _days_ago(services: Services, days: int) -> int:
    return services.clock.now() - days * DAY * 1000


async def _any_file(services: Services) -> bool:
    return bool(await services.store.read(doomed_files(SomeDoomed(1))))


async def _unlink_files(services: Services, _: None) -> None:
    """Remove body files of messages that were purged."""
    await unlink_some(services.store, services.bodies)


async def _any_trash(services: Services) -> bool:
    return await services.store.read(any_expired(ExpireTrash(_days_ago(services, TRASH_DAYS))))


async def _empty_trash(services: Services, _: None) -> None:
    """Purge what has been in TRASH for 30 days."""
    await services.store.write(expire_trash(ExpireTrash(_days_ago(services, TRASH_DAYS))))


async def _any_notification(services: Services) -> bool:
    return await services.store.read(any_forgettable(ForgetNotifications(_days_ago(services, NOTIFICATION_DAYS))))


async def _drop_notifications(services: Services, _: None) -> None:
    """Forget notifications that ended 30 days ago."""
    await services.store.write(forget_notifications(ForgetNotifications(_days_ago(services, NOTIFICATION_DAYS))))


async def _any_answer(services: Services) -> bool:
    return await services.store.read(any_unused(ForgetAnswers(services.clock.now())))


async def _drop_answers(services: Services, _: None) -> None:
    """Forget answers that nobody gave in time."""
    await services.store.write(forget_answers(ForgetAnswers(services.clock.now())))


async def _any_node(services: Services) -> bool:
    return await services.store.read(any_to_sweep(SweepNodes(_days_ago(services, REMOVED_DAYS))))


async def _sweep_nodes(services: Services, _: None) -> None:
    """Forget nodes that were removed long ago, with all that they had."""
    await services.store.write(sweep_nodes(SweepNodes(_days_ago(services, REMOVED_DAYS))))


async def _any_removal(services: Services) -> bool:
    return await services.store.read(any_removal(None))


async def _remove_accounts(services: Services, _: None) -> None:
    """Remove what accounts had that were removed."""
    step = await services.store.write(remove_some(RemoveSome()))
    if step.finished:
        services.log.info("nothing is left of a removed account", account=step.finished)


async def _drop_retry_keys(services: Services, after: bytes | None) -> bytes | None:
    """Forget which messages came more than 30 days ago."""
    before = services.clock.now() // (DAY * 1000) - RETRY_KEY_DAYS
    return await services.store.write(forget_retry_keys(ForgetRetryKeys(before, after or b"")))


async def _drop_changes(services: Services, after: str | None) -> str | None:
    """Keep the last changes of every mailbox, forget those before."""
    accounts = await services.store.read(list_accounts(ListAccounts(None, after or "", _PAGE)))
    for account in accounts:
        if await services.store.write(forget_changes(ForgetChanges(account.mailbox, KEPT_CHANGES))):
            return after or ""  # it has more
        after = account.address
    return after if accounts else None


async def _drop_items(services: Services, after: int | None) -> int | None:
    """Forget items that their nodes need not keep any longer."""
    node, more = await services.store.write(forget_items(ForgetItems(services.clock.now(), after or 0)))
    return node - 1 if more else node or None


async def _drop_dismissals(services: Services, after: int | None) -> int | None:
    """Forget who was done with items that are kept no longer."""
    return await services.store.write(forget_dismissals(ForgetDismissals(after or 0)))


CHORES = (
    Chore("unlink files", 60, _unlink_files, _any_file),
    Chore("remove accounts", 60, _remove_accounts, _any_removal),
    Chore("empty trash", 900, _empty_trash, _any_trash),
    Chore("drop notifications", 3600, _drop_notifications, _any_notification),
    Chore("drop answers", 3600, _drop_answers, _any_answer),
    Chore("sweep removed nodes", DAY, _sweep_nodes, _any_node),
    Chore("drop retry keys", DAY, _drop_retry_keys),
    Chore("drop changes", DAY, _drop_changes),
    Chore("drop items", DAY, _drop_items),
    Chore("drop dismissals", DAY, _drop_dismissals),
)


class ChoreJob(Job):
    """A chore as a job."""

    def __init__(self, services: Services, chore: Chore) -> None:
        super().__init__(services)
        self.name, self.every = chore.name, chore.every
        self._chore = chore
        self._after: Any = None
        """Where the last step ended of a round that this process does."""

    async def look(self, now: int, _: Collection[str]) -> Found | None:
        """The next step, or when the next round begins."""
        outstanding = self._chore.outstanding
        if outstanding is not None:
            return Found() if await outstanding(self.services) else None
        due = await self.services.store.read(round_due(self.name))
        if due > now + self.every * 1000:
            due = 0  # a clock went wrong when that was noted
        if due > now:
            self._after = None
        return Found(due)

    async def step(self, _: Found, lease: Lease) -> None:
        """One step, and at the end of a round when the next begins."""
        self._after = await self._chore.step(self.services, self._after)
        if self._after is None and self._chore.outstanding is None:
            due = self.services.clock.now() + int(self.every * 1000)
            await self.services.store.write(end_round(RoundOver(lease, due)))
