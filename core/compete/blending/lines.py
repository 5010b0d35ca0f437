"""What `compete blend` prints: the methods, and what each input is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from compete.scores import BlendFacts, InputFacts, MethodFacts
from compete.text import format_list

METHODS_TITLE = (
    "methods, each scored on parts that it was not fitted on ({metric}; gain over the mean ± standard error)"
)
INPUTS_TITLE = "inputs ({metric}; gain: what the blend loses without it ± standard error)"
MOST_PAIRS = 10


def fixed_line(used: str, clearly_best: str) -> str:
    """Return which method a TOML names, and whether another one is clearly better."""
    if clearly_best in (used, "mean"):
        return f"used: {used}, as [ensemble] says; none is clearly better"
    return f"used: {used}, as [ensemble] says; {clearly_best} is better: --set ensemble.name={clearly_best}"


def method_lines(methods: Sequence[MethodFacts], metric: str, chosen: str = "") -> Iterator[str]:
    """Yield the table of methods, best gain first, and why one is used."""
    yield METHODS_TITLE.format(metric=metric)
    scored = sorted((m for m in methods if m.score is not None), key=lambda method: -(method.gain or 0.0))
    width = max(len(method.name) for method in methods)
    for method in scored:
        gain = "" if method.name == "mean" else f"  {_gain(method.gain, method.error)}"
        yield f"  {method.name:<{width}}  {_decimal(method.score)}{gain}"
    for method in methods:
        if method.problem:
            yield f"  {method.name:<{width}}  not for these predictions: {method.problem}"
    if not chosen:
        return
    if chosen == "mean":
        yield "used: mean, since no method is better by more than its standard error"
    else:
        yield f"used: {chosen}, the best of {len(scored)} that were tried, so its gain is a little too good"


def input_lines(facts: BlendFacts, metric: str, ensemble: str, score: float) -> Iterator[str]:
    """Yield the table of inputs, what to drop, and which pairs are alike."""
    yield INPUTS_TITLE.format(metric=metric)
    width = max(len(each.name) for each in facts.inputs)
    for each in facts.inputs:
        yield f"  {each.name:<{width}}  {_decimal(each.score)}  {_gain(each.gain, each.error)}  {each.model}"
    yield f"  {'blend':<{width}}  {_decimal(score)}  {ensemble}, {facts.rows:,} rows"
    useless = worth_dropping(facts.inputs)
    if useless:
        yield f"worth dropping, one at a time: the blend is not worse without {format_list(useless)}"
    yield from _pairs(facts)


def worth_dropping(inputs: Sequence[InputFacts]) -> list[str]:
    """Return the inputs without which the blend is not worse."""
    return [each.name for each in inputs if each.gain is not None and each.gain <= 0]


def _pairs(facts: BlendFacts) -> Iterator[str]:
    """Yield the pairs of inputs, the most alike first."""
    names = [each.name for each in facts.inputs]
    pairs = list(combinations(range(len(names)), 2))
    pairs.sort(key=lambda pair: -(facts.correlation[pair[0]][pair[1]] or 0.0))
    for one, two in pairs[:MOST_PAIRS]:
        differ = facts.disagreement[one][two]
        decided = "" if differ is None else f", decide differently in {differ:.1%}"
        yield f"  {names[one]} and {names[two]}: correlation {_decimal(facts.correlation[one][two])}{decided}"
    if len(pairs) > MOST_PAIRS:
        yield f"  {len(pairs) - MOST_PAIRS} more pairs are in scores.json"


def _gain(gain: float | None, error: float | None) -> str:
    if gain is None:
        return "-"
    return f"{gain:+.4f}" + ("" if error is None else f" ± {error:.4f}")


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
