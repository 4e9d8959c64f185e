"""What mutations put in place of what was right: status lines, headers, lengths, JSON."""

from __future__ import annotations

CODES = (*range(200, 209), 226, *range(300, 309), *range(400, 419), 421, 423, 425, 429, 451)
CODES += (*range(500, 509), 520, 599, 600, 999)
ODD_LINES = (
    b"HTTP/1.0 200 OK|HTTP/1.1 200|HTTP/1.1 200 |HTTP/1.1 200 \xff\xfe odd|HTTP/2 200 OK|HTTP/3 200"
    b"|http/1.1 200 OK|HTTP/1.1  200  OK|HTTP/1.1 0200 OK|HTTP/1.1 20 OK|HTTP/1.1 2000 OK"
    b"|HTTP/1.1 -200 OK|HTTP/1.1 +200 OK|HTTP/1.1 2_0 OK|HTTP/1.1 OK 200|HTTP/1.1|HTTP/9.9 200 OK"
    b"|HTTP/1.10 200 OK|HTTP/11 200 OK|ICY 200 OK|200 OK| HTTP/1.1 200 OK|\tHTTP/1.1 200 OK"
    b"|HTTP/1.1\t200\tOK|HTTP/1.1 200\0OK|SSH-2.0-OpenSSH_9.2|<html>|HTTP/1.1 101 Switching"
    b"|HTTP/1.1 100 Continue|\x15\x03\x01\x00\x02\x02\x28|HTTP/1.1 \xb2\xb0\xb0 OK"
    b"|\xef\xbb\xbfHTTP/1.1 200 OK"
).split(b"|")
LENGTHS = (
    b"0|1|-1|-5|+{n}| {n} |{n} {n}|{n}, {n}|{n},{m}|5, 5|0x{n}|{n}.0|{n};|{n}\0|\xb2|1_0|00{n}|"
    b"|99999999999999999999999|9223372036854775808|18446744073709551616|4294967296|{m}|{k}|1e3|NaN"
).split(b"|")
CODINGS = (
    b"gzip|identity|gzip, chunked|chunked, gzip|chunked, chunked|CHUNKED|xchunked|chunked;q=1"
    b'| chunked|\x0bchunked|deflate|,chunked|"chunked"|chunked, identity|'
).split(b"|")
ODD_HEADERS = (
    b"no colon here|: no name|Bad Name: x|Bad\0Name: x|X: a\0b|X: \xff\xfe\xe9|X: a\rb|X: a\r\r"
    b"|Name : x| leading: x|\tleading|Connection: close|Connection: keep-alive|Connection: upgrade"
    b"|Upgrade: websocket|Content-Encoding: gzip|Content-Encoding: br, gzip|Retry-After: 99999999"
    b"|Retry-After: -1|Retry-After: soon|Retry-After: 9e999|Keep-Alive: timeout=0|Trailer: X"
    b"|Content-Range: bytes 5-9/10|Content-MD5: 0|X-Openstack-Request-Id: \x1b[31m\x07|Warning: 199"
    b"|Content-Type: text/html; charset=\xff|Date: never|Location: /v2/images/other|Age: x|Vary: *"
).split(b"|")
CHUNK_SIZES = (
    b"fffffffffffff|ffffffffffffffffffff|-5|+5|0x5| 5|5 |5;|;|5_0|g|5\0|\xb2|00000000000000000005"
).split(b"|")
INTERIM = (100, 102, 103, 104, 199)
VALUES = (
    None, True, False, 0, -1, 2**63, 10**400, 1e308, "", "\0", "\ud800", "x" * 300, [], {}, [[]],
    {"id": None}, "2015-06-19", "9999-99-99T99:99:99Z", "true", "1", [None], ["a", 1],
)  # fmt: skip
BODIES = (
    b'~ ~null~[]~{}~1~""~NaN~{"id": 1e99999, "size": -Infinity}'
    b'~{"images": [{}, {}], "next": "/v2/images?"}'
).split(b"~")
