"""`make demo`: pull the default weights, make a dozen telling samples, screen them, write a report.

The photographs come with scikit-image (public domain and CC0); everything else is made here, seeded.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from email.message import EmailMessage
from pathlib import Path

import numpy as np
from forge import splice
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from assay.signatures.testfile import content as testfile
from assay.testing import clips, images, signing

Pixels = NDArray[np.uint8]
WORKFLOW = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 8566257, "steps": 20, "cfg": 8, "model": ["4", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5-pruned.safetensors"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse at dusk", "clip": ["4", 1]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}},
}


def main(folder: Path) -> int:
    assay = [sys.executable, "-m", "assay"]
    if subprocess.run([*assay, "models", "pull"], check=False).returncode != 0:
        print("The weights could not be pulled; the demo goes on without them, and says so.\n", flush=True)
    samples = folder / "samples"
    samples.mkdir(parents=True, exist_ok=True)
    print("Making samples ...", flush=True)
    for name, content in make().items():
        (samples / name).write_bytes(content)
    report = folder / "report.html"
    print(f"\n$ assay screen {samples} --report {report} --no-history\n", flush=True)
    command = [*assay, "screen", str(samples), "--report", str(report), "--no-history"]
    code = subprocess.run(command, check=False).returncode
    print(f"\nExit code {code}: something was found, as it should be. Open {report} in a browser.")
    print(
        f"Next: assay screen YOUR-FOLDER --report report.html   (the program is {Path(sys.executable).parent}/assay)"
    )
    return 0 if code == 1 else 1


def make() -> dict[str, bytes]:
    """Name and content of every sample."""
    portrait, coffee, cat = photo("astronaut"), photo("coffee"), photo("chelsea")
    camera = signing.authority("Demo Camera Works")
    original = signing.signed(images.jpeg(coffee, quality=92), "image/jpeg", camera)
    declared = images.png(images.scene(512, 512, seed=3), text={"prompt": json.dumps(WORKFLOW)})
    forged = splice(portrait, cat, seed=4, size=160, qualities=(80, 90, 95)).forged
    return {
        "01-signed-original.jpg": original,
        "02-changed-after-signing.jpg": signing.tampered(original),
        "03-comfyui-workflow.png": declared,
        "04-splice.jpg": forged,
        "05-honest-resaved.jpg": images.jpeg(reopened(images.jpeg(portrait, quality=93)), quality=82),
        "06-clip.mp4": clips.make_video(seconds=6, size=(320, 240), fps=15, audio="aac"),
        "07-voice.wav": clips.make_audio(seconds=4),
        "08-mail-with-a-fake.eml": mail(declared),
        "09-bomb.zip": zipped({"zeros.bin": bytes(64 << 20)}),
        "10-over-the-limit.png": images.png_from_chunks(30_000, 30_000, b""),
        "11-garbage.jpg": np.random.default_rng(7).bytes(5000),
        "12-cut-off.jpg": images.jpeg(cat, quality=90)[:300],
        "13-assay-testfile.png": testfile(),
    }


def photo(name: str) -> Pixels:
    return np.asarray(getattr(data, name)(), np.uint8)


def reopened(jpeg: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def mail(attachment: bytes) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "tips@example.org",
        "desk@example.org",
        "You must see this",
    )
    message.set_content("Taken last night at the harbour.")
    message.add_attachment(attachment, maintype="image", subtype="png", filename="harbour.png")
    return message.as_bytes()


def zipped(contents: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return out.getvalue()


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo")))
