"""A WebSocket echo service: the map of the package.

Three floors; a file imports from its own or a lower one, never upward.

Top: the service
    gunicorn_master.py  EchoMaster: gunicorn's master, which no fault of one worker or file ends
    gunicorn_worker.py  EchoWorker: the service as one of gunicorn's workers, see gunicorn.conf.py
    service.py      build_service: the application, its server and its logs in one process
    signals.py      stop_on_signals: what a process that serves does at signals
    app.py          create_app: the Flask application, its answers to errors, its headers
    handlers.py     echo_message and echo_display, the article's two handlers; the loop is here;
                    the inspector's loop and what is known of a connection
    settings.py     Settings: every option
    option_types.py what their values may be
    forwarded.py    TrustedProxies: who asks, as the proxies in front say
    records.py      where the records of connections are that several processes share: nowhere
    redis_records.py  or in Redis
    metrics.py      Metrics: the figures for Prometheus at /metrics
    metrics_files.py  the directory by which several processes share them
    log_formats.py  all logs together, as text or as JSON
    logs.py         the message log and the access log, written by a thread

Middle, ``net``: gevent's sockets
    http_server.py  pywsgi's server: listening, capacity, stopping
    upgrade.py      upgrade: from a request to a Connection, by gevent-websocket's handler
    http_handler.py one HTTP connection: heads against deadlines, answers, the access log
    keepalive.py    the greenlet that pings quiet connections
    connection.py   Connection: read_message, write_message, ping, close
    inspection.py   InspectedConnection: tells its peer what arrived, frame by frame
    registry.py     connections by their ids, and the records of the last that ended
    tls_channel.py  TLSChannel: a Channel whose bytes are encrypted
    certificate.py  Certificate: what TLS needs, read anew when it changes
    watcher.py      what the server tells: entries of the log, and to a Watcher
    channel.py      bytes in and out of one socket; the only file that parks greenlets in the hub
    limits.py       Limits: what a peer may take

Ground, ``protocol``: RFC 6455 without I/O
    messages.py     frames become messages: sections 5.4 to 5.6, 7 and 8.1
    partial_message.py  the message that is not whole yet: UTF-8, its limit, the budget of all
    deflate.py      permessage-deflate: RFC 7692
    extensions.py   the header field of the extensions: section 9.1
    observer.py     what goes over the wire, frame by frame, unchecked
    reports.py      what the inspector says, as JSON
    handshake.py    the opening handshake: section 4
    http_head.py    the head of an HTTP request: RFC 9112
    frames.py       frames and close payloads as values: section 5.2
    tally.py        messages in and out, counted at the price of an addition
    excerpts.py     what a peer sent, cut for reasons and logs
    errors.py       every exception, with its close code or HTTP status
    rfc6455.py      the numbers
"""
