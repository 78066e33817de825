"""The peer of the gpu-step bench: the same full training step in plain PyTorch on the GPU, in float32; prints one JSON line."""
import argparse
import json
import pathlib
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "test" / "golden"))

import torch  # noqa: E402

from torch_slip import Slip, adamw  # noqa: E402

WARM_UP_STEPS, MEASURED_STEPS = 3, 10
TOWERS = {"VITS16": (384, 12, 12), "VITB16": (768, 12, 12), "VITL16": (1024, 24, 16)}


def used_gpu_memory_gb():
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    return float(subprocess.check_output(query, text=True).split("\n")[0]) / 1000


parser = argparse.ArgumentParser()
parser.add_argument("--model", default="SLIP_VITB16")
parser.add_argument("--batch-size", type=int, default=64)
options = parser.parse_args()

before = used_gpu_memory_gb()
torch.manual_seed(0)
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
family, tower = options.model.split("_")
width, depth, heads = TOWERS[tower]
config = dict(image=224, patch=16, width=width, depth=depth, heads=heads, context=77, vocab=49408, text_width=512,
              text_depth=12, text_heads=8, embed=512, ssl_mlp=4096, ssl_emb=256)
torch.set_default_device("cuda")
model = Slip(family, config)
for parameter in model.parameters():
    if parameter.ndim >= 2:
        torch.nn.init.normal_(parameter, std=0.02)
optimizer = adamw(model, 1e-4, 0.1)
rows = options.batch_size
views = {name: torch.rand(rows, 3, 224, 224) * 2 - 1 for name in ("image", "aug1", "aug2")}
views["tokens"] = torch.randint(1, 49000, (rows, 77))

durations, loss = [], None
for _ in range(WARM_UP_STEPS + MEASURED_STEPS):
    started = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    loss = model.losses(views)["loss"]
    loss.backward()
    optimizer.step()
    torch.cuda.synchronize()
    durations.append(time.perf_counter() - started)
measured = sorted(durations[WARM_UP_STEPS:])
print(json.dumps({
    "imagesPerSecond": rows / measured[len(measured) // 2],
    "gpuMemoryGB": used_gpu_memory_gb() - before,
    "loss": float(loss),
}))
