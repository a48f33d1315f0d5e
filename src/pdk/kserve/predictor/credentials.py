"""S3 credentials of an InferenceService, found as KServe finds them.

Order: the secret that annotation `serving.kserve.io/storageSecretName` names, else the secrets of the predictor's
service account (`default` without one), else the server's defaults (the embedded pachd). Called when a revision is
fetched, so a corrected secret helps at the next attempt. Mirrors pkg/credentials of KServe.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pdk.kserve.predictor.failures import ModelLoadFailed
from pdk.kserve.predictor.storage_uri import S3Access
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.store.objects import ObjectStore

SECRET_ANNOTATION = "serving.kserve.io/storageSecretName"
PREFIX = "serving.kserve.io/s3-"
# annotation suffix -> the same setting as a key of the secret
SETTINGS = {
    "endpoint": "S3_ENDPOINT",
    "usehttps": "S3_USE_HTTPS",
    "region": "S3_REGION",
    "verifyssl": "S3_VERIFY_SSL",
    "usevirtualbucket": "S3_USER_VIRTUAL_BUCKET",
    "useanoncredential": "awsAnonymousCredential",
    "cabundle": "AWS_CA_BUNDLE",
}
FALSE = frozenset({"0", "false", "no", "off"})


def resolve_s3(
    store: ObjectStore, namespace: str, service_account: str, annotations: Mapping[str, str], defaults: S3Access
) -> S3Access:
    """Return the access of an InferenceService.

    Raises ModelLoadFailed for a secret that is named but missing or broken.
    """
    named = annotations.get(SECRET_ANNOTATION)
    if named:
        return _from_secret(_secret(store, namespace, named, f"annotation {SECRET_ANNOTATION}"), defaults)
    account = store.find("serviceaccounts", namespace, service_account)
    references = account.get("secrets") if account is not None else None
    for reference in references if isinstance(references, list) else []:
        name = str(reference.get("name", "")) if isinstance(reference, Mapping) else ""
        secret = _secret(store, namespace, name, f"service account {service_account!r}")
        if _is_s3(secret):
            return _from_secret(secret, defaults)
    return replace(defaults, endpoint_url=_endpoint(defaults.endpoint_url, ""))


def _secret(store: ObjectStore, namespace: str, name: str, named_by: str) -> JsonObject:
    secret = store.find("secrets", namespace, name)
    if secret is None:
        raise ModelLoadFailed(
            f'secrets "{name}" not found in namespace {namespace}, but {named_by} names it: create it'
        )
    return secret


def _is_s3(secret: JsonObject) -> bool:
    data = secret.get("data") or {}
    annotations = secret["metadata"].get("annotations") or {}
    return "AWS_ACCESS_KEY_ID" in data or "awsAccessKeyID" in data or any(key.startswith(PREFIX) for key in annotations)


def _from_secret(secret: JsonObject, defaults: S3Access) -> S3Access:
    data = decoded_data(secret)
    annotations = secret["metadata"].get("annotations") or {}
    setting = {
        name: str(annotations.get(PREFIX + name, data.get(key, data.get(f"s3-{name}", ""))))
        for name, key in SETTINGS.items()
    }
    return S3Access(
        endpoint_url=_endpoint(setting["endpoint"] or defaults.endpoint_url, setting["usehttps"]),
        access_key=data.get("AWS_ACCESS_KEY_ID", data.get("awsAccessKeyID", "")),
        secret_key=data.get("AWS_SECRET_ACCESS_KEY", data.get("awsSecretAccessKey", "")),
        session_token=data.get("AWS_SESSION_TOKEN", ""),
        region=setting["region"] or defaults.region,
        verify_ssl=setting["verifyssl"].lower() not in FALSE,
        virtual_bucket=_on(setting["usevirtualbucket"]),
        anonymous=_on(setting["useanoncredential"]),
        ca_bundle=setting["cabundle"],
    )


def decoded_data(secret: JsonObject) -> dict[str, str]:
    """Return the data of a Secret as text; raise ModelLoadFailed for a value that is not base64 of text."""
    data: dict[str, Any] = secret.get("data") or {}
    try:
        return {key: base64.b64decode(str(value), validate=True).decode() for key, value in data.items()}
    except (binascii.Error, UnicodeDecodeError) as error:
        name = secret["metadata"]["name"]
        raise ModelLoadFailed(f"secret {name!r} holds a value that is not base64 of text: {error}") from error


def _endpoint(endpoint: str, use_https: str) -> str:
    """Return a URL: a scheme in the endpoint wins over `use_https`, which is on unless it says no."""
    if not endpoint or "://" in endpoint:
        return endpoint
    return f"{'http' if use_https.lower() in FALSE else 'https'}://{endpoint}"


def _on(text: str) -> bool:
    return bool(text) and text.lower() not in FALSE
