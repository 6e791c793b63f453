"""Random histories of notifications, beside a simple model: for the tests of every store.

The model is what a person sees: a list of notifications, each with what became of it. After every step the store
must show the same; what a step reported must be what catching up tells; at the end a watcher that was away the
whole time must see the same screen, and each sender must have heard each answer once.
"""

import itertools
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.store.hearing import Heard
from tests.store.making import NOW, Box, make_box
from tests.store.notifying import CARD, a_push, at, by, happens, shown, told

from immpd.store.contract import Store
from immpd.store.push.notifications import (
    Answer,
    ByPush,
    Dismiss,
    NoNotification,
    Retract,
    answer,
    dismiss,
    retract,
    sent,
)
from immpd.store.push.pushes import push

IDS = tuple(UUID(int=n, version=4) for n in range(1, 5))
BODIES = (CARD, CARD + b"\n", b"text")
SECOND = 1000
FAR = 1000 * SECOND
_addresses = itertools.count()


class Known(msgspec.Struct):
    """A notification as the model has it."""

    sender: int
    id: UUID
    tag: str
    content: tuple[Any, ...]
    due: int
    ends: int
    status: str = "waiting"
    answer: str | None = None

    @property
    def is_open(self) -> bool:
        return self.status in ("waiting", "shown")


class NotificationHistories(RuleBasedStateMachine):
    """One recipient and two senders of its domain a run, all in one store; time passes as the rules say."""

    store: Store
    heard: Heard
    run: Callable[[Coroutine[Any, Any, Any]], Any]

    @initialize()
    def begin(self) -> None:
        names = [f"n{next(_addresses)}@a.example" for _ in range(3)]
        self.box, *self.senders = [self.run(make_box(self.store, name)) for name in names]
        self.box: Box
        self.known: list[Known] = []
        self.replaced: dict[tuple[int, UUID], tuple[Any, ...]] = {}
        """What gave way to another of its tag, by its ID: sent again it is not shown again."""
        self.sent: list[tuple[Any, ...]] = []
        self.answers: list[tuple[int, UUID, str]] = []
        self.now = NOW
        self.state = 0

    def told(self) -> int:
        """What a step told of the recipient's mailbox is what catching up tells; how much it was."""
        mine = self.heard.changes(self.box.id)
        assert self.run(told(self.store, self.box, self.state)) == mine
        self.state = mine[-1].state if mine else self.state
        return len(mine)

    def on_screen(self) -> list[Known]:
        return [one for one in self.known if one.status == "shown"]

    # ---------------------------------------------------------------- the rules

    @rule(
        sender=st.integers(0, 1),
        id=st.sampled_from(IDS),
        tag=st.sampled_from(("", "", "a", "b")),
        body=st.sampled_from(BODIES),
        after=st.sampled_from((0, 0, 5, 50)),
        ttl=st.sampled_from((10, 100)),
    )
    def one_is_sent(self, sender: int, id: UUID, tag: str, body: bytes, after: int, ttl: int) -> None:
        due = self.now + after * SECOND
        asked = a_push(
            by(self.senders[sender]),
            self.box,
            id=id,
            tag=tag,
            body=body,
            now=self.now,
            after=after * SECOND,
            ttl=ttl * SECOND,
        )
        content = (tag, body, after, ttl)
        self.sent.append((sender, id, tag, body, after, ttl))
        named = next((one for one in self.known if (one.sender, one.id) == (sender, id)), None)
        same = [one for one in self.known if tag and one.is_open and (one.sender, one.tag) == (sender, tag)]
        tagged = same[0] if same else None
        again = named is not None and named.content == content and named.status != "retracted"
        again = again or (named is None and self.replaced.get((sender, id)) == content)
        old = named or tagged
        expected = "duplicate" if again else "updated" if old is not None else "delivered"
        if not again:
            if tagged is not None and tagged is not old:
                tagged.status = "retracted"
            if old is None:
                self.known.append(old := Known(sender, id, tag, content, 0, 0))
            elif old.id != id:
                self.replaced[sender, old.id] = old.content
            old.id, old.tag, old.content, old.due, old.ends = id, tag, content, due, due + ttl * SECOND
            old.status, old.answer = "waiting" if after else "shown", None
        (result,) = self.run(self.store.write(push(asked)))
        assert result == expected
        self.told()

    @rule(count=st.integers(1, 3))
    def the_last_are_sent_again(self, count: int) -> None:
        for one in self.sent[-count:]:
            self.one_is_sent(*one)

    @rule(id=st.sampled_from(IDS))
    def the_last_is_sent_under_another_id(self, id: UUID) -> None:
        if self.sent:
            sender, _, *rest = self.sent[-1]
            self.one_is_sent(sender, id, *rest)

    @rule(sender=st.integers(0, 1), id=st.sampled_from(IDS))
    def one_is_taken_back(self, sender: int, id: UUID) -> None:
        named = next((one for one in self.known if (one.sender, one.id) == (sender, id)), None)
        args = Retract(self.senders[sender].id, id.bytes, self.now)
        if named is None:
            try:
                self.run(self.store.write(retract(args)))
            except NoNotification:
                return
            raise AssertionError("something was taken back that was never sent")
        if named.is_open:
            named.status = "retracted"
        self.run(self.store.write(retract(args)))
        self.told()

    @rule(pick=st.integers(0, 100))
    def one_is_dismissed(self, pick: int) -> None:
        if there := self.on_screen():
            index = pick % len(there)
            uuid = self.run(shown(self.store, self.box))[::-1][index].uuid
            there[index].status = "dismissed"
            self.run(self.store.write(dismiss(Dismiss(self.box.id, uuid, self.now))))
            self.told()

    @rule(pick=st.integers(0, 100))
    def one_is_answered(self, pick: int) -> None:
        there = [(n, one) for n, one in enumerate(self.on_screen()) if one.content[1] == CARD]
        if there:
            index, one = there[pick % len(there)]
            uuid = self.run(shown(self.store, self.box))[::-1][index].uuid
            one.status, one.answer = "answered", "yes"
            self.answers.append((one.sender, one.id, "yes"))
            self.run(self.store.write(answer(Answer(self.box.id, uuid, "yes", self.now, "now"))))
            self.told()

    @rule(seconds=st.sampled_from((1, 5, 20, 60)))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND
        expected = 0
        for one in self.known:
            if one.status == "waiting" and one.due <= self.now < one.ends:
                one.status = "shown"
                expected += 1
            elif one.is_open and one.ends <= self.now:
                expected += one.status == "shown"  # what was over before anybody saw it ends without a word
                one.status = "expired"
        self.run(at(self.store, self.now))
        assert self.told() == expected
        assert self.run(happens(self.store, self.heard, self.now)) == []

    # ---------------------------------------------------------------- what must hold

    @invariant()
    def the_store_shows_the_model(self) -> None:
        if not hasattr(self, "box"):
            return
        there = self.run(shown(self.store, self.box))[::-1]
        assert [(one.push, one.body) for one in there] == [(one.id.bytes, one.content[1]) for one in self.on_screen()]
        for number, sender in enumerate(self.senders):
            for id in IDS:
                expected = [(one.status, one.answer) for one in self.known if (one.sender, one.id) == (number, id)]
                try:
                    rows = self.run(self.store.read(sent(ByPush(sender.id, id.bytes))))
                except NoNotification:
                    rows = []
                assert [(row.status, row.answer) for row in rows] == expected

    def teardown(self) -> None:
        """Who was away sees the same screen, each answer was heard once, and in the end nothing stands for ever."""
        if not hasattr(self, "box"):
            return
        screen: dict[bytes, int] = {}
        for change in self.run(told(self.store, self.box)):
            if change.kind == "notified":
                screen[change.id] = change.state
            else:
                del screen[change.id]  # nothing is cleared that was not shown
        assert screen == {one.uuid: one.state for one in self.run(shown(self.store, self.box))}
        for number, sender in enumerate(self.senders):
            heard = [(change.kind, change.id) for change in self.run(told(self.store, sender))]
            assert heard == [("answered", id.bytes) for one, id, _ in self.answers if one == number]
        self.now += FAR
        self.time_passes(0)
        assert self.on_screen() == []
