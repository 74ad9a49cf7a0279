from __future__ import annotations

import importlib.util
import json

import pytest

from assay.errors import AssayError
from assay.range import marking
from assay.range.laundering import launder
from assay.testing import images


@pytest.mark.parametrize("name", ["jpeg85", "webp", "screenshot"])
def test_the_credential_says_what_it_is_and_with_which_right(name) -> None:
    import io

    import c2pa

    picture = launder(images.scene(200, 160), name, seed=0)
    marked = marking.credentialed(
        picture.data, picture.media_type, marking.authority(),
        source_type="compositeCapture", recipe="0123456789abcdef", words="A splice.", rights="CC0, nobody real",
    )  # fmt: skip
    with c2pa.Reader(picture.media_type, io.BytesIO(marked)) as reader:
        said = json.loads(reader.json())
    manifest = said["manifests"][said["active_manifest"]]
    text = json.dumps(manifest)
    assert "digitalsourcetype/compositeCapture" in text
    assert "0123456789abcdef" in text
    assert "CC0, nobody real" in text
    assert manifest["claim_generator_info"][0]["name"].startswith("Assay range")
    assert "thumbnail" not in manifest


def test_without_the_package_for_certificates_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AssayError, match="signs") as e:
        marking.authority()
    assert ".[range]" in e.value.hint


def test_two_runs_have_two_authorities() -> None:
    assert marking.authority().root != marking.authority().root
