"""Where submissions go: Kaggle, Hugging Face competitions, and web forms by hand."""

from __future__ import annotations

from collections.abc import Callable

from compete import Uploader, hookimpl

from ._huggingface import huggingface
from ._kaggle import kaggle
from ._manual import manual


@hookimpl
def register_uploads() -> dict[str, Callable[..., Uploader]]:
    """Register the platforms."""
    return {"kaggle": kaggle, "manual": manual, "huggingface": huggingface}
