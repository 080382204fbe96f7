"""The run log: whole JSON lines, appended over restarts, silent when asked."""

import json

from dotori.runlog import RunLog


def test_events_are_json_lines_that_survive_reopening(tmp_path):
    path = tmp_path / "run" / "log.jsonl"
    for step in range(2):
        with RunLog(path, quiet=True) as log:
            log.event("step", step=step, text="도토리")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == [0, 1]
    assert lines[0]["text"] == "도토리"


def test_quiet_says_nothing_and_words_go_to_stderr(tmp_path, capsys):
    with RunLog(None, quiet=True) as log, log.progress("work", 10, "documents") as meter:
        meter.advance(10)
        log.say("unheard")
    assert capsys.readouterr() == ("", "")
    RunLog(None).say("heard")
    assert capsys.readouterr() == ("", "heard\n")
