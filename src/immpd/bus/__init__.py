"""The bus tells everyone who waits that something changed; it carries hints, the store is the truth."""

from .endings import EndBus
from .items import ItemBus
from .local import LocalBus

__all__ = ["EndBus", "ItemBus", "LocalBus"]
