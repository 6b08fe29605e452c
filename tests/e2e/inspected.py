"""A client on /ws/inspect, which takes no report that is not as the schema says."""

import json
import zlib

from jsonschema import Draft202012Validator

from tests.e2e.raw_client import RawClient, upgrade_request
from tests.e2e.server_process import ROOT
from tests.wire import TEXT

SCHEMA = json.loads((ROOT / "static" / "inspector.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)

PATH = "/ws/inspect"


def checked(text):
    """The report in a text message, which must be as the schema says."""
    report = json.loads(text)
    VALIDATOR.validate(report)
    return report


class Inspected(RawClient):
    """A raw client on /ws/inspect."""

    def __enter__(self):
        super().__enter__()
        return self

    def begin(self, behind=b"", **changes):
        """Open it; returns the handshake's report."""
        self.send(upgrade_request(self._server.port, path=PATH, **changes), behind)
        assert self.read_response().status == 101
        return self.report()

    def report(self):
        opcode, payload, fin, rsv = self.read_frame()
        assert (opcode, fin) == (TEXT, True), (opcode, payload)
        if rsv:
            payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        return checked(payload)

    def reports(self, data):
        """What the server says of one message."""
        self.send(data)
        return self.report()
