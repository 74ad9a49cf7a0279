from __future__ import annotations

import json

from assay.media.jail.profile import DECODER, EXAMINER, LAYERS, Profile


def test_a_profile_crosses_as_json():
    profile = DECODER.serving("a.b:c", memory_bytes=1, without=("uid",))
    assert Profile.from_json(json.loads(json.dumps(profile.as_json()))) == profile


def test_serving_changes_a_copy():
    profile = DECODER.serving("a.b:c", cpu_s=5)
    assert (profile.serve, profile.cpu_s, profile.kind) == ("a.b:c", 5, "decoder")
    assert DECODER.serve == ""


def test_a_decoder_is_bounded_and_an_examiner_is_watched_instead():
    assert DECODER.memory_bytes is not None
    assert DECODER.cpu_s is not None
    assert EXAMINER.memory_bytes is None
    assert DECODER.without == EXAMINER.without == ()
    assert len(set(LAYERS)) == 6
