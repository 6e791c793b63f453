"""Who hears what the units of a store under test tell."""

from collections.abc import Sequence
from typing import TypeVar

from immpd.model.change import Change
from immpd.model.news import News

N = TypeVar("N", bound=News)


class Heard:
    """An Audience that keeps what it is told until it is asked."""

    def __init__(self) -> None:
        self._news: list[News] = []

    def publish(self, news: Sequence[News]) -> None:
        self._news += news

    def gap(self) -> None:
        raise AssertionError("nothing gets lost here")

    def take(self, kind: type[N]) -> list[N]:
        """News of this kind since anything was taken last."""
        news, self._news = self._news, []
        return [one for one in news if isinstance(one, kind)]

    def changes(self, mailbox: int | None = None) -> list[Change]:
        """Changes, of one mailbox or all, since anything was taken last."""
        return [change for change in self.take(Change) if mailbox in (None, change.mailbox)]
