"""Images as they come and as they go on: checked, upright, without metadata."""

import base64
import struct
import zlib
from collections.abc import AsyncIterator

import pytest
from PIL import Image, PngImagePlugin

from duologue.errors import Refusal
from duologue.seeing.fetch import Fetch
from duologue.seeing.images import MOST_PIXELS, CleanImages
from pictures import data_uri, drawn, file, opened

LIMIT_BYTES = 200_000


@pytest.fixture
async def images() -> AsyncIterator[CleanImages]:
    limit = LIMIT_BYTES
    images = CleanImages(Fetch(frozenset(), limit_bytes=limit), limit_bytes=limit)
    yield images
    await images.aclose()


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header says that it is huge."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
async def test_a_png_keeps_every_pixel(images: CleanImages, mode: str) -> None:
    before = drawn("Hello").convert("L").convert(mode)
    after = opened(await images.take(data_uri(file(before))))
    assert (after.format, after.mode) == ("PNG", mode)
    assert after.tobytes() == before.tobytes()


@pytest.mark.parametrize("kind", ["jpeg", "jpg", "JPEG"])
async def test_a_jpeg_stays_one_and_keeps_its_quality(images: CleanImages, kind: str) -> None:
    data = file(drawn("Hello"), "JPEG", quality=60)
    after = await images.take(data_uri(data, kind))
    assert after.startswith("data:image/jpeg;base64,")
    before = opened(data_uri(data))
    assert opened(after).quantization == before.quantization  # type: ignore[attr-defined]


async def test_a_transparent_colour_of_a_palette_stays_transparent(images: CleanImages) -> None:
    picture = drawn("Hello").convert("P")
    after = opened(await images.take(data_uri(file(picture, transparency=3))))
    assert after.info["transparency"] == 3


async def test_what_is_called_png_but_is_jpeg_is_taken_for_what_it_is(images: CleanImages) -> None:
    after = await images.take(data_uri(file(drawn("Hello"), "JPEG"), "png"))
    assert after.startswith("data:image/jpeg;base64,") and opened(after).format == "JPEG"


async def test_a_printers_jpeg_in_four_colours_becomes_one_for_screens(images: CleanImages) -> None:
    data = file(drawn("Hello").convert("CMYK"), "JPEG")
    assert opened(await images.take(data_uri(data, "jpeg"))).mode == "RGB"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
async def test_no_metadata_and_nothing_appended_goes_on(images: CleanImages, kind: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SECRET camera"
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "SECRET text")
    options = {"comment": b"SECRET comment"} if kind == "JPEG" else {"pnginfo": texts}
    data = file(drawn("Hello"), kind, exif=exif, **options) + b"SECRET at the end"
    assert data.count(b"SECRET") == 3
    after = base64.b64decode((await images.take(data_uri(data, kind.lower()))).partition(",")[2])
    assert b"SECRET" not in after and b"Exif" not in after and b"eXIf" not in after


async def test_a_photo_taken_sideways_is_turned_upright(images: CleanImages) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    picture = Image.new("RGB", (80, 40), "white")
    picture.paste("red", (0, 0, 40, 40))
    after = opened(await images.take(data_uri(file(picture, "JPEG", exif=exif), "jpeg")))
    assert after.size == (40, 80)
    red, green, blue = after.getpixel((20, 10))  # type: ignore[misc]
    assert red > 200 and green < 60 and blue < 60


GIF = file(drawn("Hello"), "GIF")
WEBP = file(drawn("Hello"), "WEBP")
WHOLE = file(drawn("Hello"), "PNG")
NOISE = Image.effect_noise((600, 600), 90)


@pytest.mark.conformance("C-114")
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.org/a.png", "invalid_value"),
        ("http://example.org/a.png", "invalid_value"),
        ("file:///etc/passwd", "invalid_value"),
        ("https://example.org/a.png", "invalid_value"),  # no host is allowed
        ("", "invalid_value"),
        (data_uri(GIF, "gif"), "invalid_value"),
        (data_uri(WEBP, "webp"), "invalid_value"),
        (data_uri(b"<svg/>", "svg+xml"), "invalid_value"),
        ("data:image/png,abc", "invalid_value"),
        (data_uri(GIF), "invalid_image_format"),
        (data_uri(WEBP, "jpeg"), "invalid_image_format"),
        (data_uri(b"not an image"), "invalid_image_format"),
        (data_uri(b""), "empty_image_file"),
        ("data:image/png;base64,@@@@", "invalid_base64_image"),
        ("data:image/png;base64,iVBORw0KGgo", "invalid_base64_image"),
        (data_uri(WHOLE[: len(WHOLE) // 2]), "image_parse_error"),
        (data_uri(WHOLE[:60] + bytes(200) + WHOLE[260:]), "image_parse_error"),
        (data_uri(file(drawn("Hello"), "JPEG")[:900], "jpeg"), "image_parse_error"),
        (data_uri(file(NOISE)), "image_file_too_large"),
        (data_uri(png_that_claims(5001, 5000)), "image_too_large"),
        (data_uri(png_that_claims(12_000, 12_000)), "image_too_large"),
        (data_uri(png_that_claims(60_000, 60_000)), "image_too_large"),
    ],
)
async def test_what_cannot_be_taken_is_refused_by_name(
    images: CleanImages, url: str, code: str
) -> None:
    with pytest.raises(Refusal) as refused:
        await images.take(url)
    assert refused.value.code == code


async def test_an_image_as_large_as_may_be_is_taken(images: CleanImages) -> None:
    side = int(MOST_PIXELS**0.5)
    data = file(Image.new("1", (side, side)))
    assert opened(await images.take(data_uri(data))).size == (side, side)
