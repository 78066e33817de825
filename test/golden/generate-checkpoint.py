"""Writes torch/: small files of PyTorch's own making and what is in them, for the reader of .pt files. Run with
PyTorch 1.13 and numpy; development only."""
import argparse
import collections
import hashlib
import json
import pathlib
import zipfile

import numpy as np
import torch

from torch_slip import Slip, adamw

here = pathlib.Path(__file__).parent / "torch"
here.mkdir(exist_ok=True)

SIZES = dict(image=32, patch=16, width=8, depth=2, heads=2, context=6, text_width=8, text_depth=2, text_heads=2,
             vocab=30, embed=6, ssl_mlp=8, ssl_emb=4)


class Wrapped(torch.nn.Module):
    """Gives the names the prefix that data-parallel training gives them."""

    def __init__(self, module):
        super().__init__()
        self.module = module


def digest(tensor):
    return hashlib.sha256(tensor.detach().contiguous().view(-1).numpy().tobytes()).hexdigest()


def views(generator, rows=4):
    tokens = torch.randint(1, SIZES["vocab"] - 1, (rows, SIZES["context"]), generator=generator)
    tokens[:, 3] = SIZES["vocab"] - 1
    tokens[:, 4:] = 0
    side = SIZES["image"]
    pictures = {name: (torch.randn(rows, 3, side, side, generator=generator) * 16).round() / 16 for name in ("image", "aug1", "aug2")}
    return {**pictures, "tokens": tokens}


def slip_checkpoint():
    torch.manual_seed(1)
    model = Slip("SLIP", SIZES)
    for name, parameter in model.named_parameters():
        if name != "logit_scale":
            torch.nn.init.normal_(parameter, std=0.2)
    generator = torch.Generator().manual_seed(2)
    optimizer = adamw(model, lr=1e-3, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model.losses(views(generator))["loss"].backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = np.float64(0.0029)
    wrapped = Wrapped(model)
    args = argparse.Namespace(
        dataset="yfcc15m", root="", metadata="yfcc15m.pkl", output_dir=pathlib.PosixPath("/checkpoint/slip"),
        model="SLIP_VITS16", ssl_mlp_dim=8, ssl_emb_dim=4, ssl_scale=1.0, ssl_temp=0.1, resume="", epochs=25,
        batch_size=64, lr=0.003, wd=0.1, betas=(0.9, 0.98), eps=1e-8, update_freq=1, world_size=8, distributed=True,
        gpu=0, seed=0, wandb=False)
    scaler = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000, "_growth_tracker": 3}
    torch.save({"epoch": 3, "state_dict": wrapped.state_dict(), "optimizer": optimizer.state_dict(), "scaler": scaler,
                "best_acc1": 12.5, "args": args}, here / "slip-tiny.pt")
    model.eval()
    example = views(torch.Generator().manual_seed(3), rows=2)
    with torch.no_grad():
        image = model.visual(example["image"]) @ model.image_projection
        text = model.encode_text(example["tokens"])
    moments = {}
    index = 0
    for group in (lambda exempt: exempt is False, lambda exempt: exempt is True):
        for name, parameter in model.named_parameters():
            exempt = parameter.ndim < 2 or any(part in name for part in ("bias", "ln", "bn"))
            if group(exempt):
                state = optimizer.state_dict()["state"][index]
                moments[f"exp_avg/{name}"] = digest(state["exp_avg"])
                moments[f"exp_avg_sq/{name}"] = digest(state["exp_avg_sq"])
                index += 1
    return {
        "sizes": SIZES,
        "model": {name: [list(tensor.shape), digest(tensor)] for name, tensor in model.state_dict().items()},
        "moments": moments,
        "image": example["image"].flatten().tolist(), "tokens": example["tokens"].flatten().tolist(),
        "imageEmbed": image.flatten().tolist(), "textEmbed": text.flatten().tolist(),
    }


def odd_tensors():
    base = torch.arange(24, dtype=torch.float32)
    grid = base.view(4, 6)
    tensors = collections.OrderedDict(
        base=base, transposed=grid.t(), sliced=grid[1:3, ::2], scalar=torch.tensor(2.5), empty=torch.zeros(0, 3),
        half=base.half(), bfloat=base.bfloat16(), double=base.double(), long=base.long(), int=base.int(),
        short=base.short(), byte=base.byte(), char=base.char(), bool=base > 3, parameter=torch.nn.Parameter(base[:2].clone()))
    torch.save(tensors, here / "odd.pt")
    flat = {name: tensor.detach().double().flatten().tolist() for name, tensor in tensors.items()}
    return {name: [list(tensors[name].shape), str(tensors[name].dtype)[6:], values] for name, values in flat.items()}


class Inner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = torch.nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).half())
        self.register_buffer("mask", torch.zeros(2))

    def forward(self, x):
        return x @ self.proj.float() + self.mask


class Outer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = Inner()
        self.blocks = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LayerNorm(2))
        self.logit_scale = torch.nn.Parameter(torch.tensor(2.66))

    def forward(self, x):
        return self.blocks(self.visual(x)) * self.logit_scale


def save_script(model, path):
    """A TorchScript archive without its code, which nothing here reads and which names the files it came from."""
    torch.jit.save(torch.jit.script(model), str(path))
    with zipfile.ZipFile(path) as archive:
        kept = [(name, archive.read(name)) for name in archive.namelist() if "/code/" not in name]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kept:
            archive.writestr(zipfile.ZipInfo(name), content)


def script_archive():
    torch.manual_seed(4)
    model = Outer()
    save_script(model, here / "script.pt")
    return {name: [list(tensor.shape), tensor.double().flatten().tolist()] for name, tensor in model.state_dict().items()}


def legacy_file():
    """The form from before PyTorch 1.6, with a storage that two tensors share."""
    single = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    tensors = {
        "single": single,
        "transposed": single.t(),
        "tail": single[1],
        "half": torch.tensor([0.5, -2.0], dtype=torch.float16),
        "count": torch.tensor(7),
        "flags": torch.tensor([True, False]),
    }
    document = {"epoch": 3, "state_dict": tensors, "args": argparse.Namespace(model="CLIP_VITB16")}
    torch.save(document, here / "legacy.pt", _use_new_zipfile_serialization=False)
    return {name: [list(tensor.shape), tensor.double().flatten().tolist()] for name, tensor in tensors.items()}


expected = {"slip": slip_checkpoint(), "odd": odd_tensors(), "script": script_archive(), "legacy": legacy_file()}
with open(here / "expected.json", "w", encoding="utf8") as file:
    json.dump(expected, file)
    file.write("\n")
