"""What a 404 says: where the WebSocket is, and which other protocol its client seems to speak."""

import re
from typing import Final

#: Protocols on top of WebSocket, by what their clients ask for: a path and its query. The first
#: that is found counts.
_OTHER_PROTOCOLS: Final = [
    (name, re.compile(sign, re.IGNORECASE))
    for name, sign in (
        ("Socket.IO", r"/(?:socket|engine)\.io(?:/.*)?\?|\?(?:.*&)?EIO=[0-9]"),
        ("SignalR", r"/negotiate/?\?|/signalr(?:/.*)?\?|\?(?:.*&)?connectionToken="),
        ("SignalR", r"hub/?\?(?:.*&)?id=|\?(?:.*&)?id=[\w-]{22}(?:&|$)"),
        ("Phoenix Channels", r"/websocket/?\?(?:.*&)?vsn="),
        ("Pusher Channels", r"/app/[^/?]+\?(?:.*&)?protocol=[0-9]"),
        ("Action Cable", r"/cable/?\?"),
        ("SockJS", r"./websocket/?\?|/info/?\?|/xhr(?:_send|_streaming)?/?\?"),
    )
]


def reason(path: str, query: str, *, upgrade: bool, websocket: str, page: str) -> str:
    """What to tell whoever asked for ``path``; ``upgrade``: to become a WebSocket.

    ``websocket`` and ``page``: the paths at which they are.
    """
    asked = f"{path}?{query}"
    for protocol in (name for name, sign in _OTHER_PROTOCOLS if sign.search(asked)):
        return (
            f"This looks like {protocol}. This service speaks plain WebSocket, not {protocol}: "
            f"connect with a WebSocket client to {websocket}."
        )
    if upgrade:
        return f"There is no WebSocket here; it is at {websocket}."
    return f"There is nothing here. The WebSocket is at {websocket}, the page to try it at {page}."
