"""A headless Chromium, driven over its own pipe: no server, no port and no driver program."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from together import once

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
PATIENCE_SECONDS = 60.0


def find_chromium() -> str:
    """Return this machine's Chromium, or one that is fetched once for all tests of a run."""
    for name in PROGRAMS:
        if program := shutil.which(name):
            return program
    fetch = Path(__file__).with_name("chromium.sh")
    return str(once("chromium", lambda folder: subprocess.run([fetch, folder], check=True)) / "chromium")


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, program: str, profile: Path) -> None:
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"]
        arguments += [f"--user-data-dir={profile}", "--disable-dev-shm-usage", "about:blank"]

        def on_three_and_four() -> None:
            # Chromium reads commands from descriptor 3 and writes to 4; above both while they are being set.
            spare_read, spare_write = os.dup(to_read), os.dup(to_write)
            os.dup2(spare_read, 3)
            os.dup2(spare_write, 4)

        self._process = subprocess.Popen(
            [program, *arguments],
            preexec_fn=on_three_and_four,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer, self._number, self.log = b"", 0, []
        self._loaded: set[str] = set()
        target = next(t for t in self._call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime"):
            self._call(f"{domain}.enable", session=self._session)
        self._call("Page.setLifecycleEventsEnabled", session=self._session, enabled=True)

    def close(self) -> None:
        """End the browser."""
        self._call("Browser.close")
        self._process.wait(PATIENCE_SECONDS)
        os.close(self._to)
        os.close(self._from)

    def open(self, page: Path, downloads: Path) -> None:
        """Load a file from disk; what it lets the user save goes to ``downloads``."""
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        # Until its own load is told of, the page before it may be the one that answers.
        loader = self._call("Page.navigate", session=self._session, url=page.as_uri())["loaderId"]
        while loader not in self._loaded:
            self._note(self._read())

    def reopen(self, page: Path, downloads: Path, script: str) -> None:
        """Load a file as somebody does who closed one before, again until a JavaScript expression is true.

        What a page keeps in localStorage reaches the process of the next a moment later.
        """
        end = time.monotonic() + PATIENCE_SECONDS
        self.open(page, downloads)
        while not self.evaluate(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)
            self.open(page, downloads)

    def show(self, page: Path, scheme: str, width: int = 1400, height: int = 1200) -> None:
        """Load a file under a colour scheme, ``light`` or ``dark``, in a window of this many pixels."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", session=self._session, features=features)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", session=self._session, **size)
        self.open(page, page.parent)

    def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = self._call(
            "Runtime.evaluate", session=self._session, expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.evaluate(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)

    def wait_for_file(self, path: Path) -> None:
        """Wait until a download is there as a whole."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not path.exists():
            assert time.monotonic() < end, f"{path.name} was never saved"
            time.sleep(0.05)

    def type_into(self, selector: str, text: str) -> None:
        """Put the cursor into a field, select what is there and type ``text`` over it."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus(), document.activeElement.select()")
        self._call("Input.insertText", session=self._session, text=text)

    def click(self, selector: str) -> None:
        """Click the middle of an element with the mouse."""
        box = f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
        box += " e.scrollIntoView({block: 'center'});"
        box += " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        x, y = self.evaluate(box)
        for kind in ("mousePressed", "mouseReleased"):
            self._call(
                "Input.dispatchMouseEvent", session=self._session, type=kind, x=x, y=y, button="left", clickCount=1
            )

    def screenshot(self, path: Path) -> Path:
        """Save what the page shows as PNG; return the file."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", session=self._session)["data"]))
        return path

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {
            "id": self._number,
            "method": method,
            "params": parameters,
            **({"sessionId": session} if session else {}),
        }
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        """Return the browser's next answer or event."""
        while b"\0" not in self._buffer:
            piece = os.read(self._from, 1 << 16)
            assert piece, "the browser ended"
            self._buffer += piece
        line, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(line)

    def _note(self, event: dict[str, Any]) -> None:
        """Remember what a page said and which one is loaded."""
        if event.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.log.append(event["params"])
        if event.get("method") == "Page.lifecycleEvent" and event["params"]["name"] == "load":
            self._loaded.add(event["params"]["loaderId"])
