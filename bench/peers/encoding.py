"""The peer of the encoding bench: images and texts through the towers of plain PyTorch in inference mode; prints one JSON line."""
import argparse
import json
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "test" / "golden"))

import torch  # noqa: E402

from torch_slip import Slip  # noqa: E402

WARM_UP, MEASURED = 1, 5
TOWERS = {"VITS16": (384, 12, 12), "VITB16": (768, 12, 12), "VITL16": (1024, 24, 16)}

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="SLIP_VITS16")
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()

torch.manual_seed(0)
torch.set_num_threads(options.threads)
family, tower = options.model.split("_")
width, depth, heads = TOWERS[tower]
model = Slip(family, dict(image=224, patch=16, width=width, depth=depth, heads=heads, context=77, vocab=49408,
                          text_width=512, text_depth=12, text_heads=8, embed=512, ssl_mlp=4096, ssl_emb=256)).eval()
for parameter in model.parameters():
    if parameter.ndim >= 2:
        torch.nn.init.normal_(parameter, std=0.02)
rows = options.batch_size
images = torch.rand(rows, 3, 224, 224) * 2 - 1
tokens = torch.randint(1, 49000, (rows, 77))


@torch.inference_mode()
def rows_per_second(encode, batch):
    times = []
    for _ in range(WARM_UP + MEASURED):
        started = time.perf_counter()
        encode(batch)
        times.append(time.perf_counter() - started)
    return rows / sorted(times[WARM_UP:])[MEASURED // 2]


print(json.dumps({
    "imagesPerSecond": rows_per_second(lambda batch: model.visual(batch) @ model.image_projection, images),
    "textsPerSecond": rows_per_second(model.encode_text, tokens),
}))
