"""Who sends more than may be: held back, and named to the operator.

Rules: what is refused costs the store nothing; a flood of commands is no flood of the log
(docs/how-to/floods.md).
"""

from math import ceil
from typing import Any

from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused

from .session import Session


def tell_operator(session: Session, event: str, who: str, **fields: Any) -> None:
    """Log that ``who`` was refused, once a period, with how often it was since."""
    refused = session.services.pace.news(f"{event} {who}")
    if refused:
        session.services.log.warning(event, refused=refused, peer=session.peer, **fields)


def pace_refusal(session: Session, name: str, per_minute: int, what: str) -> Refused | None:
    """Count one; a refusal where ``name`` did more than ``per_minute`` of ``what``, a third of it at once."""
    wait = session.services.pace.wait(name, per_minute, max(10, per_minute // 3))
    return Refused(Code.TEMPORARY, "TOO-FAST", f"At most {per_minute} {what} a minute", ceil(wait)) if wait else None


def item_refusal(session: Session, account: str, node: str) -> Refused | None:
    """Count an item that the account publishes: a refusal where these were too many, which the operator hears of."""
    refused = pace_refusal(session, f"items {account}", session.services.limits.items_per_minute, "items")
    if refused is not None:
        tell_operator(session, "items too fast", account, account=account, node=node)
    return refused
