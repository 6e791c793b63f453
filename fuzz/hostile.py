"""What a hostile client says: commands of the registry, bent and broken; nobody has to keep a list of them.

Rules: everything follows from the given chance; about a third stays valid, so that what is broken meets a session that
has done something; no password is changed (32 octets of a verifier are never written).
"""

import base64
import random
from collections.abc import Callable
from uuid import UUID

from immpd.model.imid import Imid
from immpd.protocol.commands import Quit
from immpd.protocol.registry import COMMANDS, READERS, Command, Parameter, Shape, Span
from immpd.protocol.states import OPERATOR

ACCOUNTS = ("mallory@demo.test", "trudy@demo.test", "oscar@demo.test")
PATHS = (
    "/INBOX",
    "/inbox::unread",
    "/INBOX::*",
    "/Trash",
    "/a",
    "/a/b",
    "/a/%20c",
    "/DRAFTS",
    "/",
    "/nowhere",
    "/SENT",
)
IMIDS = (
    *ACCOUNTS, *PATHS, "ann@demo.test", "mallory+a@demo.test", "x@elsewhere.test", "mallory@demo.test/INBOX",
    "imid:Mallory@DEMO.TEST", "a/b@demo.test", "@", "::", "#", "a@b@c", "/a::!!", "/a::since:x", "/a?b", "ö@demo.test",
    "mallory@[127.0.0.1]", "/" + "a/" * 200, "/" + "%41" * 300, "/INBOX#00000000-0000-7000-8000-000000000000",
)  # fmt: skip
TEXTS = (
    "", "x", "phone", "two words", "*", "p1", 'a "quote"', "back\\slash", "ünï\u202ecode", "text/plain", "text/html",
    "message/rfc822", "multipart/mixed; boundary=x", "a;b", "+x", "-", "TO", "n,,n=mallory@demo.test,r=x",
    "=?utf-8?q?x?=", "\u2028", "0.0", "7b5ade3a.2", "7b5ade3a.99999999999999999999", "NOOP", "p=tls-exporter,,n=a,r=b",
)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 17, 255, 65_535, 65_536, 300_000, 1 << 31, 1 << 63, 10**18 - 1, 10**18)
RUBBISH = (
    b"\0", b"\r", b"\n", b"\n\n", b"\x1b[2J", b"\x7f", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",    b'"', b"\\", b";", b"; ;", b" ", b"AS ",
    b"AS p ", b"AS p AS q ", b"+", b"-X ", b"CHUNK 0\n", b"CHUNK 7\n",
    b"CHUNK -1\n", b"AS p CHUNK 3\nabc", b"CHUNK", b"+BASE64\n",
    b" LENGTH 5", b" LENGTH ", b" +CHUNKED", b"ABORT\n", b"CANCEL *\n",
    b"CANCEL p\n", b"UPGRADE TLS\n", b"\x16\x03\x01\x00\x05hello", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"EHLO x\r\n",
    b"A" * 16_380, b"A" * 20_000, b"NOOP; " * 2000, "\U0001f4a9".encode() * 500, b"/a" * 4000, b"#" + b"0" * 36 + b",",
)  # fmt: skip
HEADERS = (b"X-Note: a\n b\n", b"From: x@y\n", b"In-Reply-To: x", b"Bad", b"References: <a@b> <c@d>\n")
PIPELINES = ("p", "p", "q", "q", "s", "200", "r" * 32, "*")
OFTEN = [one for one in COMMANDS if not one.states <= OPERATOR and one.request is not Quit]
CHEAP = [one for one in OFTEN if one.shape is not Shape.STREAM and not one.body]
_KINDS = {read: kind for kind, (read, _) in READERS.items()}


def program(chosen: random.Random) -> bytes:
    """Octets that one client sends on one connection."""
    pieces = []
    for _ in range(chosen.randint(1, 8)):
        kind = chosen.random()
        if kind < 0.45:
            pieces.append(_line(chosen))
        elif kind < 0.85:
            pieces.append(_message(chosen))
        elif kind < 0.97:
            pieces.append(chosen.choice(RUBBISH))
        else:
            pieces.append(_flood(chosen))
    octets = b"".join(pieces)
    for _ in range(chosen.choice((0, 0, 1, 1, 2, 4))):
        octets = chosen.choice(BEND)(octets, chosen)
    return octets


def cut(octets: bytes, chosen: random.Random) -> list[bytes]:
    """The same octets as they may arrive: at once, or in pieces."""
    places = sorted(chosen.randrange(len(octets) + 1) for _ in range(chosen.choice((0, 1, 3, 8))))
    return [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True)]


# --- commands as they should be, nearly always


def _quoted(text: str, chosen: random.Random) -> str:
    if text and chosen.random() < 0.8 and not set(text) & set(' ";') and text[0] not in "+-":
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _value(parameter: Parameter, chosen: random.Random) -> str:
    if chosen.random() < 0.05:
        return chosen.choice((*IMIDS, *TEXTS))
    kind = _KINDS[parameter.read]
    if kind is int:
        return str(chosen.choice(NUMBERS))
    if kind is UUID:
        return str(UUID(int=chosen.choice((chosen.randrange(3), chosen.getrandbits(128)))))
    if kind is bytes:
        octets = chosen.choice((chosen.choice(TEXTS).encode(), *map(chosen.randbytes, (0, 3, 31, 900))))
        return base64.b64encode(octets).decode()
    if kind is Span:
        return chosen.choice(("0-", "0-0", "1-99999999999", "5-2", "-", "3", "70000-"))
    return chosen.choice(IMIDS if kind is Imid else TEXTS)


def _command(command: Command, chosen: random.Random, **fixed: str | None) -> str:
    """A command on one line, without its end."""
    words = list(chosen.choice((command.keywords, command.keywords, *command.aliases)))
    if chosen.random() < 0.1:
        words = [word.lower() for word in words]
    for one in command.parameters:
        given = one.name in fixed
        often = chosen.choice((1, 1, 2, 3)) if one.repeats else 1
        if fixed.get(one.name, "") is None or not (given or chosen.random() < (0.95 if one.required else 0.25)):
            continue
        for _ in range(often):
            value = _quoted(fixed[one.name] or "" if given else _value(one, chosen), chosen)
            words += [value] if one.positional and chosen.random() < 0.8 else [one.name, value]
    switches = [one.name for one in command.switches if one.name not in fixed]
    words += [chosen.choice("+-") + name for name in switches if chosen.random() < 0.2]
    if command.free_switches and chosen.random() < 0.8:
        words += chosen.sample(("+READ", "-READ", "+FLAGGED", "+k", "-k", "+" + "w" * 60), chosen.randint(1, 3))
    pid = f"AS {chosen.choice(PIPELINES)} " if chosen.random() < 0.25 else ""
    return pid + " ".join(words)


def _line(chosen: random.Random) -> bytes:
    several = []
    for _ in range(chosen.choice((1, 1, 1, 2, 4))):
        command = chosen.choice(OFTEN if chosen.random() < 0.95 else COMMANDS)
        if command.body:
            return _data(chosen)
        several.append(_command(command, chosen))
    return "; ".join(several).encode() + b"\n"


def _data(chosen: random.Random) -> bytes:
    """DATA with its octets in one of the three forms."""
    command = next(one for one in COMMANDS if one.body)
    size = chosen.choice((0, 1, 5, 100, 3000, 70_000, 300_000) if chosen.random() < 0.2 else (0, 1, 5, 100))
    body = chosen.choice((b"a\n\0\xff", b"NOOP\n", b"From: a@b.example\nSubject: x\n\nhi\n")) * (size // 4 + 1)
    body = chosen.choice(HEADERS) if chosen.random() < 0.1 else body[:size]
    coded = chosen.random() < 0.3
    switch = " +BASE64" if coded else ""
    if coded:
        body = base64.encodebytes(body)
    form = chosen.choice(("length", "length", "chunks", "lines"))
    line = _command(command, chosen, LENGTH=str(len(body)) if form == "length" else None, CHUNKED="", BASE64="")
    if form == "length":
        return f"{line}{switch}\n".encode() + body
    if form == "lines":
        return f"{line} +BASE64\n".encode() + base64.encodebytes(body) + b"\n\n"
    pid = " ".join(line.split(" ")[:2]) + " " if line.startswith("AS ") else ""
    pieces = [body[at : at + 40_000] for at in range(0, len(body), 40_000)]
    chunks = [f"{pid}CHUNK {len(piece)}\n".encode() + piece for piece in pieces]
    return f"{line} +CHUNKED{switch}\n".encode() + b"".join(chunks) + f"{pid}CHUNK 0\n".encode()


def _message(chosen: random.Random) -> bytes:
    """A message as anybody would send it, from beginning to end; sometimes the mailbox is emptied before."""
    pid = chosen.choice(("", "", "AS m "))
    opening = f"DELIVER TO {chosen.choice(ACCOUNTS)} SUBJECT hello" if chosen.random() < 0.7 else "MBOX PUT /INBOX +k"
    body = b"x" * chosen.choice((0, 10, 1000, 1000, 270_000))
    before = b"MBOX DELETE /INBOX::* +PURGE\n" if chosen.random() < 0.2 else b""
    data = f"{pid}{opening}\n{pid}DATA a TYPE text/plain LENGTH {len(body)} +CONTENT\n".encode()
    return before + data + body + f"{pid}DONE\n".encode()


def _flood(chosen: random.Random) -> bytes:
    """The same command over and over, or each time in another pipeline."""
    line, often = _command(chosen.choice(CHEAP), chosen), chosen.choice((10, 100, 1000))
    if line.startswith("AS ") or chosen.random() < 0.6:
        return f"{line}\n".encode() * often
    return b"".join(f"AS f{number} {line}\n".encode() for number in range(often))


# --- and what becomes of them


def _place(octets: bytes, chosen: random.Random) -> tuple[int, int]:
    first = chosen.randrange(len(octets) + 1)
    return first, min(len(octets), first + chosen.choice((1, 2, 10, 100, 10_000)))


def _truncate(octets: bytes, chosen: random.Random) -> bytes:
    return octets[: chosen.randrange(len(octets) + 1)]


def _leave_out(octets: bytes, chosen: random.Random) -> bytes:
    first, last = _place(octets, chosen)
    return octets[:first] + octets[last:]


def _double(octets: bytes, chosen: random.Random) -> bytes:
    first, last = _place(octets, chosen)
    return octets[:last] + octets[first:]


def _insert(octets: bytes, chosen: random.Random) -> bytes:
    first, _ = _place(octets, chosen)
    return octets[:first] + chosen.choice(RUBBISH) + octets[first:]


def _flip(octets: bytes, chosen: random.Random) -> bytes:
    if not octets:
        return octets
    at = chosen.randrange(len(octets))
    return octets[:at] + bytes([octets[at] ^ 1 << chosen.randrange(8)]) + octets[at + 1 :]


def _renumber(octets: bytes, chosen: random.Random) -> bytes:
    before, length, after = octets.partition(b"LENGTH ")
    digits = len(after) - len(after.lstrip(b"0123456789"))
    number = chosen.choice((*NUMBERS, int(after[:digits][:9] or 0) + chosen.choice((-1, 1))))
    return before + length + str(number).encode() + after[digits:] if length else octets


def _shuffle(octets: bytes, chosen: random.Random) -> bytes:
    lines = octets.splitlines(keepends=True)
    chosen.shuffle(lines)
    return b"".join(lines)


Bend = Callable[[bytes, random.Random], bytes]
BEND: tuple[Bend, ...] = (_truncate, _leave_out, _double, _insert, _insert, _flip, _renumber, _renumber, _shuffle)
