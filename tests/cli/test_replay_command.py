import json

from assay.errors import StoreError


def test_a_stored_screening_is_judged_again(installation):
    one = installation.add()
    lines = installation.run("replay", one.sample.id[:8]).output.splitlines()
    assert lines[0] == "a.jpg"
    assert "then (" in lines[1]
    assert "fake. Its grid is shifted." in lines[1]
    assert lines[2].startswith("  now: ")
    assert any(line.startswith("    calibration: c1 -> ") for line in lines)


def test_the_verdict_of_today_is_there_as_json(installation):
    one = installation.add()
    verdict = json.loads(installation.run("replay", one.sample.id, "--json").output)
    assert verdict["id"] == one.sample.id
    assert verdict["calibration"] != "c1"


def test_an_unknown_id_says_where_to_look(installation):
    result = installation.run("replay", "abc", code=StoreError)
    assert "assay history" in result.exception.hint
