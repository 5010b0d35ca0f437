"""`[search.space]`: what may be written, and what is answered to what may not."""

from __future__ import annotations

import optuna
import pytest

from compete.config.load import load_config
from compete.errors import ConfigError
from compete.search.space import Choice, Range, configure, describe, overrides_of, read_space


def space(tiny, text: str):
    path = tiny / "searched.toml"
    path.write_text((tiny / "tiny.toml").read_text() + f"\n[search.space]\n{text}\n")
    return load_config(path)


def test_lists_are_choices_and_tables_with_low_and_high_are_ranges(tiny):
    config = space(
        tiny,
        """
"optimizer.lr" = { low = 1e-3, high = 0.1, log = true }
training.batch_size = { low = 4, high = 8, step = 2 }
images.size = [[8, 8], [12, 12]]
optimizer = [{ name = "sgd" }, { name = "adamw", lr = 0.1 }]
""",
    )
    assert read_space(config) == [
        Range("optimizer.lr", 1e-3, 0.1, True, None),
        Range("training.batch_size", 4, 8, False, 2),
        Choice("images.size", ([8, 8], [12, 12])),
        Choice("optimizer", ({"name": "sgd"}, {"name": "adamw", "lr": 0.1})),
    ]


def test_a_trial_s_values_are_those_of_the_toml(tiny):
    config = space(tiny, '"optimizer.lr" = { low = 1e-3, high = 0.1 }\nimages.size = [[8, 8], [12, 12]]\n')
    trial = optuna.trial.FixedTrial({"optimizer.lr": 0.02, "images.size": "[12, 12]"})
    values = {each.key: each.suggest(trial) for each in read_space(config)}
    assert values == {"optimizer.lr": 0.02, "images.size": [12, 12]}
    made = configure(config, values)
    assert made.images.size == (12, 12) and made.one("optimizers").options["lr"] == 0.02 and not made.search.space
    assert describe(values) == "optimizer.lr 0.02, images.size [12, 12]"


def test_a_whole_table_comes_before_its_keys():
    assert overrides_of({"optimizer.lr": 0.1, "optimizer": {"name": "sgd"}}) == [
        'optimizer={ name = "sgd" }',
        "optimizer.lr=0.1",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '"optimizer.lrr" = { low = 0.1, high = 0.2 }',
            '"optimizer.lrr": [optimizer] lrr: unknown option. Did you mean',
        ),
        ('"optimizr.lr" = [0.1, 0.2]', "\"optimizr.lr\": [optimizr]: unknown table. Did you mean 'optimizer'?"),
        (
            '"training.epochs" = { low = 0, high = 4 }',
            '"training.epochs" = 0: [training] epochs = 0: must be an integer',
        ),
        ('"model.name" = ["brightness", "oracl"]', '"model.name" = "oracl": [model] name = "oracl": unknown model'),
        ('"model.dropout" = [0.1]', "[0.1]: list at least two values, each once."),
        ('"model.dropout" = [0.1, 0.1]', "list at least two values, each once."),
        ('"model.dropout" = 0.1', "0.1: write a list of values, or a range such as { low = 1, high = 8 }."),
        ('"model.dropout" = { low = 0.2, high = 0.1 }', "low must be below high."),
        ('"model.dropout" = { low = 0.0, high = 0.1, log = true }', "low must be above 0 for log = true."),
        ('"model.dropout" = { low = 0.1, high = 0.2, log = true, step = 0.1 }', "log and step exclude each other."),
        ('"model.dropout" = { low = 0.1, high = 0.2, step = 1.0 }', "step must not exceed high - low."),
        ('"training.epochs" = { low = 1, high = 3, step = 0.5 }', "so step must be one too."),
        ('"training.epochs" = { low = 1, hgih = 3 }', "unknown key of a range 'hgih'. Did you mean 'high'?"),
        ('"training.epochs" = { min = 1, max = 3 }', 'write "training.epochs" = { low = 1, high = 3 }.'),
        ("training.epochs = { min = 1, max = 3 }", 'write "training.epochs" = { low = 1, high = 3 }.'),
        (
            '"optimizer.lr" = { low = 1e-4, max = 0.1, log = true }',
            'write "optimizer.lr" = { low = 0.0001, high = 0.1, log = true }.',
        ),
        ('"model.dropout" = { values = [0.1, 0.3] }', 'write "model.dropout" = [0.1, 0.3].'),
        ('"training.epochs" = { min = 3, max = 1 }', "unknown key of a range 'min'."),
        (
            '"training.epochs" = { low = 1, high = true }',
            "low and high must be numbers, such as { low = 1, high = 8 }.",
        ),
        ('"training.epochs" = { low = 1, high = 3, log = 1 }', "log must be true or false."),
        ('"training.epochs" = { low = 1, high = 3, step = 0 }', "step must be a number above 0."),
        ('"training.seed" = [1, 2]', "all trials share it"),
        ('"folds.n" = [3, 4]', "all trials share it"),
        (
            '"training.batch_size" = { low = 2, high = 9, step = 4 }',
            "no number of steps leads from low to high. Set high = 6.",
        ),
        ('"model.dropout" = { low = 0.1, high = 0.5, step = 0.3 }', "Set high = 0.4."),
        ('"model.dropout" = {}', "low and high must be numbers, such as"),
        ('"model.dropout" = [0.1, 0.2]\nmodel.dropout = [0.1, 0.3]', '"model.dropout": written 2 times. Keep one.'),
        (
            "training = [{ batch_size = 8 }, { only_folds = [0] }]",
            "= { only_folds = [0] }: changes training.only_folds: all",
        ),
        ('"training.workers" = [0, 1]', "no member's score depends on it."),
        ('"ensemble.name" = ["mean", "rank_mean"]', "no member's score depends on it."),
    ],
)
def test_what_may_not_be_searched_is_answered_with_key_value_and_cure(tiny, text, message):
    with pytest.raises(ConfigError) as caught:
        read_space(space(tiny, text))
    (problem,) = caught.value.problems
    assert problem.startswith("[search.space] ") and message in problem


def test_every_problem_is_answered_at_once(tiny):
    with pytest.raises(ConfigError) as caught:
        read_space(space(tiny, '"model.dropout" = [0.1]\n"images.size" = 3\n"loss.name" = ["focl", "cross_entropy"]\n'))
    assert len(caught.value.problems) == 3


def test_without_a_space(tiny):
    with pytest.raises(ConfigError, match=r"nothing to search. Write \[search.space\]"):
        read_space(load_config(tiny / "tiny.toml"))
