"""Makes the pictures of the page in docs/images: ``python tests/real/page_images.py``."""

import base64
import os
import struct
import sys
import tempfile
import zlib
from pathlib import Path

from page_scene import scene, served
from parts import chromium

FOLDER = Path(__file__).parents[2] / "docs" / "images"

LOOKS = {"page-light": ("light", 1280, 1504), "page-dark": ("dark", 1280, 1504)} | {
    "page-narrow": ("light", 360, 1400)
}

FEW_COLOURS = """
const [address, done] = arguments, image = new Image();
image.onload = () => {
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
  const parts = pixel => [pixel & 255, pixel >> 8 & 255, pixel >> 16 & 255];
  const palette = [], places = new Map();
  const far = colour =>
    palette.map(one => Math.hypot(...one.map((part, at) => part - colour[at])));
  for (const [pixel] of [...counts].sort((one, other) => other[1] - one[1])) {
    const colour = parts(pixel);
    if (palette.length < 256 && Math.min(...far(colour)) > 6) palette.push(colour);
  }
  for (const pixel of counts.keys()) {
    const distances = far(parts(pixel));
    places.set(pixel, distances.indexOf(Math.min(...distances)));
  }
  const indices = Uint8Array.from(pixels, pixel => places.get(pixel));
  let text = "";
  for (let at = 0; at < indices.length; at += 8192) {
    text += String.fromCharCode(...indices.subarray(at, at + 8192));
  }
  done([image.width, image.height, palette.flat(), btoa(text)]);
};
image.src = address;
"""
"""A picture's size, its most frequent colours that differ, and which is nearest to each pixel."""


def small(browser: chromium.Browser, picture: bytes) -> bytes:
    """The same PNG with a palette, in a third of its size."""
    address = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    browser.open("about:blank")
    width, height, palette, text = browser.driver.execute_async_script(FEW_COLOURS, address)
    pixels = base64.b64decode(text)
    lines = b"".join(b"\0" + pixels[at : at + width] for at in range(0, len(pixels), width))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            chunk(b"PLTE", bytes(palette)),
            chunk(b"IDAT", zlib.compress(lines, 9)),
            chunk(b"IEND", b""),
        ]
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def main() -> None:
    """Make each picture anew."""
    FOLDER.mkdir(exist_ok=True)
    os.environ["OTEL_SERVICE_NAME"] = "nova-api"
    programs = chromium.install(lambda line: sys.stdout.write(f"{line}\n"))
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place,
        chromium.chromium(programs, Path(place)) as browser,
        served(scene()) as handle,
    ):
        for name, (scheme, width, height) in LOOKS.items():
            browser.look(scheme, width, height)
            browser.open(handle.url)
            browser.shows("fail", "#words")
            file = FOLDER / f"{name}.png"
            file.write_bytes(small(browser, browser.screenshot()))
            sys.stdout.write(f"{file}: {file.stat().st_size // 1024} KB\n")


if __name__ == "__main__":
    main()
