"""A root that is not there is refused before anything is made beside it."""

from __future__ import annotations

import pytest

import compete
from compete.errors import UserError


@pytest.mark.parametrize(
    "overrides",
    [
        ['competition.root="nowhere"'],
        ['competition.root="nowhere"', 'variants=[{name="a"}, {name="b", training={seed=1}}]'],
        ['competition.root="memory://nowhere"', 'dataset={name="csv", image="{id}.png"}'],
    ],
    ids=["folder", "variants", "url"],
)
def test_a_root_that_is_not_there_leaves_no_folder(tiny, overrides):
    with pytest.raises(UserError, match="nowhere"):
        compete.run(tiny / "tiny.toml", overrides)
    assert not (tiny / "submissions").exists()
