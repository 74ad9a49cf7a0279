from __future__ import annotations

import html as markup

import made

from assay.report.article import article, where
from assay.report.pictures import shots
from assay.types import Evidence, Finding, Label, Outcome, Reason, Rescored, Stability


def told(one: made.Screening, **options: bool) -> str:
    return markup.unescape(article(one, shots(one), "s1", **options))


def test_an_article_says_what_where_why_how_sure_and_what_was_missed() -> None:
    text = told(made.marked())
    for part in (
        'class="word">fake<',
        "in photos",
        '<p class="lead">Strong evidence that it was put together.</p>',
        "A seam runs through it.",
        "+5.00 points",
        "Probability of being fake: <b>90\N{NO-BREAK SPACE}%</b>",
        "Measured for splice: 50-70 % found (n = 120)",
        "swapped faces",
        "quarantine (rule some_rule)",
        "640 x 480 pixels",
    ):
        assert part in text, part


def test_an_answer_that_changes_when_saved_again_is_told_with_its_range() -> None:
    copy = Rescored("saved again at 85", (640, 480), 85, {"jpeg_grid": 0.0})
    steady = Stability((-0.25, 2.5), flips=True, copies=(copy,))
    text = told(made.screening(of=made.verdict(stability=steady)))
    assert "between -0.25 and +2.50 points, and the answer changes (saved again at 85)" in text


def test_points_that_round_to_nothing_take_no_side() -> None:
    text = told(made.screening(of=made.verdict(evidence=(made.evidence("faint", 0.004),))))
    assert '<th scope="row">faint</th><td class="number aside" data-unit="">0</td>' in text
    assert "<b>0 points</b> of evidence" in told(made.screening(of=made.verdict(-0.004)))


def test_that_points_were_capped_is_said_where_they_do_not_add_up() -> None:
    two = (made.evidence("one", 3.0), made.evidence("two", 2.5))
    assert "need not add up" in told(made.screening(of=made.verdict(3.5, evidence=two)))
    assert "need not add up" not in told(made.screening(of=made.verdict(5.5, evidence=two)))


def test_a_number_keeps_its_per_cent_sign_on_its_line() -> None:
    text = told(made.screening(of=made.verdict(summary="It is 97 % fake. In 0.0-1.5 % of others.")))
    assert "It is 97\N{NO-BREAK SPACE}% fake." in text
    assert "In 0.0-1.5\N{NO-BREAK SPACE}% of others." in text


def test_evidence_stands_by_weight_and_what_broke_stands_last() -> None:
    broken = Evidence(
        "slow", 1, "f", Finding(Outcome.TIMED_OUT, reasons=(Reason("timed_out", "It took too long."),))
    )
    idle = Evidence("idle", 1, "f", Finding.not_applicable("no_jpeg", "It is no JPEG."))
    many = [
        broken,
        made.evidence("nil", 0.0),
        made.evidence("odd", None),
        made.evidence("against", -4.0),
        made.evidence("for", 3.0),
        idle,
    ]
    text = told(made.screening(of=made.verdict(evidence=tuple(many))))
    names = ["against", "for", "odd", "nil", "slow"]
    places = [text.index(f'<th scope="row">{n}<') for n in names]
    assert places == sorted(places)
    assert "not counted" in text
    assert "ran out of time" in text
    assert "Does not apply here: idle (it is no JPEG)." in text


def test_foreign_words_are_escaped_everywhere() -> None:
    bad = "<script>alert('1')</script>\x1b[2J\u202e"
    reasons = tuple(Reason("x", bad) for _ in range(20))
    one = made.screening(
        f"{bad}/{bad}!{bad}.jpg",
        made.verdict(summary=f"{bad}. {bad}", evidence=(made.evidence(bad, 1.0, reasons=reasons),)),
        warnings=(bad,),
        quarantine_id=bad,
    )
    raw = article(one, shots(one), "s1")
    assert "<script" not in raw
    assert "\x1b" not in raw
    assert "\u202e" not in raw
    assert "&lt;script&gt;" in raw
    assert raw.count("more reasons: use --json") == 1


def test_a_long_sentence_is_cut() -> None:
    one = made.screening(
        of=made.verdict(
            summary="x" * 100_000, evidence=(made.evidence(reasons=(Reason("x", "y" * 100_000),)),)
        )
    )
    assert len(told(one)) < 10_000


def test_a_sample_that_says_very_much_does_not_crowd_out_the_others() -> None:
    reasons = tuple(Reason("x", "&" * 5000) for _ in range(40))
    rows = tuple(made.evidence(f"d{k}", 1.0, reasons=reasons) for k in range(40))
    one = made.screening("&" * 5000, made.verdict(summary="&" * 5000, evidence=rows))
    assert len(article(one, [], "s1")) < 120_000


def test_brief_folds_the_evidence_unless_it_marks_a_place() -> None:
    assert "<details>" in told(made.quiet(), brief=True)
    assert "<details open>" in told(made.marked(), brief=True)
    assert "<details" not in told(made.marked())


def test_a_missing_picture_is_owned_up_to() -> None:
    assert "No picture: it would make the report too large" in told(made.screening(), stripped=True)


def test_certainty_is_never_round() -> None:
    sure = told(made.screening(of=made.verdict(probability=0.99999)))
    clear = told(made.screening(of=made.verdict(-9.0, Label.BONA_FIDE, probability=0.00001)))
    assert "over 99.9\N{NO-BREAK SPACE}%" in sure
    assert "under 0.1\N{NO-BREAK SPACE}%" in clear


def test_a_place_is_a_folder_or_what_carries_it() -> None:
    assert where("a.jpg") == ("", "a.jpg")
    assert where("/a.jpg") == ("in /", "a.jpg")
    assert where("x/in.eml!more.zip!one.jpg") == ("inside x/in.eml > more.zip", "one.jpg")
