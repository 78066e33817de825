"""Loads with PyTorch what slip-checkpoint wrote, compares it with what PyTorch itself had written, and says what it found
as JSON. Called by test/src/weights/*.long.ts; development only.

usage: check-written.py same ORIGINAL SAFE REWRITTEN TIMM | big-read FILE | big-write FILE"""
import json
import sys

import torch

from torch_slip import Slip, adamw


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.view(-1).view(torch.uint8) if a.ndim else a, b.view(-1).view(torch.uint8) if b.ndim else b)


def same(original_path, safe_path, rewritten_path, timm_path):
    with open("torch/expected.json", encoding="utf8") as file:
        expected = json.load(file)["slip"]
    original = torch.load(original_path)
    safe = torch.load(safe_path, weights_only=True)
    rewritten = torch.load(rewritten_path)
    timm = torch.load(timm_path, weights_only=True)
    state = original["state_dict"]
    result = {
        "safe": all(same_bits(state["module." + name], tensor) for name, tensor in safe["state_dict"].items())
        and len(safe["state_dict"]) == len(state),
        "rewritten": list(rewritten["state_dict"]) == list(state)
        and all(same_bits(state[name], tensor) for name, tensor in rewritten["state_dict"].items()),
        "timm": all(same_bits(state["module.visual." + name], tensor) for name, tensor in timm.items()),
        "keys": list(rewritten) == list(original),
        "args": [rewritten["args"].model, rewritten["args"].ssl_mlp_dim, rewritten["args"].lr],
        "epoch": [rewritten["epoch"], rewritten["best_acc1"], safe["epoch"]],
    }
    sizes = expected["sizes"]

    def continued(checkpoint):
        model = Slip("SLIP", sizes)
        model.load_state_dict({name.replace("module.", ""): tensor for name, tensor in checkpoint["state_dict"].items()})
        optimizer = adamw(model, lr=1e-3, weight_decay=0.1)
        optimizer.load_state_dict(checkpoint["optimizer"])
        generator = torch.Generator().manual_seed(9)
        side = sizes["image"]
        tokens = torch.randint(1, sizes["vocab"], (4, sizes["context"]), generator=generator)
        views = {name: torch.randn(4, 3, side, side, generator=generator) for name in ("image", "aug1", "aug2")}
        for group in optimizer.param_groups:
            group["lr"] = 1e-3
        model.losses({**views, "tokens": tokens})["loss"].backward()
        optimizer.step()
        return model.state_dict()

    first, second = continued(original), continued(rewritten)
    result["continued"] = all(same_bits(first[name], second[name]) for name in first)
    model = Slip("SLIP", sizes)
    model.load_state_dict(safe["state_dict"])
    model.eval()
    image = torch.tensor(expected["image"]).view(-1, 3, sizes["image"], sizes["image"])
    with torch.no_grad():
        embed = (model.visual(image) @ model.image_projection).flatten()
    result["outputs"] = float((embed - torch.tensor(expected["imageEmbed"])).abs().max())
    print(json.dumps(result))


def big_read(path):
    checkpoint = torch.load(path, weights_only=True)
    state = checkpoint["state_dict"]
    print(json.dumps({"names": list(state), "elements": state["big"].numel(), "nonzero": int(state["big"].count_nonzero()),
                      "last": float(state["big"][-1]), "after": state["after"].tolist()}))


def big_write(path):
    big = torch.zeros(2**30 + 2**26)
    big[-1] = 3.5
    torch.save({"state_dict": {"before": torch.arange(3.0), "big": big, "after": torch.tensor([7.0, 8.0])}}, path)
    print(json.dumps({"bytes": big.numel() * 4}))


{"same": same, "big-read": big_read, "big-write": big_write}[sys.argv[1]](*sys.argv[2:])
