"""HTML to the text a person would read, for terminals.

Rules: time is linear in the input, whatever it is (the standard library's parser needs 46 s for 64 KiB of ``<a ``);
nothing raises; nothing of the document is believed: scripts, styles and comments vanish, addresses behind links are
shown.
"""

import re
from html import unescape
from typing import Final

READ_LIMIT: Final = 512 * 1024
"""Characters of HTML that are looked at."""

_TAG_START: Final = re.compile(r"<(?=[a-zA-Z/!?])")
_TAG_NAME: Final = re.compile(r"/?([a-zA-Z][a-zA-Z0-9:-]{0,30})")
_TAG_EDGE: Final = re.compile(r">|=[ \t\r\n]*+[\"']")
_HREF: Final = re.compile(r"""\bhref[ \t\r\n]*+=[ \t\r\n]*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))""", re.IGNORECASE)
_BLANK: Final = re.compile(r"[ \t\r\n\f]+")
_LINK_SCHEMES: Final = ("https://", "http://", "mailto:", "immp:", "immp://")
_ATTRIBUTES_LIMIT: Final = 4096

_HIDDEN: Final = {
    name: re.compile(rf"</{name}\b", re.IGNORECASE) for name in ("script", "style", "title", "template", "svg", "math")
}
_LINE: Final = frozenset(
    [
        "address",
        "article",
        "aside",
        "br",
        "center",
        "dd",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figure",
        "footer",
        "form",
        "header",
        "legend",
        "li",
        "main",
        "nav",
        "ol",
        "option",
        "pre",
        "section",
        "select",
        "table",
        "tr",
        "ul",
    ]
)
_PARAGRAPH: Final = frozenset(["blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "p"])


def html_to_text(html: str) -> str:
    """The readable text of ``html``, at most its first ``READ_LIMIT`` characters. Not yet cleaned of controls."""
    html = html[:READ_LIMIT]
    out = _Lines()
    at, end = 0, len(html)
    careful, tags, comments = True, True, True  # what can still be closed; each is given up once, so time stays linear
    while at < end:
        found = _TAG_START.search(html, at) if tags else None
        if found is None:
            out.text(html[at:])
            break
        start = found.start()
        if start > at:
            out.text(html[at:start])
        if html.startswith("<!--", start) and comments:
            close = html.find("-->", start + 2)
            if close >= 0:
                at = close + 3
                continue
            comments = False
        name = _TAG_NAME.match(html, start + 1)
        close = _tag_end(html, start + 1) if careful else -1
        if close < 0:
            careful = False
            close = html.find(">", start + 1)
        if close < 0:
            tags = False
            at = start
            continue
        at = close + 1
        if name is None:
            continue
        tag = name[1].lower()
        if html[start + 1] == "/":
            out.close(tag)
            continue
        out.open(tag, html[name.end() : min(close, name.end() + _ATTRIBUTES_LIMIT)])
        if tag in _HIDDEN:
            hidden = _HIDDEN[tag].search(html, at)
            if hidden is None:
                break
            at = hidden.start()
    return out.finish()


def _tag_end(html: str, at: int) -> int:
    """Where the ``>`` is that ends the tag, those inside quoted values passed over; -1 if there is none."""
    while (edge := _TAG_EDGE.search(html, at)) is not None:
        if edge[0] == ">":
            return edge.start()
        close = html.find(edge[0][-1], edge.end())
        if close < 0:
            return -1
        at = close + 1
    return -1


class _Lines:
    """Collects text with blank space as HTML means it."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._breaks = 2  # line ends just written; at the top no more are wanted
        self._space = False
        self._preformatted = 0
        self._link = ""
        self._link_from = 0

    def text(self, raw: str) -> None:
        try:
            raw = unescape(raw)
        except ValueError:  # a numeric reference of thousands of digits
            pass
        if self._preformatted:
            self._write(raw)
            return
        text = _BLANK.sub(" ", raw)
        if text[:1] == " ":
            self._space = True
        body = text.strip(" ")
        if body:
            self._write(body)
            self._space = text[-1] == " "

    def _write(self, text: str) -> None:
        if self._space and not self._breaks:
            self._out.append(" ")
        self._space = False
        self._out.append(text)
        self._breaks = 0

    def _break(self, count: int) -> None:
        if self._breaks < count:
            self._out.append("\n" * (count - self._breaks))
            self._breaks = count
        self._space = False

    def open(self, tag: str, attributes: str) -> None:
        if tag == "br":
            self._out.append("\n")
            self._breaks += 1
            self._space = False
        elif tag in _PARAGRAPH:
            self._break(2)
        elif tag in _LINE:
            self._break(1)
            if tag == "li":
                self._write("-")
                self._space = True
            elif tag == "pre":
                self._preformatted += 1
        elif tag in ("td", "th"):
            self._space = True
        elif tag == "a":
            found = _HREF.search(attributes)
            link = (found[1] or found[2] or found[3] or "").strip() if found else ""
            self._link = link if link.lower().startswith(_LINK_SCHEMES) else ""
            self._link_from = len(self._out)

    def close(self, tag: str) -> None:
        if tag == "a" and self._link:
            shown = "".join(self._out[self._link_from :]).strip()
            link, self._link = self._link, ""
            if shown and shown not in (link, link.partition(":")[2].strip("/")):
                self._write(f" <{link}>")
        elif tag in _PARAGRAPH:
            self._break(2)
        elif tag in _LINE:
            self._break(1)
            if tag == "pre" and self._preformatted:
                self._preformatted -= 1

    def finish(self) -> str:
        lines = [line.rstrip() for line in "".join(self._out).replace("\r\n", "\n").split("\n")]
        kept = [line for n, line in enumerate(lines) if line or (n and lines[n - 1])]
        return "\n".join(kept).strip("\n")
