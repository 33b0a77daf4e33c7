"""Draw the sprite atlases of the picture world: ``python scripts/sprites.py node_modules/@iconify-json``.

The atlases are stored in ``fixlip_helpers/assets/sprites``, so nobody needs this to read the book; it is how they were
made, once, from the npm packages ``@iconify-json/noto``, ``twemoji``, ``fluent-emoji-flat`` and ``openmoji`` (NOTICE
states their licences). Needs ``pip install cairosvg`` and the cairo library.
"""

import argparse
import io
import json
from pathlib import Path

import cairosvg
from PIL import Image
from tqdm import tqdm

from fixlip_helpers.scenes import _ATLAS_COLUMNS, _SPRITES, DRAWINGS, SPRITE

PACKAGES = {
    "noto": "noto",
    "twemoji": "twemoji",
    "fluent": "fluent-emoji-flat",
    "openmoji": "openmoji",
}


def draw(icons: dict, name: str) -> Image.Image:
    """One emoji, cropped to what it shows, its longer side ``SPRITE`` pixels long."""
    while name in icons.get("aliases", {}):
        name = icons["aliases"][name]["parent"]
    icon = icons["icons"][name]
    left, top = icon.get("left", 0), icon.get("top", 0)
    width, height = (icon.get(side, icons.get(side)) for side in ("width", "height"))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left} {top} {width} {height}" '
        f'width="{width}" height="{height}">{icon["body"]}</svg>'
    )
    png = cairosvg.svg2png(svg.encode(), output_width=256, output_height=256)
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    image = image.crop(image.getchannel("A").point(lambda alpha: 255 * (alpha > 8)).getbbox())
    scale = SPRITE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("packages", type=Path, help="the folder that holds the four npm packages")
    parser.add_argument("--out", type=Path, default=_SPRITES)
    given = parser.parse_args()
    rows = -(-len(DRAWINGS) // _ATLAS_COLUMNS)
    for style, package in tqdm(PACKAGES.items(), unit="set"):
        icons = json.loads((given.packages / package / "icons.json").read_text())
        atlas = Image.new("RGBA", (_ATLAS_COLUMNS * SPRITE, rows * SPRITE))
        for k, drawing in enumerate(DRAWINGS.values()):
            image, (row, column) = draw(icons, drawing), divmod(k, _ATLAS_COLUMNS)
            x = column * SPRITE + (SPRITE - image.width) // 2
            y = row * SPRITE + (SPRITE - image.height) // 2
            atlas.paste(image, (x, y))
        atlas.save(given.out / f"{style}.png", optimize=True)


if __name__ == "__main__":
    main()
