"""Commands on a model's folder, asking its model, and undoing it all."""

import json
from pathlib import Path

import click
from pachyderm_sdk.api import pfs

from pdk.cli import connect, printing, systems
from pdk.cli.stack import load_settings
from pdk.projects import check as checking
from pdk.projects import delete as deleting
from pdk.projects import model_file
from pdk.projects import predict as asking
from pdk.projects.apply import Target
from pdk.projects.apply import apply as apply_folder
from pdk.projects.model_file import ModelFile
from pdk.projects.new import Names, new_from_csv, new_from_template
from pdk.projects.profile import Profile, profile


@click.command()
@click.argument("folder", metavar="NAME", type=click.Path(path_type=Path))
@click.option("--from-csv", "table", type=click.Path(path_type=Path), help="A table to learn from.")
@click.option("--label", metavar="COLUMN", help="The column to be predicted.")
@click.option("--task", type=click.Choice(["binary", "multiclass", "regression"]), help="Default: as the label looks.")
@click.option("--template", help="Start from scratch: core-api, image or sklearn.")
@click.option("--project", default="", help="Pachyderm and Determined project; default: the name.")
@click.option("--description", default="")
def new(
    folder: Path,
    table: Path | None,
    label: str | None,
    task: str | None,
    template: str | None,
    project: str,
    description: str,
) -> None:
    """Write a model's folder: from a CSV, or from a template to start from scratch.

    Example: pdk new churn --from-csv customers.csv --label churned
    """
    names = Names(folder.name, description, project)
    model_file.parse(names.document, "NAME")
    if table is None:
        if template is None:
            raise click.UsageError("say what to start from: --from-csv FILE --label COLUMN, or --template NAME")
        new_from_template(folder, names, template)
        click.echo(f"{folder} is made from template {template}: its README.md says how to go on")
        return
    if label is None:
        raise click.UsageError("--from-csv needs --label COLUMN: the column to be predicted")
    found = profile(table, label, task)
    names = Names(folder.name, description or f"Predicts {label}", project)
    new_from_csv(folder, names, found)
    click.echo(f"{table}: {found.rows} rows")
    _show(found, folder)


def _show(found: Profile, folder: Path) -> None:
    """Print what was concluded and what to do next."""
    for note in found.notes:
        click.echo(f"  {'? ' if note.unsure else '  '}{note.text}")
    used = [fact for fact in found.contract["columns"] if fact["kind"] != "label"]
    numeric = sum(fact["kind"] == "numeric" for fact in used)
    click.echo(f"    {numeric} columns of numbers and {len(used) - numeric} of categories are learned from")
    if any(note.unsure for note in found.notes):
        click.echo(f"Check what stands behind a question mark; {folder}/contract.json says it all and can be changed.")
    click.echo(f"\n{folder} is made. Next:  pdk apply {folder}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--regenerate", is_flag=True, help="Write the folder's pipelines anew from its model.yaml.")
@click.option("--secret", "secrets", multiple=True, metavar="KEY=VALUE", help="A value of the model's secret.")
def apply(folder: Path, regenerate: bool, secrets: tuple[str, ...]) -> None:
    """Set a model's folder up: projects, repos, secret, service account, code, pipelines; as often as you like.

    Example: pdk apply churn
    """
    model = model_file.read(folder)
    settings = load_settings()
    target = Target(
        pachyderm=connect.pachd(),
        determined=systems.determined(settings),
        kubernetes=systems.cluster(settings),
        namespace=systems.namespace(settings),
        secret={**systems.secret_values(settings), **_code_url(folder, model), **dict(map(_pair, secrets))},
        s3_endpoint=systems.s3_endpoint(settings),
    )
    for line in apply_folder(folder, model, target, regenerate=regenerate):
        click.echo(line)
    click.echo(
        f"\nReady. A file starts the loop:\n"
        f"  pdk put file {model.data_repo}@master:FILE -f FILE --project {model.project}\n"
        f"  pdk wait commit {model.rollout_pipeline}@master --project {model.project}\n"
        f"  pdk predict {model.name} -f ROWS"
    )


def _code_url(folder: Path, model: ModelFile) -> dict[str, str]:
    """The repository that holds the folder, for a model whose code comes from git: unless --secret says another."""
    if model.code.git_sub_dir is None:
        return {}
    root, sub = folder.resolve(), Path(model.code.git_sub_dir)
    return {"code_url": str(root.parents[len(sub.parts) - 1])} if root.match(str(sub)) else {}


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"{text!r}: expected KEY=VALUE")
    return key, value


@click.command()
@click.argument("name", required=False)
@click.option(
    "-f", "--file", "path", type=click.Path(path_type=Path), required=True, help="Rows: CSV or JSON; or a file."
)
@click.option(
    "--local", type=click.Path(path_type=Path), help="A serving folder or checkpoint, asked without a server."
)
@click.option("--probabilities/--no-probabilities", default=True, help="Ask for them, where the model gives some.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
def predict(name: str | None, path: Path, local: Path | None, probabilities: bool, as_json: bool) -> None:
    """Ask a model for the rows of a file.

    Example: pdk predict churn -f rows.csv
    """
    if (name is None) == (local is None):
        raise click.UsageError("name a served model, or a folder with --local")
    model = asking.Local(local) if local is not None else systems.served_model(load_settings(), str(name))
    body = asking.request_of(path, model.signature(), probabilities=probabilities)
    answer = model.ask(body)
    if as_json or not isinstance(answer.get("predictions"), list):
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    click.echo(printing.table(*asking.table_of(asking.rows_of(body), answer["predictions"])))


@click.command("project")
@click.argument("name")
@click.option("--all", "everything", is_flag=True, help="With its pipelines, repos, secrets, models and what serves.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete_project(name: str, everything: bool, yes: bool) -> None:
    """Delete a project; with --all, everything in it on the three systems.

    Example: pdk delete project churn --all
    """
    client, settings = connect.pachd(), load_settings()
    if not everything:
        client.pfs.delete_project(project=pfs.Project(name=name))
        return
    found = deleting.find(client, name)
    for line in found.lines():
        click.echo(line)
    if not yes:
        click.confirm(f"Delete project {name} with all of this?", abort=True)
    there = (systems.determined(settings), systems.cluster(settings), systems.namespace(settings))
    for line in deleting.delete(found, client, *there):
        click.echo(line)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.argument("tables", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
def check(folder: Path, tables: tuple[Path, ...]) -> None:
    """Say what would stop training, build or rollout of a model's folder; exit status 1 if anything would.

    Example: pdk check churn customers.csv
    """
    problems, right = checking.check(folder, tables)
    for line in right:
        click.echo(f"ok  {line}")
    for line in problems:
        click.echo(f"!!  {line}")
    if problems:
        raise click.exceptions.Exit(1)
    click.echo(f"nothing stops {folder}")
