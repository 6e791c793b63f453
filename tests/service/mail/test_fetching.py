"""MBOX FETCH for people: whatever a message holds, what shows it can be read."""

import pytest

MAX_LINE = 16_384
SHOWN = 256 * 1024
PID = "p" * 32


async def fetch(account, talk, body: str) -> list[str]:
    """The rows that show a message with this body; each is a line of the protocol, also in the longest pipeline."""
    me = await account()
    one = await talk(me)
    await one.deliver(me, body=body.encode())
    answer = await one.ask(f"AS {PID} MBOX FETCH /inbox::*", PID)
    assert max(len(f"{PID}: {line}".encode()) for line in answer.lines) <= MAX_LINE
    return answer.rows


@pytest.mark.parametrize("body", ["x" * 100_000, "é" * 20_000, "\U0001f4a9" * 9_000, "a\t" * 20_000])
async def test_a_line_without_end_is_shown_in_rows_that_a_line_can_hold(account, talk, body):
    shown = "".join(await fetch(account, talk, body))
    assert shown.replace(" ", "").endswith(body.replace("\t", ""))


@pytest.mark.parametrize("letter", ["x", "\U0001f4a9"])
async def test_so_is_what_is_shown_of_one_that_lies_in_a_file(account, talk, letter):
    *rows, why, _ = await fetch(account, talk, letter * 300_000)
    assert why.startswith("[Not all of part 1 is shown;")
    shown = "".join(rows)
    assert shown.endswith(letter * 60_000)
    assert len(shown.encode()) <= SHOWN + 1000
