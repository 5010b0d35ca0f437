"""Demo data: images drawn in a competition's exact layout, for those who do not have its data."""

from collections.abc import Callable

from compete import hookimpl

from ._mask import mask_demo


@hookimpl
def register_demos() -> dict[str, Callable[..., None]]:
    """Register the demo data that `compete demo` can draw."""
    return {"mask": mask_demo}
