"""A message to mailing lists, and to people beside them.

Rules: all of it is one unit of work, so what is answered holds for all recipients; a list that refuses undoes the
unit and is named, and the caller leaves it out (docs/protocol.md, "Delivery").
"""

import msgspec

from immpd.store.errors import Conflict, NotFound, StoreError
from immpd.store.mail.deliver import Delivered, Delivery, deliver
from immpd.store.units import Tx, growing_unit

from .items import Published, PublishItem, publish


class ToLists(msgspec.Struct, frozen=True):
    """Arguments of ``deliver_to_lists``: an item for each list, and the message to people and into SENT."""

    items: tuple[PublishItem, ...]
    message: Delivery
    people: bool
    """It goes to people, too, not only into SENT."""

    @property
    def weight(self) -> int:
        """Octets that it takes while it waits."""
        return self.message.weight + sum(item.weight for item in self.items)


class ListRefused(StoreError):
    """The list of this name does not take it, for the error ``why``; nothing of the unit was kept."""

    def __init__(self, imid: str, why: StoreError) -> None:
        super().__init__(imid)
        self.imid = imid
        self.why = why


@growing_unit
def deliver_to_lists(tx: Tx, args: ToLists) -> tuple[tuple[Published, ...], tuple[Delivered, ...]]:
    """Publish on every list and deliver; to people in their order, where anything is new. Raises ListRefused."""
    published = []
    for item in args.items:
        try:
            published.append(publish.run(tx, item))
        except (Conflict, NotFound) as error:
            raise ListRefused(item.imid, error) from error
    if not args.people and not any(one.new for one in published):
        return tuple(published), ()  # all of it came before, and the copy in SENT with it
    return tuple(published), deliver.run(tx, args.message)
