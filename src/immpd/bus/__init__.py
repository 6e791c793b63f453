"""The bus tells everyone who waits that something changed; it carries hints, the store is the truth."""

from .local import LocalBus

__all__ = ["LocalBus"]
