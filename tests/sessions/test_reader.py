"""A client that knows the rules of replies and nothing else is never wrong about whose reply a line is."""

import re
from pathlib import Path

from tests.sessions.player import Player
from tests.sessions.reader import Reader
from tests.sessions.script import Script

LARGE = b"x" * 3_000_000


async def test_replies_that_interrupt_each_other_are_told_apart(tmp_path: Path) -> None:
    player = Player(Script(tmp_path, 0, ()), tmp_path)
    await player.stage.open(("alice",))
    try:
        await player.log_in("alice", "alice", "phone")
        connection = player.connection
        await connection.send(b"DELIVER TO alice@example.org; DATA a LENGTH %d +CONTENT; DONE\n" % len(LARGE) + LARGE)
        while not connection.replies.replies or connection.replies.replies[-1].command != "DONE":
            assert await connection._read()
        await connection.send(b"MBOX CHECK /inbox\n")
        assert await connection._read()
        state = connection.replies.replies[-1].lines[-1][1].rpartition("s=")[2].encode()
        # One block has come and the others have not, so that answers to ACK and CANCEL interrupt them.
        await connection.send(b"FETCH /inbox::* +RAW -READ\n")
        assert await connection._read()
        await connection.send(
            b"ACK %b; ACK nonsense; CANCEL nobody; ACK %b NAME b\n"
            b"AS w WATCH\nAS w ACK %b; AS w NOOP\nAS f FETCH /inbox::* +RAW -READ; AS f ACK 1.1; AS f CANCEL *\n"
            b"AS t NOOP; AS t ACK x; AS t MBOX LIST; AS t FETCH /inbox::* +RAW; AS t CANCEL w; AS f WHO; QUIT\n"
            % (state, state, state)
        )
        before = len(connection.replies.replies)
        while await connection._read():
            pass
        heard = {
            (one.command, tuple(number for number, _ in one.lines[-1:])) for one in connection.replies.replies[before:]
        }
        assert heard == {
            ("MBOX FETCH", (420,)),  # CANCEL *
            ("MBOX FETCH", (250,)),
            ("ACK", (205,)),
            ("ACK", (405,)),
            ("CANCEL nobody", (406,)),
            ("CANCEL *", (206,)),
            ("CANCEL w", (206,)),
            ("WATCH", (420,)),
            ("NOOP", (420,)),
            ("NOOP", (200,)),
            ("MBOX LIST", (241,)),
            ("WHO", (200,)),
            ("QUIT", (203,)),
        }
        assert connection.replies.interrupted
        assert not any([*connection.replies.waiting.values(), *connection.replies.acks.values()])
    finally:
        await player.stage.close()


def test_an_answer_in_the_middle_of_another_does_not_end_it() -> None:
    reader = Reader(logged_in=True)
    reader.greeted = True
    for said in (("", "FETCH"), ("", "ACK"), ("", "CANCEL", "p"), ("", "NOOP")):
        reader.said(*said)
    for line in ("255- m 1 2 more=1", "205 c", "255- m 1 2", "406 [NO-PIPELINE] Nothing runs in the pipeline p"):
        reader.heard(line)
    for line in ("250 n=1", "200 Done", "721 [IDLE] Nothing came for 1800 s"):
        reader.heard(line)
    assert reader.interrupted == 2
    assert [(one.command, len(one.lines)) for one in reader.replies] == [
        ("ACK", 1),
        ("CANCEL p", 1),
        ("FETCH", 3),
        ("NOOP", 1),
        ("", 1),
    ]


def test_the_table_of_codes_says_the_same() -> None:
    """What ends a reply, and what is the last line of a connection."""
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    rows = re.findall(r"^\| (\d{3}) \| [A-Z_0-9]+ \| .* \| (.*) \| (.*) \|$", page, re.MULTILINE)
    from tests.sessions import reader as r

    assert {int(code) for code, ends, _ in rows if not ends} == r.GOES_ON | {255}
    assert {int(code) for code, ends, _ in rows if ends == "its own"} == r.ACK | r.CANCEL
    assert {int(code) for code, _, closes in rows if closes} == r.CLOSES
