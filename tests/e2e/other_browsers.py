"""Firefox and WebKit for the tests of the page, each driven through its own standard protocol.

Firefox speaks WebDriver BiDi by itself; WebKitGTK comes with a driver for WebDriver, over HTTP.
Both keep everything in a folder of the test's.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
import websocket

from tests.e2e.server_process import DEADLINE, Output, reserve_port

#: Seconds that a browser may take for anything; they start slowly on a busy machine.
PATIENCE = 3 * DEADLINE

#: The key, as both protocols have it.
ENTER = "\ue007"

#: Firefox by itself asks several services on the internet. Whatever is not on this machine is asked
#: through a proxy, and at the proxy's port nobody listens. Nor does it prepare pages nobody opens.
FIREFOX_PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.ipc.processPrelaunch.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.failover_direct": False,
    "network.proxy.allow_bypass": False,
    "toolkit.telemetry.server": "data:,",
}

#: Keeps what a page hears of its own faults: errors, files that do not load, rejected promises, and
#: what its security policy refuses.
NOTE_COMPLAINTS = """() => {
    window.complaints = [];
    const note = (type, describe) =>
        addEventListener(type, (event) => { window.complaints.push(describe(event)); }, true);
    note("error", ({message, target}) => message ?? `${target.outerHTML} does not load`);
    note("unhandledrejection", ({reason}) => String(reason));
    note("securitypolicyviolation", ({violatedDirective, blockedURI}) =>
        `${violatedDirective} refuses ${blockedURI}`);
}"""


class OtherBrowser(ABC):
    """What the tests do with a browser that is not Chromium; it has one tab."""

    @abstractmethod
    def _go_to(self, url):
        """Load a page, to the end."""

    @abstractmethod
    def _evaluate(self, expression):
        """The string that a JavaScript expression, or its promise, gives in the page."""

    @abstractmethod
    def _act(self, *sources):
        """Do what the sources of input do, in the form that is the same in both protocols."""

    def open(self, url):
        """Load a page anew, even if it differs from the one before in the fragment alone."""
        self.leave()
        self._go_to(url)

    def leave(self):
        """Leave the page, which closes its connection."""
        self._go_to("about:blank")

    def take_complaints(self):
        """What was wrong with the page since it was opened or last asked, such as script errors."""
        return self.evaluate("() => window.complaints?.splice(0) ?? []")

    def evaluate(self, function, *arguments):
        """What a JavaScript function returns for these arguments, as JSON has it."""
        given = ", ".join(map(json.dumps, arguments))
        return json.loads(
            self._evaluate(f"(async () => JSON.stringify(await ({function})({given}) ?? null))()")
        )

    def texts(self, selector):
        """The text of each visible element that matches."""
        return self.evaluate(
            """(selector) => [...document.querySelectorAll(selector)]
                .filter((element) => element.checkVisibility())
                .map((element) => element.textContent)""",
            selector,
        )

    def text(self, selector):
        """The text of the only visible element that matches."""
        (text,) = self.texts(selector)
        return text

    def expect(self, selector, *patterns):
        """Wait until as many visible elements match, each with its pattern in its text."""
        deadline = time.monotonic() + PATIENCE
        while True:
            texts = self.texts(selector)
            if len(texts) == len(patterns) and all(map(re.search, patterns, texts)):
                return
            assert time.monotonic() < deadline, f"{selector}: {texts}, not {patterns}"
            time.sleep(0.05)

    def click(self, selector):
        """Click with the mouse into the middle of an element."""
        x, y = self.evaluate(
            """(selector) => {
                const element = document.querySelector(selector);
                element.scrollIntoView({block: "center", behavior: "instant"});
                const {x, y, width, height} = element.getBoundingClientRect();
                return [Math.round(x + width / 2), Math.round(y + height / 2)];
            }""",
            selector,
        )
        move = {"type": "pointerMove", "x": x, "y": y}
        press, release = ({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp"))
        self._act({"type": "pointer", "id": "mouse", "actions": [move, press, release]})

    def type(self, text):
        """Press the key of each character."""
        strokes = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self._act({"type": "key", "id": "keyboard", "actions": strokes})


class Firefox(OtherBrowser):
    """Firefox, by WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/)."""

    def __init__(self, connection):
        """``connection``: a websocket.WebSocket to its BiDi server."""
        self._connection = connection
        self._number = 0
        self._command("session.new", capabilities={})
        self._command("script.addPreloadScript", functionDeclaration=NOTE_COMPLAINTS)
        (tab,) = self._command("browsingContext.getTree")["contexts"]
        self._tab = tab["context"]

    def _go_to(self, url):
        self._command("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def _evaluate(self, expression):
        target = {"context": self._tab}
        answer = self._command(
            "script.evaluate", expression=expression, target=target, awaitPromise=True
        )
        assert answer["type"] == "success", answer
        return answer["result"]["value"]

    def _act(self, *sources):
        self._command("input.performActions", context=self._tab, actions=sources)

    def _command(self, method, **parameters):
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        self._connection.send(json.dumps(command))
        answer = json.loads(self._connection.recv())
        assert answer["type"] == "success", answer
        return answer["result"]


class WebKit(OtherBrowser):
    """WebKitGTK's MiniBrowser, by WebDriver (https://www.w3.org/TR/webdriver2/)."""

    def __init__(self, port):
        """``port``: its driver's."""
        self._port = port
        session = self._request("POST", "/session", capabilities={})
        self._path = f"/session/{session['sessionId']}"

    def quit(self):
        """End the browser."""
        self._request("DELETE", self._path)

    def _go_to(self, url):
        self._request("POST", f"{self._path}/url", url=url)
        # Not before the page's own scripts run: WebDriver has nothing for that.
        self.evaluate(NOTE_COMPLAINTS)

    def _evaluate(self, expression):
        script = f"return {expression}"
        return self._request("POST", f"{self._path}/execute/sync", script=script, args=[])

    def _act(self, *sources):
        self._request("POST", f"{self._path}/actions", actions=sources)

    def _request(self, method, path, **body):
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)) as connection:
            connection.request(method, path, json.dumps(body))
            response = connection.getresponse()
            answer = json.load(response)
        assert response.status == 200, answer
        return answer["value"]


def require(package, program):
    """Skip the test if a program is not installed, or fail where all must be: under CI."""
    if not program:
        outcome = pytest.fail if os.environ.get("CI") else pytest.skip
        outcome(f"{package} is not installed; `make test` installs it with apt-get")


@contextmanager
def running(folder, *command, **environment):
    """Run a program with a home of its own; yields its Output. Of its children none is left."""
    inherited = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    process = subprocess.Popen(
        command,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    output = Output(command[0])
    output.attach(process.stdout)
    try:
        yield output
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            output.join()


@contextmanager
def firefox(folder):
    """A Firefox of its own."""
    program = shutil.which("firefox-esr")
    require("firefox-esr", program)
    lines = [
        f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
        for name, value in FIREFOX_PREFERENCES.items()
    ]
    (folder / "user.js").write_text("".join(lines), encoding="utf-8")
    options = ("--headless", "--no-remote", "--profile", str(folder))
    with running(folder, program, *options, "--remote-debugging-port", "0") as output:
        url = output.wait_for_line(r"BiDi listening on (ws://.*)", PATIENCE)[1]
        connection = websocket.create_connection(
            f"{url}/session", timeout=PATIENCE, suppress_origin=True
        )
        with closing(connection):
            yield Firefox(connection)


@contextmanager
def webkit(folder):
    """A MiniBrowser of its own, on a screen of its own, which nobody sees."""
    driver = shutil.which("WebKitWebDriver")
    program = next(Path("/usr/lib").glob("*/webkit*gtk-*/MiniBrowser"), None)
    require("webkit2gtk-driver", driver and program)
    screen = shutil.which("Xvfb")
    require("xvfb", screen)
    with (
        closing(reserve_port()) as reservation,
        running(folder, screen, "-displayfd", "1", "-nolisten", "tcp") as screen_output,
    ):
        display = screen_output.wait_for_line(r"^(\d+)$", PATIENCE)[1]
        port = reservation.getsockname()[1]
        environment = {
            "DISPLAY": f":{display}",
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
            "GSETTINGS_BACKEND": "memory",
            "WEBKIT_DISABLE_COMPOSITING_MODE": "1",  # which would be for a GPU
            "NO_AT_BRIDGE": "1",
        }
        with running(folder, driver, f"--port={port}", **environment):
            wait_until_it_listens(port)
            browser = WebKit(port)
            yield browser
            browser.quit()


def wait_until_it_listens(port):
    """Wait until somebody listens on a port of this machine."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        assert time.monotonic() < deadline, f"nobody listens on port {port}"
        time.sleep(0.05)
