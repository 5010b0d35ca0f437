"""Where trained weights come from: timm's repositories on the hub, and addresses of single files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from compete import CompeteError, Weights

Progress = Callable[[int, int], object]

HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # the first that a repository has; tensors alone are read
CONNECT_S, READ_S = 3.0, 30.0
ATTEMPTS = 5
BLOCK_BYTES = 1 << 16  # at most so many are fetched twice after a cut
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.\w+$")  # as torch.hub reads it


class Remote(NamedTuple):
    """A file on a server: `digest` is its SHA-256, the start of it, or an empty string where nobody tells."""

    url: str
    size: int
    digest: str
    place: Path  # where it is kept


def hub_weights(repository: str, file_name: str) -> Weights:
    """Return the weights in a repository of the hub, `owner/name` or `owner/name@revision`."""
    found = _cached(repository)
    return Weights(
        name=repository,
        source=f"{_endpoint()}/{repository.partition('@')[0]}",
        file_name=file_name + (found.suffix if found else ".safetensors"),
        path=found,
        size=lambda: _on_hub(repository).size,
        fetch=lambda progress: _fetch_from_hub(repository, progress),
        digest=found.resolve().name if found and _DIGEST.fullmatch(found.resolve().name) else "",  # of the hub's blobs
    )


def url_weights(url: str, name: str) -> Weights:
    """Return the weights at an address, kept where torch.hub keeps them."""
    place = _torch_folder() / url.rpartition("/")[2]
    return Weights(
        name=name,
        source=url,
        file_name=place.name,
        path=place if place.is_file() else None,
        size=lambda: _at(url, place).size,
        fetch=lambda progress: download(_at(url, place), progress),
        digest=_digest_in(place.name),
    )


def file_weights(path: str) -> tuple[Weights, ...]:
    """Return the weights in a local file."""
    file = Path(path)
    return (Weights(path, "a local file", file.name, file),)


def download(remote: Remote, progress: Progress, headers: Mapping[str, str] | None = None) -> Path:
    """Fetch a file, going on with what an earlier try left; it appears under its name once size and digest agree."""
    from filelock import FileLock

    place = remote.place
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f"{place.name}.partial")
    with FileLock(f"{partial}.lock"):
        if place.is_file():  # another process was faster
            return place
        for left in reversed(range(ATTEMPTS)):
            if _go_on(remote, partial, progress, headers or {}, last=not left):
                break
        if not agrees(partial, remote.digest) or remote.size not in (0, partial.stat().st_size):
            partial.unlink()
            raise CompeteError(
                f"{remote.url}: what arrived is not the file that the server announced (its size or SHA-256 differs), "
                "and was removed. Type the same command again."
            )
        partial.replace(place)
    Path(f"{partial}.lock").unlink(missing_ok=True)
    return place


def agrees(file: Path, digest: str) -> bool:
    """Return whether a file's SHA-256 starts with a digest."""
    total = sha256()
    with file.open("rb") as opened:
        while block := opened.read(BLOCK_BYTES):
            total.update(block)
    return total.hexdigest().startswith(digest)


def _go_on(remote: Remote, partial: Path, progress: Progress, headers: Mapping[str, str], last: bool) -> bool:
    """Append what is still to come, and return whether that was all; raise the error of the last attempt."""
    import requests

    there = partial.stat().st_size if partial.exists() else 0
    if remote.size and there == remote.size:
        return True
    ask = {**headers, "Accept-Encoding": "identity", **({"Range": f"bytes={there}-"} if there else {})}
    try:
        with requests.get(remote.url, headers=ask, stream=True, timeout=(CONNECT_S, READ_S)) as answer:
            answer.raise_for_status()
            there *= answer.status_code == requests.codes.partial_content  # else it starts again
            with partial.open("ab" if there else "wb") as file:
                for block in answer.iter_content(BLOCK_BYTES):
                    file.write(block)
                    there += len(block)
                    progress(there, remote.size)
    except requests.RequestException:
        if last:
            raise
        return False
    return True


def _at(url: str, place: Path) -> Remote:
    """Ask a server for a file's size."""
    import requests

    answer = requests.head(url, allow_redirects=True, timeout=CONNECT_S, headers={"Accept-Encoding": "identity"})
    answer.raise_for_status()
    return Remote(url, int(answer.headers.get("Content-Length", 0)), _digest_in(place.name), place)


def _digest_in(name: str) -> str:
    found = _DIGEST_IN_NAME.search(name)
    return found[1] if found else ""


def _on_hub(repository: str) -> Remote:
    """Ask the hub for the size and the digest of a repository's weights."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import EntryNotFoundError

    name, _, revision = repository.partition("@")
    for file in HUB_FILES:
        try:
            found = get_hf_file_metadata(hf_hub_url(name, file, revision=revision or None), timeout=CONNECT_S)
        except EntryNotFoundError:
            continue
        commit, digest = found.commit_hash or "main", found.etag or ""
        place = Path(HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "snapshots" / commit / file
        digest = digest if _DIGEST.fullmatch(digest) else ""
        return Remote(hf_hub_url(name, file, revision=commit), found.size or 0, digest, place)
    raise CompeteError(f"{repository} has neither {' nor '.join(HUB_FILES)}")


def _fetch_from_hub(repository: str, progress: Progress) -> Path:
    """Fetch into the hub's own cache, in its layout, so that every library finds the file there."""
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    remote = _on_hub(repository)
    file = download(remote, progress, build_hf_headers())
    snapshot = file.parent
    reference = snapshot.parents[1] / "refs" / (repository.partition("@")[2] or "main")
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(snapshot.name)
    return file


def _cached(repository: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    name, _, revision = repository.partition("@")
    found = (try_to_load_from_cache(name, file, revision=revision or None) for file in HUB_FILES)
    return next((Path(path) for path in found if isinstance(path, str) and Path(path).is_file()), None)


def _endpoint() -> str:
    from huggingface_hub.constants import ENDPOINT

    return ENDPOINT


def _torch_folder() -> Path:
    from torch.hub import get_dir

    return Path(os.path.expandvars(get_dir())) / "checkpoints"
