"""What each fault must look like, operation by operation: written down, not taken from a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fault_matrix_cells import (
    CHANGES,
    READS,
    Cell,
    Row,
    answered,
    by_answer,
    by_chance,
    by_effect,
    everywhere,
    late,
    not_stored,
    of_data,
    passed_by,
    resumed,
    saved,
    spoiled,
    told,
    unharmed,
    unsafe,
)

from traced_image.lab import faults

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_BODY = "the answer to an upload has no body"
DATA = r"/file$"
AGES = 60.0
"""Seconds between two bytes that no time-out waits for."""
SOON = {"read_timeout": 1.0, "upload_timeout": 1.0}
ELSEWHERE = "http://127.0.0.1:1/v2/images"
"""A server that is not configured."""
LEAVE = 7
"""Seconds that a server asks to be left alone."""

TABLE: Mapping[str, Row] = {
    # --- no connection -------------------------------------------------------------------------
    "dns": Row("its name does not resolve", "unknown_name", everywhere(saved("dns_error"))),
    "unreachable": Row(
        "its network can't be reached", "unreachable", everywhere(saved("network_unreachable"))
    ),
    "refuse": Row(
        "nothing listens on its port", faults.refuse(), everywhere(saved("connection_refused"))
    ),
    "deaf": Row(
        "it accepts no connection",
        "deaf",
        everywhere(saved("connect_timeout")),
        patience={"connect_timeout": 1.0},
    ),
    "black_hole": Row(
        "no packet reaches it",
        faults.black_hole(),
        everywhere(saved("connect_timeout")),
        patience={"connect_timeout": 1.0},
    ),
    "untrusted_tls": Row(
        "its certificate is from an unknown CA",
        faults.untrusted_tls(),
        everywhere(saved("tls_error")),
        tls=True,
    ),
    "expired_tls": Row(
        "its certificate has expired",
        faults.expiring_tls(),
        everywhere(saved("tls_error")),
        tls=True,
    ),
    "broken_tls": Row(
        "its TLS port speaks no TLS",
        faults.broken_tls(),
        everywhere(saved("tls_error")),
        tls=True,
    ),
    "plain_http": Row(
        "its TLS port speaks plain HTTP",
        faults.plain_http(),
        everywhere(saved("tls_error")),
        tls=True,
    ),
    "silent_tls": Row(
        "its TLS handshake never ends",
        faults.silent_tls(),
        everywhere(saved("connect_timeout")),
        tls=True,
        patience={"connect_timeout": 1.0},
    ),
    "certificate": Row(
        "it demands a client certificate",
        faults.demand_certificate(),
        # In TLS 1.3 the client learns it after its handshake, and may have sent data by then.
        {**everywhere(saved("tls_error")), "upload": Cell("saved", "tls_error", upload=None)},
        tls=True,
    ),
    "certificate_1_2": Row(
        "it demands a client certificate, in TLS 1.2",
        faults.demand_certificate(tls_1_2=True),
        everywhere(saved("tls_error")),
        tls=True,
    ),
    "reset_tls": Row(
        "it resets connections before TLS is set up",
        faults.reset(),
        everywhere(saved("connection_reset")),
        tls=True,
    ),
    # --- a proxy in front of the server ---------------------------------------------------------
    "proxy_refuse": Row(
        "nothing listens on the port of the proxy in front of it",
        faults.refuse(),
        everywhere(passed_by("proxy_error")),
        tls=True,
        proxy=True,
    ),
    "proxy_403": Row(
        "the proxy in front of it answers `CONNECT` with 403",
        faults.status(403),
        everywhere(passed_by("proxy_error")),
        tls=True,
        proxy=True,
    ),
    "proxy_503": Row(
        "the proxy in front of it answers `CONNECT` with 503",
        faults.status(503),
        everywhere(passed_by("proxy_error")),
        tls=True,
        proxy=True,
    ),
    "proxy_407": Row(
        "the proxy in front of it, without TLS, answers 407",
        faults.status(407),
        everywhere(passed_by("proxy_error", request="407")),
        proxy=True,
    ),
    # --- no answer -----------------------------------------------------------------------------
    "reset": Row(
        "it resets connections as soon as they are made",
        faults.reset(),
        by_chance("connection_reset"),
    ),
    "reset_request": Row(
        "it resets connections at the request",
        faults.reset().only(path="/v2/"),
        by_effect("connection_reset"),
    ),
    "limit_rate": Row(
        "it sends and reads slowly",
        faults.limit_rate(send=100_000.0, receive=100_000.0),
        everywhere(unharmed("it only takes longer")),
    ),
    "cut_upload": Row(
        "it reads the data of an upload, and closes the connection without an answer",
        # A shorter body is read to its end, so that it is known how much was sent.
        faults.cut_upload(1 << 20).only(method="PUT"),
        {
            **everywhere(unharmed("the request has no image data")),
            "upload": unsafe("connection_reset", upload=1),
        },
    ),
    "lost_reply": Row(
        "it does what is asked, and closes the connection without an answer",
        faults.lost_reply(),
        by_effect("connection_reset"),
    ),
    "never_answer": Row(
        "it never answers", faults.never_answer(), by_effect("read_timeout"), patience=SOON
    ),
    "deadline": Row(
        "it never answers, and the call's deadline is shorter than the read timeout",
        faults.never_answer(),
        {
            **dict.fromkeys(READS, late("DeadlineExceeded")),
            # A deadline does not apply to image data.
            "upload": unsafe("read_timeout", upload=1),
            "create": late("UnsafeToRepeat"),
        },
        patience={"read_timeout": 2.0, "upload_timeout": 2.0, "deadline": 1.0},
        real_time=True,
    ),
    "never_read": Row(
        "it accepts connections, and reads nothing",
        faults.never_read(),
        by_effect("read_timeout"),
        patience=SOON,
    ),
    "delay": Row(
        "it answers late, but in time",
        faults.delay(0.05),
        everywhere(unharmed("no limit in time has passed")),
    ),
    "late": Row(
        "it does what is asked, and answers too late",
        faults.delay(AGES),
        by_effect("read_timeout"),
        patience=SOON,
    ),
    "slow_headers": Row(
        "its answer's headers never end",
        faults.slow_headers(AGES),
        by_effect("read_timeout"),
        patience=SOON,
    ),
    # --- a broken answer -----------------------------------------------------------------------
    "slow_body": Row(
        "its answer's body never ends",
        faults.slow_body(AGES),
        by_answer("read_timeout", NO_BODY),
        patience=SOON,
    ),
    "slow_data": Row(
        "the image data that it sends never ends",
        faults.slow_body(AGES).only(path=DATA),
        {**of_data(resumed("read_timeout")), "upload": unharmed(NO_BODY)},
        patience=SOON,
    ),
    "cut_body": Row(
        "its answer's body is cut short",
        faults.cut_body(),
        by_answer("protocol_error", NO_BODY),
    ),
    "cut_data": Row(
        "the image data that it sends is cut short",
        faults.cut_body().only(path=DATA),
        {**of_data(resumed("protocol_error")), "upload": unharmed(NO_BODY)},
    ),
    "longer": Row(
        "its answer is shorter than its `Content-Length`",
        faults.wrong_length(1),
        by_answer("protocol_error", NO_BODY),
    ),
    "longer_data": Row(
        "the image data that it sends is shorter than its `Content-Length`",
        faults.wrong_length(1).only(path=DATA),
        # The record has another size, so that no byte of it is taken.
        {**of_data(saved("protocol_error")), "upload": unharmed(NO_BODY)},
    ),
    "shorter": Row(
        "its answer is longer than its `Content-Length`",
        faults.wrong_length(-1),
        by_answer("protocol_error", NO_BODY),
    ),
    "shorter_data": Row(
        "the image data that it sends is longer than its `Content-Length`",
        faults.wrong_length(-1).only(path=DATA),
        {
            **of_data(saved("protocol_error")),
            "upload": unharmed(NO_BODY),
        },
    ),
    "corrupt_data": Row(
        "the image data that it sends has a wrong bit",
        faults.corrupt_data(),
        of_data(spoiled("checksum_mismatch", "ChecksumMismatch")),
    ),
    "garbage_headers": Row(
        "its answer has a line that is no header",
        faults.garbage_headers(),
        by_effect("protocol_error"),
    ),
    "no_http": Row(
        "it answers, but not in HTTP",
        faults.raw_reply(b"220 mail.example ESMTP\r\n"),
        by_effect("protocol_error"),
    ),
    "endless_headers": Row(
        "its answer has headers without end",
        faults.endless_headers(),
        by_effect("protocol_error"),
    ),
    "interim_flood": Row(
        "it sends interim replies without end",
        faults.interim_replies(count=None),
        by_effect("protocol_error"),
    ),
    "two_lengths": Row(
        "its answer has two lengths",
        faults.framing("Content-Length: {length}, 5"),
        by_answer("protocol_error", NO_BODY),
    ),
    "two_framings": Row(
        "its answer has a length beside a transfer coding",
        faults.framing("Content-Length: {length}", "Transfer-Encoding: chunked"),
        by_answer("protocol_error", NO_BODY),
    ),
    "unknown_coding": Row(
        "its answer has an unknown transfer coding",
        faults.framing("Transfer-Encoding: gzip, chunked"),
        by_answer("protocol_error", NO_BODY),
    ),
    "bad_chunk": Row(
        "its answer has a chunk of a size that is out of bounds",
        faults.bad_chunk(),
        by_answer("protocol_error", NO_BODY),
    ),
    "bad_chunk_data": Row(
        "the image data that it sends has a chunk whose size is no number",
        faults.bad_chunk("xyz").only(path=DATA),
        {**of_data(resumed("protocol_error")), "upload": unharmed(NO_BODY)},
    ),
    "endless_body": Row(
        "its answer's body has no end",
        faults.endless_body(),
        by_effect("protocol_error", upload=0),
    ),
    "huge_json": Row(
        "its answer has very many empty objects",
        faults.huge_json(1 << 20),
        by_effect("protocol_error", upload=0),
    ),
    "endless_pages": Row(
        "its list of images has no end",
        faults.endless_pages(1 << 14),
        {
            **by_effect("protocol_error", upload=0),
            "detail": Cell("too large", "_OTHER", "ListTooLarge"),
        },
        sizes={"max_list_size": 1 << 17},
    ),
    "unexpected_204": Row(
        "it answers 204 with a body, and does nothing",
        faults.unexpected_body(),
        {**by_effect("protocol_error"), "upload": not_stored()},
    ),
    "unexpected_304": Row(
        "it answers 304 with a body, and does nothing",
        faults.unexpected_body(304),
        by_effect("protocol_error", upload=0),
    ),
    "confirmed": Row(
        "it confirms an upload, and stores nothing",
        faults.status(204).only(method="PUT", path=DATA),
        {**everywhere(unharmed("it is no upload")), "upload": not_stored()},
    ),
    "not_json": Row(
        "its answer is not the JSON that it claims to be",
        faults.not_json(),
        by_effect("protocol_error", upload=0),
    ),
    "wrong_type": Row(
        "its answer is JSON, but no image",
        faults.wrong_type(),
        by_effect("protocol_error", upload=0),
    ),
    "redirect_loop": Row(
        "it redirects in a circle",
        faults.redirect_loop(),
        {
            **everywhere(saved("too_many_redirects")),
            # What changes something is not sent on: the next server gets it.
            **dict.fromkeys(CHANGES, saved("invalid_endpoint")),
        },
    ),
    # --- a redirect -----------------------------------------------------------------------------
    "300": Row("it answers 300", faults.redirect(300, None), everywhere(saved("protocol_error"))),
    **{
        str(code): Row(
            f"it redirects to another server with {code}",
            faults.redirect(code, ELSEWHERE),
            everywhere(saved("invalid_endpoint")),
        )
        for code in (301, 302, 307, 308)
    },
    "303": Row(
        "it redirects to another server with 303",
        faults.redirect(303, ELSEWHERE),
        by_effect("invalid_endpoint", upload=0),
    ),
    # --- an answer that is odd, but right ---------------------------------------------------------
    "interim_replies": Row(
        "it sends an interim reply before its answer",
        faults.interim_replies(),
        everywhere(unharmed("interim replies are read over")),
    ),
    "extra_reply": Row(
        "it sends another reply after its answer",
        faults.extra_reply(),
        everywhere(unharmed("the connection is not used again")),
    ),
    "chunked": Row(
        "it sends its answer in chunks",
        faults.chunked(extension=";name=value", trailers=("X-Trailer: x",)),
        everywhere(unharmed("HTTP/1.1 allows it")),
    ),
    "no_length": Row(
        "its answer has no length, and it closes the connection",
        faults.framing(close=True),
        everywhere(unharmed("HTTP/1.1 allows it")),
    ),
    "many_headers": Row(
        "its answer has 1,000 headers more",
        faults.many_headers(),
        everywhere(unharmed("they have less than 64 KiB")),
    ),
    "new_cookies": Row(
        "it sends a cookie of a new name with each answer",
        faults.new_cookies(),
        everywhere(unharmed("no cookie is kept")),
    ),
    # --- an error status -----------------------------------------------------------------------
    "400": Row("it answers 400", faults.status(400), answered(400, "ImageBadRequest", "Invalid")),
    "401": Row(
        "it answers 401", faults.status(401), answered(401, "ImageNotAuthorized", "Unauthorized")
    ),
    "403": Row(
        "it answers 403", faults.status(403), answered(403, "ImageNotAuthorized", "Forbidden")
    ),
    "404": Row("it answers 404", faults.status(404), answered(404, "ImageNotFound", "NotFound")),
    "408": Row("it answers 408", faults.status(408), by_effect("408", upload=0)),
    "409": Row("it answers 409", faults.status(409), answered(409, "Conflict", "Conflict")),
    "413": Row(
        "it answers 413", faults.status(413), answered(413, "ImageQuotaExceeded", "OverLimit")
    ),
    "413_after": Row(
        "it answers 413 with `Retry-After`",
        faults.status(413, LEAVE),
        answered(413, "ImageQuotaExceeded", "OverLimit"),
    ),
    "413_early": Row(
        "it answers 413 before it has read the request",
        faults.early_answer(413, "hang"),
        answered(413, "ImageQuotaExceeded", "OverLimit"),
    ),
    "421": Row("it answers 421", faults.status(421), everywhere(saved("421"))),
    "425": Row("it answers 425", faults.status(425), everywhere(saved("425"))),
    "429": Row("it answers 429", faults.status(429), by_effect("429", upload=0)),
    "429_after": Row(
        "it answers 429 with `Retry-After`",
        faults.status(429, LEAVE),
        by_effect("429", upload=0, waits=LEAVE),
    ),
    "500": Row(
        "it answers 500", faults.status(500), answered(500, "ServerError", "ServerError", told)
    ),
    "501": Row(
        "it answers 501",
        faults.status(501),
        answered(501, "NotImplementedByServer", "NotImplementedByServer", told),
    ),
    "502": Row("it answers 502", faults.status(502), by_effect("502", upload=0)),
    "503": Row("it answers 503", faults.status(503), by_effect("503", upload=0)),
    "503_after": Row(
        "it answers 503 with `Retry-After`",
        faults.status(503, LEAVE),
        by_effect("503", upload=0, waits=LEAVE),
    ),
    "503_slow": Row(
        "it answers 503, and its error page never comes",
        faults.slow_error(),
        by_effect("503", upload=0),
        patience=SOON,
    ),
    "502_nginx": Row(
        "nginx before it answers 502", faults.nginx_error(), by_effect("502", upload=0)
    ),
    "503_haproxy": Row(
        "HAProxy before it answers 503", faults.haproxy_error(), by_effect("503", upload=0)
    ),
    "504": Row("it answers 504", faults.status(504), by_effect("504", upload=0)),
    "507": Row(
        "it answers 507", faults.status(507), answered(507, "ServerError", "ServerError", told)
    ),
    "flapping": Row(
        "every other answer of it is 503",
        faults.flapping(None, faults.status(503)),
        by_effect("503", upload=0),
        rounds=2,
    ),
}
"""Every fault, by a short name."""
