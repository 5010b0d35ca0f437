"""Which node this is, from the variables of torchrun, SLURM or a person."""

from __future__ import annotations

import re

import pytest

from compete.errors import ConfigError
from compete.ranks.place import Place, read_place

COMMAND = ["compete", "run", "my.toml", "--set", "training.nodes=2"]
HAND = {"NODE_RANK": "1", "MASTER_ADDR": "host-a"}
TORCHRUN = {
    "GROUP_RANK": "1", "GROUP_WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "host-a",
    "MASTER_PORT": "1234", "TORCHELASTIC_USE_AGENT_STORE": "True",
}  # fmt: skip
SLURM = {"SLURM_NODEID": "1", "SLURM_NNODES": "2", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "987654",
         "SLURM_STEP_NODELIST": "gpu[07-08]"}  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        (HAND, Place(1, 2, "host-a", 29500)),
        ({**HAND, "MASTER_PORT": "1234"}, Place(1, 2, "host-a", 1234)),
        (TORCHRUN, Place(1, 2, "host-a", 1235)),  # torchrun itself listens on 1234
        (SLURM, Place(1, 2, "gpu07", 22654)),
        ({**SLURM, "MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "1234"}, Place(1, 2, "10.0.0.7", 1234)),
    ],
)
def test_the_place_is_read_as_each_launcher_states_it(environment, place):
    assert read_place(2, environment, COMMAND) == place


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "MASTER_ADDR, NODE_RANK must say"),
        ({"NODE_RANK": "0"}, "MASTER_ADDR must say"),
        ({**HAND, "NODE_RANK": "first"}, "NODE_RANK = first: must be an integer"),
        ({**HAND, "NODE_RANK": "2"}, "this machine is number 2, and they are counted from 0 to 1"),
        ({**HAND, "MASTER_PORT": "70000"}, "MASTER_PORT = 70000: must be from 1 to 65534"),
        ({**TORCHRUN, "GROUP_WORLD_SIZE": "4"}, "GROUP_WORLD_SIZE = 4"),
        ({**SLURM, "SLURM_NNODES": "3"}, "SLURM_NNODES = 3"),
        ({**TORCHRUN, "LOCAL_WORLD_SIZE": "4"}, "several processes were started on this machine"),
        ({**SLURM, "SLURM_LOCALID": "1"}, "several processes were started on this machine"),
    ],
)
def test_a_wrong_environment_is_refused_with_the_commands_to_type(environment, message, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        read_place(2, environment, COMMAND)
    lines = str(refused.value).splitlines()
    assert "  NODE_RANK=0 MASTER_ADDR=here compete run my.toml --set training.nodes=2" in lines
    assert "  NODE_RANK=1 MASTER_ADDR=here compete run my.toml --set training.nodes=2" in lines
    assert any("srun --nodes=2 --ntasks-per-node=1 compete run my.toml" in line for line in lines)
