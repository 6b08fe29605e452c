"""picows on uvloop: picows_uvloop.py PORT."""

import sys

import uvloop
from picows import WSListener, WSMsgType, ws_create_server


class Echo(WSListener):
    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), b"")
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())


async def main():
    server = await ws_create_server(lambda _: Echo(), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


uvloop.run(main())
