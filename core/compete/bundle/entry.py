"""A run as an entry to a code competition: its bundle as one file, with all that the platform's machine lacks."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from compete.bundle.kernel import plain
from compete.bundle.write import WHEELS, kernel_source, write_bundle
from compete.errors import UserError
from compete.identity import digest_file
from compete.leaderboard.setup import CODE_FOLDER, PROGRAM
from compete.store import make_folder, write_text

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same content gives the same bytes, by which a second upload is told


def write_entry(folder: Path, wheels: Path | None) -> Path:
    """Write a finished run's bundle as one file into its folder `code`, beside the program; return it.

    `wheels` is a folder of packages to take along.
    """
    chosen = _wheels(wheels) if wheels is not None else []
    target = folder / CODE_FOLDER
    make_folder(target)
    with TemporaryDirectory(prefix=".", dir=target) as place:
        bundle, packed = Path(place) / "bundle", Path(place) / "packed"
        write_bundle(folder, bundle)
        _check_wheels(chosen, bundle / WHEELS)
        for wheel in chosen:
            make_folder(bundle / "wheels")
            shutil.copyfile(wheel, bundle / "wheels" / wheel.name)
        _pack(bundle, packed)
        # Platforms unpack archives that they recognise by their ending, each in a way of its own.
        model = target / f"{folder.absolute().name}-{digest_file(packed)[:12]}.bundle"
        packed.replace(model)
    write_text(target / PROGRAM, kernel_source())
    return model


def _wheels(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.whl"))
    if not found:
        what = "holds no .whl file" if folder.is_dir() else "no such folder"
        raise UserError(f"--wheels {folder}: {what}. Fetch some: python -m pip download --no-deps NAME -d {folder}")
    return found


def _check_wheels(wheels: list[Path], listed: Path) -> None:
    """Raise `UserError` for wheels that would never be installed: of other packages, or other versions."""
    wanted = dict(line.split("==") for line in listed.read_text(encoding="utf-8").split())
    named = {plain(name): version for name, version in wanted.items()}
    problems = []
    for wheel in wheels:
        name, version = [*wheel.name.split("-"), ""][:2]
        needed = named.get(plain(name))
        if needed is None:
            problems.append(f"--wheels: {wheel.name}: nothing in this run needs this package")
        elif version.partition("+")[0] != needed:
            problems.append(f"--wheels: {wheel.name}: this run was made with {plain(name)}=={needed}")
    if problems:
        raise UserError(problems)


def _pack(folder: Path, archive: Path) -> None:
    """Pack a folder without compression: weights do not get smaller."""
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), LONG_AGO)
            with path.open("rb") as source, file.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 1 << 20)
