"""Writes resnet.json: a small modified ResNet (torch_resnet.py) in float64: features, gradients, running statistics, evaluation; and
the names and shapes of the full CLIP_RN50 tower.

    python3 test/golden/generate-resnet.py        (Debian's python3-torch or PyPI's torch)

Weights and inputs come from formulas that the test repeats:
    element i of tensor t (parameters in state-dict order):  base + amplitude * sin(0.618034 * (i + 1) + t)
        base 1, amplitude 0.1 for weights of batch norms; base 0, amplitude 0.1 for other vectors;
        base 0, amplitude sqrt(2 / fan in) otherwise (fan in: the product of all axes but the first)
    pixel (b, c, y, x):  sin(0.3 * (b + 1) * (x + 0.5 * y) + c) + 0.5 * (b - 1.5)
    loss = sum of features * cos(0.9 * i) over their elements i
"""
import json
import pathlib

import numpy as np
import torch

from torch_resnet import ModifiedResNet

CONFIG = dict(image=64, width=4, layers=[2, 1, 1, 1], heads=4, out=6)
BATCH = 4


def fill(model):
    for t, (name, parameter) in enumerate(model.named_parameters()):
        is_norm = parameter.ndim == 1 and name.endswith("weight")
        fan_in = parameter[0].numel()
        base, amplitude = (1.0, 0.1) if is_norm else (0.0, 0.1 if parameter.ndim < 2 else (2 / fan_in) ** 0.5)
        i = np.arange(parameter.numel(), dtype=np.float64)
        values = (base + amplitude * np.sin(0.618034 * (i + 1) + t)).astype(np.float32)
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values).view(parameter.shape))


def image():
    b, c, y, x = np.meshgrid(*[np.arange(n, dtype=np.float64) for n in (BATCH, 3, CONFIG["image"], CONFIG["image"])],
                             indexing="ij")
    data = np.sin(0.3 * (b + 1) * (x + 0.5 * y) + c) + 0.5 * (b - 1.5)
    return torch.from_numpy(data.astype(np.float32)).double()


def rounded(tensor):
    return [float(f"{value:.7g}") for value in tensor.detach().flatten().tolist()]


model = ModifiedResNet(**CONFIG)
fill(model)
model = model.double()
features = model(image())
weights = torch.from_numpy(np.cos(0.9 * np.arange(features.numel()))).view(features.shape)
loss = (features * weights).sum()
loss.backward()
running = {name: rounded(value) for name, value in model.named_buffers() if value.is_floating_point()}
model.eval()
with torch.no_grad():
    evaluated = model(image())
full = ModifiedResNet(224, 64, [3, 4, 6, 3], 32, 1024)
document = {
    "generator": "generate-resnet.py",
    "torch": torch.__version__,
    "config": CONFIG,
    "batch": BATCH,
    "loss": float(loss),
    "features": rounded(features),
    "gradients": {name: rounded(p.grad) for name, p in model.named_parameters()},
    "running": running,
    "evaluated": rounded(evaluated),
    "fullTower": {name: list(value.shape) for name, value in full.state_dict().items()},
}
here = pathlib.Path(__file__).parent
(here / "resnet.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")
