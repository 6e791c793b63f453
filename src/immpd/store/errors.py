"""What a store says when it cannot do something.

Two rules: every error says whether trying again later can help (``temporary``), and none of
them is worded for people: the service turns them into coded replies (docs/protocol.md, "Replies").

StoreError
├── StoreUnavailable      temporary: the store cannot be reached or is being reopened
│   ├── StoreFull         temporary: no room on disk; nothing of the unit was kept
│   ├── StoreReadOnly     temporary: the file system or the file is read-only
│   ├── WritingEnded      temporary: the database's file is damaged, so nothing is written any more
│   └── UnknownOutcome    temporary: the unit may or may not be on disk; say so and close the connection
├── StoreDamaged          the file is damaged or no database, or its migrations are not those of this program
├── NotFound              there is no such account, mailbox, folder, message, node, item or subscription
│   ├── NoAccount
│   ├── NoMailbox
│   ├── NoFolder
│   ├── NoMessage         carries the ids that are missing
│   ├── NoNode
│   ├── NoItem
│   └── NoSubscription
└── Conflict              what is there does not allow the change
    ├── AccountExists     the address is taken
    ├── AddressRetired    the address was that of an account that was removed
    ├── AddressConfusable the address looks like another of its domain
    ├── FolderExists      there is a folder of that path
    ├── FolderNotEmpty    it has messages or subfolders
    ├── FolderSpecial     INBOX, DRAFTS, SENT, JUNK, TRASH and ARCHIVE stay
    ├── StateConflict     changed since the state that the caller named; carries ids
    ├── StateAhead        nothing has come so far yet
    ├── StateGone         changes since that state are no longer known
    ├── TooMuch           more rows than one unit may touch
    ├── NodeExists        a node or an account has that name
    ├── NodeOfAnother     the node's name begins with that of another account
    ├── OwnsNodes         the account has nodes; carries their names
    ├── NodesUnderName    nodes of another account have names that begin with the address
    ├── NotOwner          the node belongs to another account
    ├── NotPublisher      the account may not publish there
    ├── IdReused          the ID stands for something else
    ├── FeedsFull         as many nodes, members, subscriptions or waiting items as there may be
    └── FanOutRunning     an item is on its way to this subscription as a message
"""


class StoreError(Exception):
    """Any error of a store; ``temporary`` says whether trying again can help."""

    temporary = False


class StoreUnavailable(StoreError):
    """The store cannot be used now; nothing of the unit was kept."""

    temporary = True


class StoreFull(StoreUnavailable):
    """There is no room on the disk; nothing of the unit was kept."""


class StoreReadOnly(StoreUnavailable):
    """The file or its file system can only be read; nothing of the unit was kept."""


class WritingEnded(StoreUnavailable):
    """The database's own file is damaged: it is only read until a check finds it sound, or a backup is put back."""


class UnknownOutcome(StoreUnavailable):
    """A commit failed in a way that cannot be told from success: say so, close the connection."""


class StoreDamaged(StoreError):
    """What was asked for is damaged; or the file is no database of ours, or of another program's migrations."""


class NotFound(StoreError):
    """What the unit was to work on is not there."""


class NoAccount(NotFound):
    """No account has that address."""


class NoMailbox(NotFound):
    """There is no such mailbox."""


class MailboxClosed(StoreError):
    """The mailbox takes no messages: its account is disabled. Never an answer: who delivers looks who it is."""


class NoFolder(NotFound):
    """The mailbox has no such folder."""


class NoMessage(NotFound):
    """The folder has no such message; ``ids`` are the 16-octet ids that are missing."""

    def __init__(self, *ids: bytes) -> None:
        super().__init__(", ".join(one.hex() for one in ids))
        self.ids = ids


class Conflict(StoreError):
    """What is there does not allow the change; nothing was changed."""


class AccountExists(Conflict):
    """The address belongs to an account already."""


class AddressRetired(Conflict):
    """The address was that of an account that was removed; it is not given again."""


class AddressConfusable(Conflict):
    """The address has the same skeleton (UTS 39) as another account's of the domain, named in ``address``."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


class FolderExists(Conflict):
    """The mailbox has a folder of that path, compared without case."""


class FolderNotEmpty(Conflict):
    """The folder has messages or subfolders."""


class FolderSpecial(Conflict):
    """A folder with a role can be neither renamed nor removed."""


class StateConflict(Conflict):
    """Something changed since the state that the caller named; ``ids``: the messages that did."""

    def __init__(self, *ids: bytes) -> None:
        super().__init__(", ".join(one.hex() for one in ids))
        self.ids = ids


class StateAhead(Conflict):
    """The state or cursor is ahead of everything that has happened."""


class StateGone(Conflict):
    """Changes since that state are no longer known, or it never was: list again."""


class TooMuch(Conflict):
    """The unit would touch more rows than a unit may (``units.ROWS_PER_UNIT``): do it in steps."""


class TooManyKeywords(Conflict):
    """A message would have more keywords than it may (``model.flags.MAX_KEYWORDS``)."""


class NoNode(NotFound):
    """There is no such node."""


class NoItem(NotFound):
    """The node has no such item."""


class NoSubscription(NotFound):
    """There is no such subscription, or it was left."""


class NodeExists(Conflict):
    """A node or an account has that name."""


class NodeOfAnother(Conflict):
    """The name lies under that of another account, which alone has its nodes there."""


class OwnsNodes(Conflict):
    """The account has nodes: some of their names, and whether there are ``more``."""

    def __init__(self, names: tuple[str, ...], *, more: bool) -> None:
        super().__init__(*names)
        self.names = names
        self.more = more


class NodesUnderName(Conflict):
    """Nodes of another account lie under the address."""


class NotOwner(Conflict):
    """The node belongs to another account."""


class NotPublisher(Conflict):
    """The account may not publish on this node."""


class IdReused(Conflict):
    """The publisher's ID stands for an item with other content."""


class FeedsFull(Conflict):
    """There are as many nodes, members, subscriptions or waiting items as there may be."""


class FanOutRunning(Conflict):
    """An item is just being delivered to this subscription; its form can change when that is done."""

    temporary = True
