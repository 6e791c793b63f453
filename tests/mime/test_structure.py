"""The MIME tree: its bounds, its boundaries, its file names."""

import time

from immpd.mime.structure import MAX_DEPTH, MAX_PARTS, leaves, read_fields, read_structure


def contents(octets: bytes) -> list[tuple[str, bytes]]:
    return [(leaf.type, leaf.content) for leaf in leaves(read_structure(octets))]


def test_fields() -> None:
    assert read_fields(b"A: b\r\n\r\nc: d") == {"a": ["b"]}
    assert read_fields(b"A : b\n\tc\na: =?utf-8?q?d?=\n\nd\r\n\r\n") == {"a": ["b c", "=?utf-8?q?d?="]}
    assert read_fields(b"\r\nC: d") == {}
    assert read_fields(b"A: \xe9\rB: c") == {"a": ["\xe9\rB: c"]}


def test_boundaries() -> None:
    octets = (
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\npre\r\n--b \r\n\r\none\r\n--\r\n--b\r\n\r\n--b--\r\npost'
    )
    assert contents(octets) == [("text/plain", b"one\r\n--"), ("text/plain", b"")]


def test_an_unclosed_multipart_and_one_without_parts() -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\n\n"
    assert contents(head + b"--b\n\nrest\nof it") == [("text/plain", b"rest\nof it")]
    assert contents(head + b"nothing") == [("text/plain", b"nothing")]


def test_a_digest_holds_mails() -> None:
    octets = b"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: 1\n\nx\n--b--"
    assert contents(octets) == [("message/rfc822", b"Subject: 1\n\nx")]


def test_bounds() -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\n\n"
    assert len(contents(head + b"--b\n\nx\n" * 2 * MAX_PARTS)) == MAX_PARTS
    node = read_structure(
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3 * MAX_DEPTH))
    )
    depth = 0
    while node.children:
        node, depth = node.children[0], depth + 1
    assert depth == MAX_DEPTH


def name_of(parameters: str) -> str:
    return read_structure(f"Content-Type: image/png\nContent-Disposition: attachment; {parameters}\n\n".encode()).name


def test_file_names() -> None:
    assert name_of('filename="a b.png"') == "a b.png"
    assert name_of("filename=../../etc/passwd") == "passwd"
    assert name_of(r'filename="C:\\x\\y.png"') == "y.png"
    assert name_of("filename*=iso-8859-1'en'%E9.png") == "é.png"
    assert name_of("filename*0*=utf-8''%C3; filename*1*=%A9; filename*2=.png") == "é.png"
    assert name_of("filename*=utf-8''a%0D%0Ab%E2%80%AEc") == "a\ufffd\ufffdb\ufffdc"
    assert name_of('filename="=?utf-8?q?=C3=A9?="') == "é"
    assert name_of("filename=...") == ""


def test_a_mail_in_a_mail_with_a_long_header_takes_linear_time() -> None:
    inner = b"X-Note: message/ message/ message/ message/ message/ message/ message/ message/\nA: " + b"; b=c" * 20_000
    head = b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
    began = time.process_time()
    assert contents(head + inner + b"\n\nhi\n--b--\n") == [("message/rfc822", inner + b"\n\nhi")]
    assert time.process_time() - began < 1
