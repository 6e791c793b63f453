"""What the server says in words of the protocol, in those of ``immp``.

Rule: a server's text is changed only where it names a command or a parameter that has another name here; what is not
known stays as it came. ``immp do`` and ``raw`` speak the protocol, and show it as it is.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

WORDS = (
    (r"\bMBOX LIST shows\b", "immp folders shows"),
    (r"\bPUSH LIST shows\b", "immp notifications shows"),
    (r"\bPUSH SHOW tells\b", "immp notifications show tells"),
    (r"\bPUSH TOKEN LIST shows\b", "immp token shows"),
    (r"\bREQUEST LIST shows\b", "immp requests shows"),
    (r"\bGRANT LIST shows\b", "immp grant shows"),
    (r"\bSUBSCRIBE LIST shows\b", "immp subscriptions shows"),
    (r"\bPUBLISH LIST shows\b", "immp feed ls shows"),
    (r"\bSESSION LIST shows\b", "immp sessions shows"),
    (r"\bHELP lists\b", "immp --help lists"),
    (r"\bMBOX DELETE \+PURGE\b", "immp rm --purge"),
    (r"; \+RECURSIVE removes\b", "; --recursive removes"),
    (r"\bfetch it with \+RAW, or its parts with PART\b", "immp read --raw shows it, or its parts with --part"),
    (r"\bfetch it with PART (\d+)", r"immp read --part \1 brings it"),
    (r"\bFETCH with PART (\d+) brings\b", r"immp read ID --part \1 brings"),
    (r"\bLog in with AUTH first\b", "immp login ADDRESS logs you in"),
    (r"\bMBOX FLAG needs at least one \+FLAG or -FLAG\b", "Say at least one +FLAG or -FLAG"),
    (r"\+PUSH, \+MAIL and DIGEST exclude each other\b", "--push, --mail and --digest exclude each other"),
    (
        r"\bDIGEST is hourly or daily; \+PUSH or \+MAIL ends it\b",
        "A digest is hourly or daily; --push or --mail ends it",
    ),
    (
        r"\bMBOX INDEX takes a folder and a filter; MBOX FETCH takes ids\b",
        "immp ls takes a folder; immp read takes ids",
    ),
    (r"\blog in with a device label after the mechanism's data", "log in with --device"),
    (
        r"^The account has another password; log in again\b",
        "The password was changed elsewhere; immp login ADDRESS logs you in again",
    ),
    (r"; QUIT ends it\b", "; it ends by itself"),
    (r"\bSESSION is an id of SESSION LIST, or \*: ", ""),
    (r"(?<![\w/.-])(node)(s?)(?![\w@/.-])", r"feed\2"),
    (r"\b(?:PATH|TO|CC|BCC|NODE|ITEM|FOLDER|MEMBER|NAME|ORIGIN|SENDER) cannot be (.+?): (?=[A-Z])", r"\1: "),
    (
        r"\b(TTL|AT|TAG|LEVEL|EVERY|KEEP|AGE|LIMIT|ID|SINCE|TITLE|ICON|LANGUAGE|USES|UNTIL) (is|has|takes|cannot)\b",
        None,
    ),
)
"""(what the server writes, what is said instead); None: the option of that name."""
KNOWN_FLAGS = ("READ", "FLAGGED", "ANSWERED", "IMPORTANT", "DRAFT")


def in_own_words(text: str) -> str:
    """A server's text in the words of this command line."""
    for pattern, said in WORDS:
        if said is None:
            text = re.sub(pattern, lambda found: f"--{found[1].lower()} {found[2]}", text)
        else:
            text = re.sub(pattern, said, text)
    return text


def like(word: str, known: Iterable[str]) -> str:
    """``; did you mean X?`` where ``word`` is nearly one of ``known``, without case."""
    by_key = {one.casefold(): one for one in known}
    found = get_close_matches(word.casefold(), by_key, n=1, cutoff=0.75)
    return f"; did you mean {by_key[found[0]]}?" if found else ""
