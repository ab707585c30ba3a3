"""A client's image becomes one that is safe to keep: whole, of bearable size, without metadata.

    data URI ──base64──┐
                       ├─► Pillow: decoded, turned upright, made anew ─► clean data URI
    https ───fetch─────┘

Only PNG and JPEG (C-114). The image that goes on is written by us, so neither EXIF, comments
nor what is appended to a file gets further. All of it is done in one worker thread.
"""

import asyncio
import base64
import binascii
import io
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from duologue.errors import Refusal
from duologue.seeing.fetch import Fetch

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 25_000_000
"""Of one image: 100 MB while it is decoded. What claims more is refused unopened."""

JPEG_QUALITY = 95
"""Where an image's own quality cannot be kept."""

_DATA_URI = re.compile(r"data:image/(?:png|jpe?g);base64,", re.IGNORECASE)


class CleanImages:
    """Satisfies `runtime.ports.Images`. `limit_bytes` is of one image file."""

    def __init__(self, fetch: Fetch, *, limit_bytes: int) -> None:
        self._fetch = fetch
        self._limit_bytes = limit_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="images")

    async def take(self, image_url: str) -> str:
        """See `runtime.ports.Images`. Raises `Refusal`."""
        if prefix := _DATA_URI.match(image_url):
            return await self._work(lambda: clean(self._decoded(image_url, prefix.end())))
        if not image_url.lower().startswith("https://"):
            message = "Invalid value. Images must be data URIs of PNG or JPEG."
            raise Refusal("invalid_value", message)
        data = await self._fetch.get(image_url)
        return await self._work(lambda: clean(data))

    async def aclose(self) -> None:
        """Finish what is being cleaned."""
        await asyncio.to_thread(self._thread.shutdown)

    def _decoded(self, image_url: str, start: int) -> bytes:
        if (len(image_url) - start) * 3 // 4 > self._limit_bytes + 2:
            message = f"The image is larger than {self._limit_bytes} bytes."
            raise Refusal("image_file_too_large", message)
        try:
            return base64.b64decode(image_url[start:], validate=True)
        except (binascii.Error, ValueError):
            raise Refusal("invalid_base64_image", "The image is not valid base64.") from None

    async def _work(self, clean_one: Callable[[], str]) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._thread, clean_one)


def clean(data: bytes) -> str:
    """The image in `data` as a data URI made anew. Raises `Refusal`; blocks."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise Refusal("empty_image_file", "The image is empty.")
    too_large = Refusal("image_too_large", f"The image has more than {MOST_PIXELS} pixels.")
    try:
        picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
        if picture.width * picture.height > MOST_PIXELS:
            raise too_large
        return _made_anew(picture)
    except Refusal:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise too_large from None
    except UnidentifiedImageError:
        message = "The image is neither PNG nor JPEG."
        raise Refusal("invalid_image_format", message) from None
    except Exception:  # whatever a decoder trips over, the image is what is wrong
        raise Refusal("image_parse_error", "The image is damaged.") from None


def _made_anew(picture: "Image") -> str:
    from PIL import ImageOps

    picture.load()
    ImageOps.exif_transpose(picture, in_place=True)  # it would lie on its side without its EXIF
    is_png = picture.format == "PNG"
    if not is_png and picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")
    transparency = picture.info.get("transparency")
    picture.info = {} if transparency is None else {"transparency": transparency}
    file = io.BytesIO()
    if is_png:
        picture.save(file, "PNG", compress_level=3)
    else:
        picture.save(file, "JPEG", quality="keep" if picture.format == "JPEG" else JPEG_QUALITY)
    kind = "png" if is_png else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.getbuffer()).decode()}"
