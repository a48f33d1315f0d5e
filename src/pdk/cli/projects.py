"""Commands on a model's folder: apply."""

from pathlib import Path

import click

from pdk.cli import connect, systems
from pdk.cli.stack import load_settings
from pdk.projects import model_file
from pdk.projects.apply import Target
from pdk.projects.apply import apply as apply_folder
from pdk.projects.model_file import ModelFile


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
