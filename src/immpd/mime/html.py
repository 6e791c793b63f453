"""HTML to the text a person would read, for terminals; the standard library's parser reads it.

Rules: time is linear in the input, whatever it is; nothing raises; nothing of the document is believed: scripts, styles
and comments vanish, addresses behind links are shown.

Why the parser is never closed: it then tries what did not end again from each of its characters (64 KiB of ``<a `` take
46 s). What has no end is left out instead, as browsers do. (Browsers' own algorithm builds gigabytes out of 31 KB of
``<b a1><b a2>…<p>x<p>x``: libraries that follow it, such as selectolax, are no help here.)
"""

import re
from html.parser import HTMLParser
from typing import Final

READ_LIMIT: Final = 256 * 1024
"""Characters of HTML that are looked at."""

_HUGE_NUMBER: Final = re.compile(r"&#[0-9]{8,}+;?")
_BLANK: Final = re.compile(r"[ \t\r\n\f]+")
_LINK_SCHEMES: Final = ("https://", "http://", "mailto:", "immp:")
_LINK_LIMIT: Final = 2000
_HIDDEN: Final = ("script", "style", "title", "template", "svg", "math")
_PARAGRAPH: Final = ("blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "p")
_LINE: Final = re.compile(
    "address|article|aside|center|d[dlt]|div|fieldset|figure|footer|form|header|legend|li|main|nav|ol|option|pre|"
    "section|select|table|tr|ul"
)

# What is collected beside text, until all of it is known.
_SOFT, _EMPTY, _KEPT = "\x1d", "\x1e", "\x1f"  # a line end if there is none yet; an empty line; a space of <pre>
_MARKS: Final = re.compile(f"[{_SOFT}{_EMPTY}{_KEPT}]")
_GAP: Final = re.compile(f"[ \n{_SOFT}{_EMPTY}]+")


def html_to_text(html: str) -> str:
    """The readable text of ``html``, at most its first ``READ_LIMIT`` characters. Not yet cleaned of controls."""
    html = _MARKS.sub("", html[:READ_LIMIT])
    html = _HUGE_NUMBER.sub("\ufffd", html)  # Python refuses to read numbers of thousands of digits
    html = html.replace("<![", "<!")  # marked sections are comments in HTML, but raise AssertionError here
    reader = _Reader()
    try:
        reader.feed(html + " ")  # behind a final "&" or "<" the parser waits for more
    except (AssertionError, ValueError):  # then as far as it came
        pass
    lines = _GAP.sub(_gap, "".join(reader.out)).strip(" \n").replace(_KEPT, " ").split("\n")
    return "\n".join(line.rstrip() for line in lines)


def _gap(match: re.Match[str]) -> str:
    """Blank space as HTML means it: one space, one line end, or an empty line."""
    ends = 2 if _EMPTY in match[0] else max(match[0].count("\n"), _SOFT in match[0])
    return "\n" * min(ends, 2) or " "


class _Reader(HTMLParser):
    """Collects text and marks for the space between it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self._hidden = ""
        self._preformatted = 0
        self._link = ""
        self._link_from = 0

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._preformatted:
            self.out.append(data.replace("\r\n", "\n").replace(" ", _KEPT))
        else:
            self.out.append(_BLANK.sub(" ", data))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden:
            return
        if tag in _HIDDEN:
            self._hidden = tag
        elif tag == "br":
            self.out.append("\n")
        elif tag in _PARAGRAPH:
            self.out.append(_EMPTY)
        elif _LINE.fullmatch(tag):
            self.out.append(f"{_SOFT}- " if tag == "li" else _SOFT)
            self._preformatted += tag == "pre"
        elif tag in ("td", "th"):
            self.out.append(" ")
        elif tag == "a":
            link = next((value for name, value in attrs if name == "href" and value), "").strip()[:_LINK_LIMIT]
            self._link = link if link.lower().startswith(_LINK_SCHEMES) else ""
            self._link_from = len(self.out)

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._hidden = "" if tag == self._hidden else self._hidden
        elif tag == "a" and self._link:
            shown = "".join(self.out[self._link_from :]).strip()
            link, self._link = self._link, ""
            if shown and shown not in (link, link.partition(":")[2].strip("/")):
                self.out.append(f" <{link}>")
        elif tag in _PARAGRAPH:
            self.out.append(_EMPTY)
        elif _LINE.fullmatch(tag):
            self.out.append(_SOFT)
            if tag == "pre" and self._preformatted:
                self._preformatted -= 1
