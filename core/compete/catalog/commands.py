"""The commands that show what there is and write a first file: `demo`, `new`, `models`, `weights` ..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compete.text import echo


def add_catalog_commands(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    start, extend = "Start", "Choose and extend"
    app.command(rich_help_panel=start, epilog="$ compete demo mask data/mask")(demo)
    app.command(rich_help_panel=start, epilog="$ compete competitions")(competitions)
    app.command(rich_help_panel=start, epilog="$ compete new mask my.toml")(new)
    app.command(rich_help_panel=extend, epilog="$ compete models 'convnext*tiny*'")(models)
    app.command(rich_help_panel=extend, epilog="$ compete weights my.toml --to weights")(weights)
    app.command(rich_help_panel=extend, epilog="$ compete options loss")(options)
    app.command(rich_help_panel=extend, epilog="$ compete plugins my.toml")(plugins)


def demo(
    name: Annotated[str, typer.Argument(help="The competition to imitate, for example `mask`.")],
    folder: Annotated[Path, typer.Argument(help="The folder to write to.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the demo data.")
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", metavar="FILE", help="A plugin file that draws demo data.")
    ] = None,
) -> None:
    """Draw a small demo data set in the exact layout of a competition."""
    from compete.config.options import bind
    from compete.config.plugins import load_plugins
    from compete.config.registry import find
    from compete.errors import ConfigError
    from compete.toml.overrides import apply_overrides

    component = find(load_plugins(plugin or []).registry, "demos", name)
    bound, problems = bind(component, apply_overrides({}, overrides or []), f"demo {name}")
    if bound is None or problems:
        raise ConfigError(problems)
    bound.build(folder)
    echo(f"{folder}: drawn demo data for {name}; see {folder / 'DRAWN.txt'}")


def competitions() -> None:
    """List the gallery: competitions that need no TOML of your own, with metric and submission."""
    from compete.toml.gallery import entries, recipes

    found = [("name", "metric", "submission", "title"), *entries()]
    widths = [max(len(entry[column]) for entry in found) for column in range(3)]
    for name, metric, submission, title in found:
        echo(f"{name:<{widths[0]}}  {metric:<{widths[1]}}  {submission:<{widths[2]}}  {title}")
    echo("\nrecipes, other ways to train for one of them:")
    for name in recipes():
        echo(f"  {name}")
    echo("\nnext: compete run NAME, or compete new NAME for a copy to edit")


def new(
    name: Annotated[
        str | None, typer.Argument(help="A competition of the gallery; with --plugin, the file to write.")
    ] = None,
    file: Annotated[Path | None, typer.Argument(help="The TOML to write; default: NAME.toml.")] = None,
    plugin: Annotated[
        str | None, typer.Option("--plugin", metavar="KIND", help="Write a plugin of this kind: loss, metric, ...")
    ] = None,
) -> None:
    """Write a file to edit: a copy of a gallery TOML, or a plugin with its test. Nothing is overwritten."""
    from compete.catalog.new_files import copy_toml, explanation, write_plugin
    from compete.errors import UserError

    if plugin is not None:
        if file is not None:
            raise UserError(f"--plugin {plugin}: give one file to write, not both {name} and {file}.")
        lines = write_plugin(plugin, None if name is None else Path(name))
    else:
        lines = explanation() if name is None else copy_toml(name, file)
    for line in lines:
        echo(line)


def models(
    pattern: Annotated[str, typer.Argument(help="A name or a pattern with *, quoted: 'convnext*tiny*'.")] = "*",
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", metavar="FILE", help="Also search a plugin file's models.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="The longest listing.")] = 40,
) -> None:
    """Search the backbones of timm and torchvision: parameters, image size, weights. Nothing is downloaded."""
    from compete.catalog.models import model_lines

    for line in model_lines(pattern, plugin or [], most):
        echo(line)


def weights(
    file: Annotated[Path, typer.Argument(help="A TOML, or a competition of the gallery.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the TOML.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="Also copy them, for a machine without a network."),
    ] = None,
) -> None:
    """Fetch the trained weights that a TOML asks for, and say their size and place; run it again to resume."""
    from compete.catalog.weights import weights_lines
    from compete.config.load import load_config
    from compete.leaderboard.commands import report_tenths

    tenths = report_tenths()
    config = load_config(file, overrides or [])
    for line in weights_lines(config, to, lambda done, total: tenths(100 * done // max(total, done, 1))):
        echo(line)


def plugins(
    file: Annotated[Path | None, typer.Argument(help="Also load the plugins named in this TOML.")] = None,
) -> None:
    """List the loaded plugins with their sources and hooks."""
    from compete.catalog.listing import plugin_lines

    for line in plugin_lines(file):
        echo(line)


def options(
    kind: Annotated[str | None, typer.Argument(help="A kind of component or a TOML table: losses, loss, ...")] = None,
    name: Annotated[str | None, typer.Argument(help="One component; default: every component of the kind.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Also load the plugins named in this TOML.")] = None,
) -> None:
    """List components with their options, types, defaults and documentation."""
    from compete.catalog.listing import option_lines

    for line in option_lines(kind, name, file):
        echo(line)
