"""`pdk image`: which folder of this machine stands in for an image name."""

from pathlib import Path

import click

from pdk.cli import printing
from pdk.cli.stack import load_settings
from pdk.stack import images


@click.command("list")
def list_images() -> None:
    """List what stands in for images; an image that is not listed runs with this machine's own tools.

    Example: pdk image list
    """
    settings = load_settings()
    entries = {**images.shipped(), **settings.images, **images.read(settings.home)}
    rows = [
        (name, entry.folder, entry.python or "-", "yes" if entry.trust_checkpoints else "-")
        for name, entry in entries.items()
    ]
    click.echo(printing.table(("image", "folder", "python", "trusts checkpoints"), rows))


@click.command("set")
@click.argument("image")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--python", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Its interpreter.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE")
@click.option("--trust-checkpoints", is_flag=True, help="Its torch may read pickled checkpoints: they can run code.")
def set_image(
    image: str, folder: Path, python: Path | None, variables: tuple[str, ...], trust_checkpoints: bool
) -> None:
    """Let a folder stand in for an image, named as closely as needed: registry/name:tag, name:tag, or name.

    Example: pdk image set pachyderm/pdk:train-v0.0.6 container/train
    """
    home = load_settings().home
    pairs = dict(variable.partition("=")[::2] for variable in variables)
    entry = images.ImageEntry(str(folder.resolve()), str(python.absolute()) if python else "", pairs, trust_checkpoints)
    images.write(home, {**images.read(home), image: entry})


@click.command("delete")
@click.argument("image")
def delete_image(image: str) -> None:
    """Forget what `pdk image set` said of an image.

    Example: pdk image delete pachyderm/pdk:train-v0.0.6
    """
    home = load_settings().home
    entries = images.read(home)
    if image not in entries:
        raise click.UsageError(f"{image!r} was not set by pdk image; set are: {', '.join(entries) or 'none'}")
    del entries[image]
    images.write(home, entries)
