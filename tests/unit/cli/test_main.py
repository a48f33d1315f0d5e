"""The command line: every command documents itself, errors are text, handles parse."""

import importlib.metadata
import json
import os
import shlex
import subprocess
import sys
import sysconfig

import click
import pytest
from click.testing import CliRunner

from pdk.cli import files, handles, main, printing


def commands(group, prefix=()):
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if isinstance(command, main.LazyGroup):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name), command


ALL = dict(commands(main.cli))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example(words):
    result = CliRunner().invoke(main.cli, [*words, "--help"])
    assert result.exit_code == 0
    example = " ".join(result.output.split()).partition("Example:")[2]
    assert f"pdk {' '.join(words)}" in example, result.output


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_the_short_help_in_the_table_is_the_commands_own(words):
    entry = main.COMMANDS[words[0]]
    if len(words) == 2:
        entry = entry.nouns[words[1]]
    command = ALL[words]
    assert entry.help == ("" if command.hidden else command.get_short_help_str(limit=1000))


def test_listing_the_commands_imports_no_command():
    code = (
        "import json, sys; before = set(sys.modules); from pdk.cli.main import main; sys.argv = ['pdk', '--help']\n"
        "try: main()\n"
        "except SystemExit: print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    modules = json.loads(shown.splitlines()[-1])
    foreign = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    assert foreign == {"click", "pdk"}
    ours = {name for name in modules if name.startswith("pdk.")}
    assert ours == {"pdk.base", "pdk.base.errors", "pdk.cli", "pdk.cli.commands", "pdk.cli.main"}
    for word in main.COMMANDS:
        assert (f"\n  {word} " in shown) == (word != "supervise")


def test_the_version_is_the_installed_packages():
    assert CliRunner().invoke(main.cli, ["--version"]).output == f"pdk {importlib.metadata.version('pdk')}\n"


@pytest.mark.parametrize("home", ["plain", "it's a home"])
def test_env_is_what_a_shell_evaluates_any_number_of_times(tmp_path, home):
    shown = run("env", PDK_HOME=str(tmp_path / home)).stdout
    script = (
        f'eval {shlex.quote(shown)}\neval {shlex.quote(shown)}\nprintf "%s\\n" "$KUBECONFIG" "$PATH"; command -v pdk'
    )
    result = subprocess.run(
        ["/bin/sh", "-euc", script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    programs = sysconfig.get_path("scripts")
    assert result.stdout.splitlines() == [
        str(tmp_path / home / "kubeconfig"),
        os.pathsep.join((programs, "/usr/bin:/bin")),
        f"{programs}/pdk",
    ]


def run(*words, **env):
    base = {"PATH": "/usr/bin:/bin", "HOME": env.pop("HOME", "/nonexistent"), **env}
    return subprocess.run(
        [sys.executable, "-m", "pdk.cli.main", *words], capture_output=True, text=True, env=base, check=False
    )


def test_without_a_server_the_error_says_what_to_do(tmp_path):
    result = run("list", "repo", HOME=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith("error: no pachd to talk to: start the stack with `pdk up`")
    assert "Traceback" not in result.stderr


def test_an_unreachable_server_is_an_error_message(tmp_path):
    result = run("list", "repo", HOME=str(tmp_path), PACHD_ADDRESS="127.0.0.1:1")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


def test_an_unknown_command_is_a_usage_error(tmp_path):
    result = run("frobnicate", HOME=str(tmp_path))
    assert result.returncode == 2
    assert "No such command" in result.stderr


def test_a_wrong_setting_names_the_file_and_the_key(tmp_path):
    (tmp_path / "config.toml").write_text("pachd_prot = 1\n")
    result = run("status", PDK_HOME=str(tmp_path))
    assert result.returncode == 1
    assert f"{tmp_path}/config.toml: unknown setting 'pachd_prot'" in result.stderr


def test_handles():
    ident = "0123456789ab4def0123456789abcdef"
    assert handles.commit("data@master", "p").branch.name == "master"
    assert handles.commit(f"data@{ident}", "p").id == ident
    assert handles.commit("data@master^2", "p").id == "master^2"
    assert handles.repo("train.meta", "p").type == "meta"
    assert handles.file("data@master:a/b.csv", "p").path == "a/b.csv"
    assert handles.file("data@master", "p").path == "/"
    with pytest.raises(click.UsageError, match="expected repo@branch"):
        handles.commit("data", "p")


def test_sources_become_paths_as_pachctl_has_it(tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "x.csv").write_text("x")
    file = str(tmp_path / "d" / "e" / "x.csv")
    assert list(files.paths_and_sources("", (file,), False)) == [("/x.csv", file)]
    assert list(files.paths_and_sources("/in/", (file,), False)) == [("/in/x.csv", file)]
    assert list(files.paths_and_sources("y.csv", (file,), False)) == [("/y.csv", file)]
    assert list(files.paths_and_sources("", (str(tmp_path / "d"),), True)) == [("/e/x.csv", file)]
    with pytest.raises(click.UsageError, match="use -r"):
        list(files.paths_and_sources("", (str(tmp_path / "d"),), False))
    with pytest.raises(click.UsageError, match="no such file"):
        list(files.paths_and_sources("", (str(tmp_path / "missing.csv"),), False))


def test_tables_and_units():
    assert printing.table(("a", "bb"), [("1", "2"), ("333", "")]) == "A    BB\n1    2\n333"
    assert printing.size(24_000_000) == "22.9MiB"
    assert printing.span(0.44) == "0.4s"
    assert printing.span(61) == "1m"
    assert printing.state("JOB_SUCCESS") == "success"


def test_the_exit_status_a_command_asks_for_is_the_programs(monkeypatch):
    @click.command()
    def fails():
        raise click.exceptions.Exit(3)

    monkeypatch.setattr(main, "cli", fails)
    monkeypatch.setattr(sys, "argv", ["pdk"])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 3
