from __future__ import annotations

import csv
import dataclasses
import io

import made
import pytest

from assay.report.table import CSV_HEAD, Table, calm, csv_rows, found, sentence, troubled, word
from assay.types import Action, Decision, Kind, Label, Status, Why

WIDTHS = (80, 120)


def table(width: int = 80) -> Table:
    return Table(width, colour=False)


def test_a_find_is_told_in_sentences_with_its_policy() -> None:
    told = table(120).paragraph(made.screening())
    assert told.splitlines()[0] == "fake              photos/a.jpg"
    assert "Strong evidence that it was put together. A seam was seen." in told
    assert "Policy: quarantine (rule some_rule)." in told


def test_nothing_found_takes_one_line_a_sample_and_its_worth_is_said_once() -> None:
    t = table()
    told = [t.paragraph(made.quiet(f"photos/{k}.jpg")) for k in range(1000)]
    assert all(len(p.splitlines()) == 1 for p in told)
    assert told[0] == "nothing found     photos/0.jpg  No sign of manipulation found."
    closing = t.closing(1.0)
    assert closing.count("There is no threshold for such pictures.") == 1
    assert "1,000 samples: There is no threshold" in closing
    assert closing.splitlines()[-1] == "1,000 samples in 1.0 s: 1000 nothing found."


def test_the_worth_of_finding_nothing_is_grouped_and_bounded() -> None:
    t = table()
    for k in range(20):
        of = made.verdict(0.0, Label.INCONCLUSIVE, summary=f"No sign. Caveat {k}.")
        for _ in range(k + 1):
            t.paragraph(made.screening(of=of))
    closing = t.closing(1.0)
    assert closing.index("20 samples: Caveat 19.") < closing.index("19 samples: Caveat 18.")
    assert closing.count("Caveat") == 6
    assert "14 more such notes" in closing


@pytest.mark.parametrize(
    "one",
    [
        made.quiet(warnings=("its name says image/png, its bytes are image/jpeg",)),
        made.quiet(llr=1.5),
        made.screening(
            of=made.verdict(
                0.0,
                Label.INCONCLUSIVE,
                summary="An enhancer left traces. No other sign of manipulation found.",
            )
        ),
        made.quiet(decision=Decision(Action.LABEL, "r", "d")),
        made.screening(
            of=made.verdict(0.5, Label.INCONCLUSIVE, why=Why.NOT_COVERED, kinds=(Kind.TAMPERED_CREDENTIAL,))
        ),
        made.screening(of=made.verdict(0.5, Label.INCONCLUSIVE, why=Why.CONFLICTING)),
        made.screening(),
        made.refused(),
    ],
    ids=["warning", "some evidence", "stated", "policy", "tampered", "conflicting", "fake", "refused"],
)
def test_what_needs_attention_is_never_cut_to_a_line(one: made.Screening) -> None:
    assert not calm(one)
    assert len(table().paragraph(one).splitlines()) > 1


def test_members_stand_under_what_carries_them() -> None:
    inner = made.quiet("in.eml!more.zip!one.jpg")
    archive = made.quiet("in.eml!more.zip", children=(inner,))
    told = table().paragraph(made.quiet("in.eml", children=(archive, made.screening("in.eml!b.jpg"))))
    heads = [line[18:].split("  No ")[0] for line in told.splitlines() if line[:1] != " "]
    assert heads == ["in.eml", "└ more.zip", "  └ one.jpg", "└ b.jpg"]


def test_quiet_leaves_out_what_was_not_found() -> None:
    t = table()
    assert t.paragraph(made.quiet(), quiet=True) == ""
    assert t.paragraph(made.refused(), quiet=True)
    assert t.closing(1.0) == "2 samples in 1.0 s: 1 nothing found, 1 refused."


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    t = table(width)
    name = "a-very-long-name-" * 20 + ".jpg"
    many = [made.screening(name), made.quiet(name), made.refused(name), made.quiet(warnings=("w " * 300,))]
    lines = "\n".join([*(t.paragraph(one) for one in many), t.closing(1.0)]).splitlines()
    assert max(map(len, lines)) <= width
    assert any("…" in line and line.endswith(".jpg") for line in lines)


def test_a_number_keeps_its_per_cent() -> None:
    of = made.verdict(summary="Of such pictures " + "x " * 20 + "95 % reach it. More.")
    for width in range(60, 90):
        assert not any(
            line.strip().startswith("%")
            for line in table(width).paragraph(made.screening(of=of)).splitlines()
        )


def test_hostile_names_and_notes_cannot_steer_the_terminal() -> None:
    one = made.quiet("\x1b[2J\u202e\nx.jpg", warnings=("\x1b]0;title\x07",))
    told = table().paragraph(one)
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "\\x1b[2J" in told


def test_colour_only_colours() -> None:
    import re

    coloured, plain = Table(80, colour=True), table()
    for one in (made.screening(), made.quiet(), made.refused()):
        assert re.sub("\x1b\\[[0-9;]*m", "", coloured.paragraph(one)) == plain.paragraph(one)


def test_trouble_says_what_to_do() -> None:
    told = table().paragraph(made.refused())
    assert "It is over the limit. Raise limits.size_bytes." in " ".join(told.split())


def test_the_closing_counts_finds_first_and_says_when_it_was_stopped() -> None:
    t = table(200)
    declared = made.screening(of=made.verdict(disclosed=True), quarantine_id="q1")
    for one in (made.refused(), declared, made.screening()):
        t.paragraph(one)
    assert t.closing(2.0, stopped=True) == (
        "Stopped after 3 samples in 2.0 s: 1 fake, 1 fake (declared), 1 refused, 1 quarantined."
    )
    assert table().closing(0.0).endswith("0 samples in 0.0 s: nothing to screen.")


def test_words_tell_found_from_trouble() -> None:
    assert (word(made.screening()), found(made.screening())) == ("fake", True)
    assert (word(made.refused()), troubled(made.refused())) == ("refused", True)
    unsupported = dataclasses.replace(made.refused(), status=Status.UNSUPPORTED)
    assert not troubled(unsupported)


def test_a_sentence_begins_large_and_ends() -> None:
    assert sentence(" ask again ") == "Ask again."
    assert sentence("Really?") == "Really?"
    assert sentence("") == ""


def test_spreadsheet_rows_have_a_cell_for_each_head_and_run_nothing() -> None:
    rows = csv_rows(made.screening("=cmd()!x", children=(made.refused("@b"),)))
    out = io.StringIO()
    csv.writer(out).writerows([CSV_HEAD, *rows])
    assert all(len(row) == len(CSV_HEAD) for row in rows)
    assert [row[0] for row in rows] == ["'=cmd()!x", "'@b"]
