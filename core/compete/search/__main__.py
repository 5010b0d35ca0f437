"""`python -m compete.search TASK`: a helper process of `compete search --parallel`; it ends when its input does."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import IO

from compete.errors import CompeteError, Stopped
from compete.jobs.child import STOPPED, end_this_process, report_stream
from compete.text import echo

GRACE_SECONDS = 15


def main() -> int:
    """Make trials until none is left. Exit status: 0; 1 for what went wrong, which goes to stderr; 130 stopped."""
    try:
        with report_stream() as out:  # lines of runs belong in the file
            threading.Thread(target=_wait_for_end, daemon=True).start()
            _work(json.loads(sys.argv[1]), out)
    except Stopped:  # it may come as late as when the last trial is done
        return STOPPED
    except CompeteError as error:
        echo(f"error: {error}", err=True)
        return 1
    return 0


def _work(task: dict[str, object], out: IO[str]) -> None:
    from compete.config.load import load_config
    from compete.search.space import configure, read_space
    from compete.search.trials import Search, search_folder, work

    config = load_config(Path(str(task["file"])), [str(each) for each in task["overrides"]])  # type: ignore[attr-defined]
    base = configure(config, {})
    if str(search_folder(config, base)) != task["folder"]:
        raise CompeteError(f"{task['file']} has changed since the search began")
    deadline = task["deadline"]

    def log(line: str) -> None:
        out.write(line + "\n")
        out.flush()

    search = Search(
        config,
        base,
        tuple(read_space(config)),
        Path(str(task["folder"])),
        bool(task["higher_is_better"]),
        int(str(task["trials"])),
        float(str(deadline)) if deadline is not None else float("inf"),
    )
    work(search, log)


def _wait_for_end() -> None:
    """Stop when the process that started this one is gone; code that swallows the signal is not waited for."""
    sys.stdin.read()
    end_this_process(GRACE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
