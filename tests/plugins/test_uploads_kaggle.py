"""Submitting to Kaggle: the real, unpatched `kaggle` package against a server on a loopback port."""

# ruff: noqa: F811 - fixtures are imported, and asked for by the same names

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from compete.config.registry import Component
from compete.leaderboard.platform import AccessError, BusyError, PlatformError, Quota, Status, UnreachableError
from compete_plugins.uploads._kaggle import kaggle

sys.path.insert(0, str(Path(__file__).parents[1]))
from kaggle_fixtures import archive, csv_file, impatient, open_kaggle, running, server, shared, uploader  # noqa: F401
from kaggle_server import _Handler

HALF = 1_500_000


def send_all(uploader, path, state):
    """Send as core does: again after every break."""
    for _ in range(5):
        try:
            return uploader.send(path, state, lambda: None)
        except UnreachableError:
            continue
    raise AssertionError("never sent")


def test_a_submission_from_check_to_score(uploader, server, csv_file):
    state, saved = {}, []
    uploader.check()
    assert uploader.quota() == Quota(5)
    uploader.send(csv_file, state, lambda: saved.append(dict(state)))
    assert [sorted(step) for step in saved] == [["token", "url"], ["sent", "token"]]
    json.dumps(state)
    receipt = uploader.create(csv_file, "run-001 compete-abc CV 0.8", state)
    assert receipt.reference == "101"
    assert server.submissions[0]["data"] == csv_file.read_bytes()
    assert server.submissions[0]["description"] == "run-001 compete-abc CV 0.8"
    assert uploader.status("101") == Status("pending")
    assert uploader.status("101") == Status("complete", public=0.8125)
    assert uploader.quota().remaining == 4
    assert uploader.find("compete-abc") == receipt
    assert uploader.find("compete-xyz") is None


def test_building_it_starts_and_sends_nothing(server):
    kaggle(competition="digits")
    assert server.log == []


def test_a_dropped_upload_resumes_where_it_stopped(open_kaggle, server, csv_file):
    uploader, state = open_kaggle(), {}
    server.fail("PUT", "drop", bytes=HALF)
    with pytest.raises(UnreachableError, match="broke during the upload"):
        uploader.send(csv_file, state, lambda: None)
    uploader.close()  # as after a kill: the state alone must be enough
    open_kaggle().send(csv_file, state, lambda: None)
    size = csv_file.stat().st_size
    assert server.uploads["blob1"]["parts"] == [HALF, size - HALF]
    assert server.uploads["blob1"]["data"] == csv_file.read_bytes()
    assert server.log.count("StartSubmissionUpload") == 1


def test_an_upload_that_was_sent_is_not_sent_again(uploader, server, csv_file):
    state = {}
    uploader.send(csv_file, state, lambda: None)
    uploader.send(csv_file, state, lambda: None)
    assert server.log.count("PUT") == 1


@pytest.mark.parametrize("code", [503, 500])
def test_a_file_store_that_fails_once_is_tried_again(uploader, server, csv_file, code):
    server.fail("PUT", code=code)
    state = {}
    send_all(uploader, csv_file, state)
    assert state["sent"] and uploader.create(csv_file, "m", state).reference == "101"


def test_an_expired_upload_starts_afresh(uploader, server, csv_file):
    state = {}
    server.fail("PUT", "drop", bytes=HALF)
    server.fail("PUT?", code=404)
    send_all(uploader, csv_file, state)
    assert server.log.count("StartSubmissionUpload") == 2
    assert uploader.create(csv_file, "m", state).reference == "101"


def test_a_file_store_that_keeps_refusing_ends_the_upload(uploader, server, csv_file):
    server.fail("PUT", times=2, code=403)
    with pytest.raises(PlatformError, match=r"file store rejected submission\.csv") as caught:
        send_all(uploader, csv_file, {})
    assert not isinstance(caught.value, UnreachableError)


def test_the_answer_of_create_is_lost_and_the_submission_found(uploader, server, csv_file):
    state = {}
    uploader.send(csv_file, state, lambda: None)
    server.fail("CreateSubmission", "lose")
    with pytest.raises(UnreachableError, match="connection to Kaggle broke"):
        uploader.create(csv_file, "compete-lost", state)
    assert uploader.find("compete-lost").reference == "101"


def list_many(server, count, marker="compete-lost"):
    """Let the user have made many submissions, the one with the marker first of all."""
    for number in range(count):
        description = f"run {marker}" if number == 0 else "run compete-other"
        server.submissions.append({"ref": 101 + number, "description": description, "polls": 0, "verdict": {}})


@pytest.mark.parametrize("count", [1, 20, 21, 75])
def test_a_lost_submission_is_found_on_any_page(uploader, server, count):
    list_many(server, count)
    assert uploader.find("compete-lost").reference == "101"
    assert server.log.count("ListSubmissions") == -(-count // server.page_size)
    assert uploader.find("compete-xyz") is None


@pytest.mark.parametrize(
    ("page", "match"),
    [
        ({"submissions": [], "nextPageToken": "same"}, "has no end"),
        ({"submissions": {"ref": 1}}, "is not a list"),
        ({"submissions": ["x"]}, "is not a list"),
        ({"submissions": [{"description": "compete-lost"}]}, "has no submission number"),
        ({"submissions": [{"description": "compete-lost", "ref": "x"}]}, "has no submission number"),
    ],
)
def test_a_list_that_cannot_tell_is_no_list_without_the_submission(uploader, monkeypatch, page, match):
    monkeypatch.setattr(_Handler, "_list_submissions", lambda *_: page)
    with pytest.raises(UnreachableError, match=match):
        uploader.find("compete-lost")


@pytest.mark.parametrize(
    ("request_name", "method", "answer", "match"),
    [
        ("get_competition", "check", [], "not Kaggle answered .*: JSON of type list instead of an object"),
        ("get_competition", "check", None, "did not understand the answer"),
        ("get_submission_limits", "quota", {"numToday": 1, "numAllowedNow": "many"}, "odd: numAllowedNow = 'many'"),
        ("get_submission_limits", "quota", {"code": "x"}, "did not understand the answer"),
        ("poll", "status", {"ref": 7}, "answered about submission 7 instead of 101"),
    ],
)
def test_odd_answers_name_what_is_odd(uploader, monkeypatch, request_name, method, answer, match):
    monkeypatch.setattr(_Handler, f"_{request_name}", lambda *_: answer)
    with pytest.raises(UnreachableError, match=match):
        getattr(uploader, method)(*(["101"] if method == "status" else []))


@pytest.mark.parametrize("answer", [{}, {"token": "t"}, {"token": None, "createUrl": "http://x"}, {"token": 5}])
def test_an_upload_without_an_address(uploader, monkeypatch, csv_file, answer):
    monkeypatch.setattr(_Handler, "_start_submission_upload", lambda *_: answer)
    with pytest.raises(UnreachableError, match="odd: it has no"):
        uploader.send(csv_file, {}, lambda: None)


@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
@pytest.mark.parametrize("code", [403, 404, 502])
def test_a_web_page_of_a_proxy_is_no_refusal(uploader, server, csv_file, code, content_type):
    state = {}
    uploader.send(csv_file, state, lambda: None)
    server.fail("CreateSubmission", code=code, message=None, headers={"Content-Type": content_type})
    with pytest.raises(UnreachableError, match=r"not Kaggle answered but a proxy, .*: a web page") as caught:
        uploader.create(csv_file, "compete-x", state)
    assert caught.value.sent


@pytest.mark.parametrize("ref", [None, "", "x", 0, -1, True, [1]])
def test_a_number_that_is_none_counts_as_lost(uploader, server, csv_file, monkeypatch, ref):
    state = {}
    uploader.send(csv_file, state, lambda: None)
    monkeypatch.setattr(_Handler, "_create_submission", lambda *_: {"ref": ref})
    with pytest.raises(UnreachableError, match="no submission number"):
        uploader.create(csv_file, "m", state)


def test_an_answer_without_a_number_counts_as_lost(uploader, server, csv_file):
    state = {}
    uploader.send(csv_file, state, lambda: None)
    server.fail("CreateSubmission", "status", code=0, http_code=200, message="Successfully submitted")
    with pytest.raises(UnreachableError, match="no submission number"):
        uploader.create(csv_file, "m", state)


@pytest.mark.parametrize("request_name", ["IntrospectToken", "GetCompetition"])
def test_a_silent_server_meets_a_deadline(open_kaggle, server, request_name):
    server.fail(request_name, "stall", times=9)
    uploader = open_kaggle()
    with impatient(uploader), pytest.raises(UnreachableError, match=r"Kaggle is silent: no answer for 1 s") as caught:
        uploader.check()
    assert caught.value.silent
    server.faults.clear()
    uploader.check()  # a new child


def test_an_upload_that_stalls_is_resumed(open_kaggle, server, csv_file):
    uploader, state = open_kaggle(), {}
    uploader.check()
    server.fail("PUT", "stall", bytes=HALF)
    with impatient(uploader, 3.0), pytest.raises(UnreachableError, match="silent"):
        uploader.send(csv_file, state, lambda: None)
    assert server.stalled.is_set()
    uploader.send(csv_file, state, lambda: None)
    assert server.uploads["blob1"]["parts"] == [HALF, csv_file.stat().st_size - HALF]


@pytest.mark.parametrize(("code", "silent"), [(500, False), (502, False), (504, True)])
def test_server_failures(uploader, server, code, silent):
    server.fail("GetCompetition", code=code, message="Backend down")
    with pytest.raises(UnreachableError, match=rf"server failed \({code} Backend down\)") as caught:
        uploader.check()
    assert caught.value.silent == silent


def test_slow_down(uploader, server):
    server.fail("GetSubmissionLimits", code=429, headers={"Retry-After": "7"})
    server.fail("GetSubmissionLimits", code=429)
    for seconds in (7.0, None):
        with pytest.raises(BusyError, match="slow down") as caught:
            uploader.quota()
        assert caught.value.wait_seconds == seconds


def test_an_error_inside_an_answer_of_status_200(uploader, server):
    server.fail("GetSubmissionLimits", code=400, http_code=200, message="Not today")
    with pytest.raises(PlatformError, match=r"Kaggle refused: Not today \(400\)"):
        uploader.quota()


def test_an_answer_that_is_not_json(uploader, server):
    server.fail("GetCompetition", http_code=200, message=None)
    with pytest.raises(UnreachableError, match=r"not Kaggle answered but a proxy, .*: a web page$"):
        uploader.check()


def test_a_mistyped_competition_gets_the_nearest_name(open_kaggle):
    with pytest.raises(AccessError) as caught:
        open_kaggle("digts").check()
    assert str(caught.value) == (
        "Kaggle has no competition 'digts', or you have not joined it (Permission 'competitions.participate' was "
        "denied). Did you mean 'digits'? Yours: cats-and-dogs, digits."
    )


@pytest.mark.parametrize("name", ["Digits", "https://www.kaggle.com/competitions/digits", "../digits", ""])
def test_impossible_competition_names(name):
    check = Component("uploads", "kaggle", kaggle, "test").traits.check
    (problem,) = check(competition=name)
    assert problem.startswith(f'competition = "{name}": the name of a Kaggle competition is the last part of its')
    assert list(check(competition="digit-recognizer-2")) == []


@pytest.mark.parametrize("facts", [{}, {"userHasEntered": False}])
@pytest.mark.parametrize("limits", [{}, {"numAllowedNow": 5}, {"numAllowedNow": 4, "numToday": 1}])
def test_unaccepted_rules_are_reported_before_anything_is_sent(open_kaggle, server, monkeypatch, facts, limits):
    monkeypatch.setattr(_Handler, "_get_submission_limits", lambda *_: limits)
    monkeypatch.setattr(_Handler, "_get_competition", lambda *_: facts)
    with pytest.raises(AccessError, match="have not accepted the rules") as caught:
        open_kaggle("digit-sounds").quota()
    assert "https://www.kaggle.com/competitions/digit-sounds/rules" in str(caught.value)
    assert server.log.count("StartSubmissionUpload") == 0


def test_who_has_submitted_before_has_accepted_the_rules(uploader, monkeypatch):
    monkeypatch.setattr(_Handler, "_get_submission_limits", lambda *_: {"numTotal": 3, "numAllowedNow": 5})
    monkeypatch.setattr(_Handler, "_get_competition", lambda *_: {})
    assert uploader.quota().remaining == 5


def test_unaccepted_rules_are_recognised_when_reported_at_the_end(open_kaggle, server, csv_file):
    uploader, state = open_kaggle("digit-sounds"), {}
    uploader.send(csv_file, state, lambda: None)
    with pytest.raises(AccessError, match="have not accepted the rules"):
        uploader.create(csv_file, "m", state)


def test_the_quota_counts_down_to_zero(uploader, server):
    server.used_today = 5
    assert uploader.quota() == Quota(0, "Kaggle's day ends at midnight UTC.")
    server.limited_by_total = True
    assert uploader.quota().renewal == "The competition's total limit is reached."


def test_a_quota_refused_at_create(uploader, server, csv_file):
    state = {}
    uploader.send(csv_file, state, lambda: None)
    server.used_today = 5
    with pytest.raises(PlatformError, match=r"Kaggle refused: Bad Request \(400\)"):
        uploader.create(csv_file, "m", state)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"isKernelsSubmissionsOnly": True}, "accepts notebooks only"),
        ({"submissionsDisabled": True}, "no longer accepts"),
    ],
)
def test_competitions_that_accept_no_file(uploader, server, facts, message):
    server.competitions["digits"].facts = facts
    with pytest.raises(AccessError, match=message):
        uploader.check()


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (
            {"status": "ERROR", "errorDescription": "ERROR: Required column 'label' could not be found"},
            Status("error", reason="ERROR: Required column 'label' could not be found"),
        ),
        ({"status": "ERROR"}, Status("error", reason="Kaggle gives no reason")),
        ({"status": "RUNNING"}, Status("unknown", reason="RUNNING")),
        ({"status": "COMPLETE", "publicScore": "", "privateScore": ""}, Status("complete")),
        ({"status": "COMPLETE", "publicScore": "0.5", "privateScore": "-1e3"}, Status("complete", 0.5, -1000.0)),
    ],
)
def test_verdicts(uploader, server, csv_file, verdict, status):
    server.verdict, server.polls = verdict, 0
    state = {}
    uploader.send(csv_file, state, lambda: None)
    uploader.create(csv_file, "compete-v", state)
    assert uploader.status("101") == status
    assert uploader.find("compete-v").reference == "101"  # also when the list holds an unknown status
