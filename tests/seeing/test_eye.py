"""The eye with its real models: text that is there, and none where there is none."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from PIL import Image

from duologue.errors import EngineFault
from duologue.seeing.eye import RapidOcrEye
from pictures import data_uri, drawn, file
from waiting import started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def eye() -> AsyncIterator[RapidOcrEye]:
    eye = RapidOcrEye()
    yield eye
    await eye.aclose()


in_module = pytest.mark.asyncio(loop_scope="module")


async def read(eye: RapidOcrEye, picture: Image.Image, kind: str = "PNG") -> str:
    return await eye.read(data_uri(file(picture, kind)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@in_module
async def test_text_is_read_line_by_line(eye: RapidOcrEye, kind: str) -> None:
    page = drawn("Platform 9 departs at 14:25", "Bring your passport")
    assert await read(eye, page, kind) == "Platform 9 departs at 14:25\nBring your passport"


@pytest.mark.parametrize("ink", ["black", "white"])
@in_module
async def test_text_on_nothing_is_read_whatever_its_colour(eye: RapidOcrEye, ink: str) -> None:
    alpha = drawn("Gate B12").convert("L").point(lambda grey: 255 - grey)
    page = Image.new("RGBA", alpha.size, ink)
    page.putalpha(alpha)
    assert await read(eye, page) == "Gate B12"


@pytest.mark.parametrize(
    "size",
    [(600, 200), (1, 1), (4000, 3), pytest.param((3, 4000), marks=pytest.mark.slow)],
    ids=str,
)
@in_module
async def test_where_there_is_no_text_none_is_read(eye: RapidOcrEye, size: tuple[int, int]) -> None:
    assert await read(eye, Image.new("RGB", size, "steelblue")) == ""


@in_module
async def test_an_image_that_cannot_be_read_is_a_fault_and_the_next_is_read(
    eye: RapidOcrEye,
) -> None:
    with pytest.raises(EngineFault):
        await eye.read(data_uri(b"broken"))
    assert await read(eye, drawn("Gate B12")) == "Gate B12"


@in_module
async def test_the_line_before_the_eye_is_bounded() -> None:
    eye = RapidOcrEye(waiting_limit=2)
    blank = data_uri(file(Image.new("RGB", (32, 32), "white")))
    asked = [await started(eye.read(blank)) for _ in range(2)]
    with pytest.raises(EngineFault) as refused:
        await eye.read(blank)
    assert refused.value.code == "overloaded"
    assert await asyncio.gather(*asked) == ["", ""]
    assert await eye.read(blank) == ""
    await eye.aclose()


def test_nothing_is_loaded_before_the_first_image() -> None:
    code = (
        "import sys, duologue.gateway.server, duologue.seeing.eye as e; e.RapidOcrEye();"
        "print([m for m in ('rapidocr', 'cv2', 'PIL', 'httpx2') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
