"""A WebSocket echo service: the map of the package.

Three floors; a file imports from its own or a lower one, never upward and never in a circle.

Top: the service
    handlers.py     echo_message and echo_display, the article's two handlers, the inspector's, and
                    the paths of the WebSockets; the loop is here
    app.py          create_app: Flask and its routes, for every request that is not a WebSocket
    answers.py      its refusals and answers to errors, its security headers
    on_demand.py    OnDemand: loads Flask for the first request that is not a WebSocket
    settings.py     Settings: every option
    option_types.py what their values may be
    proxies.py      TrustedProxies: who asks, as the proxies in front say
    not_found.py    what a 404 says, to clients of other protocols too
    service.py      build_service: the application, its server and its logs in one process
    signals.py      what a process that serves does at signals
    gunicorn_master.py  EchoMaster: gunicorn's master, which no fault of one worker or file ends
    gunicorn_worker.py  EchoWorker: the service as one of gunicorn's workers, see gunicorn.conf.py
    logs.py         Logs: messages, ends of connections, requests, faults
    log_formats.py  their lines, as text or as JSON
    background_writer.py  the bounded queue and the thread behind every log, and behind Redis
    redis_records.py  RedisRecords: records of connections that several processes share
    metrics.py      Metrics: the figures for Prometheus at /metrics
    metrics_files.py  the directory by which several processes share them

Top, ``inspector``: what /ws/inspect sees and says
    connection.py   inspect: a loop that tells its client what arrived, frame by frame
    frames.py       what goes over the wire, as it is and not as it should be
    reports.py      the reports, as JSON objects
    allowance.py    how much a report may say to whoever floods

Middle, ``net``: gevent's sockets
    server.py       HTTPServer: listening, capacity, stopping
    http.py         HTTPHandler: one HTTP connection, its heads, answers and deadlines
    turns.py        how HTTP leaves WebSockets their share of time
    upgrade.py      upgrade: from a request to a Connection, by gevent-websocket's handler
    connection.py   Connection: read_message, write_message, ping, close
    keepalive.py    the greenlet that pings quiet connections
    registry.py     connections by their ids, and what is known of the last that ended
    records.py      what is known of a connection, or of a refused handshake
    events.py       Events: what happens here, for logs, metrics and records to listen to
    counters.py     Counters: messages and bytes, counted at the price of an addition
    limits.py       Limits: what a client may take
    channel.py      Channel: the bytes of one socket; the only file that touches gevent's hub
    tls_channel.py  TLSChannel: the same, encrypted
    certificate.py  Certificate: what TLS needs, read anew when it changes
    descriptors.py  how many files the process may open

Ground, ``protocol``: RFC 6455, 7692 and 9112 without I/O
    http_head.py    the head of an HTTP request: RFC 9112
    request_line.py its first line, and what is wrong with it: section 3
    request_target.py  where it goes: the target and Host
    lost_fields.py  what a proxy has dropped of a handshake
    credentials.py  header fields whose values are hidden
    origins.py      which pages may open a WebSocket: RFC 6454
    handshake.py    negotiate: the opening handshake, section 4
    extensions.py   the header field of the extensions: section 9.1
    session.py      Session: a WebSocket after its handshake, both directions; its closing
    messages.py     MessageParser: frames become messages, sections 5.4 to 5.6 and 8.1
    partial_message.py  the message that is not whole yet: UTF-8 and its limit
    deflate.py      permessage-deflate: RFC 7692
    frames.py       frames and close payloads as values: section 5.2
    masking.py      how payloads are masked: section 5.3
    budget.py       the memory that all connections share for unfinished messages
    excerpts.py     what a client sent, cut for reasons and logs
    errors.py       every exception, with its close code or HTTP status
    rfc6455.py      the numbers
    rfc9110.py      the grammar that header fields share
"""
