"""Whoever looks after a domain is told, once, that the store is damaged (docs/why/damage.md).

Rules: a message from and to postmaster of each domain served, where there is such an account; it is written
before writing ends, and a failure of that is only logged, for it is the store that is damaged.
"""

from immpd.service.mail.system_messages import damage_message, deliver_to_inbox
from immpd.store.errors import StoreError
from immpd.store.integrity.damage import ADVICE
from immpd.store.integrity.verify import Finding

from .session import Services

POSTMASTER = "postmaster"


async def tell_of_damage(services: Services) -> None:
    """Tell postmasters of what is known, unless they were told; then writing ends, if the file itself is damaged."""
    damage = services.damage
    if damage.known.found and not damage.known.told:
        try:
            for domain in sorted(services.domains):
                now, identity = services.clock.now(), str(services.ids.uuid())
                message = damage_message(damage.known.found, ADVICE, f"{POSTMASTER}@{domain}", now, identity)
                await deliver_to_inbox(services, message)
        except StoreError as error:
            services.log.error("postmaster could not be told of the damage", reason=str(error))
        else:
            damage.told()
    damage.end_writing()


def note_findings(services: Services, found: list[Finding]) -> None:
    """What a check of everything found is known from now on; where it found nothing, nothing is."""
    wrong = [one for one in found if not one.detail.startswith("could not be counted")]
    for one in wrong:
        services.damage.found(f"{one.kind} {one.what}: {one.detail}", structure=one.kind == "file")
    if not wrong:
        services.damage.nothing_found()
