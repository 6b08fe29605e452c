"""Other programs as processes of their own, for the end-to-end tests: redis-server and nginx."""

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress

from tests.e2e.server_process import DEADLINE, reserve_port


class Program:
    """A program that listens on a port of its own; a context manager, which starts it.

    Attributes:
        port: where it listens, or will when it is started.
        process: the process, once it was started.
    """

    def __init__(self):
        self._reservation = reserve_port()
        self.port = self._reservation.getsockname()[1]
        self.process = None

    def command(self):
        """The command line that starts it in the foreground."""
        raise NotImplementedError

    def start(self):
        """Start it and wait until it listens."""
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Debian keeps servers where only root looks for programs.
            env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin"},
        )
        deadline = time.monotonic() + DEADLINE
        while True:
            with suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.port), DEADLINE).close()
                return
            ended = self.process.poll() is not None
            assert not ended, self.process.stdout.read().decode()
            assert time.monotonic() < deadline, f"{self.command()[0]} does not listen"

    def stop(self):
        """End it by SIGTERM, in order, and wait for it."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            output, _ = self.process.communicate(timeout=DEADLINE)
        finally:
            self.process.kill()
            self.process.communicate()
        assert self.process.returncode == 0, output.decode()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
        self._reservation.close()


class RedisServer(Program):
    """A redis-server that keeps everything in memory."""

    def __init__(self, folder, *options):
        super().__init__()
        self._folder = folder
        self._options = options

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self):
        """As Program.command."""
        return [
            "redis-server",
            *("--port", str(self.port)),
            *("--bind", "127.0.0.1"),
            *("--dir", str(self._folder)),
            *("--save", ""),
            *self._options,
        ]


#: Lines of nginx's configuration that keep an upgrade.
UPGRADE = """
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $http_connection;
"""


class Nginx(Program):
    """nginx with a configuration of its own; its processes stay in the foreground."""

    #: As a ServerProcess has it: its clients come without TLS.
    tls = None

    def __init__(self, folder, configuration):
        """``configuration``: a function that makes the text of it from the port."""
        super().__init__()
        self._folder = folder
        (folder / "nginx.conf").write_text(configuration(self.port), encoding="utf-8")

    def command(self):
        """As Program.command."""
        path = self._folder / "nginx.conf"
        return ["nginx", "-p", str(self._folder), "-c", str(path), "-g", "daemon off;"]

    @classmethod
    def in_front_of(cls, server, folder, lines, location="/", target=""):
        """Nginx that hands on to a server what is below ``location``.

        ``lines`` of the location; ``target``: a path that replaces ``location``.
        """
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        url = f"http://127.0.0.1:{server.port}{target}"
        return cls(
            folder,
            lambda port: (
                f"""
                pid {folder}/nginx.pid;
                error_log {folder}/error.log;
                events {{}}
                http {{
                    {temporary}
                    access_log off;
                    server {{
                        listen 127.0.0.1:{port};
                        location {location} {{
                            proxy_pass {url};
                            {lines}
                        }}
                    }}
                }}
            """
            ),
        )
