from __future__ import annotations

import json
import random
from typing import Any

import pytest

from assay.evidence.detectors import generator_metadata as module
from assay.evidence.detectors._generators import clip, generator_credited, generator_in, source_type
from assay.evidence.detectors._settings import read_settings
from assay.evidence.detectors._xmp import properties
from assay.evidence.detectors.generator_metadata import GeneratorMetadata
from assay.media.views import Container
from assay.types import Finding, Outcome

A1111 = (
    "a lighthouse at night\nNegative prompt: blurry\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 4711, Size: 512x512, Model hash: c0d1994c73, Model: sea_v2"
)
GRAPH = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 99, "steps": 20, "positive": ["7", 0], "negative": ["8", 0], "model": ["4", 0]},
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sea.safetensors"}},
    "7": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["6", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red boat", "clip": ["4", 1]}},
    "8": {"class_type": "CLIPTextEncode", "inputs": {"text": "ugly", "clip": ["4", 1]}},
}
WORKFLOW = {
    "last_node_id": 2,
    "links": [],
    "nodes": [{"id": 1, "type": "KSampler", "widgets_values": [float("nan")]}],
}
XMP_SOURCE = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description Iptc4xmpExt:DigitalSourceType='
    '"http://cv.iptc.org/newscodes/digitalsourcetype/{}"/></rdf:RDF></x:xmpmeta>'
)


def examine(media_type: str = "image/png", **metadata: str) -> Finding:
    return GeneratorMetadata().examine(container(metadata, media_type))


def container(metadata: dict[str, Any], media_type: str = "image/png") -> Container:
    return Container(media_type=media_type, size=1, sha256="0" * 64, metadata=metadata)


def codes(finding: Finding) -> set[str]:
    return {r.code for r in finding.reasons}


def said(finding: Finding) -> str:
    return " ".join(r.text for r in finding.reasons)


@pytest.mark.parametrize("key", ["png:parameters", "exif:UserComment", "jpeg:comment", "gif:comment"])
def test_settings_of_automatic1111_are_declared_with_model_seed_and_prompt(key: str) -> None:
    finding = examine(**{key: A1111})
    assert codes(finding) == {"generator_automatic1111"}
    assert finding.score == 1.0
    assert all(word in said(finding) for word in ("sea_v2", "4711", "a lighthouse at night"))


def test_a_mere_mention_of_steps_or_names_is_nothing() -> None:
    words = (
        "Steps: first we talked of ComfyUI, AUTOMATIC1111, Sora and Midjourney, made with Suno, Seed: none"
    )
    finding = examine(
        **{"png:Description": words, "exif:ImageDescription": words, "iptc:Caption-Abstract": A1111}
    )
    assert codes(finding) == {"no_generator_named"}
    assert finding.score == 0.0


def test_a_comfyui_graph_is_followed_to_its_prompt() -> None:
    finding = examine(**{"png:prompt": json.dumps(GRAPH), "png:workflow": json.dumps(WORKFLOW)})
    assert codes(finding) == {"generator_comfyui"}
    assert all(word in said(finding) for word in ("sea.safetensors", "99", "a red boat"))


def test_a_comfyui_workflow_alone_is_declared() -> None:
    assert codes(examine(**{"png:workflow": json.dumps(WORKFLOW)})) == {"generator_comfyui"}


@pytest.mark.parametrize(
    "metadata",
    [
        {"exif:Model": "prompt:" + json.dumps(GRAPH), "exif:Make": "workflow:" + json.dumps(WORKFLOW)},
        {"format:comment": json.dumps({"prompt": json.dumps(GRAPH), "workflow": WORKFLOW})},
    ],
)
def test_comfyui_is_found_in_webp_exif_and_in_video_comments(metadata: dict[str, str]) -> None:
    assert "generator_comfyui" in codes(examine(**metadata))


def test_the_word_comfyui_in_a_caption_and_other_graphs_are_not_comfyui() -> None:
    other = json.dumps({"nodes": [{"id": 1}], "edges": []})
    assert codes(examine(**{"png:Description": "made in ComfyUI", "png:graph": other})) == {
        "no_generator_named"
    }


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"png:invokeai_metadata": '{"positive_prompt": "x", "seed": 1, "model": {"name": "m"}}'}, "generator_invokeai"),
        ({"png:sd-metadata": '{"model_weights": "m", "image": {"prompt": [{"prompt": "x"}], "seed": 3}}'}, "generator_invokeai"),
        ({"png:Dream": '"a cat" -s 20 -S 17 -W 512 -H 512 -C 7.5 -A k_euler'}, "generator_invokeai"),
        ({"png:Comment": '{"steps": 28, "sampler": "k", "seed": 5, "uc": "bad"}', "png:Software": "NovelAI"}, "generator_novelai"),
        ({"png:Software": "NovelAI"}, "generator_novelai"),
        ({"png:parameters": '{"base_model": "m", "sharpness": 2, "metadata_scheme": "fooocus", "seed": "1"}'}, "generator_fooocus"),
        ({"png:fooocus_scheme": "fooocus"}, "generator_fooocus"),
        ({"exif:UserComment": A1111.replace("Model: sea_v2", "Model: sea_v2, Version: Fooocus v2.5.5")}, "generator_fooocus"),
        ({"stealth": A1111}, "generator_stealth"),
        ({"png:parameters": '{"sui_image_params": {"prompt": "x", "model": "m", "seed": 1}}'}, "generator_named"),
        ({"exif:UserComment": '{"c": "x", "uc": "", "seed": 1, "sampler": "s", "steps": 8, "model": "m"}'}, "generator_named"),
        ({"exif:UserComment": '{"prompt": "x", "seed": 1, "use_stable_diffusion_model": "m"}'}, "generator_named"),
        ({"png:Description": "a hill --v 6 Job ID: 12345678-1234-1234-1234-123456789abc"}, "generator_named"),
        ({"exif:ImageDescription": "Signature: " + "aB3/" * 30}, "generator_named"),
        ({"exif:Make": "Black Forest Labs", "exif:Software": "AI generated;txt2img;flux"}, "generator_named"),
        ({"iptc:Credit": "Made with Google AI"}, "generator_named"),
        ({"iptc:Credit": "Imagined with AI"}, "generator_named"),
        ({"xmp:CreatorTool": "Adobe Firefly"}, "generator_named"),
        ({"format:comment": "made with suno; created=2025-01-01T00:00:00Z; id=1"}, "generator_named"),
        ({"id3:TPE1": "Udio"}, "generator_named"),
        ({"format:encoder": "Google Veo 3"}, "generator_named"),
        ({"format:AIGC": '{"Label": "1", "ContentProducer": "somebody"}'}, "generator_named"),
    ],
)  # fmt: skip
def test_each_generator_is_known_by_what_it_writes(metadata: dict[str, str], code: str) -> None:
    finding = examine(**metadata)
    assert codes(finding) == {code}
    assert finding.score == 1.0


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("trainedAlgorithmicMedia", "digital_source_type_synthetic"),
        ("algorithmicMedia", "digital_source_type_synthetic"),
        ("compositeWithTrainedAlgorithmicMedia", "digital_source_type_composite"),
        ("compositeSynthetic", "digital_source_type_composite"),
        ("digitalCapture", "no_generator_named"),
        ("minorHumanEdits", "no_generator_named"),
    ],
)
def test_the_digital_source_type_is_read_from_the_packet_and_from_fields(name: str, code: str) -> None:
    assert codes(examine(xmp=XMP_SOURCE.format(name))) == {code}
    element = f"<Iptc4xmpExt:DigitalSourceType>https://cv.iptc.org/newscodes/digitalsourcetype/{name}</Iptc4xmpExt:DigitalSourceType>"
    assert codes(examine(xmp=element)) == {code}
    assert codes(examine(**{"xmp:Iptc4xmpExt:DigitalSourceType": name})) == {code}


@pytest.mark.parametrize(
    "metadata",
    [
        {"exif:Artist": "Sora Kling"},
        {"id3:TPE1": "Sora"},
        {"exif:Make": "Veo Technologies", "exif:Model": "Veo Cam 2"},
        {"exif:Software": "LumaFusion"},
        {"png:Software": "Adobe Photoshop 25.0 (Windows)"},
        {"exif:Make": "Canon", "exif:Model": "Canon EOS 5D", "exif:Software": "Firmware Version 1.1.0"},
        {"exif:Software": "HDR+ 1.0.3"},
        {"xmp:CreatorTool": "Adobe Lightroom Classic 13.0"},
        {"iptc:Credit": "Agence Photo"},
        {"png:Comment": "Created with GIMP"},
        {"png:prompt": "say cheese"},
        {"format:AIGC": '{"Label": "0"}'},
    ],
)
def test_names_that_only_look_like_generators_are_nothing(metadata: dict[str, str]) -> None:
    assert codes(examine(**metadata)) == {"no_generator_named"}


def test_an_ordinary_encoder_is_a_note_without_a_score() -> None:
    finding = examine("video/mp4", **{"format:encoder": "Lavf58.29.100"})
    assert finding.score == 0.0
    assert "encoder_string" in codes(finding)
    assert "Lavf58.29.100" in said(finding)


def test_a_credit_of_edited_with_google_ai_is_a_composite() -> None:
    assert codes(examine(**{"iptc:Credit": "Edited with Google AI"})) == {"digital_source_type_composite"}


def test_long_and_hostile_texts_are_quoted_short_and_on_one_line() -> None:
    finding = examine(**{"png:parameters": "\x1b[31m\u202e" + "x" * 9000 + "\n" + A1111})
    assert all(len(r.text) < 500 and r.text.isprintable() for r in finding.reasons)


def test_a_view_without_metadata_has_a_reason_all_the_same() -> None:
    finding = examine()
    assert finding.outcome is Outcome.SCORED
    assert finding.score == 0.0
    assert finding.reasons


def test_random_metadata_never_raise() -> None:
    rng = random.Random(7)
    names = [
        "prompt",
        "workflow",
        "parameters",
        "Comment",
        "sd-metadata",
        "Dream",
        "AIGC",
        "DigitalSourceType",
        "Software",
    ]
    keys = [f"{space}:{name}" for space in ("png", "exif", "xmp", "format") for name in names] + [
        "xmp",
        "stealth",
        "",
    ]
    for _ in range(400):
        values: list[Any] = [_junk(rng, 4) for _ in range(4)]
        metadata = {rng.choice(keys): v if isinstance(v, str) else json.dumps(v) for v in values}
        metadata[rng.choice(keys)] = rng.choice(
            [A1111[: rng.randrange(200)], "[" * 50_000, '{"a":' * 5000, 7, None]
        )
        first = GeneratorMetadata().examine(container(metadata))
        assert first == GeneratorMetadata().examine(container(metadata))
        assert all(r.text for r in first.reasons)


def _junk(rng: random.Random, depth: int) -> Any:
    words = ["class_type", "inputs", "nodes", "links", "version", "seed", "prompt", "image", "model", "positive", "text", "3",
             "Software", "Comment", "sui_image_params", "c", "uc", "steps", "sampler", "model_weights", "AIGC", "Label"]  # fmt: skip
    pick = rng.randrange(8 if depth else 5)
    if pick >= 6:
        return {rng.choice(words): _junk(rng, depth - 1) for _ in range(rng.randrange(6))}
    if pick == 5:
        return [_junk(rng, depth - 1) for _ in range(rng.randrange(4))]
    return [None, rng.random(), rng.choice(words), True, "\ud800\x00 x" * 3][pick]


def test_a_program_is_found_whole_and_not_inside_another_word() -> None:
    assert generator_in("Stable Diffusion XL") == "Stable Diffusion"
    assert generator_in("unsora2x") is None
    assert generator_credited("Suno AI") == "Suno"
    assert generator_credited("Suno Motokura") is None


def test_source_types_are_reduced_from_any_spelling() -> None:
    for spelled in (
        " http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia ",
        "digsrctype:trainedAlgorithmicMedia",
        "https://schema.org/TrainedAlgorithmicMediaDigitalSource",
    ):
        assert source_type(spelled) == "trainedalgorithmicmedia"


def test_properties_of_a_broken_packet_are_still_read() -> None:
    broken = "<<a:Tool x:Tool='GIMP' <x:Tool><rdf:li>A &amp; B</rdf:li></x:Tool>"
    assert properties(broken, "Other", "Tool") == [("Tool", "GIMP"), ("Tool", "A & B")]
    assert properties("<x:Tool>" * 2000, "Tool") == []


def test_clipping_keeps_one_printable_line() -> None:
    assert clip("a\n\x00b", 10) == "a b"
    assert len(clip("x" * 100, 10)) == 10
    assert clip({"a": 1}) == ""


def test_no_settings_are_read_from_ordinary_text() -> None:
    assert read_settings("comment", "CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90") is None


def test_the_card_has_the_name_of_the_module() -> None:
    assert module.__name__.endswith(GeneratorMetadata.card.name)
