"""A plugin that raises: whatever it is, the message names its file and line, and the run is kept."""

from __future__ import annotations

import json
import re

import pytest

# Each raises inside a library, as plugins mostly do: the line to name is the plugin's own.
BOOM = 'json.loads("{")  # here'
HEAD = "import json\nimport torch\nfrom compete import Metric, Transform, hookimpl\n\n\n"

COMPONENTS = {
    "datasets": ("dataset", "def broken(root):\n    BOOM"),
    "targets": ("target", "def broken(train):\n    BOOM"),
    "folds": ("folds", "def broken(train, labels, seed):\n    BOOM"),
    "samplers": ("sampler", "def broken(labels, generator):\n    BOOM"),
    "models": ("model", "def broken(outputs, channels):\n    BOOM"),
    "losses": ("loss", "def broken(targets):\n    def loss(logits, targets):\n        BOOM\n    return loss"),
    "metrics": ("metric", "def broken():\n    def score(labels, predictions):\n        BOOM\n    return Metric(score)"),
    "optimizers": (
        "optimizer",
        "def broken(groups):\n    class Broken(torch.optim.SGD):\n        def step(self, closure=None):\n            BOOM\n"
        "    return Broken(groups, lr=0.1)",
    ),
    "schedulers": (
        "scheduler",
        "def broken(optimizer, total_steps):\n    class Broken:\n        def step(self):\n            BOOM\n"
        "        def state_dict(self):\n            return {}\n    return Broken()",
    ),
    "tta": ("tta", "def broken():\n    def views(images):\n        BOOM\n    return views"),
    "ensembles": ("ensemble", "def broken(oof, labels, test, metric):\n    BOOM"),
    "postprocessors": (
        "postprocess",
        "def broken(oof, labels, metric):\n    def apply(predictions):\n        BOOM\n    return apply",
    ),
    "submissions": ("submission", "def broken(sample, predictions, target):\n    BOOM"),
    "executors": ("executor", "def broken(members, train):\n    BOOM"),
    "callbacks": (
        "callbacks",
        "def broken():\n    class Broken:\n        @hookimpl\n        def on_epoch_end(self):\n            BOOM\n"
        "    return Broken()",
    ),
    "hooks": (
        "hooks",
        "def broken():\n    class Broken:\n        @hookimpl\n        def on_training_end(self):\n            BOOM\n"
        "    return Broken()",
    ),
    "transforms": ("transforms", "def broken():\n    def random(image, seed):\n        BOOM\n    return Transform(random=random)"),
    "batch_transforms": (
        "batch_transforms",
        "def broken():\n    def mix(images, targets):\n        BOOM\n    return mix",
    ),
}  # fmt: skip
REPEATED = {"tta", "postprocess", "callbacks", "hooks", "transforms", "batch_transforms"}
HOOKS = (
    "on_run_start", "on_stage", "on_member_start", "on_step_end", "on_epoch_end", "on_training_end", "on_member_end", "on_progress",
    "on_submission_written", "on_run_end", "evaluation_network", "should_stop",
)  # fmt: skip
PROMISE = "A plugin raises: its file and line are named, no traceback, the run is kept"


@pytest.fixture
def broken_plugin(tiny, compete):
    """Run the tiny competition with a second plugin of this source; return exit status, output, and the plugin's line."""

    def run(source, *overrides):
        text = source.replace("BOOM", BOOM)
        (tiny / "broken.py").write_text(HEAD + text)
        line = (tiny / "broken.py").read_text().split("# here")[0].count("\n") + 1
        toml = (tiny / "tiny.toml").read_text().replace('["tiny_plugin.py"]', '["tiny_plugin.py", "broken.py"]')
        (tiny / "tiny.toml").write_text(toml.replace("epochs = 2", "epochs = 2\nonly_folds = [0]"))
        sets = [argument for override in overrides for argument in ("--set", override)]
        return *compete("run", "tiny.toml", *sets), f"broken.py:{line}"

    return run


def refused(tiny, status, text, place):
    assert status == 1 or (status == 2 and re.search(r"\[(model|sampler|loss|ensemble)\]|\[\[postprocess\]\]", text)), (
        text
    )
    errors = text.split("error: ")[1:]
    assert len(errors) == 1 and place in errors[0] and "JSONDecodeError" in errors[0], text
    if status == 1:  # else the attempt is forgotten
        log = (tiny / "submissions/tiny/run-001/log.jsonl").read_text().splitlines()
        assert json.loads(log[-1])["event"] == "run_error"


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("kind", COMPONENTS)
def test_a_component_that_raises(tiny, broken_plugin, kind):
    table, source = COMPONENTS[kind]
    value = '[{name="broken"}]' if table in REPEATED else '{name="broken"}'
    register = f"\n\n\n@hookimpl\ndef register_{kind}():\n    return {{'broken': broken}}\n"
    refused(tiny, *broken_plugin(source + register, f"{table}={value}"))


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_raises(tiny, broken_plugin, hook):
    refused(tiny, *broken_plugin(f"@hookimpl\ndef {hook}():\n    BOOM\n"))


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("part", ["random", "fixed"])
def test_a_transform_in_a_loader_process(tiny, broken_plugin, part):
    source = (
        "def broken():\n    def change(image, *seed):\n        BOOM\n    return Transform(PART=change)\n\n\n@hookimpl\n"
        "def register_transforms():\n    return {'broken': broken}\n"
    )
    overrides = 'transforms=[{name="broken"}]', "training.workers=2", "images.cache=false"
    status, text, place = broken_plugin(source.replace("PART", part), *overrides)
    refused(tiny, status, text, place)
    assert f"[[transforms]] {part} raised" in text and (part == "random" or "train/p" in text)


@pytest.mark.promise(PROMISE)
def test_a_reader_that_raises_is_no_unreadable_image(tiny, broken_plugin):
    source = (
        "def broken(data):\n    return {}['lost']  # here\n\n\n@hookimpl\n"
        "def register_readers():\n    return {'broken': broken}\n"
    )
    status, text, place = broken_plugin(source, "images.reader=broken", "images.unreadable=skip")
    assert status == 1 and f"its reader raised KeyError('lost') at {tiny}/{place}" in text.replace(
        "at broken", f"at {tiny}/broken"
    )


@pytest.mark.promise(PROMISE)
def test_a_report_of_an_error_that_raises_hides_nothing(tiny, broken_plugin):
    source = (
        "@hookimpl\ndef on_epoch_end():\n    BOOM\n\n\n@hookimpl(tryfirst=True)\n"
        "def on_run_error():\n    raise ValueError('another')\n"
    )
    status, text, place = broken_plugin(source)
    assert status == 1 and place in text and "another" not in text


@pytest.mark.promise(PROMISE)
def test_a_state_that_no_checkpoint_takes_is_found_at_the_first(tiny, broken_plugin):
    source = (
        "import numpy\n\n\nclass Counting:\n    def state_dict(self):\n        return {'n': numpy.float64(1)}\n\n"
        "    def load_state_dict(self, state):\n        pass\n\n    @hookimpl\n    def on_epoch_end(self):\n        pass\n\n\n"
        "@hookimpl\ndef register_callbacks():\n    return {'counting': Counting}\n"
    )
    status, text, _ = broken_plugin(source, 'callbacks=[{name="counting"}]')
    assert status == 1 and "checkpoint.new.pt could not be read back (Unsupported " in text
    assert "numpy" in text and "state_dict() returns may hold tensors, numbers and text only" in text


# --- a plugin that ends Python itself, which must not end the command as if all were well ---

ENDS = ("raise SystemExit(0)", "raise KeyboardInterrupt", "import sys; sys.exit()")
ENDING = "A plugin calls `sys.exit(0)` or raises `KeyboardInterrupt`: a failure that names it, never status 0 or 130"


@pytest.fixture
def ending_plugin(tiny, compete):
    """Run a command with a second plugin of this source; return exit status and output."""

    def run(source, *overrides, command="run"):
        (tiny / "ending.py").write_text(HEAD + source)
        toml = (tiny / "tiny.toml").read_text().replace('["tiny_plugin.py"]', '["tiny_plugin.py", "ending.py"]')
        (tiny / "tiny.toml").write_text(toml.replace("epochs = 2", "epochs = 2\nonly_folds = [0]"))
        sets = [argument for override in overrides for argument in ("--set", override)]
        return compete(command, "tiny.toml", *sets)

    return run


def named(status, text):
    errors = text.split("error: ")[1:]
    assert status in (1, 2) and len(errors) == 1, text
    assert "ending.py:" in errors[0] and ("SystemExit" in errors[0] or "KeyboardInterrupt" in errors[0]), text


@pytest.mark.promise(ENDING)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("command", ["validate", "run", "plugins"])
def test_ending_at_import(ending_plugin, command, end):
    named(*ending_plugin(f"{end}\n", command=command))


@pytest.mark.promise(ENDING)
@pytest.mark.parametrize("kind", COMPONENTS)
def test_ending_in_a_component(ending_plugin, kind):
    table, source = COMPONENTS[kind]
    value = '[{name="broken"}]' if table in REPEATED else '{name="broken"}'
    register = f"\n\n\n@hookimpl\ndef register_{kind}():\n    return {{'broken': broken}}\n"
    named(*ending_plugin(source.replace("BOOM", ENDS[len(kind) % 2]) + register, f"{table}={value}"))


@pytest.mark.promise(ENDING)
@pytest.mark.parametrize("hook", [*HOOKS, "register_losses", "on_run_start"])
def test_ending_in_a_hook(ending_plugin, hook):
    named(*ending_plugin(f"@hookimpl\ndef {hook}():\n    {ENDS[len(hook) % 2]}\n"))


@pytest.mark.promise(ENDING)
def test_ending_in_a_report_of_an_error(ending_plugin):
    source = "@hookimpl\ndef on_epoch_end():\n    raise SystemExit(3)\n\n\n@hookimpl(tryfirst=True)\n"
    status, text = ending_plugin(source + "def on_run_error():\n    raise SystemExit(0)\n")
    named(status, text)
    assert "SystemExit(3)" in text


@pytest.mark.promise(ENDING)
@pytest.mark.parametrize("part", ["random", "fixed"])
def test_ending_in_a_loader_process(ending_plugin, part):
    source = (
        "def broken():\n    def change(image, *seed):\n        raise SystemExit(0)\n    return Transform(PART=change)\n\n\n"
        "@hookimpl\ndef register_transforms():\n    return {'broken': broken}\n"
    )
    overrides = 'transforms=[{name="broken"}]', "training.workers=2", "images.cache=false"
    named(*ending_plugin(source.replace("PART", part), *overrides))


@pytest.mark.promise(ENDING)
@pytest.mark.parametrize("place", ["", "    def forward(self, images):\n        EXIT\n", "        EXIT\n"])
def test_ending_in_a_network_file(tiny, compete, place):
    head = "import sys\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self, outputs, channels):\n        super().__init__()\n"
    (tiny / "ending.py").write_text(
        head + place.replace("EXIT", "sys.exit(0)") + ("" if place else "\n\nsys.exit(0)\n")
    )
    network = 'model={name="file", path="ending.py", factory="Net"}'
    named(*compete("run", "tiny.toml", "--set", network))


@pytest.mark.promise(ENDING)
def test_ending_in_a_check_of_options(ending_plugin):
    source = (
        "from compete import component\n\n\ndef check(**options):\n    raise SystemExit(0)\n\n\n@component(check=check)\n"
        "def loss(targets, *, x: float = 1.0):\n    return None\n\n\n@hookimpl\ndef register_losses():\n    return {'ending': loss}\n"
    )
    named(*ending_plugin(source, "loss={name='ending'}", command="validate"))


@pytest.mark.promise(ENDING)
def test_ending_in_a_proposal_of_a_dataset(tiny, compete):
    (tiny / "ending.py").write_text(HEAD + "@hookimpl\ndef propose_dataset(scan):\n    raise SystemExit(0)\n")
    named(*compete("init", "data", "--plugin", "ending.py", "-o", "x.toml"))
