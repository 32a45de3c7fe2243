"""A browser that does as it is told on standard input: a command per line, an answer per line.

Chromium without a window, spoken to in its DevTools protocol over a pipe, so that no port is taken
and nothing but Python is needed. Commands, each answered by one line of JSON:

    open URL            loads a page
    eval EXPRESSION     the value of an expression in it
    scheme light|dark   what the page takes for the user's choice of colours
    size WIDTH HEIGHT   of the window, in pixels
    type ID TEXT        puts text into an input, as if it had been typed
    shot FILE           a picture of the whole page
    problems            what went wrong so far: errors, and requests to other hosts
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from urllib.parse import urlsplit

PROGRAMS = ["chromium-headless-shell", "chromium"]
FLAGS = [
    "--headless",
    # Tests may run as root in a container, where there is no sandbox to be had.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
]


class Browser:
    def __init__(self, profile):
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            sys.exit("no chromium: run integration/install")
        reads, self.out = os.pipe()
        self.inn, writes = os.pipe()
        # It reads from descriptor 3 and writes to 4, which these must not be themselves.
        theirs_in, theirs_out = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (reads, writes))
        os.close(reads)
        os.close(writes)
        start = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out} {theirs_in}<&- {theirs_out}>&-'
        self.process = subprocess.Popen(
            ["bash", "-c", start, "browser", program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=[theirs_in, theirs_out],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # What it says there is about the desktop it does not have.
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.buffer = b""
        self.number = 0
        self.session = None
        self.errors = []
        self.asked = []
        self.host = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")

    def receive(self):
        while b"\0" not in self.buffer:
            more = os.read(self.inn, 1 << 16)
            if not more:
                sys.exit("the browser has ended")
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            message = self.receive()
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.note(message)

    def note(self, event):
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            detail = params["exceptionDetails"]
            self.errors.append(detail.get("exception", {}).get("description", detail["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(arg.get("value")) for arg in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            entry = params["entry"]
            self.errors.append(f"{entry['text']} {entry.get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])

    def open(self, url):
        self.host = urlsplit(url).netloc
        self.call("Page.navigate", url=url)

    def eval(self, expression):
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def scheme(self, scheme):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def size(self, width, height):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=int(width), height=int(height), deviceScaleFactor=1, mobile=False,
        )

    def type(self, name, text):
        return self.eval(
            f"{{ const input = document.getElementById({json.dumps(name)});"
            f" input.value = {json.dumps(text)};"
            " input.dispatchEvent(new Event('input', { bubbles: true })); true }"
        )

    def shot(self, file):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        with open(file, "wb") as out:
            out.write(base64.b64decode(picture["data"]))

    def problems(self):
        # What has happened meanwhile is told before this is answered. A page that is just being
        # left does not answer; the next one does.
        while True:
            try:
                self.eval("1")
                break
            except RuntimeError as error:
                if "navigated" not in str(error):
                    raise
        foreign = [url for url in self.asked if urlsplit(url).netloc != self.host]
        return {"errors": self.errors, "foreign": foreign, "requests": len(self.asked)}


def main():
    with tempfile.TemporaryDirectory(prefix="browser-", dir=sys.argv[1]) as profile:
        browser = Browser(profile)
        print("ready", flush=True)
        arguments = {"open": 1, "eval": 1, "scheme": 1, "size": 2, "type": 2, "shot": 1, "problems": 0}
        try:
            for line in sys.stdin:
                command, *rest = line.rstrip("\n").split(" ", 1)
                parts = rest[0].split(" ", arguments[command] - 1) if rest else []
                answer = getattr(browser, command)(*parts)
                print(json.dumps(answer), flush=True)
        finally:
            browser.process.kill()
            browser.process.wait()


if __name__ == "__main__":
    main()
