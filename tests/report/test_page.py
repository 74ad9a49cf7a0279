from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import made
import numpy as np
import pytest

from assay.errors import ConfigError
from assay.report.page import Page
from assay.types import Label, Preview, Reason, Screening

VOID = {"meta", "img", "input", "br"}
PANEL = [("jpeg_grid", "Reads <grids>", ""), ("learned", "Looks", "its weight is missing")]


class Structure(HTMLParser):
    """Collects what a page is made of, and whether its tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute stands twice in {tag}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"{tag} closes something else"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def written(tmp_path: Path, *many: Screening, stopped: bool = False) -> str:
    path = tmp_path / "report.html"
    page = Page.open(str(path))
    for one in many:
        page.add(one)
    page.write(detectors=PANEL, stopped=stopped)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    return path.read_text("utf-8")


def order(text: str, names: Iterable[str]) -> bool:
    places = [text.index(f">{n}</h3>") for n in names]
    return places == sorted(places)


def everything() -> list[Screening]:
    declared = made.screening("d.jpg", made.verdict(disclosed=True, llr=6.9))
    vouched = made.screening("ok.jpg", made.verdict(-6.9, Label.BONA_FIDE))
    mail = made.screening(
        "m.eml", made.verdict(evidence=()), children=(made.marked("m.eml!in.jpg"), made.quiet("m.eml!b.jpg"))
    )
    return [made.marked(), made.clip(), declared, vouched, made.quiet(), made.refused(), mail]


def test_the_page_is_well_formed_and_needs_nothing_from_outside(tmp_path: Path) -> None:
    text = written(tmp_path, *everything())
    page = Structure(text)
    assert not any(page.all(tag) for tag in ("script", "link", "iframe", "object", "form"))
    for _, attrs in page.tags:
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href", "action", "srcset"):
            assert (attrs.get(name) or "#").startswith(("data:image/", "#"))
    assert "url(" not in text
    assert "@import" not in text
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv"))
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_people_who_do_not_see_are_told_too(tmp_path: Path) -> None:
    page = Structure(written(tmp_path, *everything()))
    pictures = page.all("img")
    assert pictures
    assert all("alt" in p for p in pictures)
    assert all(p["alt"] for p in pictures if p.get("class") == "picture")
    named = {label.get("for") for label in page.all("label")}
    assert all(i.get("aria-label") or i["id"] in named for i in page.all("input"))
    assert named <= {i["id"] for i in page.all("input")}
    assert all(svg.get("aria-hidden") or svg.get("aria-label") for svg in page.all("svg"))
    assert page.all("html")[0]["lang"] == "en"
    assert all(th.get("scope") for th in page.all("th"))


def test_no_identity_stands_twice_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    page = Structure(written(tmp_path, *everything()))
    identities = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(identities) == len(set(identities))
    links = [a["href"] for a in page.all("a") if a.get("href")]
    assert len(links) == 7  # all but the refused one and the mail that only carries a find
    assert all(link and link[1:] in identities for link in links)


def test_finds_stand_first_the_undeclared_and_strongest_foremost(tmp_path: Path) -> None:
    weak = made.screening("weak.jpg", made.verdict(2.5))
    strong = made.screening("strong.jpg", made.verdict(6.0))
    declared = made.screening("declared.jpg", made.verdict(6.9, disclosed=True))
    far, near = made.quiet("far.jpg", llr=-2.0), made.quiet("near.jpg", llr=0.9)
    vouched = made.screening("ok.jpg", made.verdict(-6.9, Label.BONA_FIDE))
    text = written(tmp_path, vouched, far, near, declared, weak, strong)
    assert order(text, ["strong.jpg", "weak.jpg", "declared.jpg", "near.jpg", "far.jpg", "ok.jpg"])
    assert "2 of 6 samples are called fake; 1 more says itself that a machine made or altered it." in text


def test_of_many_the_fifty_nearest_to_the_threshold_are_told(tmp_path: Path) -> None:
    many = [made.quiet(f"{k}.jpg", llr=k / 100) for k in range(90)]
    text = written(tmp_path, *many)
    assert text.count("<article") == 50
    assert order(text, ["89.jpg", "40.jpg"])
    assert ">39.jpg</h3>" not in text
    assert "40 more: see the list of all samples." in text
    assert "Nothing found in 90 samples." in text
    assert (
        text.count("There is no threshold for such pictures.") == 51
    )  # in each article, and once for the list


def test_a_carrier_is_told_by_its_member_and_listed_above_it(tmp_path: Path) -> None:
    text = written(tmp_path, everything()[-1])
    assert text.count('<article class="fake"') == 1
    assert "inside m.eml" in text
    table = text[text.index("All samples") :]
    assert table.index(">m.eml<") < table.index(">in.jpg<") < table.index(">b.jpg<")


def test_hostile_names_reasons_and_hints_stay_text(tmp_path: Path) -> None:
    bad = "\"><script>alert(1)</script><img src=x onerror='y'>\x1b[2J\u202e"
    evil = made.screening(
        bad,
        made.verdict(summary=bad, evidence=(made.evidence(bad, 3.0, reasons=(Reason("x", bad),)),)),
        preview=Preview((made.noise(20, 20),)),
        warnings=(bad,),
    )
    refused = made.refused(bad)
    assert refused.error is not None
    refused = dataclasses.replace(refused, error=dataclasses.replace(refused.error, message=bad, hint=bad))
    lone = made.quiet("\udcff.jpg")
    page = Structure(text := written(tmp_path, evil, refused, lone))
    assert not page.all("script")
    assert all((i["src"] or "").startswith("data:") for i in page.all("img"))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\xff.jpg" in text


def test_trouble_is_told_with_what_to_do(tmp_path: Path) -> None:
    text = written(tmp_path, made.refused())
    assert "Could not be examined" in text
    assert "It is over the limit. Raise limits.size_bytes." in text
    assert "Not used: Its weight is missing." in text


def test_an_empty_and_a_stopped_batch_say_so(tmp_path: Path) -> None:
    text = written(tmp_path, stopped=True)
    Structure(text)
    assert "Nothing found in 0 samples." in text
    assert "stopped before its end" in text


@pytest.mark.slow
def test_the_page_stays_under_20_mb_for_any_folder(tmp_path: Path) -> None:
    """10,000 samples, finds and others, with a large picture, a noisy map and sentences without end."""
    picture = made.noise(480, 480)
    heat = made.noise(512, 512)[..., 0]
    reasons = tuple(Reason("x", f"{k} <&'\"> " * 400) for k in range(30))
    rows = tuple(made.evidence(f"d{k}", 3.0, reasons=reasons) for k in range(40))
    of = made.verdict(summary="<&'\"> " * 2000, evidence=rows)
    rich = made.verdict(6.0, evidence=(made.evidence(heat=heat),), summary="<&'\"> " * 2000)
    path = tmp_path / "report.html"
    page = Page.open(str(path))
    for k in range(3_300):
        lean = dataclasses.replace(of, llr=5.0 + k * 1e-9)
        page.add(made.screening(f"{k}-" + "<&>" * 2000, lean))
        page.add(made.quiet(f"{k}-" + "&" * 3000, llr=0.5 - k * 1e-9))
        page.add(made.refused("'" * 3000))
        if k % 30 == 0:
            page.add(made.screening(f"shown-{k}", rich, preview=Preview((picture,))))
    page.write(detectors=PANEL)
    text = path.read_text("utf-8")
    Structure(text)
    assert path.stat().st_size < 20_000_000
    assert text.count("data:image/jpeg") > 20
    assert "No picture: it would make the report too large" in text
    assert "more samples are not listed here" in text


def test_pictures_are_taken_from_those_that_rank_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.report.page.MOST_PICTURES", 60_000)
    shown = Preview((made.noise(160, 160),))
    many = [made.screening(f"{k}.jpg", made.verdict(3.0 + k), preview=shown) for k in range(8)]
    text = written(tmp_path, *many)
    places = [m.start() for m in re.finditer("data:image/jpeg", text)]
    assert 0 < len(places) < 8
    assert max(places) < text.index("No picture: it would make")


def test_nothing_heavy_is_kept_of_what_was_seen(tmp_path: Path) -> None:
    page = Page.open(str(tmp_path / "report.html"))
    page.add(dataclasses.replace(made.marked(), children=(made.marked("c"),)))
    for entry in page.finds.entries:
        kept = entry.screening
        assert kept.preview is None
        assert kept.children == ()
        assert kept.verdict is not None
        assert all(e.finding.heat is None for e in kept.verdict.evidence)
    page.discard()
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        Page.open(str(tmp_path / "missing" / "report.html"))


def test_an_old_report_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    page = Page.open(str(path))
    page.add(made.marked())
    page.discard()
    assert path.read_text() == "old"


def test_an_awkward_picture_does_no_harm(tmp_path: Path) -> None:
    shapes = [(1, 1), (1, 480), (480, 1), (3, 2)]
    many = [made.screening(f"{h}x{w}", preview=Preview((np.zeros((h, w, 3), np.uint8),))) for h, w in shapes]
    assert written(tmp_path, *many).count("data:image/jpeg") == 4
