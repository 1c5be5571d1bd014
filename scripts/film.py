"""A small animated picture out of screenshots."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.async_api import Page

COLOURS = 256
LAST = 4.0
"""Seconds that the last picture stays before the story begins again."""


@dataclass
class Film:
    """The frames of an animated picture, each with its time in seconds."""

    frames: list[tuple[Image.Image, float]] = field(default_factory=list)

    async def take(self, page: Page, seconds: float) -> None:
        """Add what the page shows now."""
        picture = Image.open(io.BytesIO(await page.screenshot())).convert("RGB")
        if self.frames and self.frames[-1][0].tobytes() == picture.tobytes():
            before, shown = self.frames.pop()
            self.frames.append((before, shown + seconds))
            return
        self.frames.append((picture, seconds))

    def save(self, path: Path) -> None:
        """Write a GIF that repeats.

        One palette for all frames: what does not change is then stored once only.
        """
        pictures = [picture for picture, _ in self.frames]
        palette = _sheet(pictures).quantize(COLOURS, Image.Quantize.FASTOCTREE)
        drawn = [
            picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures
        ]
        times = [round(seconds * 1000) for _, seconds in self.frames]
        times[-1] = round(LAST * 1000)
        drawn[0].save(
            path, save_all=True, append_images=drawn[1:], duration=times, loop=0, optimize=True
        )


def _sheet(pictures: list[Image.Image]) -> Image.Image:
    """Return all pictures, small and below each other, for a palette that suits each."""
    small = [picture.resize((picture.width // 2, picture.height // 2)) for picture in pictures]
    sheet = Image.new("RGB", (small[0].width, sum(one.height for one in small)))
    top = 0
    for one in small:
        sheet.paste(one, (0, top))
        top += one.height
    return sheet
