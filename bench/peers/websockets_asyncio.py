"""websockets on asyncio, no message limit, compression as it comes: websockets_asyncio.py PORT."""

import asyncio
import sys

from websockets.asyncio.server import serve


async def echo(ws):
    async for message in ws:
        await ws.send(message)


async def main():
    port = int(sys.argv[1])
    async with serve(echo, "127.0.0.1", port, max_size=None) as server:
        await server.serve_forever()


asyncio.run(main())
