"""Plots as inline SVG whose colours follow the page: light or dark, safe for colour-blind readers."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from compete import EpochScores

# Placeholders: matplotlib knows no CSS variables, so these are swapped in the finished SVG.
INK, LINE, FIRST, SECOND, BEST = "#010101", "#020202", "#030303", "#040404", "#050505"
COLOURS = {INK: "--ink-2", LINE: "--line", FIRST: "--blue", SECOND: "--orange", BEST: "--green"}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be selected, and takes the page's font
    "svg.hashsalt": "compete",  # the same run gives the same page
    "text.parse_math": False,
    "font.size": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.8,
}


def learning_curve(epochs: Sequence[EpochScores], best_epoch: int, key: str) -> str:
    """Draw losses above and score below over a member's epochs; `key`, a word, keeps ids apart on the page."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.9, 3.6), layout="constrained")
        losses, scores = figure.subplots(2, 1, sharex=True, height_ratios=(1.25, 1))
        _line(losses, epochs, "train_loss", FIRST, "-", "train")
        _line(losses, epochs, "valid_loss", SECOND, "--", "valid")
        _line(scores, epochs, "score", FIRST, "-", "score")
        losses.set_ylabel("loss")
        losses.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2)
        scores.set_ylabel("score")
        scores.set_xlabel("epoch")
        scores.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        _mark_best((losses, scores), epochs, best_epoch)
        return _svg(figure, key)


def scatter(labels: np.ndarray[Any, Any], predictions: np.ndarray[Any, Any], key: str) -> str:
    """Draw predictions (N,) over labels (N,), with the line where both are equal; `key` as above."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.9, 3.6), layout="constrained")
        axes = figure.subplots()
        # As pixels: ten thousand points would make the page megabytes long. This blue reads on both grounds.
        axes.scatter(labels, predictions, s=8, color="#3b8fd0", alpha=0.4, linewidths=0, rasterized=True)
        low, high = axes.get_xlim()
        axes.plot((low, high), (low, high), color=SECOND, linestyle="--", linewidth=1.2)
        axes.set_xlabel("label")
        axes.set_ylabel("OOF prediction")
        return _svg(figure, key)


def _line(axes: Axes, epochs: Sequence[EpochScores], name: str, colour: str, style: str, label: str) -> None:
    numbers = [epoch.number for epoch in epochs]
    values = [float("nan") if value is None else value for value in (getattr(epoch, name) for epoch in epochs)]
    axes.plot(numbers, values, color=colour, linestyle=style, label=label, marker="o", markersize=3)


def _mark_best(panels: tuple[Axes, Axes], epochs: Sequence[EpochScores], best_epoch: int) -> None:
    best = next((epoch for epoch in epochs if epoch.number == best_epoch), None)
    if best is None:
        return
    for axes in panels:
        axes.axvline(best_epoch, color=BEST, linewidth=1.2, linestyle=":", zorder=1)
    if best.score is not None:
        panels[1].plot(best_epoch, best.score, color=BEST, marker="D", markersize=7, zorder=3)


def _svg(figure: Figure, key: str) -> str:
    """Return the figure as inline SVG: no header, unique ids, colours from the page."""
    text = StringIO()
    figure.savefig(text, format="svg", transparent=True, dpi=144, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{key}-", svg)
    for placeholder, variable in COLOURS.items():
        svg = svg.replace(placeholder, f"var({variable})")
    return svg
