"""What tests do with the page in Chromium, and what they read from it."""

import base64
import io
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from PIL import Image

from tests.studio.conftest import wait_until

DONE = "#actions:not([hidden])"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DROP = """([data, target]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "a.png", { type: "image/png" }));
  document.querySelector(target).dispatchEvent(
    new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def draw(page: Any, prompt: str = "a red apple") -> None:
    page.fill("#prompt", prompt)
    page.press("#prompt", "Enter")
    page.wait_for_selector("#stop:not([hidden])")
    page.wait_for_selector("#stop", state="hidden")


def idle(page: Any) -> None:
    """Wait until a drawing is finished."""
    page.wait_for_selector(DONE)
    page.wait_for_selector("#stop", state="hidden")


def holds(page: Any, expression: str) -> None:
    """Wait for an expression; the page's policy forbids Playwright's own way, which is eval."""
    wait_until(lambda: page.evaluate(expression))


def src(page: Any, name: str = "#x-t") -> str:
    return page.get_attribute(name, "src") or ""


def settings(page: Any) -> dict[str, list[str]]:
    """The settings in the page's address."""
    return parse_qs(page.evaluate("location.hash").removeprefix("#"))


def pixels(page: Any) -> Any:
    """The RGB bytes of the picture that the page offers for download."""
    with page.expect_download() as download:
        page.click("#png")
    with Image.open(download.value.path()) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def drop(page: Any, data: bytes, target: str = "body") -> None:
    """Drop a file on an element."""
    page.evaluate(DROP, [base64.b64encode(data).decode(), target])


def begin_with(page: Any, data: bytes, prompt: str = "cat") -> None:
    """Begin a drawing with a picture, and wait until it is finished."""
    page.fill("#prompt", prompt)
    drop(page, data)
    page.wait_for_selector(".picture")
    idle(page)
    page.select_option(".picture select", "init")
    page.wait_for_selector("#paint-mask")
    idle(page)


def random_picture() -> tuple[bytes, Any]:
    """A PNG file of the model's size, and its pixels in the size of a drawing's file."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue(), pixels.repeat(4, 0).repeat(4, 1).astype(int)


def open_mask(page: Any) -> list[tuple[float, float]]:
    """Open the dialog that paints a mask; returns three places on it: a stroke to the right."""
    page.click("#paint-mask")
    page.wait_for_selector("#mask-dialog[open]")
    box = page.locator("#mask-canvas").bounding_box()
    y = box["y"] + box["height"] * 0.2
    return [(box["x"] + box["width"] * share, y) for share in (0.2, 0.3, 0.4)]


def paint_with_mouse(page: Any, places: list[tuple[float, float]]) -> None:
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()


def apply_mask(page: Any) -> None:
    """Draw with the mask that is painted, and wait until that is finished."""
    page.click("#mask-apply")
    holds(page, "location.hash.includes('mask=')")
    idle(page)


def check_masked(drawn: Any, picture: Any) -> None:
    """Below the stroke of `open_mask` are other pixels; the rest is the picture's."""
    around = np.zeros(drawn.shape[:2], bool)
    around[24:80, 24:130] = True  # the brush, and the place of a pixel of the model around it
    assert (drawn[~around] == picture[~around]).all()
    assert (drawn[44:60, 50:104] != picture[44:60, 50:104]).any(-1).mean() > 0.9


def open_stop(page: Any, name: str) -> None:
    """Open a stop of the tour, and wait until it is computed."""
    page.click(f"#stop-{name}")
    page.wait_for_selector("#tour-stage[aria-busy=false]")
    page.wait_for_selector("#tour-stop", state="hidden")
