"""The commands that look into networks: `inspect`, `doctor`, `lr` and `features`; and `ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compete.study.ablate import ablate
from compete.text import aligned, echo, format_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from compete.study.modules import ModuleRow


def add_study_commands(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(rich_help_panel="Look", epilog="$ compete inspect my.toml --batch batch.png")(inspect)
    app.command(rich_help_panel="Look", epilog="$ compete doctor my.toml")(doctor)
    app.command(rich_help_panel="Run", epilog="$ compete ablate my.toml")(ablate)
    app.command(rich_help_panel="Look", epilog="$ compete lr my.toml -o lr.png")(lr)
    app.command(rich_help_panel="Look", epilog="$ compete features my.toml --out features")(features)


def features(
    what: Annotated[Path, typer.Argument(metavar="FILE_OR_RUN", help="A TOML, or a run's folder.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where train.parquet and test.parquet go.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override a value of the TOML; may be repeated."),
    ] = None,
    member: Annotated[str, typer.Option("--member", metavar="NAME", help="Which network of a run, by its name.")] = "",
    layer: Annotated[
        str, typer.Option("--layer", metavar="MODULE", help="The output of this module; default: the head's input.")
    ] = "",
    each_image: Annotated[
        bool, typer.Option("--each-image", help="A row for each image; else the images of a row are averaged.")
    ] = False,
) -> None:
    """Write the features of every image by id: what a network gives to its head, or another layer's output.

    Of a TOML, the network is that which training would start from; nothing is trained. The files have the columns id
    and f0, f1, f2 ... (with --each-image also the image's path). Outputs (C, H, W) and tokens are averaged over
    positions.
    """
    from compete.study.export import write_features

    for done in write_features(what, out, member=member, layer=layer, each_image=each_image, overrides=overrides or []):
        echo(f"{done.path}: {done.rows:,} rows of {done.width:,} features of {layer or 'the input of the head'}")


def doctor(
    file: Annotated[Path, typer.Argument(help="The competition's TOML.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override a value of the TOML; may be repeated."),
    ] = None,
) -> None:
    """Look for the classic mistakes of training by experiments on one batch, in seconds.

    Nothing is trained or written. Exit status 1 when something was found.
    """
    from compete.config.load import load_config
    from compete.study.dry_run import dry_run, first_step
    from compete.train.doctor import diagnose

    with dry_run(load_config(file, overrides or [])) as run:
        problems = 0
        for check, found in diagnose(first_step(run)[0]):
            echo(f"{'found' if found else 'ok   '}  {check}")
            for text in found:
                echo(f"       {text}")
            problems += len(found)
    echo("nothing found" if not problems else f"{problems} found")
    if problems:
        raise typer.Exit(1)


def lr(
    file: Annotated[Path, typer.Argument(help="The competition's TOML.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override a value of the TOML; may be repeated."),
    ] = None,
    low: Annotated[float, typer.Option(min=1e-9, max=100, help="The first rate.")] = 1e-6,
    high: Annotated[float, typer.Option(min=1e-9, max=100, help="The last rate; divergence stops earlier.")] = 10.0,
    steps: Annotated[int, typer.Option(min=20, max=1000, help="Optimizer steps at most.")] = 100,
    plot: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE.png", help="Draw it.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write rate and loss of each step.")] = None,
) -> None:
    """Find a learning rate: train for some steps at rates that grow, and see where the loss falls (a range test).

    The first member is trained on a copy of the network that is thrown away; no run folder is made.
    Exit status 1 when the loss never fell.
    """
    import sys

    from compete.config.load import load_config
    from compete.errors import UserError
    from compete.study.dry_run import dry_run
    from compete.study.rates import option_to_set, range_test, suggest, write_plot

    if low >= high:
        raise UserError(f"--low {low:g} must be below --high {high:g}")
    if folders := [str(path) for path in (plot, csv) if path is not None and path.is_dir()]:
        raise UserError(f"{format_list(folders)}: a folder; name a file to write")
    config = load_config(file, overrides or [])
    option_to_set(config, config.one("optimizers").options.get("lr", low))
    with dry_run(config) as run, typer.progressbar(length=steps, label="range test", file=sys.stderr) as bar:
        table = range_test(run, low, high, steps, lambda _: bar.update(1))
    suggestion = suggest(table, high)
    if plot is not None:
        write_plot(table, suggestion, plot)
        echo(f"{plot}: {len(table)} steps")
    _show(table if csv is not None else table.iloc[:: max(1, len(table) // 20)], csv)
    stopped = f"stopped at {table['lr'].iloc[-1]:.2g}: the loss diverged" if len(table) < steps else "did not diverge"
    echo(f"{len(table)} of {steps} steps from {low:g} to {high:g}; {stopped}")
    if suggestion is None:
        echo("the loss never fell clearly below that of the first steps: no suggestion. Try `compete doctor`")
        raise typer.Exit(1)
    for note in suggestion.notes:
        echo(f"note: {note}")
    echo(f"steepest descent of the smoothed loss     {suggestion.steepest:.2g}")
    echo(f"a tenth of the rate at its minimum        {suggestion.tenth:.2g}  (suggested)")
    echo(f"--set {option_to_set(config, suggestion.tenth)}")


def inspect(
    what: Annotated[Path, typer.Argument(metavar="FILE_OR_RUN", help="A TOML, a run's folder or a file of weights.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override a value of the TOML; may be repeated."),
    ] = None,
    depth: Annotated[int, typer.Option(min=0, help="How deep the module tree goes; 0: all of it.")] = 2,
    parameters: Annotated[
        bool, typer.Option("--parameters", help="List every parameter, with its gradient after one batch.")
    ] = False,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the whole table to a CSV.")] = None,
    batch: Annotated[
        Path | None, typer.Option("--batch", metavar="FILE.png", help="Draw the first training batch, augmented.")
    ] = None,
) -> None:
    """Show a network's modules or parameters, a training batch, or what a run's weights hold.

    Of a TOML, the network is built and run once; with --parameters or --batch its data is read too. Nothing is trained,
    and no run folder is made.
    """
    from compete.errors import UserError
    from compete.toml.gallery import gallery, recipes

    if what.suffix == ".toml" or (str(what) in gallery() | recipes() and not what.exists()):
        _of_toml(what, overrides or [], depth, parameters, csv, batch)
    elif overrides or parameters or batch:
        raise UserError(f"{what}: --set, --parameters and --batch need a TOML; a run's is {what / 'config.toml'}.")
    else:
        _of_weights(what, csv)


def _of_toml(
    path: Path, overrides: Sequence[str], depth: int, parameters: bool, csv: Path | None, batch: Path | None
) -> None:
    from compete.config.load import load_config
    from compete.study.dry_run import dry_run

    with dry_run(load_config(path, overrides)) as run:
        for warning in run.dataset.warnings:
            echo(f"warning: {warning}")
        if batch is not None:
            from compete.study.preview import write_preview

            count = write_preview(run, batch)
            echo(f"{batch}: {count} training images, each before and after the random transforms")
        elif parameters:
            from compete.study.parameters import parameter_table

            _show(parameter_table(run), csv)
        else:
            _show_modules(run, depth, csv)


def _show_modules(run: Any, depth: int, csv: Path | None) -> None:  # noqa: ANN401 - a Run, whose import takes torch
    import pandas as pd
    import torch

    from compete.model.finetune import begin_plan
    from compete.study.modules import module_rows

    begin_plan(run.network, run.config, run.target.outputs)
    inputs = [torch.randn(1, run.config.images.channels, *run.config.images.size)]
    if run.dataset.column_count:
        inputs.append(torch.randn(1, run.dataset.column_count))
    rows = module_rows(run.network, inputs)
    if csv is not None:
        from compete.store import write_text

        write_text(csv, pd.DataFrame(rows).to_csv(index=False))
        echo(f"{csv}: {len(rows)} modules")
        return
    shown = [row for row in rows if not depth or row.depth <= depth]
    for line in _tree(shown, rows[0].parameters):
        echo(line)
    if len(shown) < len(rows):
        echo(f"{len(rows) - len(shown)} deeper modules are left out; --depth 0 shows them")


def _tree(rows: Iterable[ModuleRow], total: int) -> Iterable[str]:
    cells = [("module", "output", "parameters", "share", "trained")]
    for row in rows:
        name = "  " * row.depth + (row.name.rpartition(".")[2] or "network")
        shape = " x ".join(map(str, row.shape))
        trained = (
            "" if not row.parameters else "yes" if row.trained == row.parameters else "part" if row.trained else "no"
        )
        share = f"{row.parameters / total:.1%}" if total and row.parameters else ""
        cells.append((f"{name} {row.kind}", shape, f"{row.parameters:,}" if row.parameters else "", share, trained))
    return aligned(cells, left=2)


def _of_weights(path: Path, csv: Path | None) -> None:
    from compete.errors import UserError
    from compete.study.tensors import EXTENSIONS, member_table, tensor_table

    if path.is_dir():
        if not (path / "members").is_dir():
            raise UserError(f"{path} is not a run folder with members. `compete runs` lists the runs.")
        _show(member_table(path), csv)
    elif path.is_file() and path.suffix in EXTENSIONS:
        from compete.identity import digest_file

        _show(tensor_table(path), csv)
        echo(f"fingerprint (SHA-256) {digest_file(path)}")
    else:
        raise UserError(f"{path}: name a TOML, a run's folder, or weights ({', '.join(EXTENSIONS)}).")


def _show(table: pd.DataFrame, csv: Path | None) -> None:
    """Print a table and the sum of its parameters, or write it to a CSV."""
    if csv is not None:
        from compete.store import write_text

        write_text(csv, table.to_csv(index=False))
        echo(f"{csv}: {len(table)} rows")
        return
    text = [[name, *(_cell(value) for value in table[name])] for name in table]
    for line in aligned(list(zip(*text, strict=True)), left=2):
        echo(line)
    if "requires_grad" in table or "dtype" in table:
        echo(f"{len(table)} tensors, {table['parameters'].sum():,} parameters")


def _cell(value: object) -> str:
    import pandas as pd

    if value is None or value is pd.NA or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}" if isinstance(value, float) else str(value)
