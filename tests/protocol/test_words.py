"""Every word of an error is one that a server, or a client, really says."""

import re
from pathlib import Path

from immpd.protocol.words import WORDS

ROOT = Path(__file__).parents[2]
CONVERSATIONS = [*(ROOT / "tests" / "sessions").rglob("*.immp"), *(ROOT / "docs").rglob("*.md")]


def test_every_word_is_heard_in_a_conversation_or_provoked_by_a_test():
    lines = [line for path in CONVERSATIONS for line in path.read_text().splitlines()]
    heard = {word for line in lines if re.match(r"(\w+ )?S: ", line) for word in re.findall(r"\[([A-Z0-9-]+)\]", line)}
    asserted = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        asserted |= set(re.findall(r'"([A-Z][A-Z0-9-]+)"|\[([A-Z][A-Z0-9-]+)\]', path.read_text()))
    assert WORDS.keys() - heard - {word for either in asserted for word in either} == set()
