"""`pdk put file`, `get file`, `list file`, `delete file`: pachctl's verbs through `pachyderm_sdk`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from pachyderm_sdk.api import pfs

from pdk.cli import connect, handles, printing

CHUNK_BYTES = 2 * 1024 * 1024


@click.command("file")
@click.argument("target", metavar="REPO@BRANCH[:PATH]")
@click.option("-f", "--file", "sources", multiple=True, required=True, help="File, folder (-r), URL, or - for stdin.")
@click.option("-r", "--recursive", is_flag=True, help="Put every file below a folder.")
@click.option("-a", "--append", is_flag=True, help="Append to the file instead of replacing it.")
@connect.PROJECT_OPTION
def put_file(target: str, sources: tuple[str, ...], recursive: bool, append: bool, project: str | None) -> None:
    """Put files as one commit; nothing is visible before all of it arrived.

    Example: pdk put file churn-data@master:part2.csv -f part2.csv
    """
    destination = handles.file(target, connect.project(project))
    named = ":" in target and not target.endswith(":")
    pairs = list(paths_and_sources(destination.path if named else "", sources, recursive))
    client = connect.pachd()
    client.pfs.modify_file(_requests(destination.commit, pairs, append))
    head = client.pfs.inspect_commit(commit=destination.commit)
    for path, source in pairs:
        click.echo(f"{source} -> {destination.commit.repo.name}@{head.commit.id}:{path}")


def paths_and_sources(path: str, sources: tuple[str, ...], recursive: bool) -> Iterator[tuple[str, str]]:
    """Yield (path in the repo, source) as pachctl derives them: base name without a path, joined below a `/`."""
    for source in sources:
        if source == "-" and not path:
            raise click.UsageError("reading from stdin needs a path: REPO@BRANCH:PATH")
        if Path(source).is_dir():
            if not recursive:
                raise click.UsageError(f"{source} is a folder; use -r to put every file below it")
            for found in sorted(p for p in Path(source).rglob("*") if p.is_file()):
                yield f"{path.rstrip('/')}/{found.relative_to(source)}", str(found)
        elif source != "-" and "://" not in source and not Path(source).is_file():
            raise click.UsageError(f"{source}: no such file")
        elif not path or path.endswith("/") or len(sources) > 1:
            yield f"{path.rstrip('/')}/{source.rsplit('/', 1)[-1]}", source
        else:
            yield path if path.startswith("/") else f"/{path}", source


def _requests(commit: pfs.Commit, pairs: list[tuple[str, str]], append: bool) -> Iterator[pfs.ModifyFileRequest]:
    yield pfs.ModifyFileRequest(set_commit=commit)
    for path, source in pairs:
        if not append:
            yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
        if "://" in source:
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, url=pfs.AddFileUrlSource(url=source)))
            continue
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=b""))
        for chunk in _chunks(source):
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=chunk))


def _chunks(source: str) -> Iterator[bytes]:
    with sys.stdin.buffer if source == "-" else Path(source).open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


@click.command("file")
@click.argument("source", metavar="REPO@BRANCH:PATH")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write there instead of to the terminal.")
@connect.PROJECT_OPTION
def get_file(source: str, output: Path | None, project: str | None) -> None:
    """Print a file's content, or write it to -o.

    Example: pdk get file customer-churn-train@master:/model-info.yaml
    """
    messages = connect.pachd().pfs.get_file(file=handles.file(source, connect.project(project)))
    with sys.stdout.buffer if output is None else output.open("wb") as file:
        for message in messages:
            file.write(message.value)


@click.command("file")
@click.argument("folder", metavar="REPO@BRANCH[:PATH]")
@connect.PROJECT_OPTION
def list_file(folder: str, project: str | None) -> None:
    """List the files of a folder.

    Example: pdk list file churn-data@master
    """
    infos = connect.pachd().pfs.list_file(file=handles.file(folder, connect.project(project)))
    rows = [
        (info.file.path, "dir" if info.file_type == pfs.FileType.DIR else "file", printing.size(info.size_bytes))
        for info in infos
    ]
    click.echo(printing.table(("name", "type", "size"), rows))


@click.command("file")
@click.argument("target", metavar="REPO@BRANCH:PATH")
@click.option("-r", "--recursive", is_flag=True, help="Delete a folder with everything below it.")
@connect.PROJECT_OPTION
def delete_file(target: str, recursive: bool, project: str | None) -> None:
    """Delete a file as one commit; earlier commits keep it.

    Example: pdk delete file churn-data@master:part2.csv
    """
    file = handles.file(target, connect.project(project))
    path = file.path.rstrip("/") + "/" if recursive else file.path
    requests = [
        pfs.ModifyFileRequest(set_commit=file.commit),
        pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)),
    ]
    connect.pachd().pfs.modify_file(iter(requests))
