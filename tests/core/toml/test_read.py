"""Lines of a TOML, whatever it is written with, and overrides of what it lacks."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compete.config.load import load_config
from compete.errors import ConfigError
from compete.toml.overrides import apply_overrides
from compete.toml.read import key_lines, read_toml

STRINGS = [
    '"a = 1"', "'[x]'", '""', "''", '"\\" # \\\\"', '"""one"""', "'''two'''", '""""quoted"" """', '"""\n[a]\nb = 1\n"""', "'''\n# no\n[[c]]\nk = '\n'''",
    '"""a \\\n   b\n\n"""', '"""\\"""\n"""', "1", "-1.5e3", "true", "1979-05-27 07:32:00", "0x_ff".replace("_", ""), "07:32:00", "inf",
]  # fmt: skip
SPACES = ["", " ", "  # [no] = { comment", "\t"]


class Draw:
    """Writes a TOML of every construct, and notes the line of each thing as it writes it."""

    def __init__(self, rng: Random) -> None:
        self.rng, self.text, self.lines, self.number = rng, "", {}, 0

    def name(self) -> tuple[str, str]:
        """Return a new key, and how it is written."""
        self.number += 1
        plain = f"k{self.number}"
        return self.rng.choice([(plain, plain), (f"{plain}.x", f'"{plain}.x"'), (f"{plain} y", f"'{plain} y'")])

    def note(self, path: tuple[str, ...]) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def key(self, path: tuple[str, ...]) -> tuple[str, ...]:
        names = [self.name() for _ in range(self.rng.choice([1, 1, 1, 2, 3]))]
        for name, _ in names:
            path = (*path, name)
            self.note(path)
        self.text += self.rng.choice([".", " . "]).join(written for _, written in names)
        return path

    def break_(self) -> None:
        self.text += self.rng.choice(["", "\n", "  # ] comment\n", "\n\n"])

    def value(self, path: tuple[str, ...], depth: int = 0) -> None:
        kind = self.rng.choice(["scalar", "scalar", "list", "table"]) if depth < 3 else "scalar"
        if kind == "scalar":
            self.text += self.rng.choice(STRINGS)
        elif kind == "list":
            self.text += "["
            count = self.rng.randrange(4)
            for number in range(count):
                self.break_()
                self.note((*path, str(number)))
                self.value((*path, str(number)), depth + 1)
                self.break_()
                self.text += "," if number < count - 1 or self.rng.random() < 0.5 else ""
            self.break_()
            self.text += "]"
        else:
            self.text += "{ "
            for number in range(self.rng.randrange(3)):
                self.text += ", " if number else ""
                self.assignment(path, depth + 1)
            self.text += " }"

    def assignment(self, path: tuple[str, ...], depth: int = 0) -> None:
        path = self.key(path)
        self.text += self.rng.choice([" = ", "=", "\t= "])
        self.value(path, depth)

    def statements(self, path: tuple[str, ...]) -> None:
        for _ in range(self.rng.randrange(4)):
            self.text += self.rng.choice(["", "  ", "# comment\n", "\n"])
            self.assignment(path)
            self.text += self.rng.choice(SPACES) + "\n"

    def tables(self) -> None:
        self.statements(())
        for _ in range(self.rng.randrange(4)):
            if self.rng.random() < 0.5:
                self.text += "["
                path = self.key(())
                self.text += "]" + self.rng.choice(SPACES) + "\n"
                self.statements(path)
            else:
                self.array()

    def array(self) -> None:
        name, written = self.name()
        for number in range(self.rng.randrange(1, 4)):
            self.note((name,))
            self.note((name, str(number)))
            self.text += f"[[{written}]]{self.rng.choice(SPACES)}\n"
            self.statements((name, str(number)))
            if self.rng.random() < 0.3:  # a table inside the last one
                self.note((name, str(number), "inner"))
                self.text += f"[{written}.inner]\n"
                self.statements((name, str(number), "inner"))


def paths(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, item in items:
        yield (*path, str(key))
        yield from paths(item, (*path, str(key)))


@settings(max_examples=300, derandomize=True, database=None)
@given(st.randoms(use_true_random=False), st.booleans())
def test_every_key_and_item_has_its_line(rng, windows):
    draw = Draw(rng)
    draw.tables()
    assert set(draw.lines) == set(paths(tomllib.loads(draw.text)))  # of the drawing itself
    assert key_lines(draw.text.replace("\n", "\r\n") if windows else draw.text) == draw.lines, draw.text


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ('[[tta]]\nname = "a"\n\n[[tta]]\nname = "b"\n[x]\ny.z = 1\n', ("tta", "1", "name"), 5),
        ('[[tta]]\nname = "a"\n\n[[tta]]\nname = "b"\n[x]\ny.z = 1\n', ("x", "y", "z"), 7),
        ('a = """\n[b]\nc = 1\n"""\nd = 2\n[b]\nc = 3\n', ("b", "c"), 7),
        ('[images]\nmean = [\n  0.5,\n]\nsize = 3\n', ("images", "mean", "0"), 3),
        ('[a]\nb = [\n"""\n\n""",\n"x"]\nc = 1', ("a", "b", "1"), 6),
        ('transforms = [\n  { name = "a" },\n  # no\n  { name = "b", p = 1 },\n]\n', ("transforms", "1", "p"), 4),
        ('x = "\u2028"\ny = 1\n', ("y",), 2),  # a line separator of Unicode is no new line
        ('"a.b".c = 1\n', ("a.b", "c"), 1),
        ("[[a]]\n[[a.b]]\nx = 1\n[[a.b]]\nx = 2\n[[a]]\n[[a.b]]\nx = 3", ("a", "1", "b", "0", "x"), 8),
    ],
)  # fmt: skip
def test_lines(text, path, line):
    tomllib.loads(text)
    assert key_lines(text)[path] == line


def test_a_problem_after_a_multi_line_string_names_its_own_line(tiny):
    path = tiny / "tiny.toml"
    path.write_text(path.read_text().replace('name = "tiny"', 'title = """\n[training]\nepochs = 1\n"""\nname = "tiny"', 1).replace("epochs = 2", "epochs = 0"))  # fmt: skip
    line = path.read_text().splitlines().index("epochs = 0") + 1
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    assert refused.value.problems[0].startswith(f"{path}:{line}: [training] epochs = 0: ")


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("tta.0.name=flips", {"tta": [{"name": "flips"}]}),
        ("postprocess.0.name=clip", {"postprocess": [{"name": "clip"}]}),
        ("competition.titles.0=worn", {"competition": {"titles": {"0": "worn"}}}),
    ],
)
def test_an_override_of_a_table_that_the_file_lacks(override, found):
    assert apply_overrides({}, [override]) == found


def test_an_override_appends_a_table_at_the_end_only(tiny):
    both = ["tta.0.name=flips", "tta.1.name=rotations", "tta.1.degrees=[180]"]
    assert [bound.name for bound in load_config(tiny / "tiny.toml", both).many("tta")] == ["flips", "rotations"]
    with pytest.raises(ConfigError, match=r"--set tta\.3\.name=flips: '3' is not an index of this list of 0\. Count"):
        load_config(tiny / "tiny.toml", ["tta.3.name=flips"])
    with pytest.raises(ConfigError, match=r"'2' is not an index of this list of 2"):
        load_config(tiny / "tiny.toml", ["images.size.2=8"])


SLIPS = [
    ("name = label", 'name = "label"'), ("epochs: 20", "epochs = 20"), ("training:", "[training]"), ("[training", "[training]"), ("[[tta]", "[[tta]]"),
    ("x = True", "x = true"), ("flag: False", "flag = false"), ("x = 20,", "x = 20"), ('name = "adamw', 'name = "adamw"'), ('name = adamw"', 'name = "adamw"'),
    ('root = "C:\\Users\\data"', 'root = "C:/Users/data"'), ("name = \u201cadamw\u201d", 'name = "adamw"'), ("size = (32, 32)", "size = [32, 32]"), ("size = [32, 32", "size = [32, 32]"),
    ("lr = .001", "lr = 0.001"), ("lr = 1.", "lr = 1.0"), ("epochs 20", "epochs = 20"), ("// why", "# why"), ("; why", "# why"), ("name: adam", 'name = "adam"'),
    ("lr == 3", "lr = 3"), ("path = ~/data", 'path = "~/data"'), ("plugins = my_loss.py", 'plugins = "my_loss.py"'),
]  # fmt: skip


@pytest.mark.parametrize(("slip", "written"), SLIPS)
def test_a_slip_of_the_pen_is_answered_with_the_line_to_write(tmp_path, slip, written):
    path = tmp_path / "a.toml"
    path.write_text(f"first = 1\n\n{slip}\n[last]\nkey = 2\n", "utf-8")
    with pytest.raises(ConfigError) as refused:
        read_toml(path)
    assert refused.value.problems == [f"{path}:3: not valid TOML: `{slip}`. Write: {written}"]
    path.write_text(path.read_text("utf-8").replace(slip, written), "utf-8")
    read_toml(path)  # what it says works as typed


def test_all_slips_are_told_at_once_up_to_one_that_nobody_understands(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"[a]\r\nx = True\r\ny: 3\r\nz = None\r\nw = <what>\r\nv = True\r\n")
    with pytest.raises(ConfigError) as refused:
        read_toml(path)
    told = [problem.removeprefix(f"{path}:") for problem in refused.value.problems]
    assert told == [
        "2: not valid TOML: `x = True`. Write: x = true",
        "3: not valid TOML: `y: 3`. Write: y = 3",
        "4: not valid TOML: `z = None`. Remove it.",
        "5: not valid TOML: `w = <what>`: Invalid value.",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[a]\nx = 1\n[a]\ny = 2", "3: not valid TOML: `[a]`: [a] is there twice; put its keys below one."),
        ("x = 1\nx = 2", "2: not valid TOML: `x = 2`: this key is there twice; keep one."),
    ],
)
def test_what_is_there_twice(tmp_path, text, told):
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_toml(path)
    assert refused.value.problems == [f"{path}:{told}"]
