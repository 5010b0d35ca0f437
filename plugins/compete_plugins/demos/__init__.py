"""Stand-in data sets: images drawn in a competition's exact layout, for those who do not have its data."""

from __future__ import annotations

from collections.abc import Callable

from compete import hookimpl

from ._mask import mask_demo


@hookimpl
def register_demos() -> dict[str, Callable[..., None]]:
    """Register the stand-ins that `compete demo` can draw."""
    return {"mask": mask_demo}
