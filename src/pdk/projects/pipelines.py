"""The three pipelines of a model as Pachyderm's JSON, made from its `model.yaml`.

They are meant to be read, and edited: `pdk apply` applies the files of the folder as they stand.
"""

import json
from collections.abc import Mapping
from typing import Any

from pdk.projects.model_file import ModelFile

FILES = ("training-pipeline.json", "deployment-pipeline.json", "rollout-pipeline.json")
# Keys of the secret that the training job gets as variables.
TRAIN_SECRETS = ("det_master", "det_user", "det_password", "pac_token", "kserve_namespace")
CODE_SECRETS = ("code_url", "code_ref")
_WIDTH = 110
CLOUD_SECRETS = ("cloud_model_host", "cloud_model_bucket")


def render(model: ModelFile) -> dict[str, str]:
    """Return the text of each pipeline's file, by file name, in the order they are created in."""
    specs = (_training(model), _deployment(model), _rollout(model))
    return {name: _text(spec) + "\n" for name, spec in zip(FILES, specs, strict=True)}


def _text(value: Any, indent: str = "") -> str:
    """JSON with what fits into a line on one line."""
    line = json.dumps(value)
    if len(line) + len(indent) <= _WIDTH or not value or not isinstance(value, (dict, list)):
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_text(item, deeper)}" for key, item in value.items()]
        return "{\n" + deeper + f",\n{deeper}".join(items) + f"\n{indent}}}"
    return "[\n" + deeper + f",\n{deeper}".join(_text(item, deeper) for item in value) + f"\n{indent}]"


def _training(model: ModelFile) -> dict[str, Any]:
    secrets = TRAIN_SECRETS + (CODE_SECRETS if model.code.git_sub_dir is not None else ())
    data = _pfs("data", model.data_repo)
    data["pfs"]["empty_files"] = True  # the job reads the difference through the API
    code = _pfs("code", model.code.repo)
    code["pfs"]["empty_files"] = True
    return {
        "pipeline": _pipeline(model, model.train_pipeline),
        "description": f"Trains {model.name} on what a commit to {model.data_repo} changed, and registers it as a new "
        "version.",
        "input": {"cross": [data, code]} if model.code.retrain else data,
        "transform": _transform(model, model.train.image, _train_command(model), secrets),
        "datum_tries": 1,
        "job_timeout": f"{model.train.timeout}s",
        "autoscaling": True,
    }


def _train_command(model: ModelFile) -> str:
    if model.code.git_sub_dir is not None:
        code = f'--git-url "$CODE_URL" --git-ref "$CODE_REF" --sub-dir {model.code.git_sub_dir}'
    else:
        commit = '"$code_COMMIT"' if model.code.retrain else "master"
        code = f'--code "pfs://$PPS_PROJECT_NAME/{model.code.repo}@"{commit}'
    words = [
        f"exec python train.py {code}", f"--config {model.train.config}", f"--repo {model.data_repo}",
        '--project "$PPS_PROJECT_NAME"', f"--model {model.name}",
    ]  # fmt: skip
    return " ".join(words + ([] if model.train.incremental else ["--no-incremental"]))


def _deployment(model: ModelFile) -> dict[str, Any]:
    build = model.build
    options = {
        "handler": build.handler,
        "extra-files": ",".join(build.extra_files),
        "workers": None if build.workers == 1 else build.workers,
        "batch-size": None if build.batch_size == 1 else build.batch_size,
        "max-rows": None if build.max_rows == 10_000 else build.max_rows,
    }
    command = _command(f"exec python deploy.py build --deployment-name {model.name}", options)
    return {
        "pipeline": _pipeline(model, model.deploy_pipeline),
        "description": f"Makes a TorchServe archive of each version of {model.name}, checks that it answers, and "
        "stores it for KServe.",
        "input": _pfs("model", model.train_pipeline),
        "transform": _transform(model, build.image, command, CLOUD_SECRETS),
        "datum_tries": 1,
        "autoscaling": True,
    }


def _rollout(model: ModelFile) -> dict[str, Any]:
    rollout = model.rollout
    options = {
        "service-account-name": rollout.service_account,
        "resource-requests": _joined(rollout.requests),
        "resource-limits": _joined(rollout.limits),
        "tolerations": _joined(rollout.tolerations),
        "runtime": rollout.runtime,
        "timeout": rollout.timeout,
    }
    command = _command(f"exec python deploy.py rollout --deployment-name {model.name}", options)
    return {
        "pipeline": _pipeline(model, model.rollout_pipeline),
        "description": f"Points the InferenceService {model.name} at each archive and waits until the new revision "
        "answers.",
        "input": _pfs("model", model.deploy_pipeline),
        "transform": _transform(model, rollout.image, command, ("kserve_namespace",)),
        "datum_tries": 1,
        "job_timeout": f"{2 * rollout.timeout}s",
        "autoscaling": True,
    }


def _command(start: str, options: Mapping[str, Any]) -> str:
    """A command with the options that have a value."""
    return " ".join([start, *(f"--{name} {value}" for name, value in options.items() if value)])


def _joined(pairs: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in pairs.items())


def _pipeline(model: ModelFile, name: str) -> dict[str, Any]:
    return {"name": name, "project": {"name": model.project}}


def _pfs(name: str, repo: str) -> dict[str, Any]:
    return {"pfs": {"name": name, "repo": repo, "branch": "master", "glob": "/"}}


def _transform(model: ModelFile, image: str, command: str, keys: tuple[str, ...]) -> dict[str, Any]:
    secrets = [{"name": model.secret, "env_var": key.upper(), "key": key} for key in keys]
    return {"image": image, "cmd": ["/bin/sh"], "stdin": [command], "secrets": secrets}
