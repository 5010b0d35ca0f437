"""One member over several machines: two commands on this one, over loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compete.config.load import load_config
from compete.errors import ConfigError, TrainingError
from compete.nodes.follow import follow
from compete.nodes.lead import gathered, settings_of
from compete.ranks.place import Place
from compete.session import RunOptions
from compete.stages.runner import run_competition

NODES = ("training.nodes=2",)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def command(port: int) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(node: int, *overrides: str) -> subprocess.Popen[str]:
        sets = [part for text in (*NODES, *overrides) for part in ("--set", text)]
        world = {"NODE_RANK": str(node), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        process = subprocess.Popen(
            [sys.executable, "-m", "compete", "run", "tiny.toml", "--no-doctor", *sets],
            env={**os.environ, **world},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:  # a test that fails leaves none to wait for the other
        process.kill()
        process.wait()
        process.stdout.close()


def test_two_nodes_train_what_two_devices_of_one_do(tiny, command):
    nodes = [command(node) for node in (0, 1)]
    said = [process.communicate(timeout=120)[0] for process in nodes]
    assert [process.returncode for process in nodes] == [0, 0], said
    assert "2 devices on 2 nodes train each member" in said[0] and "node 0 is finished" in said[1]
    config = load_config(tiny / "tiny.toml", ["training.devices=2", "training.only_folds=[1]"])
    alone = run_competition(config, fresh=True, options=RunOptions(doctor=False)).folder
    weights = "members/fold1-seed42/weights.safetensors"
    assert (alone / weights).read_bytes() == (tiny / "submissions/tiny/run-001" / weights).read_bytes()


def test_a_killed_node_ends_the_other_with_one_message(tiny, command):
    nodes = [command(node, "training.epochs=1000", "training.checkpoint_minutes=1e-9") for node in (0, 1)]
    checkpoint = tiny / "submissions/tiny/run-001/members/fold0-seed42/checkpoint.pt"
    until = time.monotonic() + 90
    while not checkpoint.exists() and time.monotonic() < until:
        time.sleep(0.1)
    nodes[1].send_signal(signal.SIGKILL)
    said = nodes[0].communicate(timeout=60)[0]
    nodes[1].communicate()
    assert nodes[0].returncode == 1 and checkpoint.exists()
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "is gone: its process was killed" in errors[0]


def meet(
    tiny: Path, port: int, theirs: list[str], error: BaseException | None = None, **options: object
) -> list[BaseException | None]:
    """Let node 0 wait for node 1, which has other settings, and end with an error; return what each raised."""
    ours = settings_of([load_config(tiny / "tiny.toml", NODES)], {"--hours": None, "--fresh": False})

    def lead() -> None:
        with gathered(Place(0, 2, "127.0.0.1", port), ours, 20):
            if error is not None:
                raise error

    configs = [load_config(tiny / "tiny.toml", [*NODES, *theirs])]
    settings = settings_of(configs, {f"--{name}": value for name, value in options.items()})
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(lead), pool.submit(follow, Place(1, 2, "127.0.0.1", port), configs, settings, 20)]
        return [each.exception(timeout=40) for each in both]


def test_every_node_hears_what_differs(tiny, port):
    errors = meet(tiny, port, ["training.devices=2", "training.epochs=7"])
    assert all(isinstance(error, ConfigError) for error in errors) and str(errors[0]) == str(errors[1])
    host = socket.gethostname()
    assert f"training.devices: 1 on node 0, 2 on node 1 ({host})" in str(errors[0])
    assert f"training.epochs: 2 on node 0, 7 on node 1 ({host})" in str(errors[0])


def test_an_option_of_one_node_is_no_option_of_the_run(tiny, port):
    errors = meet(tiny, port, [], hours=2.0, fresh=True)
    assert all(isinstance(error, ConfigError) for error in errors) and str(errors[0]) == str(errors[1])
    host = socket.gethostname()
    assert f"--fresh: not set on node 0, True on node 1 ({host})" in str(errors[0])
    assert f"--hours: not set on node 0, 2.0 on node 1 ({host})" in str(errors[0])


def test_a_node_that_lacks_something_tells_the_first(tiny, port):
    errors = meet(tiny, port, ["training.batch_size=1"])
    assert all("batch_size = 1 gives some of them no image" in str(error) for error in errors)


def test_every_node_ends_as_the_first_does(tiny, port):
    assert meet(tiny, port, []) == [None, None]
    errors = meet(tiny, port, [], TrainingError("no score"))
    assert [str(error) for error in errors] == ["no score", "no score"]


def test_a_missing_node_is_waited_for_so_long(tiny, port):
    configs = [load_config(tiny / "tiny.toml", NODES)]
    settings = settings_of(configs, {})
    missing = pytest.raises(TrainingError, match=r"node 1 of 2: not here after 0.2s. Start the same command")
    with missing, gathered(Place(0, 2, "127.0.0.1", port), settings, 0.2):
        pass
    with pytest.raises(TrainingError, match=r"node 0 does not answer at 127.0.0.1:\d+ after 0.2s"):
        follow(Place(1, 2, "127.0.0.1", port), configs, settings, 0.2)


def test_other_commands_refuse_several_nodes(tiny):
    with pytest.raises(ConfigError, match=r"nodes = 2: only `compete run FILE` trains members on several machines"):
        run_competition(load_config(tiny / "tiny.toml", NODES))
