"""The peer of the train-step bench: the same full training step in plain PyTorch; prints one JSON line."""
import argparse
import json
import pathlib
import resource
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "test" / "golden"))

import torch  # noqa: E402

from torch_slip import Slip, adamw  # noqa: E402

WARM_UP_STEPS, MEASURED_STEPS = 1, 2
TOWERS = {"VITS16": (384, 12, 12), "VITB16": (768, 12, 12), "VITL16": (1024, 24, 16)}

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="SLIP_VITS16")
parser.add_argument("--batch-size", type=int, default=8)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()

torch.manual_seed(0)
torch.set_num_threads(options.threads)
family, tower = options.model.split("_")
width, depth, heads = TOWERS[tower]
config = dict(image=224, patch=16, width=width, depth=depth, heads=heads, context=77, vocab=49408, text_width=512,
              text_depth=12, text_heads=8, embed=512, ssl_mlp=4096, ssl_emb=256)
model = Slip(family, config)
for parameter in model.parameters():
    if parameter.ndim >= 2:
        torch.nn.init.normal_(parameter, std=0.02)
optimizer = adamw(model, 1e-4, 0.1)
rows = options.batch_size
views = {name: torch.rand(rows, 3, 224, 224) * 2 - 1 for name in ("image", "aug1", "aug2")}
views["tokens"] = torch.randint(1, 49000, (rows, 77))

durations, losses = [], []
for _ in range(WARM_UP_STEPS + MEASURED_STEPS):
    started = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    loss = model.losses(views)["loss"]
    loss.backward()
    optimizer.step()
    durations.append(time.perf_counter() - started)
    losses.append(float(loss))
measured = durations[WARM_UP_STEPS:]
print(json.dumps({
    "imagesPerSecond": rows * len(measured) / sum(measured),
    "peakMemoryGB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    "firstLoss": losses[0],
    "lastLoss": losses[-1],
}))
