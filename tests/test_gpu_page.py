"""docs/gpu.md is what bench/gpu.py wrote: the page of a run, or the one that says that there was none."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from conftest import load_module

ROOT = Path(__file__).parents[1]
bench = load_module(ROOT / "bench/gpu.py")


def test_the_page_is_of_a_run_or_says_that_nothing_was_run():
    page = (ROOT / "docs/gpu.md").read_text()
    assert page.startswith("# On a GPU\n\nWritten by `make gpu` on ") or page == bench.not_run_page()


def test_a_failed_test_stands_on_the_page():
    options = Namespace(size=224, batch=64, steps=20, repeats=3)
    page = bench.page([("test_a_member_learns", "FAILED")], ["| fp16 | 1.0 | 2.00 |"], options)
    assert "| a member learns | FAILED |" in page and "| fp16 | 1.0 | 2.00 |" in page
