"""The catalogue of weights and the state of the models folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.errors import ConfigError, ModelError
from assay.evidence.models import (
    Model,
    State,
    catalogue,
    chosen,
    exposed,
    path_of,
    session_options,
    sessions,
    state,
)

BYTES = b"weights" * 1000


def made(name: str = "small", data: bytes = BYTES, **changes: object) -> Model:
    fields = {
        "name": name,
        "source": "file:/nowhere/small.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "licence": "CC0",
    }
    return Model(**{**fields, **changes})  # type: ignore[arg-type]


def entry(**changes: object) -> dict[str, object]:
    return {"source": "file:/a/b.onnx", "sha256": "0" * 64, "size": 5, "licence": "MIT", **changes}


def test_every_shipped_model_has_a_source_a_digest_a_size_a_licence_and_a_user() -> None:
    for name, model in catalogue().items():
        assert model.name == name
        assert model.source.startswith(("pypi:", "hf:"))
        assert len(model.sha256) == 64
        assert model.size > 0
        assert model.licence
        assert model.used_by
        assert model.summary


def test_a_users_own_model_is_merged_and_wins() -> None:
    known = catalogue({"own": entry(), "clip_vit_b16_int8": entry(size=7)})
    assert known["own"].size == 5
    assert known["clip_vit_b16_int8"].size == 7
    assert catalogue()["clip_vit_b16_int8"].size != 7


@pytest.mark.parametrize(
    "bad",
    [
        {"source": "ftp:thing"},
        {"source": "pypi:name:member"},
        {"sha256": "xyz"},
        {"size": 0},
        {"size": "5"},
        {"licence": 3},
        {"colour": "red"},
        {"outputs": [3]},
        {"wheel_tag": "any"},
        {"on_request": "yes"},
    ],
)
def test_an_entry_that_means_nothing_is_a_config_error_that_names_it(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="own"):
        catalogue({"own": entry(**bad)})


def test_an_entry_without_a_digest_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="sha256"):
        catalogue({"own": {k: v for k, v in entry().items() if k != "sha256"}})


def test_a_name_with_strange_characters_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="no name"):
        catalogue({"../up": entry()})


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError) as caught:
        chosen(["nothing"], {"small": made()})
    assert caught.value.code == "unknown_model"
    assert "small" in caught.value.hint


def test_a_model_is_missing_then_present_then_altered(tmp_path: Path) -> None:
    model = made()
    assert state(model, tmp_path) is State.MISSING
    model.path(tmp_path).write_bytes(BYTES)
    assert state(model, tmp_path) is State.PRESENT
    model.path(tmp_path).write_bytes(b"x" + BYTES[1:])
    assert state(model, tmp_path) is State.ALTERED
    assert path_of("small", tmp_path, {"small": model}) is None


def test_a_second_look_does_not_read_the_bytes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made()
    model.path(tmp_path).write_bytes(BYTES)
    assert path_of("small", tmp_path, {"small": model}) == model.path(tmp_path)
    monkeypatch.setattr("assay.evidence.models.digest", lambda _path: pytest.fail("hashed again"))
    assert path_of("small", tmp_path, {"small": model}) == model.path(tmp_path)


def test_a_change_that_keeps_size_and_mtime_is_noticed(tmp_path: Path) -> None:
    model = made()
    path = model.path(tmp_path)
    path.write_bytes(BYTES)
    assert state(model, tmp_path) is State.PRESENT
    before = path.stat()
    path.write_bytes(b"x" + BYTES[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert state(model, tmp_path) is State.ALTERED


def test_rehash_trusts_no_seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made()
    model.path(tmp_path).write_bytes(BYTES)
    assert state(model, tmp_path) is State.PRESENT
    monkeypatch.setattr("assay.evidence.models.digest", lambda _path: "0" * 64)
    assert state(model, tmp_path, rehash=True) is State.ALTERED


def test_a_garbled_seal_is_ignored(tmp_path: Path) -> None:
    model = made()
    path = model.path(tmp_path)
    path.write_bytes(BYTES)
    path.with_name(path.name + ".seal").write_bytes(b"\xff{")
    assert state(model, tmp_path) is State.PRESENT


def test_a_missing_model_says_how_to_pull_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        sessions(["small"], tmp_path, {"small": made()})
    assert caught.value.code == "model_missing"
    assert "assay models pull small" in caught.value.hint


def test_a_file_that_is_no_network_is_a_model_error(tmp_path: Path) -> None:
    model = made()
    model.path(tmp_path).write_bytes(BYTES)
    with pytest.raises(ModelError) as caught:
        sessions(["small"], tmp_path, {"small": model})
    assert caught.value.code == "model_unusable"


def test_a_session_runs_on_one_thread_at_a_fixed_level(tmp_path: Path) -> None:
    data = negated_twice().SerializeToString()
    model = made(data=data)
    model.path(tmp_path).write_bytes(data)
    opened = sessions(["small"], tmp_path, {"small": model})
    assert [v.tolist() for v in opened["small"].run(None, {"x": np.array([1, 2], np.float32)})] == [[1, 2]]
    options = session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_values_inside_of_a_graph_become_further_outputs(tmp_path: Path) -> None:
    data = negated_twice().SerializeToString()
    model = made(data=data, outputs=("inside",))
    model.path(tmp_path).write_bytes(data)
    opened = sessions(["small"], tmp_path, {"small": model})["small"]
    assert [o.name for o in opened.get_outputs()] == ["y", "inside"]
    answers = opened.run(None, {"x": np.array([1, 2], np.float32)})
    assert [v.tolist() for v in answers] == [[1, 2], [-1, -2]]
    assert model.path(tmp_path).read_bytes() == data


def test_the_declaration_is_what_the_onnx_package_writes() -> None:
    onnx = pytest.importorskip("onnx", reason="the onnx package is the yardstick")
    name = "/a/rather/long/name" * 10  # longer than one byte of length can say
    merged = onnx.ModelProto.FromString(negated_twice().SerializeToString() + exposed(["inside", name]))
    declared = negated_twice()
    declared.graph.output.extend([onnx.ValueInfoProto(name="inside"), onnx.ValueInfoProto(name=name)])
    assert merged == declared


def test_an_output_that_is_not_in_the_graph_is_a_model_error(tmp_path: Path) -> None:
    data = negated_twice().SerializeToString()
    model = made(data=data, outputs=("nowhere",))
    model.path(tmp_path).write_bytes(data)
    with pytest.raises(ModelError) as caught:
        sessions(["small"], tmp_path, {"small": model})
    assert caught.value.code == "model_unusable"


def negated_twice() -> Any:
    onnx = pytest.importorskip("onnx", reason="the onnx package makes the test's network")
    value, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    nodes = [node("Neg", ["x"], ["inside"]), node("Neg", ["inside"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", [value("x", 1, [2])], [value("y", 1, [2])])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
