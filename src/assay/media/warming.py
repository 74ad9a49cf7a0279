"""Import and try all that decoding needs, in the zygote: inside the jail nothing can be looked up any more."""

from __future__ import annotations

import importlib
import io
import pkgutil
import warnings

LEFT_OUT = (
    "PIL.__main__",
    "PIL.report",
    "PIL.ImageTk",
    "PIL.ImageQt",
    "PIL._tkinter_finder",
    "av.__main__",
    "av.datasets",
)


def warm() -> None:
    """Walk the codecs' modules and decode one tiny sample of each kind."""
    import av
    import PIL
    import pillow_heif

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for package in (PIL, av):
            for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
                if module.name not in LEFT_OUT:
                    try:
                        importlib.import_module(module.name)
                    except ImportError:
                        continue  # an optional partner of it is not installed
    pillow_heif.register_heif_opener()
    from PIL import Image

    Image.init()
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"):
        buffer = io.BytesIO()
        Image.new("RGB", (16, 16)).save(buffer, kind)
        Image.open(io.BytesIO(buffer.getvalue())).load()
    from assay.media import coefficients, credentials, image, triage, unpack  # noqa: F401
    from assay.media.unpack import animation, archives, mail, pdf, tnef  # noqa: F401

    credentials.prepare()
