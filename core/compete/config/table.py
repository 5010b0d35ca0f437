"""What a table of the core is made of: keys with what they affect, and the types that several have."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from compete.store import expand_path
from compete.toml.slots import Affects

FOLDER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
Name = Annotated[str, Field(pattern=FOLDER_NAME)]
UserPath = Annotated[str, AfterValidator(expand_path)]  # `~` and environment variables are expanded
Count = Annotated[int, Field(ge=1, le=100_000)]
Side = Annotated[int, Field(ge=1, le=16_384)]
Selectors = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
Number = Annotated[float, Field(ge=-1e30, le=1e30)]  # float32 ends at 3.4e38: room to calculate with it


def setting(affects: Affects, default: Any, description: str) -> Any:  # noqa: ANN401 - as pydantic's Field
    """Define a key: what it affects (see `toml/slots.py`), its default (`...`: required) and what it means."""
    return Field(default, description=description, json_schema_extra={"affects": affects})


class Table(BaseModel):
    """A TOML table: frozen, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
