"""Every JSON object of the documents and conversations fits the schema, and has no member that it does not name."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from tests.docs.transcripts import ROOT, Transcript, transcripts

from immpd.client.events import Event
from immpd.model.notification import NotificationError, read_card
from immpd.protocol.events import EVENTS

SCHEMA = json.loads((ROOT / "docs" / "reference" / "objects.schema.json").read_text())
EVENT_OBJECTS = {kind.__annotations__["event"].__args__[0]: kind.__name__ for kind in EVENTS}
BY_CODE = {"250": "IndexRow", "261": "NotificationRow", "255": "FetchedMessage"}
TRANSCRIPTS = list(transcripts())
_ROW = re.compile(r"(?:[A-Za-z0-9\-_.]{1,32}: )?([0-9]{3})- (\{.*\})")
_JSON_BLOCK = re.compile(r"(?:[^ ]+: )?255- [^ ]+ json .*")


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without room for what a later version adds."""
    closed = deepcopy(schema)
    for definition in closed["$defs"].values():
        definition["additionalProperties"] = False
    return closed


STRICT = strict(SCHEMA)


def problems(name: str, value: object) -> list[str]:
    """What is wrong with an object, where it is."""
    validator = Draft202012Validator(
        {**STRICT, "anyOf": [{"$ref": f"#/$defs/{name}"}]}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [f"{error.json_path}: {error.message}" for found in validator.iter_errors(value) for error in found.context]


def objects(transcript: Transcript) -> Iterator[tuple[str, str, Any]]:
    """(where, which object, the object) of what a server says."""
    blocks: list[tuple[str, str]] = []
    for piece in transcript.pieces:
        if piece.side == "S" and piece.raw and blocks:
            place, text = blocks.pop()
            blocks.append((place, text + piece.text))
            continue
        yield from [(place, "FetchedMessage", json.loads(text)) for place, text in blocks]
        blocks = []
        if piece.side == "S" and _JSON_BLOCK.fullmatch(piece.text):
            blocks.append((piece.place, ""))
        elif piece.side == "S" and (row := _ROW.fullmatch(piece.text)) is not None:
            value = json.loads(row[2])
            name = EVENT_OBJECTS[value["event"]] if row[1] in ("260", "286") else BY_CODE[row[1]]
            if row[1] == "250" and "envelope" in value:
                name = "FetchedMessage"
            yield piece.place, name, value
    yield from [(place, "FetchedMessage", json.loads(text)) for place, text in blocks]


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda one: one.name)
def test_objects_of_a_conversation(transcript):
    wrong = [
        f"{place} ({name}): {problem}"
        for place, name, value in objects(transcript)
        for problem in problems(name, value)
    ]
    assert not wrong, (
        "\n".join(wrong) + "\nThe structs are in model/ and protocol/events.py; make docs renews the schema"
    )


def test_every_object_has_an_example():
    shown = {name for transcript in TRANSCRIPTS for _, name, _ in objects(transcript)}
    assert {*EVENT_OBJECTS.values(), *BY_CODE.values()} - shown - {"Resync"} == set()  # needs a month


def test_what_is_no_object_is_told():
    row = next(value for one in TRANSCRIPTS for _, name, value in objects(one) if name == "IndexRow")
    assert problems("IndexRow", row) == []
    assert problems("IndexRow", {**row, "size": "4"})
    assert problems("IndexRow", {**row, "id": "no uuid"})
    assert problems("IndexRow", {**row, "date": "yesterday"})
    assert problems("IndexRow", {**row, "colour": "red"})
    assert problems("IndexRow", {name: value for name, value in row.items() if name != "thread"})


@pytest.mark.parametrize(
    ("octets", "good"),
    [
        (b'{"actions":[{"id":"yes","label":"Yes"},{"id":"not","label":"Not now"}]}', True),
        (
            b'{"title":"T","body":"B","icon":"https://a.com/i.png","actions":[{"id":"o","label":"O","url":"https://a"}]}',
            True,
        ),
        (b'{"colour":"red"}', False),
        (b'{"title":1}', False),
        (b'{"actions":[{"id":"two words","label":"L"}]}', False),
        (b'{"actions":[{"id":"a"}]}', False),
        (b'{"actions":[{"id":"a","label":"L","url":"javascript:alert(1)"}]}', False),
        (b'{"icon":"http://a.com/i.png"}', False),
    ],
)
def test_cards_are_what_the_server_takes(octets, good):
    assert (problems("Card", json.loads(octets)) == []) is good
    if good:
        read_card(octets)
    else:
        with pytest.raises(NotificationError):
            read_card(octets)


def test_the_client_reads_every_member_of_every_event():
    known = {field.encode_name for field in msgspec.structs.fields(Event)}
    for kind in EVENTS:
        names = {field.encode_name for field in msgspec.structs.fields(kind)}
        assert names - known <= {"answer", "ended"}, kind.__name__  # what is shown has neither
