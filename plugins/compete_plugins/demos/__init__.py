"""Stand-in data sets: pictures drawn in a competition's exact layout, for those who do not have its data."""

from __future__ import annotations

from collections.abc import Callable

from compete import hookimpl

from ._mask import mask_sample


@hookimpl
def register_samples() -> dict[str, Callable[..., None]]:
    """Register the stand-ins that `compete sample` can draw."""
    return {"mask": mask_sample}
