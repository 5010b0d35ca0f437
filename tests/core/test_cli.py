"""The command line as a user meets it: exit statuses, messages, no tracebacks."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
import typer
from PIL import Image

from compete import cli
from compete.cli import GROUPS, app

COMPETE = [sys.executable, "-m", "compete"]


def compete(*arguments, cwd=None):
    return subprocess.run([*COMPETE, *arguments], capture_output=True, text=True, cwd=cwd)


def test_version_and_help():
    assert compete("--version").stdout.startswith("compete 0.")
    assert "validate" in compete("--help").stdout


def commands():
    return typer.main.get_command(app).commands


def test_every_command_is_in_a_group_with_an_example_that_it_takes():
    for name, command in commands().items():
        program, *arguments = shlex.split(command.epilog.removeprefix("$ "))
        assert command.rich_help_panel in GROUPS and [program, arguments[0]] == ["compete", name]
        command.make_context(name, arguments[1:])  # raises for an option or argument that it does not know


def test_help_shows_every_group_and_command():
    shown = compete("--help").stdout
    assert [line[:-1] for line in shown.splitlines() if line[:1].isupper() and line.endswith(":")] == list(GROUPS)
    assert all(f"  compete {name}" in shown for name in commands())


def test_no_command_has_two_names():
    assert len({command.callback.__wrapped__ for command in commands().values()}) == len(commands())


def test_nothing_of_unix_is_needed_to_start():
    """As on Windows: no SIGHUP, no `resource`, no folder that can be opened."""
    code = """
import os, signal, sys
del signal.SIGHUP, os.sysconf, os.O_DIRECTORY
sys.modules["resource"] = sys.modules["fcntl"] = None
from compete import cli
sys.argv[1:] = ["run", "zzz"]
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "error: zzz: no such file." in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_a_gallery_name_is_said_on_the_screen(tmp_path):
    done = compete("run", "leaf-classification", cwd=tmp_path)
    assert "note: no file leaf-classification here; this is the gallery's. `compete new leaf-" in done.stdout
    assert "put the data at data/leaf-classification: compete download https://www.kaggle.com" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "not/there.toml"], "error: not/there.toml: no such file."),
        (["run", "tiny.toml", "--set", "model.name=brightnes"], "Did you mean 'brightness'?"),
        (["run", "tiny.toml", "--set", "competition.root=nowhere"], "there is no folder nowhere"),
        (["options", "looses"], "Did you mean 'losses'?"),
        (["options", "loss", "focl"], "Did you mean 'focal'?"),
        (["demo", "masc", "out"], "Did you mean 'mask'?"),
        (["report", "submissions/tiny/run-009"], "is not a run in submissions"),
        (["validate", "tiny.toml", "--set", "a"], "must be table.key=value"),
        (
            ["run", "tiny.toml", "--set", "training.clip_norm=1"],
            "[training] clip_norm: was renamed. Use max_grad_norm.",
        ),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_status_2(tiny, arguments, message):
    done = compete(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_a_renamed_command_names_the_new_one():
    done = compete("sample", "mask", "data")
    assert done.returncode == 2
    assert "`compete sample` was renamed. Use `compete demo`." in done.stderr


def test_validate_finds_no_problem(tiny):
    assert compete("validate", "tiny.toml").stdout == "tiny.toml: no problem found; its data was not checked\n"


def test_options_list_everything():
    listed = compete("options").stdout
    assert "losses" in listed and "[loss]" in listed and "focal" in listed
    assert "gamma: " in compete("options", "loss", "focal").stdout


def test_an_error_of_the_disk_is_one_sentence(tmp_path, monkeypatch, capsys):
    import compete.config.plugins

    def refused(_files):
        raise PermissionError(13, "Permission denied", "/data/mask")

    monkeypatch.setattr(compete.config.plugins, "load_plugins", refused)
    with pytest.raises(SystemExit) as stopped:
        app(["demo", "mask", str(tmp_path)])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: /data/mask: Permission denied\n"


@pytest.mark.parametrize("command", [("submit",), ("report",), ("inspect",), ("init",), ("score", "0.5")])
def test_a_name_that_is_too_long_is_one_sentence(tiny, monkeypatch, capsys, command):
    name = "x" * 300
    monkeypatch.setattr(sys, "argv", ["compete", command[0], name, *command[1:]])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == f"error: {name}: File name too long\n"


def test_an_unexpected_error_is_one_line(tiny):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write("\ndef brightness(outputs, channels):\n    raise RuntimeError('oops')\n")
    done = compete("run", "tiny.toml")
    assert done.returncode == 1
    assert "oops" in done.stderr and "tiny_plugin.py:" in done.stderr and "Traceback" not in done.stderr


def test_a_folder_is_run_at_once_and_again(tmp_path):
    for place, count in (("pets", 8), ("more/pets", 2)):
        for number in range(count):
            for label, value in (("big cat", 60), ("dog", 180)):
                file = tmp_path / place / label / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16, 16), (value + number,) * 3).save(file)
    tiny = ["--set", "folds.n=2", "--set", "training.epochs=1", "--set", 'model={name="resnet9", width=2}']
    first = compete("run", "pets", *tiny, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("pets.toml: written\n") and "there is no test set" in first.stdout
    assert (tmp_path / "pets.toml").read_text() in first.stdout and "result cv accuracy" in first.stdout
    again = compete("run", "pets", *tiny, cwd=tmp_path)
    assert again.stdout.startswith("pets.toml: written earlier for pets, used as it is now")
    refused = compete("run", "more/pets", *tiny, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "compete init 'more/pets' -o other.toml, then compete run other.toml" in refused.stderr


def test_ctrl_c_stops_cleanly(tiny):
    process = subprocess.Popen(
        [*COMPETE, "run", "tiny.toml", "--set", "training.epochs=300"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    log = tiny / "submissions/tiny/run-001/log.jsonl"
    for _ in range(600):
        if log.exists() and '"epoch"' in log.read_text():
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (
        "stopped; finished work is kept. Run the same command again to resume." in errors and "Traceback" not in errors
    )


def test_validate_checks_a_submission_alone(tiny):
    good = "id,label\n" + "".join(f"t{n},a\n" for n in range(7))
    (tiny / "good.csv").write_text(good)
    done = compete("validate", "tiny.toml", "--submission", "good.csv")
    assert done.returncode == 0 and "good.csv: matches the sample submission" in done.stdout
    (tiny / "bad.csv").write_text(good.replace("t3,a\n", ""))
    done = compete("validate", "tiny.toml", "--submission", "bad.csv")
    assert done.returncode == 2 and "bad.csv" in done.stderr and "t3" in done.stderr


def test_a_forked_process_stops_without_a_word():
    """A loader process may get its signal while it is still being forked, where nothing catches an exception."""
    code = """
import os, signal, sys, time
from compete import cli
cli.app = lambda: None
cli.main()
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "143\n" and done.stderr.strip().endswith("Stopped")


@pytest.mark.parametrize("value", ["3", "[3]", '"x.py"'])
def test_plugins_that_are_not_a_list_of_files_are_refused_by_the_listings_too(tmp_path, value):
    (tmp_path / "a.toml").write_text(f"plugins = {value}\n")
    done = subprocess.run(
        [sys.executable, "-m", "compete", "plugins", str(tmp_path / "a.toml")], capture_output=True, text=True
    )
    assert done.returncode == 2 and "must be a list of file names" in done.stderr
