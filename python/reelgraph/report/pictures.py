"""Pictures and videos as ``data:`` addresses, so that a page needs no other file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from reelgraph.errors import StageError

JPEG_QUALITY = 75


def data_address(media_type: str, content: bytes) -> str:
    """Return ``data:<media type>;base64,…``."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def jpeg_address(picture: Image.Image, width: int) -> str:
    """Return the picture as JPEG, at most ``width`` pixels wide."""
    picture = picture.convert("RGB")
    if picture.width > width:
        # Lanczos on 8-bit pictures is integer arithmetic in Pillow: the same on every CPU.
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return data_address("image/jpeg", stream.getvalue())


def thumbnail(path: Path, what: str, width: int) -> str:
    """Return a picture file as JPEG, at most ``width`` pixels wide; a StageError names ``what`` it should show."""
    try:
        with Image.open(path) as picture:
            return jpeg_address(picture, width)
    except OSError as error:
        raise StageError(
            f"{what}: {path.name} cannot be read as a picture; build the stage that made it again"
        ) from error
