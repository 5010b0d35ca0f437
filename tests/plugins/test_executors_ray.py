"""Members on a real Ray cluster of several nodes on this machine, one of which is killed."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from compete import CompeteError, ConfigError, TrainingReport, hookimpl
from compete.config.load import load_config
from compete.scores import read_scores
from compete.search.commands import search
from compete.session import RunOptions
from compete.stages.runner import run_competition

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own: open sockets and processes of the cluster

SAME = ("submission.csv", "oof.parquet", "test.parquet", "members/fold1-seed42/weights.safetensors")
SLEEPS = '''

SAVED = "fold1-*/checkpoint.pt"


class Sleeps:
    """Says on which node fold 1 is in its second epoch, and waits there to be killed, the first time."""

    @hookimpl
    def on_step_end(self, trainer):
        import time, ray
        mark = Path("node.txt")
        if trainer.member.fold == 1 and (trainer.epoch, trainer.step) == (1, 1) and not mark.exists():
            while not [*Path("submissions").rglob(SAVED), *Path("store").rglob(SAVED)]:
                time.sleep(0.1)
            mark.write_text(ray.get_runtime_context().get_node_id())
            time.sleep(120)


def sleeps():
    """Sleep."""
    return Sleeps()


@hookimpl
def register_hooks() -> dict:
    return {"sleeps": sleeps}
'''


def run(tiny: Path, *overrides: str, fresh: bool = False, watch: object = None) -> Path:
    config = load_config(tiny / "tiny.toml", overrides)
    return run_competition(config, fresh=fresh, options=RunOptions(doctor=False, watch=watch)).folder


def same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in SAME)


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """A head without cores and two nodes with one core each, and folders of their own for temporary files."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for number in range(2):
        (tmp_path / f"node{number}").mkdir()
        own = {"TMPDIR": f"{tmp_path}/node{number}"}
        found.add_node(num_cpus=1, object_store_memory=80 * 2**20, env_vars=own)
    yield found
    found.shutdown()


def kill_the_node(cluster: object, mark: Path) -> None:
    end = time.monotonic() + 120
    while not (mark.exists() and mark.read_text()) and time.monotonic() < end:
        time.sleep(0.1)
    [node] = [node for node in cluster.worker_nodes if node.node_id == mark.read_text()]
    cluster.remove_node(node, allow_graceful=False)


@pytest.mark.parametrize("storage", ["", "file"])
def test_a_member_of_a_killed_node_goes_on_elsewhere_with_the_same_results(tiny, cluster, storage, capsys):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(SLEEPS)
    local = run(tiny)
    sets = ["executor.name=ray", f"executor.address={cluster.address}", 'hooks=[{name="sleeps"}]']
    sets += [f"executor.storage=file://{tiny}/store"] if storage else []
    killer = threading.Thread(target=kill_the_node, args=(cluster, tiny / "node.txt"))
    killer.start()
    folder = run(tiny, *sets, fresh=True)
    killer.join()
    assert same(local, folder)
    assert [text for text in read_scores(folder).warnings if text.startswith("fold1-seed42: the process that trained")]
    shown = capsys.readouterr().out
    assert shown.count("member fold1-seed42 epoch 1/2") == 2 and "member fold1-seed42 resumes at epoch 2/2" in shown
    if storage:
        (stored,) = (tiny / "store/tiny" / folder.name / "members").glob("fold1-seed42-*")
        assert sorted(path.name for path in stored.iterdir()) == [
            "oof.parquet", "predictions.json", "result.json", "test.parquet", "weights.safetensors"
        ]  # fmt: skip


class Hides:
    """Renames the root and the plugin: before the nodes are asked, or once they have got what is shipped."""

    def __init__(self, shipped: bool) -> None:
        self.shipped = shipped

    @hookimpl
    def on_stage(self, report):
        if isinstance(report, TrainingReport) and not self.shipped:
            self.hide()

    @hookimpl
    def on_progress(self, what, done, total):
        if what == "ship files to nodes" and done == total:
            self.hide()

    def hide(self) -> None:
        for name in ("data", "tiny_plugin.py"):
            Path(name).rename(f"hidden-{name}")


def test_nodes_that_lack_files_are_named_or_each_gets_them_once_with_the_same_results(tiny, cluster):
    local = run(tiny)
    sets = ["executor.name=ray", f"executor.address={cluster.address}", f"executor.storage=file://{tiny}/store"]
    with pytest.raises(ConfigError) as raised:
        run(tiny, *sets, fresh=True, watch=Hides(shipped=False))
    there = f"is not on {socket.gethostname()}: put it there under the same path, or have Ray ship it: "
    assert raised.value.problems == [
        f'{tiny}/data, [competition] root, {there}[executor] name = "ray", ship = true',
        f'{tiny}/tiny_plugin.py, plugins, {there}[executor] name = "ray", ship = true',
        "1 other node cannot train either",
    ]
    for name in ("data", "tiny_plugin.py"):
        Path(f"hidden-{name}").rename(name)
    folder = run(tiny, *sets, "executor.ship=true", fresh=True, watch=Hides(shipped=True))
    assert not (tiny / "data").exists() and same(local, folder)
    for number in range(2):
        [shipped] = (tiny / f"node{number}").glob("compete-shipped-*/*/")
        assert (shipped / "work/tiny_plugin.py").read_bytes() == (tiny / "hidden-tiny_plugin.py").read_bytes()


SHARES = '''

@hookimpl
def on_run_start(run):
    """Note the driver's process and its cluster; the second run, the first trial, waits for that of another process."""
    import os, time
    runs = Path("runs.txt")
    with runs.open("a") as file:
        file.write(f"{os.getpid()} {os.environ['COMPETE_RAY_ADDRESS']}\\n")
    end = time.monotonic() + 120
    lines = runs.read_text().splitlines()
    while len(lines) > 1 and len({line.split()[0] for line in lines}) < 2 and time.monotonic() < end:
        time.sleep(0.1)
        lines = runs.read_text().splitlines()


@hookimpl
def on_member_start(trainer):
    import ray
    with Path("members.txt").open("a") as file:
        file.write(ray.get_runtime_context().gcs_address + "\\n")
'''


def test_the_processes_of_a_search_share_one_local_cluster_that_ends_with_it(tiny, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 by default: on a busy machine its workers hardly run
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(SHARES)
    searched = tiny / "searched.toml"
    text = (tiny / "tiny.toml").read_text().replace("epochs = 2", "epochs = 1").replace("n = 3", "n = 2")
    searched.write_text(
        text + '[executor]\nname = "ray"\n[search.space]\n"model.dropout" = { low = 0.1, high = 0.4 }\n'
    )
    search(searched, trials=2, parallel=2)
    drivers = [line.split() for line in (tiny / "runs.txt").read_text().splitlines()]
    assert len({process for process, _ in drivers}) == 2
    [address] = {address for _, address in drivers}
    assert set((tiny / "members.txt").read_text().splitlines()) == {address}
    host, _, port = address.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


def test_an_error_of_a_member_and_options_that_cannot_be(tiny, cluster):
    with (tiny / "tiny_plugin.py").open("a") as file:
        file.write(SLEEPS.replace("time.sleep(120)", "raise ValueError('too bright')"))
    sets = ["executor.name=ray", f"executor.address={cluster.address}"]
    with pytest.raises(ConfigError, match=r"\[executor\] cpus_per_member = 2: no node has more than 1"):
        run(tiny, *sets, "executor.cpus_per_member=2")
    with pytest.raises(
        CompeteError, match=r"hook on_step_end: a plugin raised ValueError\('too bright'\) at .*tiny_pl"
    ):
        run(tiny, *sets, 'hooks=[{name="sleeps"}]')


def test_a_missing_ray_names_the_line_to_type(tiny, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r'^\[executor\] name = "ray" needs Ray: pip install "compete\[ray\]"$'):
        run(tiny, "executor.name=ray")
    assert os.environ.get("RAY_ADDRESS") is None
