"""The commands from CV to the leaderboard, as a user types them, with the real `kaggle` package on a loopback port."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

from compete.config.load import load_config
from compete.identity import digest_file
from compete.leaderboard.records import load_records
from submit_fixtures import compete, make_run, no_pauses, server, start, write_predictions  # noqa: F401

RUN = "submissions/tiny/run-001"


def records(folder: Path):
    return load_records(folder / "uploads.json")


def test_a_newcomer_s_way_from_download_to_a_quota_used_up(tiny, server, compete):
    code, out, _ = compete("download", "https://www.kaggle.com/competitions/digits")
    assert code == 0
    assert "data/digits: 1 files\nnext: compete init data/digits -o competitions/digits.toml\n" in out
    assert (tiny / "data/digits/train.csv").is_file()

    folder = make_run(tiny)
    code, out, err = compete("submit", "run-001", "--message", "first try")
    assert code == 0, err
    assert out.splitlines()[-3:] == [
        "submitted to Kaggle, digits, number 101; 1 left now",
        "CV 0.73000 +- 0.01000 macro_f1 · leaderboard public 0.8125",
        "next: compete runs tiny",
    ]
    (sent,) = server.submissions
    assert sent["data"] == (folder / "submission.csv").read_bytes()
    description = sent["description"].split()
    assert description[0] == "run-001" and description[2:4] == ["CV", "0.73000"]
    assert sent["description"].endswith("first try")

    code, out, _ = compete("runs", "tiny")
    row = next(line for line in out.splitlines() if "run-001" in line)
    assert "0.73000" in row and "0.81250" in row and "+0.08250" in row and "scored" in row
    assert "warning: run-001: leaderboard 0.8125, CV 0.73" in out
    assert "final picks (2 count): run-001 (best CV)" in out

    for more in ([], ["--dry-run"]):
        code, _, err = compete("submit", RUN, *more)
        assert code == 2 and f"{RUN}/submission.csv was submitted before, at 20" in err
        assert "UTC (number 101, score 0.8125), and has not changed" in err
    assert compete("submit", RUN, "--again")[0] == 0
    code, _, err = compete("submit", RUN, "--again")
    assert code == 2
    assert err == (
        "error: Kaggle, digits: no submission is left; nothing was uploaded. Kaggle's day ends at midnight UTC.\n"
    )
    assert len(server.submissions) == 2 and server.log.count("PUT") == 2
    code, out, _ = compete("runs")
    assert [line.split()[-1] for line in out.splitlines() if " scored " in line] == ["2", "1"]  # left before each


def test_a_dry_run_shows_and_sends_nothing(tiny, server, compete):
    folder = make_run(tiny)
    code, out, _ = compete("submit", "run-001", "--dry-run")
    assert code == 0
    for part in ("platform     Kaggle, competition digits", digest_file(folder / "submission.csv"), "left now     2"):
        assert part in out
    assert out.endswith("dry run: nothing was sent; the same command without --dry-run sends it\n")
    assert server.log.count("StartSubmissionUpload") == 0 and not (folder / "uploads.json").exists()


def test_a_dry_run_without_a_token_still_shows_what_would_be_sent(tiny, server, compete, monkeypatch):
    make_run(tiny)
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    code, out, err = compete("submit", "run-001", "--dry-run")
    assert code == 2 and "competition digits" in out
    assert err.startswith("error: You are not signed in to Kaggle. Create an API token at")


def test_a_file_that_does_not_fit_the_sample_is_not_sent(tiny, server, compete):
    folder = make_run(tiny)
    lines = (folder / "submission.csv").read_text().splitlines()
    (folder / "submission.csv").write_text("\n".join(lines[:-1]) + "\n")
    code, _, err = compete("submit", "run-001")
    assert code == 2 and "1 row of the sample missing" in err
    assert server.log == []


def test_a_score_that_is_not_waited_for_is_asked_for_later(tiny, server, compete):
    folder = make_run(tiny)
    server.polls = 1
    code, out, _ = compete("submit", "run-001", "--no-wait")
    assert code == 0 and f"ask for it with: compete submit {folder.relative_to(tiny)} --resume" in out
    assert server.log.count("GetSubmission") == 0
    code, _, err = compete("submit", "run-001")
    assert code == 2 and "is not finished (submitted)" in err
    code, out, _ = compete("submit", "--resume")
    assert code == 0 and "leaderboard public 0.8125" in out
    assert compete("submit", "--resume")[1] == "no submission is unfinished\n"
    assert len(server.submissions) == 1


def test_private_scores_are_fetched_after_the_end(tiny, server, compete):
    folder = make_run(tiny)
    compete("submit", "run-001")
    server.submissions[0]["verdict"]["privateScore"] = "0.79"
    code, out, _ = compete("submit", "run-001", "--resume")
    assert code == 0 and "leaderboard public 0.8125, private 0.79" in out
    assert records(folder)[0].private == 0.79


def test_a_rejected_file_shows_the_platform_s_reason(tiny, server, compete):
    folder = make_run(tiny)
    server.verdict = {"status": "ERROR", "errorDescription": "Evaluation Exception: Submission must have 418 rows"}
    code, _, err = compete("submit", "run-001")
    assert code == 1
    assert err == (
        "error: Kaggle could not score submission 101: Evaluation Exception: Submission must have 418 rows\n"
    )
    assert records(folder)[0].phase == "failed"
    assert "run-001, number 101: Evaluation Exception: Submission must have 418 rows\n" in compete("runs")[1]
    server.verdict = {"status": "COMPLETE", "publicScore": "0.5"}
    assert compete("submit", "run-001")[0] == 0  # what could not be scored may be sent again


def test_an_unknown_state_is_waited_out(tiny, server, compete):
    make_run(tiny)
    server.verdict = {"status": "RUNNING"}
    code, out, _ = compete("submit", "run-001", "--deadline-minutes", "0")
    assert code == 0 and "reports the state 'RUNNING', which compete does not know" in out
    assert "no score after 0 min" in out


def test_a_lost_answer_makes_no_second_submission(tiny, server, compete, no_pauses):
    folder = make_run(tiny)
    server.fail("CreateSubmission", "lose")
    server.fail("GetSubmissionLimits", code=429, headers={"Retry-After": "1"})
    server.fail("GetCompetition", code=503)
    code, out, _ = compete("submit", "run-001")
    assert code == 0 and "checking whether the submission was made" in out and "asking again in 1 s" in out
    assert len(server.submissions) == 1 and records(folder)[0].reference == "101"


def test_a_csv_file_on_its_own(tiny, server, compete):
    write_predictions(tiny, tiny / "blend.csv")
    code, _, err = compete("submit", "blend.csv")
    assert code == 2 and "belongs to no run. Name its TOML: --config" in err
    toml = tiny / "with_upload.toml"
    toml.write_text((tiny / "tiny.toml").read_text() + '\n[upload]\nname = "kaggle"\ncompetition = "digits"\n')
    code, out, err = compete("submit", "blend.csv", "--config", "with_upload.toml", "--no-wait")
    assert code == 0, err
    assert compete("submit", "--resume")[0] == 0  # the TOML is remembered
    assert (tiny / "blend.csv.uploads.json").is_file()
    out = compete("runs", "tiny")[1]
    assert "blend.csv" in out and "0.81250" in out


def test_a_run_without_a_platform(tiny, server, compete):
    folder = make_run(tiny, upload="")
    code, _, err = compete("submit", "run-001")
    assert code == 2
    assert err == (
        "error: submissions/tiny/run-001/config.toml: has no table [upload], so the platform is unknown. "
        "Add it to the TOML of the competition and type: compete submit submissions/tiny/run-001 --config FILE:\n"
        '  [upload]\n  name = "kaggle"\n  competition = "the-last-part-of-its-address"\n'
    )
    (folder / "submission.csv").unlink()
    toml = tiny / "with_upload.toml"
    toml.write_text((tiny / "tiny.toml").read_text() + '\n[upload]\nname = "kaggle"\ncompetition = "digits"\n')
    code, _, err = compete("submit", "run-001", "--config", "with_upload.toml")
    assert code == 2 and "no such file. To finish its run, run" in err


def test_a_web_form_and_its_score_typed_in(tiny, compete):
    folder = make_run(tiny, upload='{name="manual", competition="mask", max_per_day=1, final_picks=2}')
    code, out, _ = compete("submit", "run-001")
    assert code == 0 and "recorded as submitted to the web form, mask; 0 left now\n" in out
    assert f"[ ] Upload {folder.relative_to(tiny)}/submission.csv" in out
    assert f"when the score is known: compete score {folder.relative_to(tiny)} VALUE" in out
    code, _, err = compete("submit", "run-001", "--again")
    assert code == 2 and "all 1 submissions of today are used up" in err
    code, out, _ = compete("score", "run-001", "-0.5", "--private", "0.25")
    assert code == 0 and out.endswith("run-001: -0.5 recorded\nnext: compete runs tiny\n")
    out = compete("runs")[1]
    assert "-0.50000" in out and "0.25000" in out and "scored" in out


def test_a_score_without_a_submission_and_one_that_is_none(tiny, compete):
    folder = make_run(tiny, upload="")
    assert compete("score", "run-001", "0.5")[0] == 0
    assert [(r.phase, r.public, r.platform) for r in records(folder)] == [("scored", 0.5, "by hand")]
    code, _, err = compete("score", "run-001", "nan")
    assert code == 2 and "a score is a finite number" in err
    write_predictions(tiny, tiny / "blend.csv")
    code, _, err = compete("score", "blend.csv", "0.5")
    assert code == 2 and "blend.csv: no submission of this file is known. Submit it first" in err


def test_the_export_and_names_that_are_not_there(tiny, compete):
    make_run(tiny, upload="")
    assert compete("runs", "--export", "runs.csv")[:2] == (0, "runs.csv: 1 row\n")
    assert "run-001" in (tiny / "runs.csv").read_text()
    code, _, err = compete("runs", "tny")
    assert code == 2 and "unknown competition 'tny'. Did you mean 'tiny'? Available: tiny." in err
    code, _, err = compete("submit")
    assert code == 2 and "name a run, its folder, or a CSV file to submit" in err
    code, _, err = compete("submit", "tiny.toml")
    assert code == 2 and "tiny.toml is a TOML. Name a run that was made with it, or a CSV file." in err
    code, _, err = compete("submit", "run-001", "--resume")
    assert code == 2 and "no submission to finish" in err
    code, _, err = compete("download", "x", "--from", "manual")
    assert code == 2 and "offers no downloads" in err
    code, _, err = compete("download", "x", "--from", "kagle")
    assert code == 2 and "Did you mean 'kaggle'?" in err


def test_runs_without_any_run(tiny, compete):
    assert compete("runs")[:2] == (
        0,
        "no run in submissions yet; make one: compete run competitions/<name>.toml\n",
    )
    assert not (tiny / "submissions").exists()


def test_a_platform_of_one_s_own_as_the_guide_writes_it(tiny, compete):
    guide = (Path(__file__).parents[3] / "docs/submit.md").read_text()
    (tiny / "drop_box.py").write_text(re.search(r"```python\n(.*?)```", guide, re.S)[1])
    (tiny / "box").mkdir()
    toml = (tiny / "tiny.toml").read_text().replace("[", '["drop_box.py", ', 1)
    (tiny / "mine.toml").write_text(toml + '\n[upload]\nname = "drop_box"\nfolder = "box"\n')
    folder = make_run(tiny, upload="")
    code, out, err = compete("submit", "run-001", "--config", "mine.toml")
    assert code == 0, err
    assert "submitted to the drop box, box, number run-001.csv" in out
    assert (tiny / "box/run-001.csv").read_bytes() == (folder / "submission.csv").read_bytes()


def test_the_guide_s_tables_are_valid(tiny):
    guide = (Path(__file__).parents[3] / "docs/submit.md").read_text()
    tables = re.findall(r"```toml\n(.*?)```", guide.replace("\n   ", "\n"), re.S)
    assert len(tables) == 3
    for table in tables:
        (tiny / "guide.toml").write_text((tiny / "tiny.toml").read_text() + table)
        load_config(tiny / "guide.toml")


def test_ctrl_c_while_waiting_leaves_a_record_to_resume(tiny, server, compete):
    folder = make_run(tiny)
    server.polls = 10**9
    process = start("submit", "run-001")
    until = time.monotonic() + 60
    while server.log.count("GetSubmission") == 0 and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "\nstopped; what was done is recorded. Resume with: compete submit run-001 --resume\n"
    assert [(r.phase, r.reference) for r in records(folder)] == [("submitted", "101")]
    server.polls = 0
    assert "leaderboard public 0.8125" in compete("submit", "run-001", "--resume")[1]
