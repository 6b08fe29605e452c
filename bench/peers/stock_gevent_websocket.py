"""The echo as Flask and gevent-websocket give it, nothing added: stock_gevent_websocket.py PORT."""

import sys

from flask import Flask, request
from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler

app = Flask(__name__)


def echo():
    ws = request.environ["wsgi.websocket"]
    while True:
        message = ws.receive()
        if message is None:
            return ""
        ws.send(message)


app.add_url_rule("/ws/echo", view_func=echo, websocket=True)
address = ("127.0.0.1", int(sys.argv[1]))
WSGIServer(address, app, handler_class=WebSocketHandler, log=None).serve_forever()
