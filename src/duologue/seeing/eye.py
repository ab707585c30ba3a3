"""The eye: reads the text in images for engines that do not see; it knows nothing else of them.

Clean data URIs come in, text goes out, lines from the top. RapidOCR with the models inside
its wheel, loaded when the first image comes; one worker thread, a bounded line before it.
"""

import asyncio
import base64
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from duologue.errors import EngineFault

if TYPE_CHECKING:
    from PIL.Image import Image

WAITING_LIMIT = 32
"""Images that may wait for the worker; one more is refused."""

LONGEST_SIDE = 2000
SHORTEST_SIDE = 32
"""Pixels: the detector takes nothing smaller."""

LONGEST_RATIO = 8
"""Of two sides; a longer strip gets paper beside it."""

MOST_LINES = 200

_SETTINGS = {
    "Global.log_level": "critical",  # it warns of every image without text
    "Det.max_candidates": MOST_LINES,
    # The language model needs the cores more.
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
}


class RapidOcrEye:
    """Satisfies the light engine's `Eye`."""

    def __init__(self, *, waiting_limit: int = WAITING_LIMIT) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="eye")
        self._waiting = 0
        self._waiting_limit = waiting_limit
        self._model: Any = None

    async def read(self, image_url: str) -> str:
        """See `engines.composed.parts.Eye`. Raises `EngineFault`."""
        if self._waiting >= self._waiting_limit:
            raise EngineFault("Too many images are waiting to be read.", "overloaded")
        self._waiting += 1
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(self._thread, self._read, image_url)
        reading.add_done_callback(lambda _: self._left())
        return await reading

    async def aclose(self) -> None:
        """Let what is being read come to its end."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    def _left(self) -> None:
        self._waiting -= 1

    def _read(self, image_url: str) -> str:
        try:
            found = self._loaded()(_pixels(image_url))
        except Exception as error:
            raise EngineFault(f"the image could not be read: {error}") from error
        return "\n".join(found.txts or ())

    def _loaded(self) -> Any:
        if self._model is None:
            from rapidocr import RapidOCR

            self._model = RapidOCR(params=_SETTINGS)
        return self._model


def _pixels(image_url: str) -> Any:
    """The image as an array of rows of blue, green, red, which is how the models know it."""
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(image_url.partition(",")[2]))) as picture:
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        flat = _on_paper(picture.convert("RGBA"))
    return np.asarray(flat)[:, :, ::-1]


def _on_paper(picture: "Image") -> "Image":
    """Without transparency, on white or, where what is drawn is light, on black."""
    from PIL import Image, ImageStat

    alpha = picture.getchannel("A")
    drawn = ImageStat.Stat(picture.convert("L"), mask=alpha)
    is_light = drawn.count[0] > 0 and drawn.mean[0] > 127 and alpha.getextrema()[0] == 0
    # The model enlarges the shorter side to 736 pixels: a strip of 4000 x 3 would become a
    # million pixels long, and its reading take most of a minute.
    least = max(SHORTEST_SIDE, max(picture.size) // LONGEST_RATIO)
    size = (max(picture.width, least), max(picture.height, least))
    paper = Image.new("RGB", size, "black" if is_light else "white")
    paper.paste(picture, mask=alpha)
    return paper
