"""Text of documents, and documents that are bombs."""

import zlib

import pytest
from local_server import is_idle, quick, until


def pdf(content: bytes, pages: int = 1, extra: bytes = b"", stream: str = "") -> bytes:
    """A PDF whose pages all draw `content`."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (pages, b" ".join([b"3 0 R"] * pages)),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
        b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), stream.encode(), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    data, places = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, text)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    return data + b"trailer << /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, extra, start)


def drawn(text: str) -> bytes:
    return b"BT /F 12 Tf 20 100 Td (%s) Tj ET" % text.encode()


def send(running, data: bytes, kind: str = "application/pdf"):
    with running.http() as client:
        return client.post("/documents/text", content=data, headers={"content-type": kind})


def test_pages_of_a_pdf(server):
    answer = send(server, pdf(drawn("The squirrel hides acorns"), pages=3))
    assert answer.json() == {"pages": ["The squirrel hides acorns"] * 3}
    packed = zlib.compress(drawn("packed"))
    assert send(server, pdf(packed, stream="/Filter /FlateDecode")).json() == {"pages": ["packed"]}


def test_texts(server):
    text = "도토리를 숨겼다.\n둘째 줄"
    assert send(server, text.encode(), "text/plain").json() == {"pages": [text]}
    assert send(server, b"\xef\xbb\xbf" + text.encode(), "text/markdown; charset=utf-8").json() == {"pages": [text]}
    assert send(server, text.encode("cp949"), "text/plain; charset=euc-kr").json() == {"pages": [text]}
    for data, kind in [
        (text.encode("cp949"), "text/plain"),
        (b"\xff\xfe", "text/plain"),
        (b"a\0b", "text/plain"),
        (b"", "text/plain"),
        (b"x", "text/plain; charset=utf-7"),
        (b"x", "text/plain; charset=" + "a" * 500),
    ]:
        answer = send(server, data, kind)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.4",
        b"hello",
        b"%PDF-1.7\n" + b"\0" * 1000,
        pdf(drawn("x"))[:-200],
        pdf(b"BT (", stream="/Filter /FlateDecode"),
        b"%PDF-1.4\n1 0 obj\n<< /Kids [1 0 R] /Type /Pages /Count 99999999 >>\nendobj\ntrailer << /Root 1 0 R >>",
        b"[" * 100_000,
        b"%PDF-1.4\n1 0 obj\n" + b"[" * 100_000 + b"\ntrailer << /Root 1 0 R >>",
    ],
    ids=range(8),
)
def test_broken_pdfs(server, data):
    answer = send(server, data)
    if answer.status_code != 200:  # the library mends some
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] in ("invalid_document", "document_too_large")


def test_an_encrypted_pdf(server):
    encrypt = b"/Encrypt << /Filter /Standard /V 1 /R 2 /O (%s) /U (%s) /P -4 >> /ID [(a) (a)]" % (b"o" * 32, b"u" * 32)
    answer = send(server, pdf(drawn("secret"), extra=encrypt))
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "encrypted_document"


def test_bombs_are_stopped_and_neighbours_do_not_notice(start):
    with start(quick(pdf_seconds=3.0, pdf_memory_bytes=512 << 20)) as running:
        gigabyte = zlib.compressobj(9)
        zeros = b"".join(gigabyte.compress(b" " * (1 << 20)) for _ in range(1024)) + gigabyte.flush()
        twice = zlib.compress(zeros, 9)
        bombs = [
            pdf(zeros, stream="/Filter /FlateDecode"),
            pdf(twice, stream="/Filter [/FlateDecode /FlateDecode]"),
            pdf(b"BT /F 1 Tf " + b"(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa) Tj " * 100_000 + b"ET", pages=1900),
            pdf(drawn("x"), pages=2001),
        ]
        for bomb in bombs:
            answer = send(running, bomb)
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] in ("document_too_large", "invalid_document")
        assert send(running, pdf(drawn("still here"))).json() == {"pages": ["still here"]}
        assert until(lambda: is_idle(running) and not running.service.pdf_workers.busy)
