"""Runs in a trial's Python where the machine allows no mount namespace: sends /run/determined to the folder of the run.

A copy of this file lies in that folder, which is on PYTHONPATH, so Python imports it at start-up, in grandchildren
too. It knows the folder from its own path. No file of the package `determined` is changed: an import hook replaces the
default path arguments and constants of three of its modules right after each was executed. Standard library only.
"""

import importlib.machinery
import sys
import types
from collections.abc import Sequence

RUN_DIR = "/run/determined"
HERE = __file__.rpartition("/")[0]


def redirected(value: object) -> object:
    """Return `value`, with a leading /run/determined replaced by the folder of the run."""
    if isinstance(value, str) and (value == RUN_DIR or value.startswith(f"{RUN_DIR}/")):
        return HERE + value[len(RUN_DIR) :]
    return value


def redirect_defaults(holder: type) -> None:
    """Replace the path defaults of the functions of a class."""
    for value in vars(holder).values():
        function = getattr(value, "__func__", value)
        if isinstance(function, types.FunctionType) and function.__defaults__:
            function.__defaults__ = tuple(redirected(default) for default in function.__defaults__)


def redirect(module: types.ModuleType) -> None:
    """Replace the paths in a module: its constants and the defaults in its classes."""
    for name, value in list(vars(module).items()):
        if isinstance(value, str):
            setattr(module, name, redirected(value))
        elif isinstance(value, type) and value.__module__ == module.__name__:
            redirect_defaults(value)


class Loader(importlib.machinery.SourceFileLoader):
    """Executes a module, then redirects its paths."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Execute and redirect."""
        super().exec_module(module)
        redirect(module)


class Finder:
    """Finds the modules that hold the fixed paths."""

    MODULES = ("determined._info", "determined.constants", "determined.common.constants")

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the usual spec with our loader for those modules, None for all others."""
        if name not in cls.MODULES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = Loader(name, spec.origin)
        return spec


sys.meta_path.insert(0, Finder)
