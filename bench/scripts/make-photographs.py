"""Writes JPEG photographs of about 500x375 with captions, in COCO's layout, for the data-loading bench: cuts of the two photographs
that scikit-learn brings, and of those in any folder of yours. Usage: make-photographs.py OUTPUT [--count 256] [--sources DIR]"""
import argparse
import json
import math
import pathlib
import random

from PIL import Image
from sklearn.datasets import load_sample_images

AREA = 500 * 375

parser = argparse.ArgumentParser()
parser.add_argument("output", type=pathlib.Path)
parser.add_argument("--count", type=int, default=256)
parser.add_argument("--sources", type=pathlib.Path)
options = parser.parse_args()

photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
if options.sources is not None:
    found = sorted(path for path in options.sources.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    photographs += [Image.open(path).convert("RGB") for path in found]
draw = random.Random(0)
folder = options.output / "train2017"
folder.mkdir(parents=True, exist_ok=True)
annotations = []
for number in range(options.count):
    photograph = photographs[number % len(photographs)]
    # Most are 4:3, some upright, none exactly alike.
    ratio = (4 / 3) ** draw.choice([1, 1, 1, -1]) * draw.uniform(0.95, 1.05)
    width, height = round(math.sqrt(AREA * ratio)), round(math.sqrt(AREA / ratio))
    share = draw.uniform(0.75, 1)
    scale = share * min(photograph.width / width, photograph.height / height)
    left = draw.uniform(0, photograph.width - width * scale)
    top = draw.uniform(0, photograph.height - height * scale)
    box = (left, top, left + width * scale, top + height * scale)
    picture = photograph.resize((width, height), Image.Resampling.BICUBIC, box=box)
    if draw.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture.save(folder / f"{number:012d}.jpg", quality=draw.choice([85, 90, 92, 95]))
    annotations.append({"id": number, "image_id": number, "caption": f"photograph number {number}"})
(options.output / "captions.json").write_text(json.dumps({"annotations": annotations}))
print(f"{options.count} photographs in {folder}")
