"""The floor of the loop: one script, no systems. Read the CSV, train, archive, load into TorchServe, one answer.

    python bench/loop/bare.py data.csv out-folder        prints one JSON object of seconds by stage

Same rows, network, number of batches and validations as the experiment, with a plain torch loop; the same handler and
archiver as the deploy container. No contract, registry, gate or routing: what a script on one's own machine does.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
MODEL = "customer-churn"
CONFIG = """\
inference_address=http://127.0.0.1:{0}
management_address=http://127.0.0.1:{1}
metrics_address=http://127.0.0.1:{2}
grpc_inference_port={3}
grpc_management_port={4}
model_store={store}
load_models={mar}
enable_envvars_config=true
disable_token_authorization=true
default_workers_per_model=1
"""


def main(csv: Path, out: Path) -> None:
    """Run the stages and print their seconds."""
    seconds, started = {}, time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal started
        now = time.perf_counter()
        seconds[stage], started = now - started, now

    sys.path[:0] = [str(ROOT / "experiment"), str(ROOT / "containers" / "deploy")]
    # The imports are a stage of their own: they are part of what a script costs.
    import bare_training  # noqa: PLC0415

    lap("import")
    table = bare_training.read(csv)
    lap("read")
    bare_training.train(table, yaml.safe_load((ROOT / "experiment" / "const.yaml").read_text()), out / "checkpoint")
    lap("train")
    archive = pack(out)
    lap("archive")
    serve(archive, out)
    lap("serve")
    seconds["total"] = sum(seconds.values())
    print(json.dumps(seconds))


def pack(out: Path) -> Path:
    """Make the .mar with the deploy container's own archiver call."""
    from deployment import archive  # noqa: PLC0415 - on the path only since main

    info = {"model": MODEL, "model_version": 1, "serving": {"max_rows": 10_000, "max_response_bytes": 2**25}}
    archive.stage(out / "checkpoint", out / "staged", {"archive_info.json": info})
    return Path(archive.pack(out / "staged", MODEL, "1", out / "packed"))


def serve(archive: Path, out: Path) -> None:
    """Start TorchServe with the archive, wait for its first answer, end it."""
    port = 20_000 + os.getpid() % 20_000
    work = Path(tempfile.mkdtemp(prefix="bare-"))
    config = work / "config.properties"
    config.write_text(CONFIG.format(*range(port, port + 5), store=archive.parent, mar=archive.name))
    command = [sys.executable, "-m", "ts.model_server", "--foreground", "--ncs", "--ts-config", str(config)]
    environment = {**os.environ, "TMPDIR": str(work), "LOG_LOCATION": str(work), "TS_SERVICE_ENVELOPE": "kserve"}
    with (out / "torchserve.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=work, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for_answer(f"http://127.0.0.1:{port}/v1/models/{MODEL}:predict")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_answer(url: str, timeout: float = 60.0) -> None:
    """Send the ten rows until ten predictions come back; raise TimeoutError."""
    rows = json.loads((ROOT / "sample-data" / "customer_churn_sample.json").read_text())
    body = json.dumps({"instances": [{"data": rows}]}).encode()
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                if len(json.load(response)["predictions"]) == 10:
                    return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise TimeoutError(f"{url} did not answer within {timeout:.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
