from __future__ import annotations

import itertools
import re
import subprocess
import sys

import pytest
from fakes import answer

from assay.serve.exchange import Gap, held, strictest
from assay.serve.threats import threat_name, token
from assay.types import Action, Kind


def test_the_strictest_answer_is_followed():
    answers = [answer(a) for a in (Action.LABEL, Action.QUARANTINE, Action.HOLD, Action.DELIVER)]
    assert strictest(answers).action is Action.QUARANTINE
    assert strictest([]) is None


def test_only_what_is_kept_from_its_receiver_blocks():
    assert [a for a in Action if answer(a).blocks] == [Action.HOLD, Action.QUARANTINE, Action.REJECT]
    assert held(Gap.FAULT, "").blocks


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (answer(Action.QUARANTINE), "Synthetic.Image.P87"),
        (answer(Action.QUARANTINE, probability=1.0), "Synthetic.Image.P99"),
        (answer(Action.QUARANTINE, probability=0.0), "Synthetic.Image.P1"),
        (answer(Action.QUARANTINE, probability=None, kinds=()), "Synthetic.Image"),
        (answer(Action.REJECT, media="video", kinds=(Kind.FACE_SWAP,)), "Deepfake.Video.P87"),
        (answer(Action.REJECT, media="audio", kinds=(Kind.VOICE_CONVERSION,)), "Synthetic.Audio.P87"),
        (answer(Action.REJECT, kinds=(Kind.SPLICE, Kind.INPAINTING)), "Manipulated.Image.P87"),
        (answer(Action.REJECT, kinds=(Kind.KNOWN_FAKE,)), "Known.Image.P87"),
        (answer(Action.REJECT, threat="Own name; FOUND\n"), "Own_name_FOUND_"),
        (answer(Action.HOLD), "Heuristics.Assay.Pending"),
        (answer(Action.REJECT, Gap.FAULT), "Heuristics.Assay.Pending"),
    ],
)
def test_what_was_found_has_a_name(given, name):
    assert threat_name(given) == name


def test_every_name_is_one_word():
    for kind, gap, action in itertools.product(Kind, [None, *Gap], Action):
        assert re.fullmatch(r"[A-Za-z0-9.]+", threat_name(answer(action, gap, kinds=(kind,))))


def test_a_token_cannot_break_a_line():
    assert token("a b\r\nX: y;") == "a_b_X_y_"


def test_the_protocols_do_without_pipeline_desk_and_store():
    code = (
        "import sys, assay.serve.clamd, assay.serve.icap; "
        "print([m for m in sys.modules if m.startswith(('assay.pipeline', 'assay.desk', 'assay.store', 'sqlalchemy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
