"""What `compete advise` says of a TOML or a folder: the table of data size and similarity, and lines to paste."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compete.advice.facts import Facts, Section
from compete.advice.transfer import finetune, is_similar, table_lines
from compete.config.load import load_config
from compete.draft import default_output, folder_facts
from compete.draft.output import section_lines
from compete.identity import read_sources
from compete.model.device import choose_device
from compete.model.weights import quoted
from compete.stages.prepare import prepare

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.data.dataset import Dataset


def advice_lines(what: Path, similar: bool | None, plugin_files: Sequence[Path] = ()) -> Iterator[str]:
    """Yield the advice for a TOML or a competition's folder. Raise `CompeteError` where it cannot be read."""
    if what.is_dir():
        output = default_output(what)
        if not output.exists():
            yield f"{output} is not there yet: `compete init {quoted(str(what))}` writes it."
        yield from _lines(folder_facts(what, plugin_files), similar, str(output), {})
        return
    config = load_config(what)
    facts = _facts(config, prepare(config, read_sources(config), None))
    model = config.one("models").options
    trained = bool(model.get("pretrained") or model.get("weights"))
    if not trained:
        name = model.get("backbone", config.one("models").name)
        yield f"[model] '{name}' starts from scratch: all of it must train, and the advice is for a pretrained one."
    yield from _lines(facts, similar, str(what), config.finetune.model_dump(), trained)


def _lines(
    facts: Facts, similar: bool | None, file: str, present: dict[str, Any], trained: bool = True
) -> Iterator[str]:
    facts = replace(facts, similar=similar)
    few, many = min(facts.counts.values(), default=0), max(facts.counts.values(), default=0)
    spread = f"{len(facts.counts)} classes, {facts.per_class:,.0f} images a class ({few:,} to {many:,})"
    size = spread if facts.counts else "no classes"
    yield f"{facts.rows:,} training rows, {size}"
    alike = "like" if is_similar(facts) else "unlike"
    by = "as you say" if similar is not None else "a guess; --similar yes or --similar no decides"
    yield f"{alike} ImageNet's photographs: {by}"
    yield "  (alike: car brands, pets, food, faces; not alike: clouds seen by satellites, X-rays, spectrograms)"
    yield ""
    yield from table_lines(facts)
    yield ""
    if trained:
        yield from _to_paste(finetune(facts), file, present)
    else:
        yield f"Nothing to paste before [model] of {file} has trained weights: pretrained = true, or weights = FILE."


def _to_paste(section: Section, file: str, present: dict[str, Any]) -> Iterator[str]:
    wanted = {key.name: key.value for key in section.keys}
    defaults = {"freeze": "none", "backbone_lr_ratio": 1.0}
    if present and {**defaults, **wanted} == {name: present.get(name) or default for name, default in defaults.items()}:
        yield f"{file} has it so already: nothing to change."
        yield ""
    else:
        yield f"To paste into {file}, in place of its [finetune] if there is one:"
        yield ""
    yield from section_lines(section)
    yield ""
    sets = " ".join(f"--set finetune.{name}={value}" for name, value in {**defaults, **wanted}.items())
    yield f"Or try it without editing: compete run {quoted(file)} {sets}"


def _facts(config: Config, dataset: Dataset) -> Facts:
    """Return the facts of a TOML's own rows and settings."""
    labels, classes = dataset.labels, dataset.target.classes
    counts = {}
    if labels.ndim == 1 and labels.dtype.kind in "iu":
        names = [str(name) for name in classes] if len(classes) > 1 else ["other", *map(str, classes)]
        counts = {name: int((labels == number).sum()) for number, name in enumerate(names)}
    return Facts(
        rows=len(dataset.tables.train),
        kind=config.one("targets").name,
        metric=config.one("metrics").name,
        side=max(config.images.size),
        counts={name: count for name, count in counts.items() if count},
        channels=config.images.channels,
        images=config.images.reader != "raw",
        device=choose_device(config.training.device),
        folds=max(1, int(dataset.folds.max()) + 1),
        words=frozenset(config.competition.name.lower().replace("_", "-").split("-")),
    )
