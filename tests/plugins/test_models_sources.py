"""Where trained weights come from: a hub on this machine, single addresses, what is cut off, damaged or missing."""

from __future__ import annotations

import socket
import time
from hashlib import sha256
from pathlib import Path

import pytest

from compete import CompeteError
from compete.model.weights import fetch, weights_state
from compete_plugins.models._sources import hub_weights, url_weights
from weights_server import weights_server

DATA = bytes(range(256)) * 8000
SAFE, BIN = "/timm/tiny/resolve/main/model.safetensors", "/timm/tiny/resolve/main/pytorch_model.bin"


@pytest.fixture
def server(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with weights_server() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.address)
        template = found.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield found


def nothing(*_: int) -> None: ...


def at_hub():
    return hub_weights("timm/tiny", "tiny")


def named(data: bytes) -> str:
    return f"tiny-{sha256(data).hexdigest()[:8]}.pth"


def at_address(server):
    return url_weights(f"{server.address}/{named(DATA)}", "torchvision/tiny")


@pytest.mark.parametrize("file", [SAFE, BIN])
def test_the_hub_s_file_is_fetched_once_into_its_own_cache(server, file):
    from huggingface_hub import hf_hub_download

    server.files[file] = DATA
    state = weights_state(at_hub())
    assert str(state) == "timm/tiny: must be fetched (2.0 MB)" and state.size == len(DATA)
    seen = []
    path = fetch(at_hub(), lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == DATA and seen[-1] == (len(DATA), len(DATA))
    server.asked.clear()
    assert str(weights_state(at_hub())) == "timm/tiny: at hand" and at_hub().path == path
    found = hf_hub_download("timm/tiny", path.name, local_files_only=True)  # as every library that knows the hub
    assert Path(found) == path and not server.asked
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_revision_and_a_missing_repository(server):
    server.files["/timm/tiny/resolve/v2/model.safetensors"] = DATA
    assert weights_state(hub_weights("timm/tiny@v2", "tiny")).size == len(DATA)
    state = weights_state(at_hub())
    assert str(state) == "timm/tiny: cannot be had: timm/tiny has neither model.safetensors nor pytorch_model.bin"


@pytest.mark.parametrize("source", ["hub", "address"])
def test_a_download_that_is_cut_off_goes_on_where_it_stopped(server, source):
    server.files |= {SAFE: DATA, f"/{named(DATA)}": DATA}
    weights = at_hub() if source == "hub" else at_address(server)
    server.most_bytes = 200_000  # of two million: five attempts are too few
    with pytest.raises(
        CompeteError, match=r"tiny: could not be fetched from .* What arrived is kept: the same command continues there"
    ):
        fetch(weights, nothing)
    server.most_bytes = None
    server.asked.clear()
    assert fetch(weights, nothing).read_bytes() == DATA
    (asked,) = [range_ for method, _, range_ in server.asked if method == "GET"]
    assert asked == f"bytes={5 * 3 * 65536}-"


@pytest.mark.parametrize("source", ["hub", "address"])
def test_bytes_with_another_digest_are_removed(server, source):
    wrong = DATA[:-1] + b"\0"
    server.files |= {SAFE: wrong, f"/{named(DATA)}": wrong}
    server.digest = sha256(DATA).hexdigest()
    weights = at_hub() if source == "hub" else at_address(server)
    with pytest.raises(CompeteError, match=r"its size or SHA-256 differs.*was removed"):
        fetch(weights, nothing)
    server.files |= {SAFE: DATA, f"/{named(DATA)}": DATA}
    assert fetch(weights, nothing).read_bytes() == DATA


def test_an_address_is_kept_where_torch_looks(server, tmp_path):
    server.files[f"/{named(DATA)}"] = DATA
    assert fetch(at_address(server), nothing) == tmp_path / "torch/hub/checkpoints" / named(DATA)
    assert weights_state(at_address(server)).at_hand
    assert weights_state(url_weights(f"{server.address}/gone.pth", "x")).reason.startswith("404 Client Error")


def test_a_server_that_never_answers_is_given_seconds(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        weights = url_weights(f"http://127.0.0.1:{silent.getsockname()[1]}/w.pth", "x")
        start = time.monotonic()
        assert weights_state(weights, seconds=0.5).reason == "no answer within 0.5 seconds"
        assert time.monotonic() - start < 3


def test_no_name_server_and_no_network(monkeypatch, server):
    def unknown(*_args, **_options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    assert weights_state(url_weights("https://download.pytorch.org/w.pth", "x")).reason == "Name or service not known"
    assert weights_state(at_hub()).reason == "Name or service not known"


def test_the_hub_s_offline_switch_is_the_reason(monkeypatch, server):
    from huggingface_hub import constants

    server.files[SAFE] = DATA
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in weights_state(at_hub()).reason or "offline" in weights_state(at_hub()).reason
