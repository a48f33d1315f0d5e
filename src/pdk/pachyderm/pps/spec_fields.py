"""The fields of a pipeline spec: every message that can occur in `CreatePipelineRequest`, with the kind of each field.

Used by `spec` to check and canonicalise JSON without protobuf (only `api/` knows that). A test compares this table with the
message classes of the installed `pachyderm_sdk`, so it cannot drift.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a single value looks like in JSON (protobuf's JSON mapping)."""

    STRING = "a string"
    BOOL = "true or false"
    INT32 = "a whole number of 32 bits"
    INT64 = "a whole number"
    UINT64 = "a whole number, not negative"
    FLOAT = "a number"
    DURATION = 'a duration such as "60s"'
    TIMESTAMP = 'a time such as "2024-01-02T03:04:05Z"'
    ENUM = "one of the names"
    MESSAGE = "an object"


@dataclass(frozen=True)
class Field:
    """One field: kind, the message or enum type it names, and whether it is a list or a map from string."""

    kind: Kind
    type_name: str = ""
    is_list: bool = False
    is_map: bool = False


STRING, BOOL, INT32, INT64, UINT64, FLOAT, DURATION, TIMESTAMP = (
    Field(Kind.STRING),
    Field(Kind.BOOL),
    Field(Kind.INT32),
    Field(Kind.INT64),
    Field(Kind.UINT64),
    Field(Kind.FLOAT),
    Field(Kind.DURATION),
    Field(Kind.TIMESTAMP),
)
STRINGS, INT64S = Field(Kind.STRING, is_list=True), Field(Kind.INT64, is_list=True)
STRING_MAP = Field(Kind.STRING, is_map=True)


def message(name: str) -> Field:
    """Return the field kind "one message `name`"."""
    return Field(Kind.MESSAGE, name)


def messages(name: str) -> Field:
    """Return the field kind "list of messages `name`"."""
    return Field(Kind.MESSAGE, name, is_list=True)


ROOT = "CreatePipelineRequest"

ENUMS: Mapping[str, tuple[str, ...]] = {
    "TolerationOperator": ("EMPTY", "EXISTS", "EQUAL"),
    "TaintEffect": ("ALL_EFFECTS", "NO_SCHEDULE", "PREFER_NO_SCHEDULE", "NO_EXECUTE"),
    "SqlDatabaseEgressFileFormatType": ("UNKNOWN", "CSV", "JSON", "PARQUET"),
}
"""Names in the order of their numbers, from 0."""

FIELDS: Mapping[str, Mapping[str, Field]] = {
    ROOT: {
        "pipeline": message("Pipeline"),
        "tf_job": message("TfJob"),
        "transform": message("Transform"),
        "parallelism_spec": message("ParallelismSpec"),
        "egress": message("Egress"),
        "update": BOOL,
        "output_branch": STRING,
        "s3_out": BOOL,
        "resource_requests": message("ResourceSpec"),
        "resource_limits": message("ResourceSpec"),
        "sidecar_resource_limits": message("ResourceSpec"),
        "sidecar_resource_requests": message("ResourceSpec"),
        "input": message("Input"),
        "description": STRING,
        "reprocess": BOOL,
        "service": message("Service"),
        "spout": message("Spout"),
        "datum_set_spec": message("DatumSetSpec"),
        "datum_timeout": DURATION,
        "job_timeout": DURATION,
        "salt": STRING,
        "datum_tries": INT64,
        "scheduling_spec": message("SchedulingSpec"),
        "pod_spec": STRING,
        "pod_patch": STRING,
        "spec_commit": message("Commit"),
        "metadata": message("Metadata"),
        "reprocess_spec": STRING,
        "autoscaling": BOOL,
        "tolerations": messages("Toleration"),
        "dry_run": BOOL,
        "determined": message("Determined"),
        "maximum_expected_uptime": DURATION,
    },
    "Pipeline": {"project": message("Project"), "name": STRING},
    "Project": {"name": STRING},
    "TfJob": {"tf_job": STRING},
    "Transform": {
        "image": STRING,
        "cmd": STRINGS,
        "err_cmd": STRINGS,
        "env": STRING_MAP,
        "secrets": messages("SecretMount"),
        "image_pull_secrets": STRINGS,
        "stdin": STRINGS,
        "err_stdin": STRINGS,
        "accept_return_code": INT64S,
        "debug": BOOL,
        "user": STRING,
        "working_dir": STRING,
        "dockerfile": STRING,
        "memory_volume": BOOL,
        "datum_batching": BOOL,
    },
    "SecretMount": {"name": STRING, "key": STRING, "mount_path": STRING, "env_var": STRING},
    "ParallelismSpec": {"constant": UINT64},
    "Egress": {
        "url": STRING,
        "object_storage": message("ObjectStorageEgress"),
        "sql_database": message("SqlDatabaseEgress"),
    },
    "ObjectStorageEgress": {"url": STRING},
    "SqlDatabaseEgress": {
        "url": STRING,
        "file_format": message("SqlDatabaseEgressFileFormat"),
        "secret": message("SqlDatabaseEgressSecret"),
    },
    "SqlDatabaseEgressFileFormat": {
        "type": Field(Kind.ENUM, "SqlDatabaseEgressFileFormatType"),
        "columns": STRINGS,
    },
    "SqlDatabaseEgressSecret": {"name": STRING, "key": STRING},
    "ResourceSpec": {"cpu": FLOAT, "memory": STRING, "gpu": message("GpuSpec"), "disk": STRING},
    "GpuSpec": {"type": STRING, "number": INT64},
    "Input": {
        "pfs": message("PfsInput"),
        "join": messages("Input"),
        "group": messages("Input"),
        "cross": messages("Input"),
        "union": messages("Input"),
        "cron": message("CronInput"),
    },
    "PfsInput": {
        "project": STRING,
        "name": STRING,
        "repo": STRING,
        "repo_type": STRING,
        "branch": STRING,
        "commit": STRING,
        "glob": STRING,
        "join_on": STRING,
        "outer_join": BOOL,
        "group_by": STRING,
        "lazy": BOOL,
        "empty_files": BOOL,
        "s3": BOOL,
        "trigger": message("Trigger"),
        "propagation_spec": message("PropagationSpec"),
        "reference": BOOL,
    },
    "CronInput": {
        "name": STRING,
        "project": STRING,
        "repo": STRING,
        "commit": STRING,
        "spec": STRING,
        "overwrite": BOOL,
        "start": TIMESTAMP,
    },
    "Trigger": {
        "branch": STRING,
        "all": BOOL,
        "rate_limit_spec": STRING,
        "size": STRING,
        "commits": INT64,
        "cron_spec": STRING,
    },
    "PropagationSpec": {"never": BOOL},
    "Service": {"internal_port": INT32, "external_port": INT32, "ip": STRING, "type": STRING},
    "Spout": {"service": message("Service")},
    "DatumSetSpec": {"number": INT64, "size_bytes": INT64, "per_worker": INT64},
    "SchedulingSpec": {"node_selector": STRING_MAP, "priority_class_name": STRING},
    "Metadata": {"annotations": STRING_MAP, "labels": STRING_MAP},
    "Toleration": {
        "key": STRING,
        "operator": Field(Kind.ENUM, "TolerationOperator"),
        "value": STRING,
        "effect": Field(Kind.ENUM, "TaintEffect"),
        "toleration_seconds": INT64,
    },
    "Determined": {"workspaces": STRINGS},
    "Commit": {"repo": message("Repo"), "id": STRING, "branch": message("Branch")},
    "Repo": {"name": STRING, "type": STRING, "project": message("Project")},
    "Branch": {"repo": message("Repo"), "name": STRING},
}

PROTO_NAMES: Mapping[tuple[str, str], str] = {("Egress", "url"): "URL"}
"""The few fields whose name in the .proto is not snake_case."""


def json_name(message_name: str, field: str) -> str:
    """Return the lowerCamelCase name of a field, as protobuf's JSON mapping prints it."""
    special = PROTO_NAMES.get((message_name, field))
    if special is not None:
        return special
    head, *rest = field.split("_")
    return head + "".join(part.capitalize() for part in rest)
