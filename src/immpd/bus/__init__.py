"""The bus tells everyone who waits that something changed; it carries hints, the store is the truth."""

from .local import LocalBus
from .port import Bus

__all__ = ["Bus", "LocalBus"]
