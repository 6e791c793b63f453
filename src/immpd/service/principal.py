"""Who acts: one value, from the moment when somebody has proven it.

Rules: it never changes, a session is given another one; what somebody may do follows from it and from the path
(access.py), where an address leads does not depend on it (routing.py).
"""

import msgspec

from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.store.accounts.directory import Account


class Principal(msgspec.Struct, frozen=True):
    """An account with the device that logged in, other domains, the operator, or nobody yet."""

    account: Account | None = None
    device: str = ""
    """The label that was given at log-in; under it the account's places in the timeline are kept."""
    domains: frozenset[str] = frozenset()
    """Other domains that proved themselves on this connection."""
    is_operator: bool = False

    @property
    def person(self) -> Account:
        """The account that acts; raises Refused where it is none."""
        if self.account is None:
            raise Refused(Code.STATE, "STATE", "Log in with AUTH first")
        return self.account


NOBODY = Principal()
OPERATOR = Principal(is_operator=True)
