"""Writes gradients.json: losses, gradients and ten AdamW steps of small models, by PyTorch in float64.

    python3 test/golden/generate-gradients.py        (Debian's python3-torch or PyPI's torch)

Weights and inputs come from formulas that the test repeats:
    element i of tensor t (state-dict order, parameters only):  base + amplitude * sin(0.618034 * (i + 1) + t)
        base 1, amplitude 0.1 for the weights of norms; base 0, amplitude 0.1 for other vectors;
        base 0, amplitude 0.1 for visual.cls_token and visual.pos_embed, so that rows differ where batch norm looks;
        base 0, amplitude 0.4 otherwise; logit_scale is 2.5
    pixel (b, c, y, x) of view v (image 0, aug1 1, aug2 2):
        1.2 * sin(0.3 * (b + 1) * (x + 0.5 * y) + c + 0.5 * v) + 0.5 * (b - 1.5)
        (rows differ, so that batch norm over them is well conditioned)
    token j of row b:  49 * b + 11 * j mod 61 for j < 4 + b, then 63 (the largest id, end of text), then 0
"""
import json
import pathlib

import numpy as np
import torch

from torch_slip import Slip, adamw

CONFIG = dict(image=16, patch=8, width=16, depth=2, heads=2, context=8, vocab=64, text_width=12, text_depth=2,
              text_heads=3, embed=10, ssl_mlp=24, ssl_emb=6)
BATCH = 8
LR, WEIGHT_DECAY, STEPS = 1e-4, 0.1, 10


def fill(model):
    for t, (name, parameter) in enumerate(model.named_parameters()):
        is_norm = parameter.ndim == 1 and name.endswith("weight")
        base, amplitude = (1.0, 0.1) if is_norm else (0.0, 0.1 if parameter.ndim < 2 else 0.4)
        if name in ("visual.cls_token", "visual.pos_embed"):
            amplitude = 0.1
        i = np.arange(parameter.numel(), dtype=np.float64)
        values = base + amplitude * np.sin(0.618034 * (i + 1) + t)
        if name == "logit_scale":
            values = np.array([2.5])
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values.astype(np.float32)).view(parameter.shape))


def views():
    size = CONFIG["image"]
    b, c, y, x = np.meshgrid(*[np.arange(n, dtype=np.float64) for n in (BATCH, 3, size, size)], indexing="ij")
    out = {}
    for v, name in enumerate(["image", "aug1", "aug2"]):
        data = 1.2 * np.sin(0.3 * (b + 1) * (x + 0.5 * y) + c + 0.5 * v) + 0.5 * (b - 1.5)
        out[name] = torch.from_numpy(data.astype(np.float32)).double()
    tokens = np.zeros((BATCH, CONFIG["context"]), dtype=np.int64)
    for b in range(BATCH):
        for j in range(min(4 + b, CONFIG["context"] - 1)):
            tokens[b, j] = (49 * b + 11 * j) % 61
        tokens[b, min(4 + b, CONFIG["context"] - 1)] = 63
    out["tokens"] = torch.from_numpy(tokens)
    return out


def rounded(tensor):
    return [float(f"{value:.8g}") for value in tensor.detach().double().flatten().tolist()]


def golden(family):
    torch.set_default_dtype(torch.float32)
    model = Slip(family, CONFIG)
    fill(model)
    model = model.double()
    torch.set_default_dtype(torch.float64)
    data = views()
    optimizer = adamw(model, LR, WEIGHT_DECAY)
    result = {"losses": [], "gradients": {}, "checksums": {}}
    for step in range(STEPS):
        optimizer.zero_grad()
        out = model.losses(data)
        out["loss"].backward()
        if step == 0:
            result["first"] = {name: float(value) for name, value in out.items()}
            result["gradients"] = {name: rounded(p.grad) for name, p in model.named_parameters()}
            if family != "CLIP":
                mlp = model.image_mlp
                result["running"] = {f"image_mlp.{bn}.{stat}": rounded(getattr(getattr(mlp, bn), stat))
                                     for bn in ("bn1", "bn2") for stat in ("running_mean", "running_var")}
        result["losses"].append(float(out["loss"]))
        optimizer.step()
    result["finalParameterNorms"] = {name: float(p.norm()) for name, p in model.named_parameters()}
    return result


def main():
    here = pathlib.Path(__file__).parent
    document = {
        "generator": "generate-gradients.py",
        "torch": torch.__version__,
        "config": CONFIG,
        "batch": BATCH,
        "optimizer": {"lr": LR, "weightDecay": WEIGHT_DECAY, "steps": STEPS},
        "families": {family: golden(family) for family in ("CLIP", "SIMCLR", "SLIP")},
    }
    (here / "gradients.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
