"""From a pipeline spec to the effective spec and the values that decide what runs.

Called by `pipelines`. Mirrors the defaults and checks of the original's `CreatePipelineV2`. Parts of a spec that only
matter on a cluster (image pull secrets, resources, tolerations, scheduling, pod patches) are kept, without effect.
Specs are canonical here: checked for shape, names as in the .proto (`api/spec_json.py` does that).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pdk.base.errors import Unimplemented
from pdk.pachyderm.pfs.types import DEFAULT_PROJECT
from pdk.pachyderm.pps.errors import InvalidSpec
from pdk.pachyderm.pps.inputs import check_unique_names, parse_input, pfs_inputs, with_input_defaults
from pdk.pachyderm.pps.types import Json, Pipeline, PipelineSpec, SecretMount, Transform
from pdk.web.merge_patch import merge_patch

# The defaults of the cluster, as the original has them when nobody changed them.
BUILT_IN_DEFAULTS: Json = {
    "transform": {"image": "ubuntu:20.04"},
    "output_branch": "master",
    "datum_tries": 3,
    "reprocess_spec": "until_success",
}
# The limits of pipeline names, which come from Kubernetes object names.
MAX_NAME = 51
MAX_KUBERNETES_NAME = 63
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_ENV_NAME = re.compile(r"[^=\s]+")
_REQUEST_FLAGS = ("update", "reprocess", "dry_run")
_UNIMPLEMENTED = ("tf_job", "egress", "s3_out", "service", "spout", "determined")


@dataclass(frozen=True)
class ParsedRequest:
    """A checked request: the effective spec (canonical, without the request's flags), its values, and the flags."""

    spec: PipelineSpec
    effective: Json
    salt: str
    update: bool
    reprocess: bool
    dry_run: bool


def parse_request(request: Json) -> ParsedRequest:
    """Check and complete a canonical `CreatePipelineRequest`. Raises InvalidSpec, Unimplemented."""
    user = dict(request)
    flags = {flag: bool(user.pop(flag, False)) for flag in _REQUEST_FLAGS}
    salt = str(user.pop("salt", None) or "")
    user.pop("spec_commit", None)  # only meaningful when a whole cluster is restored
    effective = with_defaults(merge_patch(BUILT_IN_DEFAULTS, user))
    return ParsedRequest(spec=parse_spec(effective), effective=effective, salt=salt, **flags)


def with_defaults(merged: Json) -> Json:
    """Fill what a default patch cannot: empty values, the project, and the inputs' own defaults."""
    effective = dict(merged)
    pipeline = merged.get("pipeline") or {}
    project = (pipeline.get("project") or {}).get("name") or DEFAULT_PROJECT
    effective["pipeline"] = {**pipeline, "project": {"name": project}}
    for key, value in BUILT_IN_DEFAULTS.items():
        if not effective.get(key):
            effective[key] = value
    transform = dict(effective["transform"])
    transform["image"] = transform.get("image") or BUILT_IN_DEFAULTS["transform"]["image"]
    effective["transform"] = transform
    if isinstance(effective.get("input"), dict):
        effective["input"] = with_input_defaults(effective["input"], project)
    return effective


def parse_spec(effective: Json) -> PipelineSpec:
    """Turn an effective spec into values. Raises InvalidSpec, Unimplemented."""
    for part in _UNIMPLEMENTED:
        if effective.get(part):
            raise Unimplemented(
                f'pipeline spec: "{part}" is not implemented by pdk; remove it, or use a Pachyderm cluster'
            )
    pipeline = Pipeline(effective["pipeline"]["project"]["name"], effective["pipeline"].get("name", ""))
    check_pipeline_name(pipeline)
    check_name(effective["output_branch"], "output_branch")
    tree = parse_input(effective.get("input") or {})
    check_unique_names(tree)
    if any(leaf.branch.repo == pipeline.output_repo for leaf in pfs_inputs(tree)):
        raise InvalidSpec(f'pipeline "{pipeline}" cannot read its own output repo', "input")
    return PipelineSpec(
        pipeline=pipeline,
        transform=parse_transform(effective["transform"]),
        input=tree,
        output_branch=effective["output_branch"],
        parallelism=max(1, (effective.get("parallelism_spec") or {}).get("constant", 1)),
        datum_tries=_tries(effective["datum_tries"]),
        datum_timeout=_timeout(effective, "datum_timeout"),
        job_timeout=_timeout(effective, "job_timeout"),
        reprocess_every_job=_every_job(effective["reprocess_spec"]),
        autoscaling=effective.get("autoscaling", False),
    )


def check_name(name: str, path: str) -> None:
    """Raise InvalidSpec unless `name` may name a repo, branch or pipeline."""
    if not name:
        raise InvalidSpec("name must not be empty", path)
    if not _NAME.fullmatch(name):
        raise InvalidSpec(
            f"name ({name}) invalid: only alphanumeric characters, underscores, and dashes are allowed", path
        )


def check_pipeline_name(pipeline: Pipeline) -> None:
    """Raise InvalidSpec unless the pipeline can have this name."""
    check_name(pipeline.name, "pipeline.name")
    if len(pipeline.name) > MAX_NAME:
        raise InvalidSpec(
            f"pipeline name is {len(pipeline.name)} characters long, at most {MAX_NAME} are allowed", "pipeline.name"
        )
    if len(f"{pipeline.project}-{pipeline.name}-v99") > MAX_KUBERNETES_NAME:
        raise InvalidSpec(
            f"project and pipeline name together are too long: {pipeline.project}-{pipeline.name}-v99 has more than "
            f"{MAX_KUBERNETES_NAME} characters",
            "pipeline.name",
        )


def parse_transform(transform: Json) -> Transform:
    """Turn the canonical transform into values. Raises InvalidSpec, Unimplemented."""
    if transform.get("datum_batching"):
        raise Unimplemented("pipeline spec: transform.datum_batching is not implemented by pdk")
    working_dir = transform.get("working_dir", "")
    if working_dir and not working_dir.startswith("/"):
        raise InvalidSpec(f"working_dir must be an absolute path, not {working_dir}", "transform.working_dir")
    env = transform.get("env") or {}
    for name in env:
        if not _ENV_NAME.fullmatch(name):
            raise InvalidSpec(f'"{name}" cannot be the name of an environment variable', "transform.env")
    return Transform(
        image=transform["image"],
        env=env,
        secrets=tuple(
            _parse_secret(item, f"transform.secrets[{n}]") for n, item in enumerate(transform.get("secrets") or [])
        ),
        working_dir=working_dir,
        user=transform.get("user", ""),
        accept_return_code=tuple(transform.get("accept_return_code") or ()),
        cmd=_strings(transform, "cmd"),
        stdin=_strings(transform, "stdin"),
        err_cmd=_strings(transform, "err_cmd"),
        err_stdin=_strings(transform, "err_stdin"),
    )


def _strings(transform: Json, key: str) -> tuple[str, ...]:
    values: Sequence[str] = transform.get(key) or ()
    return tuple(values)


def _parse_secret(item: Json, where: str) -> SecretMount:
    mount = SecretMount(**{key: item.get(key) or "" for key in ("name", "key", "env_var", "mount_path")})
    if not mount.name:
        raise InvalidSpec("secret must have a name", where)
    if bool(mount.env_var) == bool(mount.mount_path):
        raise InvalidSpec(f'secret "{mount.name}" needs either env_var (with key) or mount_path', where)
    if mount.env_var and not mount.key:
        raise InvalidSpec(f'secret "{mount.name}" needs a key for env_var {mount.env_var}', where)
    if mount.env_var and not _ENV_NAME.fullmatch(mount.env_var):
        raise InvalidSpec(f'"{mount.env_var}" cannot be the name of an environment variable', where)
    if mount.mount_path and (not mount.mount_path.startswith("/") or ".." in mount.mount_path.split("/")):
        raise InvalidSpec(f'mount_path of secret "{mount.name}" must be an absolute path', where)
    return mount


def _tries(value: int) -> int:
    if value < 1:
        raise InvalidSpec(f"datum_tries must be at least 1, not {value}", "datum_tries")
    return value


def _timeout(effective: Json, key: str) -> float | None:
    text = effective.get(key)
    if not text:
        return None
    seconds = float(text.removesuffix("s"))
    if seconds <= 0:
        raise InvalidSpec(f"{key} must be longer than 0s", key)
    return seconds


def _every_job(value: str) -> bool:
    if value not in ("until_success", "every_job"):
        raise InvalidSpec(f'invalid reprocess_spec "{value}": until_success or every_job', "reprocess_spec")
    return value == "every_job"
