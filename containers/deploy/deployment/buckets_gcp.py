"""Google Cloud Storage as a `storage.Bucket`. `STORAGE_EMULATOR_HOST` works as everywhere with this client."""

import os
from collections.abc import Mapping
from pathlib import Path

from google.api_core.exceptions import GoogleAPIError
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from requests.exceptions import RequestException

from deployment.errors import StorageError

FAILURES = (GoogleAPIError, GoogleAuthError, RequestException, OSError, ValueError)


class GcsBucket:
    """One bucket; credentials from the file if one is named, else where Google's client looks for them."""

    def __init__(self, name: str, credentials_file: str | None) -> None:
        self._name = name
        try:
            self._client = self._connect(credentials_file)
        except FAILURES as error:
            raise StorageError(f"no Google Cloud Storage client: {error}") from error
        self._bucket = self._client.bucket(name)

    def upload(self, path: Path, key: str) -> None:
        """Store the file under the key."""
        try:
            self._bucket.blob(key).upload_from_filename(str(path), checksum="crc32c")
        except FAILURES as error:
            raise StorageError(f"upload of {path.name} to gs://{self._name}/{key} failed: {error}") from error

    def read(self, key: str) -> bytes:
        """Give the content of a small object."""
        try:
            content: bytes = self._bucket.blob(key).download_as_bytes()
        except FAILURES as error:
            raise StorageError(f"gs://{self._name}/{key} cannot be read: {error}") from error
        return content

    def list(self, prefix: str) -> Mapping[str, int]:
        """Give the size of each object below the prefix."""
        try:
            return {blob.name: int(blob.size or 0) for blob in self._client.list_blobs(self._name, prefix=prefix)}
        except FAILURES as error:
            raise StorageError(f"gs://{self._name}/{prefix} cannot be listed: {error}") from error

    @staticmethod
    def _connect(credentials_file: str | None) -> storage.Client:
        if credentials_file:
            return storage.Client.from_service_account_json(credentials_file)
        if os.environ.get("STORAGE_EMULATOR_HOST"):
            return storage.Client(project="emulator", credentials=AnonymousCredentials())
        return storage.Client()
