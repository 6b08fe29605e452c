"""What a 404 says to whom."""

import pytest

from echo.not_found import reason

#: A path with its query, and the protocol whose clients ask for it.
OTHER_PROTOCOLS = [
    ("/socket.io/?EIO=4&transport=websocket", "Socket.IO"),
    ("/socket.io/?EIO=4&transport=polling&t=Pabc", "Socket.IO"),
    ("/socket.io/?transport=websocket&EIO=3&sid=x", "Socket.IO"),
    ("/socket.io/", "Socket.IO"),
    ("/socket.io", "Socket.IO"),
    ("/socket.io/socket.io.js", "Socket.IO"),
    ("/chat/?EIO=4&transport=websocket", "Socket.IO"),
    ("/engine.io/?EIO=4", "Socket.IO"),
    ("/Socket.IO/?eio=4", "Socket.IO"),
    ("/chatHub/negotiate?negotiateVersion=1", "SignalR"),
    ("/negotiate", "SignalR"),
    ("/ws/echo/negotiate?negotiateVersion=1", "SignalR"),
    ("/chatHub?id=abc", "SignalR"),
    ("/hub?access_token=x&id=abc", "SignalR"),
    ("/chat?id=Kd1bXYQ3Yx4v8DWzK0cFvw", "SignalR"),
    ("/signalr/connect?transport=webSockets&connectionToken=x", "SignalR"),
    ("/signalr/hubs", "SignalR"),
    ("/live?clientProtocol=2.1&connectionToken=x", "SignalR"),
    ("/ws/echo/123/abcdefgh/websocket", "SockJS"),
    ("/chat/websocket", "SockJS"),
    ("/chat/info?t=1700000000000", "SockJS"),
    ("/info", "SockJS"),
    ("/chat/123/abcdefgh/xhr_streaming", "SockJS"),
    ("/chat/123/abcdefgh/xhr?t=1", "SockJS"),
    ("/socket/websocket?token=x&vsn=2.0.0", "Phoenix Channels"),
    ("/cable", "Action Cable"),
    ("/app/key?protocol=7&client=js&version=8.4.0", "Pusher Channels"),
]

#: Paths near ours, or likely ones.
NEAR = [
    *[
        "/ws/echo/",
        "/ws",
        "/ws/",
        "/echo",
        "/echo/",
        "/WS/ECHO",
        "/ws/Echo",
        "//ws/echo",
        "/ws//echo",
    ],
    *["/websocket", "/websocket/", "/ws/echo/more", "/socket", "/wss", "/", "/api/ws", "/ws/ech"],
    *["/ws/echo/?id=42", "/ws?id=42", "/ws/echo/?name=negotiate", "/ws/information", "/xhr2"],
    *["/applications?protocol=7", "/ws/echo?EIO", "/github.io", "/ws/echo%20"],
]


def told(asked, *, upgrade):
    path, _, query = asked.partition("?")
    return reason(path, query, upgrade=upgrade, websocket="/p/ws/echo", page="/p/page")


@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize(("asked", "protocol"), OTHER_PROTOCOLS)
def test_client_of_another_protocol_is_told_which_is_spoken(asked, protocol, upgrade):
    text = told(asked, upgrade=upgrade)
    assert text.startswith(f"This looks like {protocol}. ")
    assert f"speaks plain WebSocket, not {protocol}:" in text
    assert text.endswith(" to /p/ws/echo.")


@pytest.mark.parametrize("asked", NEAR)
def test_upgrade_of_another_path_is_told_ours(asked):
    assert told(asked, upgrade=True) == "There is no WebSocket here; it is at /p/ws/echo."


@pytest.mark.parametrize("asked", NEAR)
def test_other_requests_are_told_the_page_too(asked):
    assert told(asked, upgrade=False) == (
        "There is nothing here. The WebSocket is at /p/ws/echo, the page to try it at /p/page."
    )
