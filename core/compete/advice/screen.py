"""The recipe on the screen: one line for each thing that decides the score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compete.advice import Advice
from compete.advice.facts import Section, values
from compete.advice.models import HOURS
from compete.advice.pace import choose_pace
from compete.advice.timing import Timing
from compete.text import duration, plural


def recipe_lines(advice: Advice, sections: Sequence[Section], timing: Timing | None) -> Iterator[str]:
    """Yield the lines; `timing` is None where no step was timed."""
    rows = [
        ("model", _model(advice, sections)),
        ("images", f"{_size(sections)} px"),
        ("training", _training(advice, sections)),
        ("augmentation", _augmentation(sections)),
        ("sampler", _sampler(sections)),
        ("correction", _names(sections, "postprocess")),
        ("time", timing.said if timing else "not timed"),
    ]
    yield f"recipe for {_data(advice)}, on {_device(advice)}:"
    yield from (f"  {name:<13} {text}" for name, text in rows if text)


def _data(advice: Advice) -> str:
    counts = advice.facts.counts
    classes = f" of {plural(len(counts), 'class', 'classes')}" if counts else ""
    few, many = min(counts.values(), default=0), max(counts.values(), default=0)
    spread = f" ({few:,} {f'to {many:,} ' if many > few else ''}rows each)" if counts else ""
    return f"{plural(advice.facts.rows, 'row')}{classes}{spread}"


def _device(advice: Advice) -> str:
    facts = advice.facts
    return f"cpu, {plural(facts.cores, 'core')}" if facts.device == "cpu" else facts.device


def _model(advice: Advice, sections: Sequence[Section]) -> str:
    model = values(sections, "model")
    name = str(model.get("backbone", model["name"]))
    if advice.model.weights is None:
        width = f" of width {model['width']}" if "width" in model else ""
        return f"{name}{width} FROM SCRATCH: {advice.model.why}"
    return f"{name}; weights {advice.model.weights.said}"


def _size(sections: Sequence[Section]) -> str:
    return " x ".join(map(str, _sides(sections)))


def _sides(sections: Sequence[Section]) -> list[int]:
    size = values(sections, "images")["size"]
    assert isinstance(size, list)
    return size


def _training(advice: Advice, sections: Sequence[Section]) -> str:
    pace = choose_pace(advice.facts, advice.model.pretrained)
    tuned = values(sections, "finetune")
    ratio = tuned.get("backbone_lr_ratio", 1.0)
    backbone = "" if ratio == 1 else f", backbone at {ratio:g} of it"
    backbone = ", backbone frozen" if "freeze" in tuned else backbone
    rate = values(sections, "optimizer")["lr"]
    steps = f"{pace.epochs} epochs in batches of {pace.batch}: {pace.steps:,} steps a member"
    return f"{steps}; adamw, rate {rate:g}{backbone}, cosine after a rise; EMA"


def _augmentation(sections: Sequence[Section]) -> str:
    random = [t["name"] for s in sections if not s.suggested for k in s.keys if k.name == "random" for t in k.value]
    views = _names(sections, "tta")
    return f"{', '.join(random) or 'none'}; TTA {views or 'none'}"


def _sampler(sections: Sequence[Section]) -> str:
    drawn = values(sections, "sampler")
    power = f", power {drawn['power']:g}" if "power" in drawn else ""
    return f"{drawn['name']}{power}" if drawn else ""


def _names(sections: Sequence[Section], table: str) -> str:
    return ", ".join(str(s.keys[0].value) for s in sections if s.table == table and not s.suggested)


def too_long(timing: Timing | None, sections: Sequence[Section]) -> Iterator[str]:
    """Yield the decision that a run of many hours asks for."""
    if timing is None or timing.seconds <= 3600 * HOURS[timing.device]:
        return
    height, width = (max(32, side // 2) for side in _sides(sections))
    yield (
        f"[training]: a run takes about {duration(timing.seconds)} here. Either wait, or set [images] size = "
        f"[{height}, {width}], which takes a quarter of it and loses fine detail; `compete run ... --set "
        "training.only_folds=[0]` tries one fold first."
    )
