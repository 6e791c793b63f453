"""Whoever looks after a domain is told, once, that the store is damaged (docs/why/damage.md).

Rules: a message from and to postmaster of each domain served, where there is such an account; it is written
before writing ends, and a failure of that is only logged, for it is the store that is damaged.
"""

import hashlib

from immpd.model.flags import Flag
from immpd.model.message import Envelope, Part
from immpd.protocol.text import clean
from immpd.service.mail.content import delivery_of
from immpd.store.accounts.directory import FindRecipient, recipient
from immpd.store.errors import StoreError
from immpd.store.integrity.damage import ADVICE
from immpd.store.integrity.verify import Finding
from immpd.store.mail.deliver import Target, deliver

from .ids import time_text
from .session import Services

POSTMASTER = "postmaster"
SUBJECT = "The store of this server is damaged"


async def tell_of_damage(services: Services) -> None:
    """Tell postmasters of what is known, unless they were told; then writing ends, if the file itself is damaged."""
    damage = services.damage
    if damage.known.found and not damage.known.told:
        try:
            for domain in sorted(services.domains):
                await _tell(services, f"{POSTMASTER}@{domain}", damage.known.found, domain)
        except StoreError as error:
            services.log.error("postmaster could not be told of the damage", reason=str(error))
        else:
            damage.told()
    damage.end_writing()


async def _tell(services: Services, address: str, found: tuple[str, ...], domain: str) -> None:
    there = await services.store.read(recipient(FindRecipient(address)))
    if there is None:
        return
    now = services.clock.now()
    lines = [*[clean(one) for one in found], "", f"What to do: {ADVICE}."]
    octets = "\n".join(lines).encode() + b"\n"
    envelope = Envelope(
        id=str(services.ids.uuid()),
        from_=address,
        date=time_text(now),
        to=(address,),
        subject=SUBJECT,
        importance="high",
        origin=domain,
        received_date=time_text(now),
        verified=True,
    )
    target = Target(there.mailbox, there.inbox, there.inbox, services.ids.octets(), int(Flag.IMPORTANT))
    parts = [Part(1, "damage", "text/plain", len(octets))]
    delivery = delivery_of(envelope, parts, len(octets), octets, [hashlib.sha256(octets).digest()], (target,), now)
    results = await services.store.write(deliver(delivery))
    services.bus.publish([result.change for result in results if result.change is not None])


def note_findings(services: Services, found: list[Finding]) -> None:
    """What a check of everything found is known from now on; where it found nothing, nothing is."""
    wrong = [one for one in found if not one.detail.startswith("could not be counted")]
    for one in wrong:
        services.damage.found(f"{one.kind} {one.what}: {one.detail}", structure=one.kind == "file")
    if not wrong:
        services.damage.nothing_found()
