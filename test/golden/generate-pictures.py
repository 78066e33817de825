"""Small pictures of every kind that photographs come in, written by Pillow, and the bytes that Pillow's convert("RGB") makes of them:
pictures/* and pictures/expected.json. Pillow 9.4 of Debian 12: /usr/bin/python3 generate-pictures.py"""
import base64
import io
import json
import pathlib
import random

from PIL import Image, ImageFile

ImageFile.LOAD_TRUNCATED_IMAGES = True
folder = pathlib.Path(__file__).parent / "pictures"
folder.mkdir(exist_ok=True)
random.seed(6)
WIDTH, HEIGHT = 41, 27


def smooth(channels, shift=0):
    """Colours that change slowly, so that JPEG keeps them."""
    return bytes(
        (x * (3 + c) + y * (7 - 2 * c) + 60 * c + shift) % 256 for y in range(HEIGHT) for x in range(WIDTH) for c in range(channels))


rgb = Image.frombytes("RGB", (WIDTH, HEIGHT), smooth(3))
other = Image.frombytes("RGB", (WIDTH, HEIGHT), smooth(3, 90))
rgba = Image.frombytes("RGBA", (WIDTH, HEIGHT), smooth(4))
grey = rgb.convert("L")
palette = rgb.quantize(16)
files = {}


def save(name, image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    files[name] = buffer.getvalue()


save("baseline.jpg", rgb, format="JPEG", quality=90)
save("progressive.jpg", rgb, format="JPEG", quality=80, progressive=True)
save("full-chroma.jpg", rgb, format="JPEG", subsampling=0)
save("wide-chroma.jpg", rgb, format="JPEG", subsampling=1)
save("grey.jpg", grey, format="JPEG")
save("inks.jpg", rgb.convert("CMYK"), format="JPEG")
exif = Image.Exif()
exif[0x0112] = 6
save("turned.jpg", rgb, format="JPEG", exif=exif)
files["cut.jpg"] = files["baseline.jpg"][: int(len(files["baseline.jpg"]) * 0.7)]
save("rgb.png", rgb, format="PNG")
save("alpha.png", rgba, format="PNG")
save("grey.png", grey, format="PNG")
save("grey-alpha.png", rgba.convert("LA"), format="PNG")
save("palette.png", palette, format="PNG")
save("palette-clear.png", palette, format="PNG", transparency=3)
save("one-bit.png", grey.convert("1"), format="PNG")
save("still.gif", palette, format="GIF")
save("animated.gif", palette, format="GIF", save_all=True, append_images=[other.quantize(16)])
save("still.webp", rgb, format="WEBP", lossless=True)
save("animated.webp", rgb, format="WEBP", lossless=True, save_all=True, append_images=[other])
save("strips.tiff", rgb, format="TIFF", compression="tiff_lzw")
# Pillow cannot write 16 bits of three channels, and clips those of one: what ours does is stated instead (see the test).
save("grey16.png", Image.frombytes("I;16", (WIDTH, HEIGHT), bytes(
    b for y in range(HEIGHT) for x in range(WIDTH) for b in ((x * y) % 256, (5 * x + y) % 256))), format="PNG")

expected = {}
for name, data in files.items():
    (folder / name).write_bytes(data)
    with Image.open(io.BytesIO(data)) as image:
        converted = image.convert("RGB")
    expected[name] = {
        "width": converted.width, "height": converted.height, "rgb": base64.b64encode(converted.tobytes()).decode()}
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
