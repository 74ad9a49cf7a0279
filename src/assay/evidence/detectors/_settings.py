"""Read the settings that image generators write beside their pictures: who made it, model, prompt, seed.

Each reader takes one text and answers None unless the text has the form that the program writes; a mere mention of a
name is nothing. All input is hostile: sizes, depth and types are checked, nothing raises.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from assay.evidence.detectors._generators import clip

LONGEST = 1 << 20  # characters of a text that are read as JSON
HOPS = 16  # links that are followed from a sampler to its prompt
PROMPT = 160  # characters of a prompt that are quoted


@dataclass(frozen=True, slots=True)
class Settings:
    """What one text declares."""

    code: str
    generator: str
    model: str = ""
    prompt: str = ""
    seed: str = ""

    @property
    def details(self) -> str:
        """Say model, seed and prompt, as far as they are known."""
        said = []
        if self.model:
            said.append(f"model {clip(self.model, 60)}")
        if self.seed:
            said.append(f"seed {clip(self.seed, 24)}")
        if self.prompt:
            said.append(f"prompt “{clip(self.prompt, PROMPT)}”")
        return "; ".join(said)


def read_settings(key: str, text: str) -> Settings | None:
    """Read what the text at a metadata key declares; the key without its namespace, lower case."""
    if key == "dream" and (found := _dream(text)):
        return found
    label = re.match(r"\s{0,9}(?:prompt|workflow)\s{0,9}:", text, re.IGNORECASE)
    data = parse(text[label.end() :] if label else text)
    if isinstance(data, dict):
        for reader in (_comfyui, _invokeai, _novelai, _fooocus, _swarmui, _easy_diffusion, _draw_things):
            if found := reader(key, data):
                return found
        return None
    return _automatic1111(text)


def parse(text: str) -> Any:
    """Parse JSON, or answer None: too long, too deep, or no JSON."""
    start = text[:64].lstrip()[:1]
    if start not in ("{", "[") or len(text) > LONGEST:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _automatic1111(text: str) -> Settings | None:
    """Its last lines read "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, ..."."""
    start = text.rfind("Steps: ")
    if start < 0:
        return None
    tail = text[start : start + 4000]
    fields = dict(re.findall(r"([A-Z][A-Za-z ]{1,24}): (\"[^\"]{0,200}\"|[^,\n]{1,200})", tail))
    known = {
        "Sampler",
        "CFG scale",
        "Seed",
        "Size",
        "Model hash",
        "Model",
        "Schedule type",
        "Denoising strength",
    }
    if not re.match(r"Steps: \d+\s*,", tail) or len(known & fields.keys()) < 2:
        return None
    prompt = text[:start].partition("Negative prompt:")[0]
    version = fields.get("Version", "")
    fooocus = re.match(r"\"?Fooocus", version) is not None
    app = "Fooocus" if fooocus else fields.get("App", "")
    name = (
        f"AUTOMATIC1111 or a relative of it ({clip(app, 30)})"
        if app and not fooocus
        else app or "AUTOMATIC1111"
    )
    code = "generator_fooocus" if fooocus else "generator_automatic1111"
    return Settings(code, name, fields.get("Model", ""), prompt, fields.get("Seed", ""))


def _comfyui(key: str, data: dict[str, Any]) -> Settings | None:
    """A graph of nodes with a class_type and inputs (prompt), or the editor's nodes and links (workflow)."""
    wrapped = [v for k in ("prompt", "workflow") if (v := data.get(k)) is not None]
    for inner in wrapped:  # video savers put both into one comment, as JSON or as JSON in a string
        graph = parse(inner) if isinstance(inner, str) else inner
        if (
            isinstance(graph, dict)
            and graph is not data
            and "prompt" not in graph
            and (found := _comfyui(key, graph))
        ):
            return found
    nodes = {
        str(k): v for k, v in data.items() if isinstance(v, dict) and isinstance(v.get("class_type"), str)
    }
    nodes = {k: v for k, v in nodes.items() if isinstance(v.get("inputs"), dict)}
    if nodes:
        return Settings("generator_comfyui", "ComfyUI", *_comfyui_details(nodes))
    listed, links = data.get("nodes"), data.get("links")
    if (
        isinstance(listed, list)
        and isinstance(links, list | dict)
        and ("last_node_id" in data or "version" in data)
    ):
        types = [n["type"] for n in listed if isinstance(n, dict) and isinstance(n.get("type"), str)]
        if types:
            return Settings("generator_comfyui", "ComfyUI")
    return None


def _comfyui_details(nodes: dict[str, dict[str, Any]]) -> tuple[str, str, str]:
    inputs = [n["inputs"] for n in nodes.values()]
    model = next(
        (str(i[k]) for i in inputs for k in ("ckpt_name", "unet_name", "model_name") if _said(i.get(k))), ""
    )
    seed = next((str(i[k]) for i in inputs for k in ("seed", "noise_seed") if _said(i.get(k))), "")
    start = next((i["positive"] for i in inputs if isinstance(i.get("positive"), list)), None)
    start = start or next(
        (i["conditioning"] for i in inputs if isinstance(i.get("conditioning"), list)), None
    )
    prompt = _follow(nodes, start)
    if not prompt:
        encoders = (n["inputs"].get("text") for n in nodes.values() if "TextEncode" in n["class_type"])
        prompt = next((t for t in encoders if isinstance(t, str) and t.strip()), "")
    return model, prompt, seed


def _follow(nodes: dict[str, dict[str, Any]], link: Any) -> str:
    """Follow conditioning links from a sampler to the first text."""
    seen: set[str] = set()
    queue = [link]
    while queue and len(seen) < HOPS:
        where = queue.pop(0)
        name = str(where[0]) if isinstance(where, list) and where else ""
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        inputs = nodes[name]["inputs"]
        texts = (inputs.get(k) for k in ("text", "text_g", "t5xxl", "clip_l", "string", "value"))
        for text in texts:
            if isinstance(text, str) and text.strip():
                return text
        queue += [v for v in list(inputs.values())[:HOPS] if isinstance(v, list)]
    return ""


def _invokeai(key: str, data: dict[str, Any]) -> Settings | None:
    if key == "sd-metadata" or ("model_weights" in data and "image" in data):
        image = data.get("image")
        image = image if isinstance(image, dict) else {}
        prompt = image.get("prompt")
        first = prompt[0] if isinstance(prompt, list) and prompt else prompt
        words = first.get("prompt") if isinstance(first, dict) else first
        model = data.get("model_weights") or data.get("model")
        return Settings(
            "generator_invokeai", "InvokeAI", _text(model), _text(words), _text(image.get("seed"))
        )
    named = key in {"invokeai_metadata", "invokeai_graph", "invokeai_workflow"}
    if not named and not {"generation_mode", "positive_prompt"} <= data.keys():
        return None
    model = data.get("model")
    name = (model.get("name") or model.get("model_name")) if isinstance(model, dict) else model
    return Settings(
        "generator_invokeai",
        "InvokeAI",
        _text(name),
        _text(data.get("positive_prompt")),
        _text(data.get("seed")),
    )


def _dream(text: str) -> Settings | None:
    """Read InvokeAI's old command line: "a prompt" -s 20 -S 123 -W 512 -H 512 -C 7.5 -A k_euler."""
    flags = dict(re.findall(r"(?<!\S)-([sSWHCA])\s?([\w.]{1,24})", text[-400:]))
    if len(flags) < 3:
        return None
    quoted = re.match(r"\s*\"(.*?)\"\s+-", text[:20_000], re.DOTALL)
    return Settings("generator_invokeai", "InvokeAI", "", quoted[1] if quoted else "", flags.get("S", ""))


def _novelai(key: str, data: dict[str, Any]) -> Settings | None:
    software = str(data.get("Software", ""))
    if software.startswith("NovelAI"):  # the form that is hidden in the transparency
        inner = data.get("Comment")
        comment = parse(inner) if isinstance(inner, str) else inner
        seed = comment.get("seed") if isinstance(comment, dict) else ""
        return Settings(
            "generator_novelai",
            "NovelAI",
            _text(data.get("Source")),
            _text(data.get("Description")),
            _text(seed),
        )
    if key != "comment" or not {"uc", "steps", "seed", "sampler"} <= data.keys():
        return None
    return Settings("generator_novelai", "NovelAI", "", _text(data.get("prompt")), _text(data.get("seed")))


def _fooocus(_key: str, data: dict[str, Any]) -> Settings | None:
    marks = {"adm_guidance", "base_model", "base_model_hash", "metadata_scheme", "sharpness", "performance"}
    if len(marks & data.keys()) < 3 and not str(data.get("version", "")).startswith("Fooocus"):
        return None
    return Settings(
        "generator_fooocus",
        "Fooocus",
        _text(data.get("base_model")),
        _text(data.get("prompt")),
        _text(data.get("seed")),
    )


def _swarmui(_key: str, data: dict[str, Any]) -> Settings | None:
    inner = data.get("sui_image_params")
    if not isinstance(inner, dict):
        return None
    return Settings(
        "generator_named",
        "SwarmUI",
        _text(inner.get("model")),
        _text(inner.get("prompt")),
        _text(inner.get("seed")),
    )


def _easy_diffusion(_key: str, data: dict[str, Any]) -> Settings | None:
    model = data.get("use_stable_diffusion_model") or data.get("Stable Diffusion model")
    if not _said(model) or not {"prompt", "Prompt", "seed", "Seed"} & data.keys():
        return None
    prompt, seed = data.get("prompt", data.get("Prompt")), data.get("seed", data.get("Seed"))
    return Settings("generator_named", "Easy Diffusion", _text(model), _text(prompt), _text(seed))


def _draw_things(_key: str, data: dict[str, Any]) -> Settings | None:
    if not {"c", "uc", "seed", "sampler", "steps", "model"} <= data.keys():
        return None
    return Settings(
        "generator_named",
        "Draw Things",
        _text(data.get("model")),
        _text(data.get("c")),
        _text(data.get("seed")),
    )


def _said(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip() != ""


def _text(value: Any) -> str:
    if isinstance(value, list) and value:
        value = value[0]
    return str(value)[:2000] if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
