"""What is due: shown, repeated, ended; and what nobody answered becomes a message in INBOX.

Rules: timers are rows of the store, so they outlive the process; a promotion is delivered under a key of its own
and only then noted, so that it happens once (docs/protocol.md, "Rules of the recipient").
"""

from immpd.model.imid import parse_imid
from immpd.service.mail.system_messages import deliver_to_inbox, promoted_message
from immpd.service.session import Services
from immpd.store.ids import uuid_text
from immpd.store.mail.deliver import retry_key
from immpd.store.push.notifications import Notification
from immpd.store.push.timers import Fire, Fired, NextDue, Promoted, fire, next_due, promoted

BATCH = 100


async def keep_time(services: Services) -> None:
    """Do what is due when it is due, until cancelled; what fails is logged and tried again a minute later."""
    while True:
        try:
            await run_timers(services)
            until = await services.store.read(next_due(NextDue()))
        except Exception as error:
            services.log.error("timers failed", exc_info=error)
            until = services.clock.now() + 60_000
        await services.alarm.sleep(until)


async def run_timers(services: Services) -> None:
    """Do all that is due by now."""
    more = True
    while more:
        ids = tuple([(services.ids.octets(), services.random(20)) for _ in range(BATCH)])
        fired: Fired = await services.store.write(fire(Fire(services.clock.now(), ids, BATCH)))
        for one in fired.promote:
            try:
                await _promote(services, one)
            except Exception as error:  # its timer comes again in a minute; the others do not wait for it
                services.log.error("promotion failed", mailbox=one.mailbox, exc_info=error)
        more = fired.more


async def _promote(services: Services, one: Notification) -> None:
    """It becomes a message in INBOX, though the mailbox were closed: it has it already."""
    address = parse_imid(one.recipient).address
    key = retry_key(one.origin, one.sender, f"{address}/{one.replaced}", uuid_text(one.uuid))
    await deliver_to_inbox(services, promoted_message(one, address), key=key, is_inside=True)
    await services.store.write(promoted(Promoted(one.id, one.replaced, services.clock.now())))
