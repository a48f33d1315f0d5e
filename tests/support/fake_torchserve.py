"""Stands in for `java org.pytorch.serve.ModelServer`: the same ports and answers, started in a tenth of the time.

What it does is in `behaviour.json` beside the archive: exit (status), silent (never answers), loading (never READY),
load_error (text in the log), predict (status and body of a predict), predict_seconds (before it is answered), seconds
(before it is READY).
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

config = Path(sys.argv[sys.argv.index("-f") + 1])
store = Path(sys.argv[sys.argv.index("-s") + 1])
log4j = next(each for each in sys.argv if each.startswith("-Dlog4j.configurationFile=file://"))
log = Path(log4j.removeprefix("-Dlog4j.configurationFile=file://")).read_text().split('fileName="')[1].split('"')[0]
properties = dict(line.split("=", 1) for line in config.read_text().splitlines())
path = store / "behaviour.json"
behaviour = json.loads(path.read_text()) if path.exists() else {}
started = time.monotonic()


def port(name):
    return int(properties[name].rpartition(":")[2])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        current = json.loads(path.read_text()) if path.exists() else {}
        if current.get("silent"):
            time.sleep(60)
        ready = time.monotonic() - started >= current.get("seconds", 0) and not current.get("loading")
        status = "READY" if ready else "UNLOADING"
        self.reply(200, json.dumps([{"minWorkers": 1, "workers": [{"id": "9000", "status": status}]}]))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(behaviour.get("predict_seconds", 0))
        status, answer = behaviour.get("predict", [200, json.dumps({"predictions": body["instances"]})])
        self.reply(status, answer)

    def reply(self, status, text):
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def write_log(text):
    with Path(log).open("a") as file:
        file.write("".join(f"2026-01-01T00:00:00.000000Z {line}\n" for line in text.splitlines()))


say("fake TorchServe")
if "load_error" in behaviour:
    write_log(f"Failed to load model m, exception {behaviour['load_error']}\nBackend worker process died.")
if "exit" in behaviour:
    say("cannot start: told so")
    sys.exit(behaviour["exit"])
for name in ("management_address", "inference_address"):
    server = ThreadingHTTPServer(("127.0.0.1", port(name)), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
while True:
    time.sleep(60)
