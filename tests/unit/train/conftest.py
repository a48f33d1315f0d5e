"""A Determined master and a Pachyderm in memory, beneath the official SDKs, and the train container's modules.

The SDK objects are real: only the session that would send their requests, and the client's ``pfs`` stub, are
replaced. (The whole job against servers over sockets is tested end to end elsewhere.)
"""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from determined.common.api import errors
from determined.experimental import Determined
from pachyderm_sdk.api import pfs
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[3]
for folder in ("containers/train", "experiment", "sample-data"):
    sys.path.append(str(ROOT / folder))

# Found in these folders. The experiment's modules are imported here, from where they stay: the job would import them
# from the copy of the code it makes, which is gone when the next test wants them.
import contract  # noqa: E402, F401
import data  # noqa: E402, F401
import table  # noqa: E402, F401
import train_job.settings  # noqa: E402
from train_job import failure  # noqa: E402

NOW = "2024-01-02T03:04:05.678Z"
TERMINAL = {"COMPLETED", "CANCELED", "ERROR"}


class FakeMaster:
    """Answers the SDK's requests. ``script`` says how experiments go: a list of (state, progress, metric) per reload.

    ``outages`` is how many requests are refused before the next is answered. ``requests`` records method and path.
    """

    master = "http://master:8080"
    username = "determined"

    def __init__(self):
        self.experiments = {}
        self.checkpoints = {}
        self.models = {}
        self.versions = {}
        self.requests = []
        self.outages = 0
        self.script = [("RUNNING", 0.5, 0.71), ("COMPLETED", 1.0, 0.78)]
        self.leaves_checkpoint = True
        self.log = ["one line", "ValueError: the batch is broken"]

    def _do_request(self, *, method, path, params=None, json=None, **_):
        self.requests.append((method, path))
        if self.outages:
            self.outages -= 1
            raise errors.MasterNotFoundException("connection refused")
        parts = [unquote(part) for part in path.removeprefix("/api/v1/").split("/")]
        params = {key: value for key, value in (params or {}).items() if value is not None}
        if parts[0] == "experiments":
            return self._experiments(method, parts[1:], params, json)
        if parts[0] == "trials":
            lines = [
                {
                    "result": {
                        "id": str(i),
                        "level": "LOG_LEVEL_INFO",
                        "message": f"{line}\n",
                        "timestamp": NOW,
                        "trialId": 1,
                    }
                }
                for i, line in enumerate(self.log)
            ]
            return answer(lines=lines[::-1][: params["limit"]])
        assert parts[0] == "models", path
        return self._models(method, parts[1:], params, json)

    def _experiments(self, method, parts, params, body):
        if method == "POST":
            return self._create_experiment(body)
        if not parts:
            found = [e for e in self.experiments.values() if set(params["labels"]) & set(e["labels"])]
            return answer(experiments=found, pagination=page(found))
        experiment = self.experiments[int(parts[0])]
        if len(parts) == 1:
            self._advance(experiment)
            return answer(experiment=experiment, config=experiment["config"])
        if parts[1] == "trials":
            metrics = {"validation_metrics": {"val_auc": {"last": experiment["metric"]}}}
            trial = {"experimentId": experiment["id"], "hparams": {}, "id": 10 + experiment["id"], "restarts": 0}
            trial |= {"startTime": NOW, "state": "STATE_ACTIVE", "totalBatchesProcessed": 1, "summaryMetrics": metrics}
            return answer(trials=[trial], pagination=page([trial]))
        assert parts[1] == "checkpoints"
        assert params["limit"] == 1
        found = [c for c in self.checkpoints.values() if c["training"]["experimentId"] == experiment["id"]]
        return answer(checkpoints=found, pagination=page(found))

    def _create_experiment(self, body):
        config = YAML(typ="safe").load(body["config"])
        if config.get("workspace") != "PDK Demos":
            raise errors.NotFoundException(f"workspace/project '{config.get('workspace')}/x' not found")
        number = len(self.experiments) + 1
        experiment = {
            "archived": False, "config": config, "id": number, "jobId": "j", "name": config["name"], "numTrials": 1,
            "originalConfig": body["config"], "projectId": 1, "projectOwnerId": 1, "searcherType": "single",
            "startTime": NOW, "state": "STATE_QUEUED", "username": "determined", "labels": config["labels"],
            "progress": 0.0, "description": config["description"], "metric": None,
            "files": sorted(file["path"] for file in body["modelDefinition"]), "script": list(self.script),
        }  # fmt: skip
        self.experiments[number] = experiment
        return answer(experiment=experiment, config=config)

    def _advance(self, experiment):
        if not experiment["script"]:
            return
        state, experiment["progress"], experiment["metric"] = experiment["script"].pop(0)
        experiment["state"] = f"STATE_{state}"
        if state == "COMPLETED" and self.leaves_checkpoint:
            self.add_checkpoint(f"checkpoint-{experiment['id']}", experiment["id"], experiment["metric"])

    def add_checkpoint(self, uuid, experiment, auc):
        training = {
            "trialId": 10 + experiment, "experimentId": experiment, "experimentConfig": {"checkpoint_storage": {}},
            "hparams": {}, "validationMetrics": {"avgMetrics": {"val_auc": auc, "val_loss": 0.5, "batches": 1000}},
        }  # fmt: skip
        state = {"metadata": {}, "resources": {}, "state": "STATE_COMPLETED", "training": training, "uuid": uuid}
        self.checkpoints[uuid] = state

    def add_version(self, model, name, uuid="checkpoint-0", **metadata):
        """Register a version as an earlier job would have."""
        self.models.setdefault(model, self._model(model, ["train", "customers"], {}))
        if uuid not in self.checkpoints:
            self.add_checkpoint(uuid, 99, 0.7)
        return self._add_version(model, {"checkpointUuid": uuid, "name": name, "metadata": metadata})

    def _models(self, method, parts, params, body):
        if method == "POST" and not parts:
            if body["name"] in self.models:
                raise errors.APIException(conflict())
            self.models[body["name"]] = self._model(body["name"], body["labels"], body["metadata"])
            return answer(model=self.models[body["name"]])
        if not parts:  # like the master: part of the name, whatever its case
            found = [m for name, m in self.models.items() if params["name"].lower() in name.lower()]
            return answer(models=found, pagination=page(found))
        if method == "POST":
            return answer(modelVersion=self._add_version(parts[0], body))
        listed = self.versions.get(parts[0], [])[::-1]
        return answer(model=self.models[parts[0]], modelVersions=listed, pagination=page(listed))

    def _model(self, name, labels, metadata):
        return {
            "archived": False, "creationTime": NOW, "lastUpdatedTime": NOW, "id": len(self.models) + 1, "name": name,
            "metadata": metadata, "labels": labels, "numVersions": 0, "userId": 1, "username": "u", "workspaceId": 1,
        }  # fmt: skip

    def _add_version(self, model, body):
        listed = self.versions.setdefault(model, [])
        version = {
            "checkpoint": self.checkpoints[body["checkpointUuid"]], "creationTime": NOW, "lastUpdatedTime": NOW,
            "id": len(listed) + 1, "version": len(listed) + 1, "model": self.models[model], "name": body["name"],
            "metadata": body.get("metadata"), "notes": body.get("notes"), "labels": body.get("labels"),
        }  # fmt: skip
        listed.append(version)
        return version

    def posts(self, prefix):
        return [path for method, path in self.requests if method == "POST" and path.startswith(prefix)]


def answer(lines=None, **body):
    encoded = [json.dumps(line).encode() for line in lines or ()]
    return SimpleNamespace(
        status_code=200, json=lambda: json.loads(json.dumps(body)), iter_lines=lambda chunk_size: iter(encoded)
    )


def page(found):
    return {"offset": 0, "limit": 0, "startIndex": 0, "endIndex": len(found), "total": len(found)}


def conflict():
    error = {"error": {"code": 6, "reason": "AlreadyExists", "error": "model exists"}}
    return SimpleNamespace(status_code=409, json=lambda: error, text="")


class FakeCommits:
    """``Client.pfs`` over {commit or job id: (data commit, {path: bytes})}."""

    def __init__(self):
        self.commits = {}

    def _files(self, file):
        return self.commits[file.commit.id][1]

    def inspect_commit(self, *, commit):
        found, _ = self.commits[commit.id]
        return pfs.CommitInfo(commit=pfs.Commit(repo=commit.repo, id=found))

    def walk_file(self, *, file):
        for path in self._files(file):
            yield pfs.FileInfo(file=pfs.File(commit=file.commit, path=path), file_type=pfs.FileType.FILE)

    def diff_file(self, *, new_file, old_file):
        new, old = self._files(new_file), self._files(old_file)
        for path in sorted(new.keys() | old.keys()):
            if new.get(path) != old.get(path):
                sides = {"new_file": new_file} if path in new else {"old_file": old_file}
                yield pfs.DiffFileResponse(
                    **{
                        side: pfs.FileInfo(file=pfs.File(commit=f.commit, path=path), file_type=pfs.FileType.FILE)
                        for side, f in sides.items()
                    }
                )

    def pfs_file(self, *, file):
        return io.BytesIO(self._files(file)[file.path])


@pytest.fixture
def master():
    """The master behind ``determined``."""
    return FakeMaster()


@pytest.fixture
def determined(master):
    """The SDK's client of it."""
    return Determined._from_session(master)


@pytest.fixture
def commits():
    """The commits of the repo."""
    return FakeCommits()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(failure.time, "sleep", lambda _: None)


@pytest.fixture
def settings(tmp_path):
    """Settings of a job, as the pipeline's command line and environment make them."""
    return train_job.settings.read(
        ["--git-url", str(ROOT), "--repo", "customers", "--project", "churn", "--model", "customer-churn"],
        {
            "PACH_JOB_ID": "a" * 12 + "4" + "a" * 19,
            "PPS_PIPELINE_NAME": "train",
            "PACHD_PEER_SERVICE_HOST": "pachd",
            "DET_MASTER": "http://master:8080",
            "PFS_ROOT": str(tmp_path / "pfs"),
        },
    )
