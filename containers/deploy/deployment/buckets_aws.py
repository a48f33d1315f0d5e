"""Amazon S3, or a store that speaks its protocol (`AWS_ENDPOINT_URL`), as a `storage.Bucket`.

Address, region and keys come from where boto3 looks for them: environment, files, instance profile.
"""

from collections.abc import Mapping
from pathlib import Path

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from deployment.errors import StorageError


class S3Bucket:
    """One S3 bucket."""

    def __init__(self, name: str) -> None:
        self._name = name
        try:
            self._client = boto3.client("s3")
        except (BotoCoreError, ValueError) as error:
            raise StorageError(f"no S3 client: {error}; give AWS_DEFAULT_REGION and credentials") from error

    def upload(self, path: Path, key: str) -> None:
        """Store the file under the key."""
        try:
            self._client.upload_file(str(path), self._name, key)
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise StorageError(f"upload of {path.name} to s3://{self._name}/{key} failed: {error}") from error

    def read(self, key: str) -> bytes:
        """Give the content of a small object."""
        try:
            content: bytes = self._client.get_object(Bucket=self._name, Key=key)["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise StorageError(f"s3://{self._name}/{key} cannot be read: {error}") from error
        return content

    def list(self, prefix: str) -> Mapping[str, int]:
        """Give the size of each object below the prefix."""
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
            return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}
        except (BotoCoreError, ClientError) as error:
            raise StorageError(f"s3://{self._name}/{prefix} cannot be listed: {error}") from error
