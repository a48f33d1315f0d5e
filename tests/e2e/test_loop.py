"""The whole loop with the real pipelines and containers: two commits, two versions, one id, no failed request."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from pdk_demo import report
from pdk_demo.__main__ import put
from pdk_demo.systems import DATA_REPO, MODEL, sample_request
from pdk_demo.traffic import Caller, Traffic
from pdk_demo.watch import Watcher
from waiting import wait_until

ROOT = Path(__file__).parents[2]
TIMEOUT = 420


def finish(systems, commit_id):
    watcher = Watcher(systems, commit_id)
    lines = list(watcher.follow(TIMEOUT))
    return watcher.lap, lines


def predict(systems):
    caller = Caller(systems, sample_request()[1])
    answer = caller.call()
    caller.close()
    return answer


def run_notebook(systems):
    notebook = nbformat.read(ROOT / "sample-data" / "customer-churn-prediction.ipynb", as_version=4)
    kernel_environment = {
        "INGRESS_HOST": systems.ingress_host,
        "INGRESS_PORT": str(systems.ingress_port),
        "SERVICE_HOSTNAME": systems.service_hostname,
        "MODEL_NAME": MODEL,
    }
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT / "sample-data")}})
    client.execute(env={**os.environ, **kernel_environment})
    return "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))


@pytest.mark.timeout(900)
def test_two_commits_become_two_served_versions(stack, data, tmp_path):
    systems = stack.prepare(ROOT)
    first, lines = finish(systems, put(systems, data / "data_part1.csv"))
    assert any("batch" in line and "val_auc" in line for line in lines), lines
    answer = predict(systems)
    assert answer.status == 200
    assert (answer.version, answer.data_commit) == ("1", first.commit_id)
    assert [len(p) for p in answer.body["predictions"]] == [1] * 10
    assert {p[0] for p in answer.body["predictions"]} <= {0, 1}

    with Traffic(systems, sample_request()[1]) as traffic:
        second, _ = finish(systems, put(systems, data / "data_part2.csv"))
        answer = predict(systems)
        wait_until(lambda: traffic.tally.answers.get("2", 0) > 20)
    assert traffic.tally.failures == []
    assert set(traffic.tally.answers) == {"1", "2"}
    assert (answer.version, answer.data_commit) == ("2", second.commit_id)

    metadata = second.version.metadata
    assert metadata["data_commit"] == second.commit_id
    assert metadata["files"] == ["/data_part2.csv"]
    assert metadata["rows"] == 31_000
    assert second.trial["warmStartCheckpointUuid"] == first.version.checkpoint.uuid
    assert float(metadata["metrics"]["val_auc"]) > 0.7
    assert_one_id(systems, second)
    stages = report.stage_seconds(second)
    assert sum(stages[:-1]) == pytest.approx(stages[-1], abs=1.0)

    assert run_notebook(systems).count("Ground truth/Predicted: ") == 10
    assert_people_can_read_it(stack, systems, second)
    assert_bad_rows_change_nothing(stack, systems, tmp_path, second)


def assert_one_id(systems, lap):
    service = systems.inference_service()
    annotations = service["metadata"]["annotations"]
    assert lap.version.name == lap.commit_id
    assert lap.commit_id in annotations.values()
    assert lap.commit_id in service["spec"]["predictor"]["model"]["storageUri"]
    assert {job.job.id for job in lap.jobs.values()} == {lap.commit_id}


def assert_people_can_read_it(stack, systems, lap):
    """`pdk status`, det and kubectl show the loop to a person."""
    shown = stack.pdk("status").stdout
    assert "success" in shown
    assert f"{systems.namespace}/{MODEL}" in shown
    environment = {**stack.environment, "DET_MASTER": systems.master_url, "KUBECONFIG": str(stack.settings.kubeconfig)}
    det = Path(sys.executable).with_name("det")
    described = subprocess.run(
        [det, "model", "list-versions", MODEL], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert [line.split("|")[0].strip() for line in described.splitlines()].count("2") == 1, described
    table = subprocess.run(
        ["kubectl", "get", "inferenceservices", "-n", systems.namespace],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert MODEL in table
    assert "True" in table


def assert_bad_rows_change_nothing(stack, systems, tmp_path, served):
    """A file that breaks the contract fails the training job with the reason; the served version stays."""
    bad = tmp_path / "bad.csv"
    header = json.loads((ROOT / "sample-data" / "churn_schema.json").read_text())["columns"]
    values = ["7" if c["name"] == "churn" else str(c.get("categories", ["1"])[0]) for c in header]
    bad.write_text(",".join(c["name"] for c in header) + "\n" + ",".join(values) + "\n")
    stack.pdk("put", "file", f"{DATA_REPO}@master:bad.csv", "-f", str(bad), "--project", "pdk-customer-churn")
    commit = systems.pachyderm.pfs.inspect_commit(commit=systems.data_commit("master")).commit
    result = stack.pdk(
        "wait", "job", f"customer-churn-train@{commit.id}", "--project", "pdk-customer-churn", check=False
    )
    assert result.returncode == 1
    assert "State: failure" in result.stdout
    assert "bad.csv" in result.stdout
    assert "churn" in result.stdout
    assert (
        "unrunnable"
        in stack.pdk(
            "wait", "job", f"customer-churn-deploy@{commit.id}", "--project", "pdk-customer-churn", check=False
        ).stdout
    )
    status = stack.pdk("status").stdout
    assert "bad.csv" in status
    assert predict(systems).data_commit == served.commit_id
