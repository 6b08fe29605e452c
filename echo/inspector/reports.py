"""What the inspector says, as JSON objects: static/inspector.schema.json describes them.

The names of the fields are those of the schema; this file is the only other one that has them.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha1
from typing import Any, Final

from echo.inspector.frames import OPCODE_NAMES, Moment, ObservedFrame, ObservedMessage
from echo.protocol.credentials import Redactor
from echo.protocol.errors import ProtocolViolation
from echo.protocol.extensions import parse_extensions
from echo.protocol.frames import Close
from echo.protocol.handshake import accept_value
from echo.protocol.http_head import RequestHead
from echo.protocol.rfc6455 import GUID, RSV1, RSV2, RSV3, Opcode, close_code_name
from echo.protocol.rfc9110 import OWS

#: The version of the schema.
VERSION: Final = 2

#: Bytes of a message that its report shows.
PREVIEW: Final = 1024

Report = dict[str, Any]


def handshake_report(
    moment: Moment,
    connection_id: str,
    peer: str,
    head: RequestHead,
    response: bytes,
    *,
    hash_key: bytes | None,
) -> Report:
    """The opening handshake: the request as it came and the ``response`` as it was sent.

    ``hash_key``: as Redactor's, by which credentials are replaced; None to show them.
    """
    line, *lines = response.decode("latin-1").split("\r\n")
    answered = [(name, value) for name, _, value in (one.partition(": ") for one in lines if one)]
    fields = list(head.fields)
    if hash_key is not None:
        redactor = Redactor(head.fields, hash_key)
        fields, answered = redactor.redact(fields), redactor.redact(answered)
    redacted = (came[0] for came, shown in zip(head.fields, fields, strict=True) if came != shown)
    key = _first(fields, "sec-websocket-key").strip(OWS)
    return {
        **_common("handshake", moment),
        "connection": connection_id,
        "peer": peer,
        "request": {"line": head.line, "headers": [list(field) for field in fields]},
        "redacted": list(dict.fromkeys(redacted)),
        "forwarded": [
            [name, value]
            for name, value in fields
            if name.lower().startswith("x-forwarded-") or name.lower() == "forwarded"
        ],
        "accept": {
            "key": key,
            "guid": GUID,
            "concatenated": key + GUID,
            "sha1": sha1((key + GUID).encode(), usedforsecurity=False).hexdigest(),
            "value": accept_value(key),
        },
        "subprotocols": {
            "offered": [
                stripped
                for element in _all(fields, "sec-websocket-protocol").split(",")
                if (stripped := element.strip(OWS))
            ],
            "chosen": _first(answered, "sec-websocket-protocol") or None,
        },
        "extensions": _extensions(
            _all(fields, "sec-websocket-extensions"), _first(answered, "sec-websocket-extensions")
        ),
        "response": {"line": line, "headers": [list(field) for field in answered]},
    }


def _extensions(offered: str, chosen: str) -> Report:
    """What of extensions was offered and chosen, and the parameters that no offer asked for.

    RFC 7692, section 7.1, allows some of them, and some clients break off at them.
    """
    asked = {(one.name, item.name) for one in parse_extensions(offered) for item in one.parameters}
    answered = [
        (one.name, item.name) for one in parse_extensions(chosen) for item in one.parameters
    ]
    return {
        "offered": offered or None,
        "chosen": chosen or None,
        "unasked": [parameter for name, parameter in answered if (name, parameter) not in asked],
    }


def message_report(
    moment: Moment, number: int, kind: Opcode, message: bytes, observed: ObservedMessage
) -> Report:
    """A message, and the frames in which it came; ``number`` counts them from 1."""
    text = kind is Opcode.TEXT
    beginning = message[:PREVIEW]
    # A character that the cut went through is left out.
    preview = beginning.decode("utf-8", "ignore") if text else beginning.hex()
    shown = len(preview.encode()) if text else len(beginning)
    return {
        **_common("message", moment),
        "number": number,
        "kind": kind.name.lower(),
        "bytes": len(message),
        "compressed_bytes": observed.size if observed.compressed else None,
        "fragments": observed.count,
        "utf8": True if text else None,
        "preview": preview,
        "preview_omitted": len(message) - shown,
        **_frames(observed),
    }


def brief_message_report(
    number: int, kind: Opcode, message: bytes, observed: ObservedMessage
) -> Report:
    """What is said of a message when the allowance for reports is used up."""
    return {
        **_brief("message", observed),
        "number": number,
        "kind": kind.name.lower(),
        "bytes": len(message),
    }


def control_report(moment: Moment, frame: ObservedFrame, payload: bytes) -> Report:
    """A ping, a pong or a close frame."""
    report = _common(OPCODE_NAMES[frame.opcode], moment)
    if frame.opcode == Opcode.CLOSE:
        close = Close.parse(payload)
        report.update(code=close.code, name=close_code_name(close.code), reason=close.reason)
    return {**report, "frame": _frame(frame)}


def brief_control_report(observed: ObservedMessage) -> Report:
    """What is said of a ping or a pong when the allowance for reports is used up."""
    return {
        **_brief(OPCODE_NAMES[observed.frames[0].opcode], observed),
        "bytes": observed.size,
    }


def failure_report(
    moment: Moment, violation: ProtocolViolation, observed: ObservedMessage
) -> Report:
    """The rule that the peer broke, and what had arrived."""
    return {
        **_common("failure", moment),
        "code": int(violation.code),
        "name": violation.code.name,
        "reason": violation.reason,
        **_frames(observed),
    }


def _common(kind: str, moment: Moment) -> Report:
    return {"version": VERSION, "type": kind, **_moment(moment)}


def _brief(kind: str, observed: ObservedMessage) -> Report:
    return {"version": VERSION, "type": kind, "frames_omitted": observed.count}


def _moment(moment: Moment) -> Report:
    return {"at": _utc(moment.at), "elapsed_ms": _milliseconds(moment.elapsed)}


def _frames(observed: ObservedMessage) -> Report:
    return {
        "frames": [_frame(frame) for frame in observed.frames],
        "frames_omitted": observed.count - len(observed.frames),
    }


def _frame(frame: ObservedFrame) -> Report:
    return {
        "fin": frame.fin,
        "rsv1": frame.rsv & RSV1 != 0,
        "rsv2": frame.rsv & RSV2 != 0,
        "rsv3": frame.rsv & RSV3 != 0,
        "opcode": frame.opcode,
        "name": OPCODE_NAMES.get(frame.opcode, "reserved"),
        "masked": bool(frame.masking_key),
        "masking_key": frame.masking_key.hex() or None,
        "payload_length": frame.payload_length,
        "length_bits": frame.length_bits,
        "header": frame.header.hex(),
        "payload": {
            "masked": frame.kept.hex(),
            "unmasked": frame.unmasked.hex(),
            "omitted": frame.arrived - len(frame.kept),
        },
        **_moment(frame.moment),
        "gap_ms": None if frame.gap is None else _milliseconds(frame.gap),
    }


def _utc(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _all(fields: Sequence[tuple[str, str]], name: str) -> str:
    """The values of a header field, joined as one."""
    return ", ".join(value for field, value in fields if field.lower() == name)


def _first(fields: Sequence[tuple[str, str]], name: str) -> str:
    """The first value of a header field, or nothing."""
    return next((value for field, value in fields if field.lower() == name), "")
