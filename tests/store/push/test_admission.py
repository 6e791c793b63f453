"""Who may push, in the protocol's order: whatever speaks for a sender, the first that says something decides."""

import itertools

import pytest
from tests.store.making import NOW, Box, a_delivery, make_box, target
from tests.store.notifying import a_token, by, pushed, shown, with_token

from immpd.model.notification import Level
from immpd.store.contract import Store
from immpd.store.mail.deliver import deliver
from immpd.store.push.consent import Allow, NewGrant, add_grant, allow

ORDER = ("own", "token", "declined", "approved", "domain", "grant", "answer", "request")
"""docs/protocol.md, "Who may push", without nodes."""
MAY_HOLD = ("declined", "approved", "grant", "answer")
"""What may hold of any sender."""
CAPS = {"own": Level.CRITICAL, "token": Level.CRITICAL, "approved": Level.LOW, "domain": Level.HIGH,
        "grant": Level.HIGH, "answer": Level.NORMAL, "request": Level.NORMAL}  # fmt: skip
IS = {"own": ("own",), "token": ("token",), "colleague": ("domain",), "stranger": ()}
"""What holds of each sender in any case; for everybody there is a request in the end."""


@pytest.mark.parametrize("who", IS)
async def test_the_first_that_says_something_decides(store: Store, who: str) -> None:
    every = [some for count in range(len(MAY_HOLD) + 1) for some in itertools.combinations(MAY_HOLD, count)]
    for domain, held in enumerate(every):
        alice = await make_box(store, f"alice@{domain}.example")
        decides = next(one for one in ORDER if one in (*IS[who], *held, "request"))
        outcome, let_in = await what_becomes(store, alice, who, held)
        if decides == "declined":
            assert (outcome, let_in) == ("declined", []), held
        else:
            assert (outcome, let_in) == ("delivered", [(decides, CAPS[decides])]), held


async def what_becomes(store: Store, alice: Box, who: str, held: tuple[str, ...]) -> tuple[str, list[tuple[str, int]]]:
    """Have the sender push as urgently as may be; what becomes of it, and what let it in up to which level."""
    domain = alice.account.domain
    sender = alice
    if who in ("colleague", "stranger"):
        sender = await make_box(store, f"bob@{domain}" if who == "colleague" else f"shop@other.{domain}")
    token = await a_token(store, alice) if who == "token" else None
    asking = by(sender) if token is None else with_token(alice, token)
    if "declined" in held:  # what is said of the sender goes before what is said of its domain
        await store.write(allow(Allow(alice.id, asking.sender, False, Level.SILENT, NOW)))
    if "approved" in held:
        await store.write(allow(Allow(alice.id, asking.origin, True, Level.LOW, NOW)))
    if "grant" in held:
        await store.write(add_grant(NewGrant(alice.id, "code", "", 1, None, NOW)))
    if "answer" in held:
        await store.write(deliver(a_delivery(target(sender, opens=(alice.id, asking.sender)))))
    grant = "code" if "grant" in held else ""
    result = await pushed(store, asking, alice, level=Level.CRITICAL, grant=grant, token=token)
    return result, [(one.why, one.level) for one in await shown(store, alice)]
