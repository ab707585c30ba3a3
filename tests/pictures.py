"""Images for tests: drawn with Pillow, as files and as data URIs."""

import base64
import io
from typing import Any

from PIL import Image, ImageDraw, ImageFont


def drawn(*lines: str, size: tuple[int, int] = (640, 200), paper: str = "white") -> Image.Image:
    """Lines of black text on paper."""
    picture = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        place = (20, 20 + 60 * number)
        draw.text(place, line, fill="black", font=ImageFont.load_default(36))
    return picture


def file(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def data_uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def opened(uri: str) -> Image.Image:
    """The image of a data URI, decoded."""
    picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    picture.load()
    return picture
