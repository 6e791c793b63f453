"""HTML to text: readable, and linear in whatever it is given."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immpd.mime.html import html_to_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>b<br>c</p>", "a\n\nb\nc"),
        ("a  \n b &amp; &lt;c&gt; &eacute;", "a b & <c> é"),
        ("<table><tr><td>1<td>2<tr><td>3</table>", "1 2\n3"),
        ("<ul><li> one</li><li>two</li></ul>", "- one\n- two"),
        ("<pre>a\n  b</pre>c", "a\n  b\nc"),
        ('<a title="x > y" href="https://a.example/">here</a>', "here <https://a.example/>"),
        ('<a href="https://a.example/">https://a.example/</a>', "https://a.example/"),
        ('<a href="javascript:x">here</a>', "here"),
        ("x<!-- hidden <p> -->y<script>z</script><style>s</style>", "xy"),
        ("1 < 2 <3 a<", "1 < 2 <3 a<"),
        ("<b>unclosed <i", "unclosed"),
        ("a<!-- never closed <p>b", "a"),
        ("<![if !mso]>a<![endif]><![CDATA[b]]>c", "ac"),
        ("a & b &", "a & b &"),
        ("<!DOCTYPE html><?xml?>a", "a"),
        ("&#" + "9" * 5000 + ";", "\ufffd"),
    ],
)
def test_readable(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.parametrize(
    "piece", ["<", "<a", "<!--", "<a ", "<a b", "</", '<a href="', "<script>", "<a b='c\" ", "=  ", "&#x1"]
)
def test_linear(piece: str) -> None:
    began = time.process_time()
    html_to_text(piece * (1_000_000 // len(piece)))
    assert time.process_time() - began < 2  # the quadratic way takes hours


@given(st.text(alphabet="<>!-/a =\"'&#x;\n0p", max_size=80))
def test_anything_is_read(html: str) -> None:
    html_to_text(html)
