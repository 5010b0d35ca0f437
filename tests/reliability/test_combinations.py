"""Whatever `validate` accepts either finishes with finite scores, or is refused before training with table and key.

Options are drawn from the components' own signatures, so that a new component is drawn as soon as it is registered.
"""

from __future__ import annotations

import re
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from compete.api.result import Result
from compete.config.load import load_config
from compete.config.options import bind, options_model
from compete.config.plugins import load_plugins
from compete.config.registry import Component
from compete.errors import ConfigError, TrainingError, UserError
from compete.stages import members, runner
from compete.toml.read import write_toml_text

SAMPLE, ALL = 20, 300  # combinations: in CI, and for each COMPETE_THOROUGH above 1
LARGE_RATE = 1.0  # weights may become infinite above it, which no check can know
# Each stands for hundreds of optimizers, by names that the signature does not list.
LEFT_OUT = {("optimizers", "torch"), ("optimizers", "timm")}
MOST = {"rows": 60, "most": 9, "width": 16, "columns_width": 8, "steps": 20, "rounds": 8, "n": 4, "k": 6, "bins": 9}
KNOWN = {
    "label": ["label", "a"], "column": ["g", "fold"], "columns": [["x0", "x1", "x2"]],
    "classes": [["a", "b", "c"]], "positive": ["a", "b"], "separator": [" "],
}  # fmt: skip
TARGETS: dict[str, dict[str, Any]] = {
    "label": {"column": "label"},
    "binary": {"column": "two", "positive": "b"},
    "columns": {"columns": ["x0", "x1", "x2"]},
    "one_hot": {"columns": ["o0", "o1", "o2"]},
    "votes": {"columns": ["v0", "v1", "v2"]},
    "tokens": {"column": "set"},
    "ordinal": {"column": "level"},
    "regression": {"column": "value"},
    "heads": {"columns": ["label", "two"]},
}
SUBMISSIONS = {"ordinal": "value", "regression": "value", "binary": "positive", "tokens": "tokens", "columns": "tokens"}
REPEATED = {"batch_transforms": 2, "tta": 2, "postprocess": 2, "callbacks": 3}
DRAWN = {
    "losses": "loss", "metrics": "metric", "samplers": "sampler", "ensembles": "ensemble", "schedulers": "scheduler",
    "optimizers": "optimizer", "heads": "head", "folds": "folds", "batch_transforms": "batch_transforms", "tta": "tta",
    "postprocessors": "postprocess", "callbacks": "callbacks",
}  # fmt: skip


def draw_competition(root: Path) -> None:
    """Draw a competition with a column for each kind of target: 36 images of 8 px."""
    rng = np.random.default_rng(0)
    rows, ids = 36, [f"t{number}" for number in range(6)]
    for name in (*[f"train/p{number}" for number in range(rows)], *[f"test/{name}" for name in ids]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(root / f"{name}.png")
    number = np.arange(rows)
    labels = number % 3
    votes = rng.dirichlet([1, 1, 1], rows).round(3)
    votes[:, 2] = 1 - votes[:, :2].sum(axis=1)
    sets = rng.integers(0, 2, (rows, 3)) | np.eye(3, dtype=int)[labels]
    table = {
        "id": [f"p{each}" for each in number], "label": np.array(list("abc"))[labels], "two": np.array(list("ab"))[number % 2],
        "level": labels, "value": rng.normal(5, 2, rows).round(3), "fold": number % 4, "g": [f"g{each // 2}" for each in number],
        "set": [" ".join(name for name, has in zip("xyz", row, strict=True) if has) for row in sets],
        **{f"o{each}": (labels == each).astype(int) for each in range(3)}, **{f"v{each}": votes[:, each] for each in range(3)},
        **{f"x{each}": sets[:, each] for each in range(3)},
    }  # fmt: skip
    pd.DataFrame(table).to_csv(root / "train.csv", index=False)
    pd.DataFrame({"id": ids, "answer": ["a"] * 6}).to_csv(root / "sample_submission.csv", index=False)


def draw_value(rng: Random, annotation: Any, metadata: tuple[Any, ...] = (), name: str = "") -> Any:
    """Draw a value of a type within its limits, often at one of their ends."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if name in KNOWN:
        return rng.choice(KNOWN[name])
    if origin is Annotated:
        flat = tuple(i for f in inner[1:] for i in getattr(f, "metadata", [f]))
        return draw_value(rng, inner[0], (*metadata, *flat), name)
    if origin is Literal:
        return rng.choice(inner)
    if origin in (Union, types.UnionType):
        return draw_value(rng, rng.choice(inner), metadata, name)
    if annotation is bool:
        return rng.random() < 0.5
    if annotation in (int, float):
        return draw_number(rng, annotation, metadata, MOST.get(name))
    if origin in (list, tuple):
        items = inner if origin is tuple and inner[-1] is not ... else [inner[0]] * rng.randrange(1, 4)
        return [draw_value(rng, item) for item in items]
    return None


def draw_number(rng: Random, kind: type, metadata: tuple[Any, ...], most: float | None) -> float:
    limits = {name: getattr(i, name) for i in metadata for name in ("ge", "gt", "le", "lt") if hasattr(i, name)}
    low = limits.get("ge", limits.get("gt"))
    high = min(limits.get("le", limits.get("lt")), most or 1e9)
    if kind is int:
        return int(rng.choice([low, min(high, low + 1), rng.randint(low, int(high))]))
    inside = low + (high - low) * rng.choice([1e-6, 0.01, 0.1, 0.5, 0.9, 0.999])
    ends = [limits[name] for name in ("ge", "le") if name in limits]
    return float(rng.choice([inside, inside, *ends]))


def draw_table(rng: Random, component: Component) -> dict[str, Any]:
    """Draw options that the component's own check accepts, or its defaults where some draws all fail."""
    for _ in range(10):
        table = draw_options(rng, component)
        if not bind(component, {key: value for key, value in table.items() if key != "name"}, "")[1]:
            return table
    return {"name": component.name}


def draw_options(rng: Random, component: Component) -> dict[str, Any]:
    """Draw a component's options: each its default, or a value of its type."""
    table: dict[str, Any] = {"name": component.name}
    for name, field in options_model(component).model_fields.items():
        if field.is_required() or rng.random() < 0.5:
            value = draw_value(rng, field.annotation, tuple(field.metadata), name)
            if value is not None:
                table[name] = value
    return table


def draw_toml(rng: Random, registry: dict[str, dict[str, Component]]) -> dict[str, Any]:
    """Draw a configuration; half of the kinds keep their default, so that many combinations suit each other."""
    target = rng.choice(sorted(TARGETS))
    data: dict[str, Any] = {
        "competition": {"name": f"drawn{rng.randrange(10**9)}", "root": "data"},
        "dataset": {"name": "csv", "image": "train/{id}.png", "test_image": "test/{id}.png"},
        "images": {"size": [8, 8], "channels": 3},
        "model": {"name": "resnet9", "width": 1},
        "target": {"name": target, **TARGETS[target]},
        "submission": {"name": SUBMISSIONS.get(target, "label")},
        "checks": {"missing_class": "warn"},
        "training": {
            "epochs": rng.choice([1, 1, 2]), "batch_size": rng.choice([1, 4, 5, 5, 8, 8, 64]), "device": "cpu", "precision": "32-true",
            "drop_last": rng.random() < 0.5, "accumulation_steps": rng.choice([1, 1, 3]), "max_grad_norm": rng.choice([0.0, 1.0]),
            "on_nan": rng.choice(["stop", "skip"]), "only_folds": [0],
        },
    }  # fmt: skip
    suits = {"losses": "bce" if target not in ("label", "one_hot", "votes", "heads") else "cross_entropy",
             "metrics": {"regression": "rmse", "tokens": "label_set_f1", "columns": "label_set_f1", "votes": "kl_divergence"}.get(target, "accuracy")}  # fmt: skip
    if target in ("ordinal", "regression"):
        suits["losses"] = "mse"
    for kind, table in DRAWN.items():
        names = [name for name in sorted(registry[kind]) if (kind, name) not in LEFT_OUT]
        if table in REPEATED:
            chosen = [rng.choice(names) for _ in range(rng.randrange(REPEATED[table]))]
            data[table] = [draw_table(rng, registry[kind][name]) for name in chosen]
        else:
            name = suits[kind] if kind in suits and rng.random() < 0.8 else rng.choice(names)
            data[table] = draw_table(rng, registry[kind][name])
    if data["loss"]["name"] == "arcface":
        data["head"] = {**draw_table(rng, registry["heads"]["cosine"]), "scale": data["loss"].get("scale", 30.0)}
    return data


@pytest.fixture(scope="module")
def competition(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        import compete.config.plugins

        noisy = ("compete_plugins.report", "compete_plugins.console")
        patch.setattr(
            compete.config.plugins, "BUNDLED", tuple(n for n in compete.config.plugins.BUNDLED if n not in noisy)
        )
        folder = tmp_path_factory.mktemp("combinations")
        patch.chdir(folder)
        draw_competition(folder / "data")
        yield load_plugins().registry


def outcome(data: dict[str, Any], began: list[str]) -> str:
    """Run a configuration; return "finished", or how it was refused. Fail for anything else."""
    began.clear()
    Path("drawn.toml").write_text(write_toml_text(data))
    try:
        config = load_config(Path("drawn.toml"))
    except ConfigError:
        return "refused by validate"
    try:
        result = Result.of(runner.run_competition(config, fresh=True))
    except UserError as error:
        assert not began, f"refused while it trained: {error}"
        assert all(re.search(r"\[\w+\]|column|labels?", problem) for problem in error.problems), error
        return "refused before training"
    except TrainingError as error:
        assert data["optimizer"].get("lr", 0) > LARGE_RATE, error
        return "diverged at a rate above all use, and said so"
    cv = result.scores.cv
    assert np.isfinite([value for value in vars(cv).values() if isinstance(value, float)]).all(), cv
    assert np.isfinite(pd.read_parquet(result.folder / "test.parquet").select_dtypes("number").to_numpy()).all()
    return "finished"


@pytest.mark.promise(
    "Whatever `validate` accepts: finished with finite scores, or refused before training; only a rate above 1 may diverge, and says so (n: drawn TOMLs)"
)
def test_drawn_configurations(competition, thorough, count: Callable[..., None], monkeypatch):
    began: list[str] = []
    train = members.finish_member
    monkeypatch.setattr(members, "finish_member", lambda run, member: began.append(member.name) or train(run, member))
    first = 0 if thorough == 1 else 1000 * thorough
    drawn = SAMPLE if thorough == 1 else ALL * thorough
    outcomes = []
    for seed in range(first, first + drawn):
        data = draw_toml(Random(seed), competition)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                outcomes.append(outcome(data, began))
            except Exception as error:
                pytest.fail(f"seed {seed}: {type(error).__name__}: {error}\n{write_toml_text(data)}")
    assert outcomes.count("finished") > drawn / 10, outcomes
    count(drawn)
