"""The handler under load, beside a handler that builds a pandas DataFrame per request, as the original example does.

    python bench/serving/run.py [--rounds 5] [--seconds 3]

Contenders, each in a TorchServe of its own, all with the same network, weights, JVM flags, one worker, quiet log:

    pdk        containers/deploy/handler.py, service envelope kserve, batchSize 1: as KServe runs it
    dataframe  peer_handler.py, the same settings
    batched    containers/deploy/handler.py without envelope, batchSize 16: what batching gives on top

Requests of 1 and 10 rows, in the original's column form, on 1 and 16 connections. The runs of the contenders alternate
within each round; the table shows the median over rounds, and the ratio of each round's pair, again the median. The
predictions are compared before anything is measured. CPU is that of the worker process, per request.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torchserve import TorchServe, serving

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in (ROOT / "containers" / "deploy", ROOT / "experiment"):
    sys.path.insert(0, str(folder))

import checkpoints  # noqa: E402
import fitting  # noqa: E402
import network  # noqa: E402
from deployment import archive  # noqa: E402
from deployment.build import BuildOptions, run  # noqa: E402
from deployment.staging import Staged  # noqa: E402
from deployment.torchserve_config import Serving  # noqa: E402

SERVED = "customer-churn"
PATH = f"/v1/models/{SERVED}:predict"
SCENARIOS = [(rows, connections) for rows in (1, 10) for connections in (1, 16)]
CONTENDERS = ("pdk", "dataframe", "batched")


@dataclass(frozen=True)
class Run:
    """One contender in one scenario of one round; times in milliseconds."""

    rate: float
    p50: float
    p99: float
    cpu: float


def main() -> None:
    """Build, serve, compare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        base = Path(name)
        bodies = write_bodies(base)
        servers = {contender: stack.enter_context(start(contender, base / contender)) for contender in CONTENDERS}
        compare(servers, bodies)
        results = measure(servers, bodies, args.rounds, args.seconds)
        memory = {contender: server.memory() for contender, server in servers.items()}
    print_table(results, memory)


def write_bodies(base: Path) -> dict[int, Path]:
    """Write the request of each size, in the original's form {column: {row: value}}, label included."""
    sample = json.loads((ROOT / "sample-data" / "customer_churn_sample.json").read_text())
    bodies = {}
    for rows in sorted({rows for rows, _ in SCENARIOS}):
        data = {name: dict(list(values.items())[:rows]) for name, values in sample.items()}
        bodies[rows] = base / f"{rows}.json"
        bodies[rows].write_text(json.dumps({"instances": [{"data": data}]}))
    return bodies


def start(contender: str, folder: Path) -> Any:
    """Build the contender's archive and serve it."""
    batching = contender == "batched"
    source = folder / "model"
    write_trained(source)
    options = BuildOptions(
        source=source,
        output=folder / "out",
        served_name=SERVED,
        job=contender,
        pipeline="bench",
        project="bench",
        host=None,
        bucket=None,
        credentials_file=None,
        serving=Serving(batch_size=16, max_batch_delay=1) if batching else Serving(),
    )
    run(options, lambda text: None)
    output = folder / "out" / SERVED
    store = output / "model-store"
    if contender == "dataframe":
        replace_archive(next(store.iterdir()), source / "checkpoint", folder)
    environment = {"TS_SERVICE_ENVELOPE": "" if batching else "kserve"}
    return serving(SERVED, output / "config" / "config.properties", store, environment)


def write_trained(folder: Path) -> None:
    """Write what the training pipeline leaves, with seeded weights: what they are changes no figure here."""
    contract = json.loads((ROOT / "experiment" / "contract.json").read_text())
    sample = json.loads((ROOT / "sample-data" / "customer_churn_sample.json").read_text())
    hparams = yaml.safe_load((ROOT / "experiment" / "const.yaml").read_text())["hyperparameters"]
    spec = fitting.fit({name: list(values.values()) for name, values in sample.items()}, contract)
    torch.manual_seed(0)
    model = network.build_model(spec.n_features, hparams)
    checkpoints.write(folder / "checkpoint" / "serving", spec, model, hparams)
    info = {"name": SERVED, "version": 1, "version_name": "bench", "data_commit": "bench"}
    (folder / "model-info.yaml").write_text(yaml.safe_dump(info))


def replace_archive(target: Path, checkpoint: Path, folder: Path) -> None:
    """Put the peer's archive where the other one was."""
    staged = folder / "staged"
    staged.mkdir()
    for name in ("feature_spec.json", "model_config.json", "weights.pt", "network.py"):
        (staged / name).write_bytes((checkpoint / "serving" / name).read_bytes())
    (staged / "handler.py").write_text((HERE / "peer_handler.py").read_text())
    files = Staged(staged, staged, "handler.py", generic=False)
    archive.pack(files, SERVED, "1", folder / "packed").replace(target)


def compare(servers: dict[str, TorchServe], bodies: dict[int, Path]) -> None:
    """Demand the same predictions from all contenders."""
    for body in bodies.values():
        answers = {}
        for contender, server in servers.items():
            request = urllib.request.Request(
                f"http://{server.address}{PATH}", body.read_bytes(), {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    predictions = json.loads(response.read())["predictions"]
            except urllib.error.HTTPError as error:
                raise SystemExit(f"{contender}: {error}: {error.read()!r}\n{server.log.read_text()}") from error
            answers[contender] = [int(row[0]) for row in predictions]
        if len({tuple(answer) for answer in answers.values()}) != 1:
            raise SystemExit(f"the contenders disagree, so there is nothing to compare: {answers}")


def measure(
    servers: dict[str, TorchServe], bodies: dict[int, Path], rounds: int, seconds: float
) -> dict[tuple[tuple[int, int], str], list[Run]]:
    """Alternate the contenders, in another order each round; the first round warms up and is not kept."""
    results: dict[tuple[tuple[int, int], str], list[Run]] = {}
    for number in range(rounds + 1):
        for scenario in SCENARIOS:
            turn = number % len(CONTENDERS)
            for contender in (*CONTENDERS[turn:], *CONTENDERS[:turn]):
                measured = one_run(servers[contender], bodies[scenario[0]], scenario[1], seconds if number else 1.0)
                if number:
                    results.setdefault((scenario, contender), []).append(measured)
        print(f"round {number} of {rounds}" + ("" if number else " (warm-up)"), file=sys.stderr, flush=True)
    return results


def one_run(server: TorchServe, body: Path, connections: int, seconds: float) -> Run:
    """Put one contender under load."""
    command = [sys.executable, str(HERE / "load.py"), server.address, PATH, str(body)]
    command += ["--connections", str(connections), "--seconds", str(seconds)]
    before = server.worker_seconds()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    used = server.worker_seconds() - before
    report = json.loads(done.stdout)
    if report["errors"] or not report["requests"]:
        raise SystemExit(
            f"{report['errors']} of {report['requests']} requests failed:\n{server.log.read_text()[-2000:]}"
        )
    rate = report["requests"] / report["seconds"]
    return Run(rate, report["p50"], report["p99"], 1000 * used / report["requests"])


def print_table(results: dict[tuple[tuple[int, int], str], list[Run]], memory: dict[str, dict[str, int]]) -> None:
    """Print medians and ratios as Markdown."""
    print("| rows | connections | handler | requests/s | p50 ms | p99 ms | worker CPU ms | requests/s, to dataframe |")
    print("|---:|---:|---|---:|---:|---:|---:|---:|")
    for line in table_lines(results):
        print(line)
    print()
    print("| handler | worker MB | Java MB |")
    print("|---|---:|---:|")
    for contender, sizes in memory.items():
        print(f"| {contender} | {sizes['workers'] / 1e6:.0f} | {sizes['java'] / 1e6:.0f} |")


def table_lines(results: dict[tuple[tuple[int, int], str], list[Run]]) -> Iterator[str]:
    """Give one line per scenario and contender."""
    for scenario in SCENARIOS:
        for contender in CONTENDERS:
            runs, peer = results[scenario, contender], results[scenario, "dataframe"]
            rate, p50, p99, cpu = (
                statistics.median(getattr(item, name) for item in runs) for name in ("rate", "p50", "p99", "cpu")
            )
            ratio = statistics.median(mine.rate / other.rate for mine, other in zip(runs, peer, strict=True))
            rows, connections = scenario
            figures = f"{rate:.0f} | {p50:.2f} | {p99:.2f} | {cpu:.2f} | {ratio:.2f}"
            yield f"| {rows} | {connections} | {contender} | {figures} |"


if __name__ == "__main__":
    main()
