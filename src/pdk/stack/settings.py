"""What the servers and the CLI need to know: folders, addresses, image map; defaults < `config.toml` < environment.

Read by `pdk.stack` and `pdk.cli`. Environment variables are handed in by the CLI, the only place that reads them.
"""

import hashlib
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pdk.base.errors import InvalidArgument
from pdk.stack.images import ImageEntry, entry_of

SYSTEMS = ("pachyderm", "determined", "kserve")
ENVIRONMENT_PREFIX = "PDK_"


class BadSettings(InvalidArgument):
    """`config.toml` or a PDK_ variable holds something that cannot be used; names file or variable and key."""


@dataclass(frozen=True)
class Settings:
    """Every setting; ports may be 0 (a free one is taken and told in the run file).

    `images` maps an image's name, as closely as it is given, to what runs in its place.
    """

    home: Path
    host: str = "127.0.0.1"
    pachd_port: int = 30650
    s3_port: int = 30600
    master_port: int = 8080
    kubernetes_port: int = 6443
    ingress_port: int = 8000
    ingress_domain: str = "example.com"
    model_namespace: str = "models"
    python: str = sys.executable
    omp_threads: int = 1
    max_concurrent_trials: int = 1
    load_timeout_seconds: float = 180.0
    images: Mapping[str, ImageEntry] = field(default_factory=dict)

    @property
    def run_dir(self) -> Path:
        """Folder of the run files: who listens where."""
        return self.home / "run"

    @property
    def log_dir(self) -> Path:
        """Folder of the servers' own logs."""
        return self.home / "logs"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig `pdk up` writes."""
        return self.home / "kubeconfig"

    @property
    def pachyderm_config(self) -> Path:
        """The pachctl / pachyderm_sdk configuration `pdk up` writes."""
        return self.home / "pachyderm.json"

    @property
    def marker_prefix(self) -> str:
        """Prefix of the markers of every process of this stack (see `pdk.process.tree`); differs between homes."""
        return f"pdk-{hashlib.sha256(str(self.home).encode()).hexdigest()[:12]}/"


def load(environment: Mapping[str, str]) -> Settings:
    """Build the settings from `$PDK_HOME/config.toml` (home: default `~/.pdk`) and PDK_<SETTING> variables.

    Raises BadSettings naming the file or variable.
    """
    home = Path(environment.get("PDK_HOME") or "~/.pdk").expanduser().resolve()
    settings = Settings(home=home)
    file = home / "config.toml"
    if file.is_file():
        try:
            values = tomllib.loads(file.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadSettings(f"{file}: not TOML: {error}") from error
        settings = _overlay(settings, values, str(file))
    known = {
        f"{ENVIRONMENT_PREFIX}{f.name.upper()}": f.name for f in fields(Settings) if f.name not in ("home", "images")
    }
    return _overlay(settings, {known[k]: v for k, v in environment.items() if k in known and v}, "environment")


def _overlay(settings: Settings, values: Mapping[str, Any], where: str) -> Settings:
    defaults = {f.name: getattr(settings, f.name) for f in fields(Settings) if f.name != "home"}
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in defaults:
            raise BadSettings(f"{where}: unknown setting {name!r}; known: {', '.join(sorted(defaults))}")
        changes[name] = _convert(name, value, defaults[name], where)
    return replace(settings, **changes)


def _convert(name: str, value: Any, default: Any, where: str) -> Any:
    if isinstance(default, Mapping):
        if not isinstance(value, Mapping):
            raise BadSettings(f"{where}: {name} must be a table of image name = folder")
        try:
            return {**default, **{image: entry_of(each, f"{where}: {name}.{image}") for image, each in value.items()}}
        except InvalidArgument as error:
            raise BadSettings(str(error)) from error
    try:
        return type(default)(value)
    except (TypeError, ValueError) as error:
        raise BadSettings(f"{where}: {name} = {value!r} is not a {type(default).__name__}") from error
