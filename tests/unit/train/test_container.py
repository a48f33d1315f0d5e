"""The container and its pipeline: what the spec says, the code takes, and everything it needs is in the image."""

import datetime
import json
import re
import shlex
from pathlib import Path

from pachyderm_sdk.api import pps
from train_job import settings

ROOT = Path(__file__).resolve().parents[3]
CONTAINER = ROOT / "containers" / "train"
SPEC = json.loads((ROOT / "pipelines" / "training-pipeline.json").read_text())


def test_the_spec_is_in_pachyderms_own_schema():
    request = pps.CreatePipelineRequest().from_dict(SPEC)
    assert request.pipeline.name == "customer-churn-train"
    assert request.pipeline.project.name == "pdk-customer-churn"
    assert (request.input.pfs.repo, request.input.pfs.branch, request.input.pfs.glob) == (
        "customer-churn-data",
        "master",
        "/",
    )
    assert request.input.pfs.empty_files
    assert request.autoscaling
    assert request.datum_tries == 1  # what a contract refuses, it refuses again
    # What the message types know is what was written: no key was unknown, and so dropped.
    assert request.job_timeout == datetime.timedelta(days=1)
    told = json.loads(request.to_json(casing=lambda name, **_: name))
    assert told == {**SPEC, "datum_tries": "1", "job_timeout": "86400.000s"}


def test_the_secrets_are_the_variables_that_are_read():
    mapped = {secret["env_var"]: (secret["name"], secret["key"]) for secret in SPEC["transform"]["secrets"]}
    assert mapped == {
        name: ("customer-churn-secret", name.lower())
        for name in ("DET_MASTER", "DET_USER", "DET_PASSWORD", "PAC_TOKEN", "KSERVE_NAMESPACE", "CODE_URL", "CODE_REF")
    }


def test_the_command_is_one_the_program_takes():
    (line,) = SPEC["transform"]["stdin"]
    words = shlex.split(line)
    assert words[:3] == ["exec", "python", "train.py"]
    values = {"$CODE_URL": "/code", "$CODE_REF": "", "$PPS_PROJECT_NAME": "pdk-customer-churn"}
    environ = {"PACH_JOB_ID": "j", "PPS_PIPELINE_NAME": "p", "PACHD_PEER_SERVICE_HOST": "h", "DET_MASTER": "m"}
    read = settings.read([values.get(word, word) for word in words[3:]], environ)
    assert (read.git_url, read.git_ref, read.sub_dir, read.config) == ("/code", "", "experiment", "const.yaml")
    assert (read.repo, read.project, read.model) == ("customer-churn-data", "pdk-customer-churn", "customer-churn")
    assert read.incremental


def test_the_image_holds_what_the_job_imports():
    dockerfile = (CONTAINER / "Dockerfile").read_text()
    copied = {name.rstrip("/") for name in re.findall(r"^COPY (\S+) ", dockerfile, re.MULTILINE)}
    assert copied == {"requirements.txt", "train.py", "train_job"}
    assert all((CONTAINER / name).exists() for name in copied)
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-", dockerfile, re.MULTILINE)


def test_every_requirement_is_pinned():
    lines = (CONTAINER / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[0-9][0-9a-z.]*", line) for line in wanted)
    assert {"determined==0.38.1", "pachyderm-sdk==2.12.2"} <= set(wanted)


def test_the_container_imports_nothing_of_the_stack():
    for path in CONTAINER.rglob("*.py"):
        assert not re.search(r"^\s*(from|import) pdk\b", path.read_text(), re.MULTILINE), path
