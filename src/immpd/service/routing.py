"""Where an IMID leads: to a mailbox or node of this server, to another domain, or nowhere.

Rules: decided here for all that is delivered, pushed, published and subscribed to; what each of them calls a name of
the right form, and what it says of other domains, is data (``Purpose``); who acts makes no difference (access.py); of
a mailbox that was found lately the store is not asked again: whether it was disabled or removed since is decided by
the unit that delivers (docs/protocol.md, "Names"; docs/why/routing.md).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from immpd.model.imid import Imid, ImidError, folder_key, is_reserved_folder, path_text
from immpd.model.news import SessionsEnd
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.store.accounts.directory import (
    Account,
    FindRecipient,
    FindRecipients,
    MailingList,
    Recipient,
    find_recipients,
)

from .outcome import Outcome, Step

if TYPE_CHECKING:
    from .session import Session

KNOWN_RECIPIENTS = 16_384


# --- where it may lead


class Local(msgspec.Struct, frozen=True):
    """To a mailbox or node of a domain that is served here; whether it is there the store knows."""

    imid: Imid
    """In the form that the purpose wants: a node with its name in the local part."""

    @property
    def folder(self) -> str:
        """The key of the folder that a plus-address names, as the store finds it; never one of the special ones."""
        name = self.imid.folder
        return "" if name is None or is_reserved_folder(name) else folder_key(path_text(("INBOX", name)))


class Remote(msgspec.Struct, frozen=True):
    """To another domain."""

    domain: str


Found: TypeAlias = Recipient | MailingList | Remote | Refused
"""What there is where a message is to go: a mailbox, a list, another domain, or why it goes nowhere."""
Then: TypeAlias = Callable[[list[Found], Recipient | None], Outcome]
"""Goes on with what there is for each recipient, and with the sender's own mailbox."""


class Purpose(msgspec.Struct, frozen=True):
    """What for it is asked."""

    named: Callable[[Imid], Imid | Refused]
    """The name of what is wanted, or why this is none."""
    no_route: str
    """What is said of another domain, which stands before it."""


def _recipient(imid: Imid) -> Imid | Refused:
    if imid.is_own_box or imid.path or imid.ids or imid.filter is not None or imid.options:
        text = f"{imid} names no recipient: name@domain or name+folder@domain"
        return Refused(Code.BAD_VALUE, "BAD-RECIPIENT", text)
    return imid


def _person(imid: Imid) -> Imid | Refused:
    if imid.is_own_box or imid.path or imid.ids or imid.filter is not None or imid.options:
        return Refused(Code.BAD_VALUE, "BAD-RECIPIENT", f"{imid} names no person: name@domain")
    if imid.folder is not None and imid.grant is None:
        return Refused(Code.BAD_VALUE, "BAD-RECIPIENT", f"A notification goes into no folder: {imid.bare()}")
    return imid


def _node(imid: Imid) -> Imid | Refused:
    try:
        node = imid.as_node()
    except ImidError as error:
        return Refused(Code.BAD_VALUE, "BAD-NODE", str(error))
    if "/" not in node.local:
        return Refused(Code.BAD_VALUE, "BAD-NODE", f"{imid} is no node: a node is written account/name@domain")
    return node


DELIVER = Purpose(_recipient, "is not served here, and delivery to other domains is not available yet")
PUSH = Purpose(_person, "is not served here, and other domains cannot be notified yet")
FEED = Purpose(_node, "is not served here, and feeds of other domains are not available yet")


# --- where it leads


class Routes:
    """Where names lead from a server that serves ``domains``."""

    def __init__(self, domains: frozenset[str], most_known: int = KNOWN_RECIPIENTS) -> None:
        self.domains = domains
        self._most_known = most_known
        self._known: dict[str, Recipient] = {}
        """By plain address, what was found lately."""

    def lead(self, imid: Imid, purpose: Purpose) -> Local | Remote | Refused:
        """Where the name leads, as far as it says itself."""
        named = purpose.named(imid)
        if isinstance(named, Refused):
            return named
        return Local(named) if named.domain in self.domains else Remote(named.domain)

    def find(self, wanted: Sequence[Imid], account: Account, then: Then) -> Outcome:
        """Go on with what there is at each name that a message goes to, and at that of who sends it."""
        known = self._known
        sender = known.get(account.address)
        found: list[Found] = []
        asked: dict[int, Local] = {}
        for imid in wanted:
            one: Found | Local = known.get(imid.key) or self.lead(imid, DELIVER)  # only plain addresses are known
            if isinstance(one, Local):
                asked[len(found)] = one
                one = no_recipient(imid.address)  # unless the store knows one
            found.append(one)
        if asked or sender is None:
            return self._ask(found, asked, account, then)
        return then(found, sender)

    def _ask(self, found: list[Found], asked: dict[int, Local], account: Account, then: Then) -> Step:
        """Ask the store for the sender and for everybody of whom nothing is known yet."""
        places = (*asked.values(), Local(Imid(account.local, account.domain)))

        def answered(answers: tuple[Recipient | MailingList | None, ...]) -> Outcome:
            for place, answer in zip(places, answers, strict=True):
                if isinstance(answer, Recipient) and not answer.disabled and place.imid.folder is None:
                    self._keep(place.imid.address, answer)
            *of_each, own = answers
            for at, answer in zip(asked, of_each, strict=True):
                if isinstance(answer, MailingList) or (answer is not None and not answer.disabled):
                    found[at] = answer
            return then(found, own if isinstance(own, Recipient) else None)

        lookups = tuple([FindRecipient(place.imid.address, place.folder) for place in places])
        return Step(find_recipients(FindRecipients(lookups, account.id)), answered)

    def _keep(self, address: str, recipient: Recipient) -> None:
        if len(self._known) >= self._most_known:
            self._known.clear()
        self._known[address] = recipient

    def told(self, ends: Sequence[SessionsEnd]) -> None:
        """Ends of sessions, from the bus: who was disabled or removed is forgotten; without any, everybody is."""
        for end in ends:
            if end.why in ("disabled", "removed"):
                self._known.pop(end.account, None)
        if not ends:
            self._known.clear()


# --- where it leads nowhere


def no_recipient(address: str) -> Refused:
    """There is no such mailbox, or its account is disabled, which nobody else need know."""
    return Refused(Code.NOT_FOUND, "NO-RECIPIENT", f"There is no mailbox {address} here")


def no_route(remote: Remote, purpose: Purpose) -> Refused:
    """Other domains are not reached yet."""
    return Refused(Code.NO_ROUTE, "NO-ROUTE", f"{remote.domain} {purpose.no_route}")


# --- nodes


def node_name(session: "Session", imid: Imid) -> Imid:
    """The node that a command names; raises Refused where it is none, or of a domain that is not served here."""
    node = _local_node(session, imid)
    if node.ids:
        raise Refused(Code.BAD_VALUE, "BAD-NODE", f"{imid} names an item; the node is {node.bare()}")
    return node


def item_name(session: "Session", imid: Imid) -> tuple[str, bytes]:
    """The node and the id of the item that a command names: node#id; raises Refused."""
    node = _local_node(session, imid)
    if len(node.ids) != 1:
        raise Refused(Code.BAD_VALUE, "BAD-NODE", f"Name one item: {node.bare()}#id")
    return node.address, node.ids[0].bytes


def _local_node(session: "Session", imid: Imid) -> Imid:
    place = session.services.routes.lead(imid, FEED)
    if isinstance(place, Local):
        return place.imid
    raise no_route(place, FEED) if isinstance(place, Remote) else place
