"""Secrets and ConfigMaps: what the API knows of them, and the rules of their content.

Mirrors ValidateSecret and ValidateConfigMap of kube-apiserver (pkg/apis/core/validation).
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from pdk.kubernetes.errors import BadRequest, Cause, ObjectInvalid
from pdk.kubernetes.kinds.columns import AGE, NAME, Column, count
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.names import invalid
from pdk.kubernetes.kinds.resource import Resource
from pdk.kubernetes.kinds.schemas import boolean, string, string_map

SECRET_LIMIT = 1024 * 1024


def _settle_secret(secret: JsonObject) -> None:
    """Move stringData into data, and refuse what is not base64, as the original's decoder does."""
    data = secret.get("data") or {}
    plain = secret.pop("stringData", None) or {}
    if not isinstance(data, dict) or not isinstance(plain, dict):
        raise _secret_error("data and stringData must be maps")
    for key, value in data.items():
        data[key] = _normal_base64(key, value)
    for key, value in plain.items():
        if not isinstance(value, str):
            raise _secret_error(f"stringData.{key} must be a string")
        data[key] = base64.b64encode(value.encode()).decode()
    if data:
        secret["data"] = data
    secret.setdefault("type", "Opaque")
    causes = [*_data_key_causes("data", data)]
    if sum(len(value) for value in data.values()) * 3 // 4 > SECRET_LIMIT:
        causes.append(Cause("FieldValueTooLong", f"Too long: may not be more than {SECRET_LIMIT} bytes", "data"))
    if causes:
        raise ObjectInvalid("Secret", secret["metadata"].get("name", ""), causes)


def _normal_base64(key: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _secret_error(f"data.{key} must be a base64 string")
    try:
        # Go's decoder skips line breaks, and nothing else.
        return base64.b64encode(base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)).decode()
    except (binascii.Error, ValueError):
        raise _secret_error(f"illegal base64 data in data.{key}; put plain text into stringData instead") from None


def _secret_error(why: str) -> BadRequest:
    return BadRequest(f'Secret in version "v1" cannot be handled as a Secret: {why}')


def _check_config_map(config_map: JsonObject) -> None:
    data = config_map.get("data") or {}
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise BadRequest('ConfigMap in version "v1" cannot be handled as a ConfigMap: data must map strings to strings')
    causes = [*_data_key_causes("data", data)]
    if causes:
        raise ObjectInvalid("ConfigMap", config_map["metadata"].get("name", ""), causes)


def _data_key_causes(field: str, data: JsonObject) -> Iterator[Cause]:
    for key in data:
        if (
            not key
            or len(key) > 253
            or key in (".", "..")
            or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in key)
        ):
            problem = (
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
            )
            yield invalid(f"{field}[{key}]", key, problem)


def _sealed_causes(old: JsonObject, new: JsonObject) -> Iterator[Cause]:
    if old.get("immutable") and any(new.get(name) != old.get(name) for name in ("data", "binaryData", "immutable")):
        yield Cause("FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set", "data")


def _secret_change_causes(old: JsonObject, new: JsonObject) -> Iterator[Cause]:
    if new.get("type") != old.get("type"):
        yield invalid("type", new.get("type"), "field is immutable")
    yield from _sealed_causes(old, new)


SECRET = Resource(
    "",
    "v1",
    "Secret",
    "secrets",
    fields={
        "data": string_map("The content, by key, as base64."),
        "stringData": string_map("The content as plain text; write only."),
        "type": string("What kind of secret it is."),
        "immutable": boolean("The content may not change any more."),
    },
    columns=(NAME, Column("Type", lambda obj: obj.get("type")), Column("Data", count("data"), "integer"), AGE),
    selectable=frozenset({"type"}),
    settle=_settle_secret,
    change_causes=_secret_change_causes,
)
CONFIG_MAP = Resource(
    "",
    "v1",
    "ConfigMap",
    "configmaps",
    short_names=("cm",),
    fields={
        "data": string_map("The content, by key."),
        "binaryData": string_map("The content, as base64."),
        "immutable": boolean(),
    },
    columns=(NAME, Column("Data", count("data", "binaryData"), "integer"), AGE),
    settle=_check_config_map,
    change_causes=_sealed_causes,
)
