"""A headless Chromium for tests, driven through a pair of pipes: no driver program, no port, no further package.

The browser speaks the Chrome DevTools protocol on its file descriptors 3 and 4 (--remote-debugging-pipe): JSON texts,
each followed by a zero byte.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The sandbox of the browser needs rights that a container or the super-user seldom has; the pages are this project's.
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--force-prefers-reduced-motion", "--remote-debugging-pipe", "--window-size=1280,800",
)  # fmt: skip
SECONDS = 60.0


def find_browser():
    """The path of a Chromium, or None."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Browser:
    """A browser of its own, with one page at a time.

    Args:
        folder: for its profile.
    """

    def __init__(self, folder: Path) -> None:
        there, self._write = (_high(each) for each in os.pipe())
        self._read, back = (_high(each) for each in os.pipe())
        command = [find_browser(), *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
        actions = [
            (os.POSIX_SPAWN_DUP2, there, 3),
            (os.POSIX_SPAWN_DUP2, back, 4),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ]
        settings = {**os.environ, "HOME": str(folder)}
        self._process = os.posix_spawn(command[0], command, settings, file_actions=actions, setpgroup=0)
        os.close(there)
        os.close(back)
        self._number = 0
        self._buffer = b""
        self._session = None
        self._events = []

    def close(self) -> None:
        """End the browser, by force if it does not go by itself."""
        with suppress(OSError, TimeoutError):
            self._call("Browser.close")
        os.close(self._write)
        os.close(self._read)
        end = time.monotonic() + 10.0
        while os.waitpid(self._process, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.killpg(self._process, signal.SIGKILL)
            time.sleep(0.02)

    def open(self, path: Path, *, is_dark: bool = False, width: int = 1280, height: int = 800) -> Page:
        """Load a file in a new page, and wait until it is there."""
        self._session = None
        self._events.clear()
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._call(
            "Emulation.setEmulatedMedia", features=[scheme, {"name": "prefers-reduced-motion", "value": "reduce"}]
        )
        page.address = path.resolve().as_uri()
        self._call("Page.navigate", url=page.address)
        page.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
        return page

    def _call(self, method: str, **parameters: object) -> dict:
        """Send a command and wait for its answer; what happens meanwhile is kept for the page."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._write, content) :]
        while True:
            found = self._receive()
            if found.get("id") == self._number:
                if "error" in found:
                    raise AssertionError(f"{method}: {found['error']['message']}")
                return found["result"]
            self._events.append(found)

    def _receive(self) -> dict:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._read, 2**16)
            if not part:
                raise TimeoutError("the browser has ended")
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)


class Page:
    """A loaded page.

    Attributes:
        address: its URL.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.address = ""

    def ask(self, script: str) -> object:
        """The value of a JavaScript expression."""
        found = self._browser._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise AssertionError(f"{script}: {found['exceptionDetails']['exception'].get('description')}")
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + SECONDS
        while not self.ask(f"Boolean({script})"):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {script}")
            time.sleep(0.02)

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of an element on the screen."""
        script = f"(r => [r.x + r.width / 2, r.y + r.height / 2])({_element(selector)}.getBoundingClientRect())"
        x, y = self.ask(script)
        return x, y

    def hover(self, selector: str) -> None:
        """Put the mouse on an element."""
        self.mouse("mouseMoved", *self.middle(selector))

    def click(self, selector: str) -> None:
        """Click an element where it is on the screen."""
        x, y = self.middle(selector)
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        """One event of the mouse."""
        self._browser._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        """One event of the fingers: touchStart, touchMove or touchEnd."""
        fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self._browser._call("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)

    def press(self, *keys: str) -> None:
        """Press keys one after the other: characters, or names such as Enter."""
        codes = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        for key in keys:
            text = "\r" if key == "Enter" else key if len(key) == 1 else ""
            code = codes.get(key, 0)
            self._browser._call(
                "Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code
            )
            self._browser._call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that a selector means."""
        return self.ask(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")

    def screenshot(self, path: Path) -> None:
        """Save what is on the screen as a PNG file."""
        path.write_bytes(base64.b64decode(self._browser._call("Page.captureScreenshot", format="png")["data"]))

    def complaints(self) -> list[str]:
        """What the console, the log and uncaught exceptions said."""
        self.ask("0")  # so that what was under way has arrived
        kinds = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
        return [json.dumps(each["params"])[:2000] for each in self._browser._events if each.get("method") in kinds]

    def requests(self) -> list[str]:
        """The addresses of everything that was asked for, beside the page itself."""
        self.ask("0")
        events = [each for each in self._browser._events if each.get("method") == "Network.requestWillBeSent"]
        urls = [each["params"]["request"]["url"] for each in events]
        return [url for url in urls if url not in {self.address, "about:blank"}]


def _element(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)})"


def _high(descriptor: int) -> int:
    """The same file under a number that is in nobody's way, not inherited."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(descriptor)
    return moved
