"""A run as an entry to a code competition: its bundle as one file, with all that the platform's machine lacks."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from compete.bundle.kernel import installed, plain
from compete.bundle.write import kernel_source, write_bundle
from compete.errors import UserError
from compete.identity import digest_file
from compete.leaderboard.setup import CODE_FOLDER, PROGRAM
from compete.store import file_lock, make_folder, write_text

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same content gives the same bytes, by which a second upload is told


def write_entry(folder: Path, packages: Path | None) -> Path:
    """Write a finished run's bundle as one file into its folder `code`, beside the program; return it.

    `packages` is a folder of wheels to take along.
    """
    chosen = _wheels(packages) if packages is not None else []
    target = folder / CODE_FOLDER
    with file_lock(folder / ".lock"):
        for killed in target.glob(".*"):
            shutil.rmtree(killed) if killed.is_dir() else killed.unlink()
        make_folder(target)
        return _pack_into(target, folder, chosen)


def _pack_into(target: Path, folder: Path, chosen: list[Path]) -> Path:
    with TemporaryDirectory(prefix=".", dir=target) as place:
        bundle, packed = Path(place) / "bundle", Path(place) / "packed"
        write_bundle(folder, bundle)
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
    """Return the wheels in a folder. Raise `UserError` for packages or versions that the run was not made with."""
    found = sorted(folder.glob("*.whl"))
    if not found:
        what = "holds no .whl file" if folder.is_dir() else "no such folder"
        raise UserError(f"--wheels {folder}: {what}. Fetch some: python -m pip download --no-deps NAME -d {folder}")
    problems = []
    for wheel in found:
        name, version = [*wheel.name.split("-"), ""][:2]
        here = installed(name)
        if here is None:
            problems.append(f"--wheels: {wheel.name}: this package is not installed here, so the run does not need it")
        elif version.partition("+")[0] != here:
            problems.append(f"--wheels: {wheel.name}: installed here is {plain(name)}=={here}")
    if problems:
        raise UserError(problems)
    return found


def _pack(folder: Path, archive: Path) -> None:
    """Pack a folder without compression: weights do not get smaller."""
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), LONG_AGO)
            with path.open("rb") as source, file.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 1 << 20)
