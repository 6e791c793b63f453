"""Typed events."""

import msgspec

from immpd.client.events import Event


def test_an_event_of_a_later_version_is_still_an_event() -> None:
    octets = b'{"cursor":"e.7","event":"item","node":"news@w.com","levels":[1,2]}'
    event = msgspec.json.decode(octets, type=Event)
    assert (event.cursor, event.event, event.row) == ("e.7", "item", None)


def test_a_mail_event_has_a_row() -> None:
    octets = (
        b'{"cursor":"e.7","event":"mail","id":"i","folder":"/INBOX","from":"bob@a.test","to":["alice@a.test"],'
        b'"subject":"Hi","date":"2026-01-01T00:00:00Z","size":5,"flags":[],"state":"e.7","thread":"t","parts":1,'
        b'"importance":"high","verified":true,"author":""}'
    )
    row = msgspec.json.decode(octets, type=Event).row
    assert row is not None
    assert (row.from_, row.to, row.importance, row.parts) == ("bob@a.test", ("alice@a.test",), "high", 1)
