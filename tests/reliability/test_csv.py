"""No table crashes `compete`: every damaged CSV, also a submission, is read exactly or refused in plain words."""

from __future__ import annotations

import csv
import io
import resource
import time
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compete.config.load import Config, load_config
from compete.errors import UserError
from compete.identity import read_sources
from compete.stages.check_file import check_file
from compete.stages.prepare import prepare, read_tables

TABLES = "Any CSV table: read exactly, or refused in plain words that name the table (n: damaged tables)"
SUBMISSIONS = "Any submission CSV: matches the sample, or is refused in plain words (n: damaged submissions)"
MEMORY = "A cell of 10 MB: memory grows with the size of the text, not with the text times the rows"
EXAMPLES = 150
PLACES = (
    "train.csv",
    "sample.csv",
    "train table",
    "test table",
    "sample submission",
    "[folds]",
    "[submission]",
    "[target]",
    "[loss]",
)
HUGE = "x" * 10_000_000

TOML = """\
plugins = ["tiny_plugin.py"]
competition = {name = "tiny", root = "data"}
images = {size = [8, 8]}
model = {name = "brightness"}
metric = {name = "METRIC"}
training = {epochs = 1, batch_size = 5, device = "cpu", precision = "32-true"}
folds = {name = "FOLDS", n = 3}
checks = {missing_class = "warn", may_be_empty = true}
target = TARGET
loss = {name = "LOSS"}

[dataset]
name = "csv"
image = "train/{name}.png"
test_image = "test/{id}.png"
sample = "sample.csv"
group = "group"
"""
LOSSES = {"tokens": "bce", "columns": "bce", "regression": "mse", "ordinal": "mse"}
# Ways to read the tables: metric, folds, target, and the columns that these use.
READINGS = {
    "labels": ("macro_f1", "stratified_group", '{name = "label"}', ("label", "group", "id", "name")),
    "label sets": ("label_set_f1", "multilabel_stratified", '{name = "tokens", column = "label"}', ("label",)),
    "yes or no": ("mean_column_auc", "auto", '{name = "columns", columns = ["yes", "no"]}', ("yes", "no")),
    "levels": ("rmse", "binned", '{name = "ordinal", column = "level"}', ("level",)),
    "steps": ("rmse", "binned", '{name = "ordinal", column = "level", method = "cumulative"}', ("level",)),
    "values": ("rmse", "fixed", '{name = "regression", column = "value"}', ("value", "fold")),
    "heads": ("macro_f1", "auto", '{name = "heads", columns = ["label", "yes"]}', ("label", "yes")),
    "votes": ("log_loss", "group", '{name = "votes", columns = ["level", "value"]}', ("level", "value")),
}
CELLS = [
    "", " ", "\t", "NA", "nan", "inf", "-Infinity", "None", "null", "0", "-0", "1", "a", "A", " a", "a ", "b c", "p00_0", "t0",
    "1e400", "-1e-400", "9" * 5000, "1" + "0" * 400, "1e15", "0x1F", "1_000", "007", "1,5", "²", "٣", "=1+1", '=HYPERLINK("http://x")',
    "@SUM(A1)", "+1", "-1", "../../../etc/passwd", "/etc/passwd", "a/b", "*", "x.*", "{id}", "\0", "\x1a", "\ufeff", "\u2028", "\x85",
    "\U0001f600", "e\u0301", "\u202eabc", "<script>alert(1)</script>", '"', '""', "'", "a\nb", "a\rb", "a\r\nb", "a,b", ";", "\\", "x" * 200_000,
]  # fmt: skip
MARKS = [
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b'"',
    b",",
    b"\xe9",
    b"\xed\xa0\x80",
    b"\x80",
    b"\x1a",
    b"#",
]


def change_rows(rows: list[list[str]], rng: Random) -> None:
    """Change one thing in a table: a cell, a row, a column, the header."""
    row = rng.choice(rows)
    kind = rng.randrange(12)
    if kind <= 4 and row:
        row[rng.randrange(len(row))] = rng.choice(CELLS)
    elif kind == 5 and row:
        del row[rng.randrange(len(row))]
    elif kind == 6:
        row.insert(rng.randrange(len(row) + 1), rng.choice(CELLS))
    elif kind == 7:
        rows.insert(rng.randrange(len(rows)), list(rng.choice(rows)))
    elif kind == 8 and len(rows) > 1:
        del rows[rng.randrange(len(rows))]
    elif kind == 9:  # a column twice
        at = rng.randrange(max(1, len(rows[0])))
        for cells in rows:
            cells.extend(cells[at : at + 1])
    elif kind == 10:
        rng.shuffle(rows)
    else:
        del rows[rng.randrange(3) :]
        rows.append([])


def spell(rows: list[list[str]], rng: Random) -> bytes:
    """Write a table as any program might: with its own separator, quotes, line ends and encoding."""
    out = io.StringIO(newline="")
    quoting = rng.choice([csv.QUOTE_MINIMAL] * 4 + [csv.QUOTE_ALL, csv.QUOTE_NONE])
    if any(row in ([], [""]) for row in rows):  # indistinguishable without quotes
        quoting = csv.QUOTE_MINIMAL
    separator = rng.choice([","] * 8 + [";", "\t"])
    ends = rng.choice(["\n"] * 4 + ["\r\n", "\r", "\n\n", ""])
    csv.writer(out, quoting=quoting, delimiter=separator, lineterminator=ends, escapechar="\\").writerows(rows)
    encoding = rng.choice(["utf-8"] * 8 + ["utf-8-sig", "utf-16", "latin-1", "cp037", "utf-32-be"])
    return out.getvalue().encode(encoding, "replace")


def damage(data: bytes, rng: Random) -> bytes:
    """Damage the bytes: cut off, inserted, random, missing or doubled."""
    kind, at = rng.randrange(8), rng.randrange(len(data) + 1)
    if kind == 0:
        return data[:at]
    if kind <= 3:
        return data[:at] + rng.choice(MARKS) * rng.choice([1, 1, 3]) + data[at + rng.randrange(2) :]
    if kind == 4:
        return rng.choice(MARKS) + data
    if kind == 5:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(300)))
    return b"" if kind == 6 else data * 2


def mutated(rows: list[list[str]], rng: Random, columns: tuple[str, ...] = ()) -> bytes:
    """Return a damaged table; half the time, odd cells go into columns that are used."""
    rows = [list(row) for row in rows]
    if columns and rng.randrange(2):
        for row in rng.sample(rows[1:], rng.choice([1, 2, len(rows) - 1])):
            row[rows[0].index(rng.choice(columns))] = rng.choice(CELLS)
    for _ in range(rng.randrange(4)):
        if rows:
            change_rows(rows, rng)
    data = spell(rows, rng)
    return damage(data, rng) if rng.randrange(3) == 0 else data


def rows_of(text: str) -> list[list[str]]:
    """Read a CSV with the standard library, as the reference, without blank lines."""
    limit = csv.field_size_limit(10**9)
    try:
        return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    finally:
        csv.field_size_limit(limit)


def refusal(work: Callable[[], object]) -> list[str]:
    """Return the problems that the work was refused with, if any. Any other exception fails the test."""
    try:
        work()
    except UserError as error:
        assert error.problems and all(problem.strip() for problem in error.problems)
        assert all(len(problem) < 100_000 and problem.replace("\n", " ").isprintable() for problem in error.problems)
        return error.problems
    return []


@pytest.fixture
def tables(tiny) -> Path:
    """The tiny competition, with tables for every reading."""
    rows = rows_of((tiny / "data/train.csv").read_text())
    header, *rest = rows
    header[:2] = ["id", "name"]
    more = [["level", "value", "yes", "no", "fold"]] + [
        [str(n % 4), str((n + 1) / 7), str(n % 2), str(n % 3 // 2), str(n // 2 % 3)] for n in range(len(rest))
    ]
    with (tiny / "data/train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([row[0], row[1].removeprefix("train/").removesuffix(".png"), *row[2:], *new] for row, new in zip(rows, more, strict=True))  # fmt: skip
    for name, (metric, folds, target, _) in READINGS.items():
        toml = TOML.replace("METRIC", metric).replace("FOLDS", folds).replace("TARGET", target)
        toml = toml.replace(
            "LOSS", next((loss for name, loss in LOSSES.items() if f'"{name}"' in target), "cross_entropy")
        )
        (tiny / f"{name}.toml").write_text(toml.replace('"fixed", n = 3', '"fixed"'))
    (tiny / "tiny.toml").write_text((tiny / "labels.toml").read_text())
    return tiny


def preparing(config: Config) -> Callable[[], object]:
    return lambda: prepare(config, read_sources(config), None)


@pytest.mark.promise(TABLES)
def test_damaged_tables(tables, count, fuzz):
    configs = {name: load_config(tables / f"{name}.toml") for name in READINGS}
    for name, config in configs.items():
        assert refusal(preparing(config)) == [], name
    whole = {name: (tables / "data" / name).read_bytes() for name in ("train.csv", "sample.csv")}
    rows = {name: rows_of(data.decode()) for name, data in whole.items()}
    tried = []

    @fuzz(EXAMPLES)
    @given(st.sampled_from(sorted(whole)), st.sampled_from(sorted(READINGS)), st.randoms(use_true_random=False))
    def read(name, reading, rng):
        columns = READINGS[reading][-1] if name == "train.csv" else ("id",)
        (tables / "data" / name).write_bytes(mutated(rows[name], rng, columns))
        started = time.process_time()
        try:
            problems = refusal(preparing(configs[reading]))
        finally:
            (tables / "data" / name).write_bytes(whole[name])
        tried.append((bool(problems), time.process_time() - started))
        assert all(any(place in problem for place in PLACES) for problem in problems), problems

    read()
    assert 0 < sum(refused for refused, _ in tried) < len(tried)
    count(len(tried), max(seconds for _, seconds in tried))


@pytest.mark.promise(TABLES)
def test_odd_cells_in_columns_that_are_used(tables, count, thorough):
    path = tables / "data/train.csv"
    whole = path.read_bytes()
    header = rows_of(whole.decode())[0]
    cases = [(name, column, cell) for name in READINGS for column in READINGS[name][-1] for cell in CELLS]
    cases = cases[:: 1 if thorough > 1 else 7]
    configs = {name: load_config(tables / f"{name}.toml") for name in READINGS}
    for name, column, cell in cases:
        put(path, 3, header.index(column), cell)
        problems = refusal(preparing(configs[name]))
        assert all(any(place in problem for place in PLACES) for problem in problems), problems
        path.write_bytes(whole)
    count(len(cases))


@pytest.mark.promise(TABLES)
def test_cells_are_read_exactly(tables, count, fuzz):
    """Every cell equals the standard library's: nothing is lost, moved or turned into a number."""
    config = load_config(tables / "labels.toml")
    whole = (tables / "data/sample.csv").read_bytes()
    rows = rows_of(whole.decode())
    tried = []

    @fuzz(EXAMPLES)
    @given(st.randoms(use_true_random=False))
    def compare(rng):
        data = mutated([[*row, f"more {number}"] for number, row in enumerate(rows)], rng)
        (tables / "data/sample.csv").write_bytes(data)
        found = []
        if not refusal(lambda: found.append(read_tables(config).sample)):
            header, *cells = rows_of(
                data.decode("utf-16" if data[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig").removeprefix(
                    "\ufeff"
                )
            )  # pandas removes a second mark too
            assert found[0].to_numpy().tolist() == cells
            assert list(found[0].columns) == [name or f"Unnamed: {place}" for place, name in enumerate(header)]
            tried.append(len(cells))

    compare()
    count(len(tried))


@pytest.mark.promise(SUBMISSIONS)
def test_damaged_submissions(tables, count, fuzz):
    config = load_config(tables / "labels.toml", ["checks.may_be_empty=false"])  # a blank cell is damage here
    sample = rows_of((tables / "data/sample.csv").read_text())
    rows = [sample[0], *([identity, "a"] for identity, _ in sample[1:])]
    path = tables / "submission.csv"
    tried = []

    @fuzz(EXAMPLES)
    @given(st.randoms(use_true_random=False))
    def check(rng):
        path.write_bytes(mutated(rows, rng))
        started = time.process_time()
        problems = refusal(lambda: check_file(config, path))
        tried.append((bool(problems), time.process_time() - started))
        assert all(problem.startswith(f"{path}: ") for problem in problems), problems
        if not problems:
            given_rows = rows_of(path.read_bytes().decode())
            assert given_rows[0] == rows[0] and [row[0] for row in given_rows] == [row[0] for row in rows]
            assert all(len(row) == 2 and row[1].strip() for row in given_rows)

    check()
    assert 0 < sum(refused for refused, _ in tried) < len(tried)
    count(len(tried), max(seconds for _, seconds in tried))


def put(path: Path, row: int, column: int, cell: str) -> None:
    rows = rows_of(path.read_text())
    rows[row][column] = cell
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def repeat_rows(path: Path, times: int) -> None:
    """Repeat a table's rows with other ids and the same images."""
    header, *rows = rows_of(path.read_text())
    longer = [[f"{row[0]}-{number}", *row[1:]] for number in range(times) for row in rows]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *longer])


@pytest.mark.promise(MEMORY)
@pytest.mark.parametrize(
    ("table", "row", "column", "status", "message"),
    [
        ("train.csv", 3, 0, 0, "submission.csv"),
        ("train.csv", 3, 2, 2, "column 'label' holds a label of 10,000,000 characters, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'"),
        ("train.csv", 3, 3, 0, "submission.csv"),
        ("sample.csv", 3, 0, 2, "1 of 7 sample.csv rows have no image"),
        ("sample.csv", 0, 1, 0, "submission.csv"),
    ],
)  # fmt: skip
def test_a_huge_cell(tables, compete, table, row, column, status, message):
    """As a NumPy string array, each of 240 ids would take 40 MB, 9.6 GB in all; the limit is 3 GB."""
    repeat_rows(tables / "data/train.csv", 10)
    put(tables / "data" / table, row, column, HUGE)
    found, text = compete("run", "tiny.toml", limits={resource.RLIMIT_AS: 3_000_000_000})
    assert (found, message in text) == (status, True), text[:3000]
    assert len(text) < 10_000


@pytest.mark.promise(MEMORY)
@pytest.mark.parametrize(("row", "column", "status"), [(3, 1, 0), (3, 0, 2), (0, 1, 2)])
def test_a_huge_cell_in_a_submission(tables, compete, row, column, status):
    rows = [[identity, cell or "a"] for identity, cell in rows_of((tables / "data/sample.csv").read_text())]
    path = tables / "mine.csv"
    path.write_text("".join(f"{identity},{cell}\n" for identity, cell in rows))
    put(path, row, column, HUGE)
    arguments = ("validate", "tiny.toml", "--submission", "mine.csv")
    found, text = compete(*arguments, limits={resource.RLIMIT_AS: 3_000_000_000})
    assert found == status and "mine.csv: " in text and len(text) < 10_000, text[:3000]
