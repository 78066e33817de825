"""Writes classifier.json: linear probing and fine-tuning steps of small classifiers by PyTorch in float64, mixing and smoothing of
targets, and the operations of RandAugment by Pillow.

    python3 test/golden/generate-classifier.py        (Debian's python3-torch, python3-numpy and python3-pil)

The tower is BEiT's vision transformer with the options that fine-tuning has (relative position bias, factors of branches, mean
pooling, drop path), written here from their descriptions. Weights, pictures and draws come from formulas that the test repeats:
    element i of tensor t (state-dict order):  base + amplitude * sin(0.618034 * (i + 1) + t)
        base 1, amplitude 0.1 for the weights of norms; 0.1 otherwise for vectors, cls_token and pos_embed; 0.4 for matrices
    pixel (b, c, y, x):  1.2 * sin(0.3 * (b + 1) * (x + 0.5 * y) + c) + 0.5 * (b - 1.5)
    label of row b:  (3 * b + 1) mod 5
    branch k (2 * block + 0 for attention, 1 for the MLP) of row b is dropped where (3 * k + 5 * b) mod 7 = 0 and its rate is above 0
    even steps mix with share 0.7 of the own row, odd steps put the partner's pixels of rows 2..8, columns 5..12 (ends excluded) in
"""
import hashlib
import json
import math
import pathlib

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import nn
from torch.nn import functional as F

CONFIG = dict(image=16, patch=8, width=16, depth=2, heads=2, classes=5)
BATCH, SMOOTHING, BOX = 8, 0.1, (2, 8, 5, 12)
torch.set_default_dtype(torch.float64)


def relative_index(grid):
    rows = (2 * grid - 1) ** 2 + 3
    coords = torch.stack(torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")).flatten(1)
    relative = (coords[:, :, None] - coords[:, None, :]).permute(1, 2, 0).contiguous() + grid - 1
    relative[:, :, 0] *= 2 * grid - 1
    index = torch.zeros(grid * grid + 1, grid * grid + 1, dtype=torch.long)
    index[1:, 1:] = relative.sum(-1)
    index[0, :], index[:, 0], index[0, 0] = rows - 3, rows - 2, rows - 1
    return rows, index


class Attention(nn.Module):
    def __init__(self, width, heads, grid, relative):
        super().__init__()
        self.heads = heads
        if relative:
            rows, self.index = relative_index(grid)
            self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, heads))
        self.relative = relative
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q * (d // self.heads) ** -0.5) @ k.transpose(-1, -2)
        if self.relative:
            bias = self.relative_position_bias_table[self.index.view(-1)].view(n, n, self.heads)
            scores = scores + bias.permute(2, 0, 1)
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, d))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads, grid, relative, layer_scale):
        super().__init__()
        if layer_scale > 0:
            self.gamma_1 = nn.Parameter(torch.full((width,), layer_scale))
            self.gamma_2 = nn.Parameter(torch.full((width,), layer_scale))
        self.scaled = layer_scale > 0
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, grid, relative)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width)

    def forward(self, x, keep):
        for i, (name, gamma) in enumerate((("attn", "gamma_1"), ("mlp", "gamma_2"))):
            added = getattr(self, name)(getattr(self, f"norm{i + 1}")(x))
            if self.scaled:
                added = getattr(self, gamma) * added
            x = x + added * keep[i].view(-1, 1, 1)
        return x


class PatchEmbed(nn.Module):
    def __init__(self, patch, width):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, image):
        return self.proj(image).flatten(2).transpose(1, 2)


class Classifier(nn.Module):
    def __init__(self, pooling="cls", absolute=True, relative=False, layer_scale=0):
        super().__init__()
        c = CONFIG
        grid = c["image"] // c["patch"]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c["width"]))
        if absolute:
            self.pos_embed = nn.Parameter(torch.zeros(1, grid * grid + 1, c["width"]))
        self.absolute, self.pooling = absolute, pooling
        self.patch_embed = PatchEmbed(c["patch"], c["width"])
        self.blocks = nn.ModuleList(
            Block(c["width"], c["heads"], grid, relative, layer_scale) for _ in range(c["depth"])
        )
        if pooling == "cls":
            self.norm = nn.LayerNorm(c["width"], eps=1e-6)
        else:
            self.fc_norm = nn.LayerNorm(c["width"], eps=1e-6)
        self.head = nn.Linear(c["width"], c["classes"])

    def forward(self, image, keep):
        x = self.patch_embed(image)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1)
        if self.absolute:
            x = x + self.pos_embed
        for i, block in enumerate(self.blocks):
            x = block(x, keep[2 * i : 2 * i + 2])
        x = self.norm(x)[:, 0] if self.pooling == "cls" else self.fc_norm(x[:, 1:].mean(1))
        return self.head(x)


def fill(model):
    for t, (name, parameter) in enumerate(model.named_parameters()):
        is_norm = "norm" in name and name.endswith("weight")
        small = parameter.ndim < 2 or name in ("cls_token", "pos_embed")
        base, amplitude = (1.0, 0.1) if is_norm else (0.0, 0.1 if small else 0.4)
        i = np.arange(parameter.numel(), dtype=np.float64)
        values = (base + amplitude * np.sin(0.618034 * (i + 1) + t)).astype(np.float32).astype(np.float64)
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values).view(parameter.shape))


def pictures():
    size = CONFIG["image"]
    b, c, y, x = np.meshgrid(*[np.arange(n, dtype=np.float64) for n in (BATCH, 3, size, size)], indexing="ij")
    data = 1.2 * np.sin(0.3 * (b + 1) * (x + 0.5 * y) + c) + 0.5 * (b - 1.5)
    return torch.from_numpy(data.astype(np.float32).astype(np.float64))


LABELS = torch.tensor([(3 * b + 1) % CONFIG["classes"] for b in range(BATCH)])
EVERYTHING = torch.ones(2 * CONFIG["depth"], BATCH)


def rounded(tensor):
    return [float(f"{value:.8g}") for value in tensor.detach().flatten().tolist()]


def fingerprint(tensor):
    """Its norm, and the sum of element i times cos(i)."""
    flat = tensor.detach().flatten()
    return [float(f"{v:.8g}") for v in (flat.norm(), (flat * torch.cos(torch.arange(len(flat)).double())).sum())]


def smoothed(labels):
    off = SMOOTHING / CONFIG["classes"]
    rows = torch.full((len(labels), CONFIG["classes"]), off)
    return rows.scatter_(1, labels[:, None], 1 - SMOOTHING + off)


def mixed(step):
    """Pictures and targets of a step; the partner of a row is its mirror image in the batch."""
    image = pictures()
    if step % 2 == 0:
        share = 0.7
        image = image * share + image.flip(0) * (1 - share)
    else:
        top, bottom, left, right = BOX
        image[:, :, top:bottom, left:right] = image.flip(0)[:, :, top:bottom, left:right].clone()
        share = 1 - (bottom - top) * (right - left) / CONFIG["image"] ** 2
    return image, smoothed(LABELS) * share + smoothed(LABELS.flip(0)) * (1 - share), share


def kept_branches(rate):
    keep = torch.ones(2 * CONFIG["depth"], BATCH)
    for k in range(2 * CONFIG["depth"]):
        p = rate * (k // 2) / (CONFIG["depth"] - 1)
        for b in range(BATCH):
            keep[k, b] = 0 if p > 0 and (3 * k + 5 * b) % 7 == 0 else 1 / (1 - p)
    return keep


def groups(model, lr, decay, weight_decay, decay_relative=True):
    """BEiT's groups: by layer and weight decay, in the order of first appearance."""
    depth = CONFIG["depth"]
    found = {}
    for name, parameter in model.named_parameters():
        if name in ("cls_token", "pos_embed") or name.startswith("patch_embed"):
            layer = 0
        else:
            layer = int(name.split(".")[1]) + 1 if name.startswith("blocks") else depth + 1
        none = parameter.ndim == 1 or name.endswith(".bias") or name in ("cls_token", "pos_embed")
        none = none or (not decay_relative and "relative_position_bias_table" in name)
        key = f"layer_{layer}_{'no_decay' if none else 'decay'}"
        scale = decay ** (depth + 1 - layer)
        group = found.setdefault(
            key, dict(name=key, params=[], tensors=[], lr_scale=scale, lr=lr * scale, weight_decay=0.0 if none else weight_decay)
        )
        group["params"].append(parameter)
        group["tensors"].append(name)
    return list(found.values())


def linear(weight_decay=0.0, lr=0.05, steps=4):
    model = Classifier()
    fill(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith("head")
    optimizer = torch.optim.SGD(model.head.parameters(), lr, momentum=0.9, weight_decay=weight_decay)
    losses, accuracies = [], []
    for _ in range(steps):
        logits = model(pictures(), EVERYTHING)
        loss = F.cross_entropy(logits, LABELS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
        accuracies.append(float((logits.argmax(1) == LABELS).double().mean() * 100))
    return dict(
        lr=lr, momentum=0.9, weightDecay=weight_decay, losses=losses, acc1=accuracies,
        head={name: rounded(p) for name, p in model.head.named_parameters()},
    )


def finetune(options, drop_path, clip, ema, layer_decay, lr=1e-3, weight_decay=0.05, steps=6):
    model = Classifier(**options)
    fill(model)
    optimizer = torch.optim.AdamW(groups(model, lr, layer_decay, weight_decay), lr, (0.9, 0.999), 1e-8)
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    result = dict(
        options=options, dropPath=drop_path, layerDecay=layer_decay, lr=lr, weightDecay=weight_decay, losses=[], norms=[],
        groups=[
            dict(name=g["name"], lrScale=g["lr_scale"], decay=g["weight_decay"] > 0, tensors=g["tensors"])
            for g in optimizer.param_groups
        ],
    )
    if clip is not None:
        result["clipGrad"] = clip
    if ema is not None:
        result["emaDecay"] = ema
    for step in range(steps):
        image, targets, _ = mixed(step)
        loss = F.cross_entropy(model(image, kept_branches(drop_path)), targets)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            result["gradients"] = {name: rounded(p.grad) for name, p in model.named_parameters()}
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip if clip is not None else math.inf)
        result["norms"].append(float(norm))
        optimizer.step()
        result["losses"].append(float(loss))
        for name, p in model.named_parameters():
            average[name] = (ema or 0) * average[name] + (1 - (ema or 0)) * p.detach()
    result["parameters"] = {name: fingerprint(p) for name, p in model.named_parameters()}
    if ema is not None:
        result["average"] = {name: fingerprint(p) for name, p in average.items()}
    return result


def augmentations():
    """timm's operations with rising strength, by Pillow; width 61, height 47, the pattern of vectors.json."""
    width, height = 61, 47
    x, y, c = np.meshgrid(np.arange(width), np.arange(height), np.arange(3), indexing="xy")
    pattern = ((7 * x + 13 * y + 29 * c + 5 * ((x * y) % 31)) % 256).astype(np.uint8)
    image, fill_colour = Image.fromarray(pattern), (124, 116, 104)

    def affine(matrix):
        return image.transform(image.size, Image.AFFINE, matrix, resample=Image.BICUBIC, fillcolor=fill_colour)

    def enhanced(kind, m, s):
        return kind(image).enhance(max(0.1, 1 + s * 0.9 * m / 10))

    def solarize_add(amount):
        return image.point([min(255, v + amount) if v < 128 else v for v in range(256)] * 3)

    operations = {
        "AutoContrast": lambda m, s: ImageOps.autocontrast(image),
        "Equalize": lambda m, s: ImageOps.equalize(image),
        "Invert": lambda m, s: ImageOps.invert(image),
        "Rotate": lambda m, s: image.rotate(s * 30 * m / 10, resample=Image.BICUBIC, fillcolor=fill_colour),
        "Posterize": lambda m, s: ImageOps.posterize(image, 4 - int(m / 10 * 4)),
        "Solarize": lambda m, s: ImageOps.solarize(image, 256 - min(256, int(m / 10 * 256))),
        "SolarizeAdd": lambda m, s: solarize_add(min(128, int(m / 10 * 110))),
        "Color": lambda m, s: enhanced(ImageEnhance.Color, m, s),
        "Contrast": lambda m, s: enhanced(ImageEnhance.Contrast, m, s),
        "Brightness": lambda m, s: enhanced(ImageEnhance.Brightness, m, s),
        "Sharpness": lambda m, s: enhanced(ImageEnhance.Sharpness, m, s),
        "ShearX": lambda m, s: affine((1, s * 0.3 * m / 10, 0, 0, 1, 0)),
        "ShearY": lambda m, s: affine((1, 0, 0, s * 0.3 * m / 10, 1, 0)),
        "TranslateX": lambda m, s: affine((1, 0, s * 0.45 * m / 10 * width, 0, 1, 0)),
        "TranslateY": lambda m, s: affine((1, 0, 0, 0, 1, s * 0.45 * m / 10 * height)),
    }
    return [
        dict(name=name, magnitude=m, sign=s, sha256=hashlib.sha256(np.asarray(apply(m, s)).tobytes()).hexdigest())
        for name, apply in operations.items()
        for m, s in ((9.3, 1), (9.3, -1), (4.2, 1))
    ]


def probes(rows=60, width=6, classes=4):
    """The optimum of regularised logistic regression on features sin(0.7 r + 1.3 c) + 0.5 sin(r * (c + 1)), label (r * r + r // 7) mod 4."""
    r, c = np.meshgrid(np.arange(rows, dtype=np.float64), np.arange(width, dtype=np.float64), indexing="ij")
    features = torch.from_numpy((np.sin(0.7 * r + 1.3 * c) + 0.5 * np.sin(r * (c + 1))).astype(np.float32).astype(np.float64))
    labels = torch.tensor([(i * i + i // 7) % classes for i in range(rows)])
    results = []
    for l2 in (1e-1, 1e-2, 1e-3):
        weight, bias = torch.zeros(classes, width, requires_grad=True), torch.zeros(classes, requires_grad=True)
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(features @ weight.T + bias, labels) + 0.5 * l2 * (weight**2).sum()
            loss.backward()
            return loss

        for _ in range(20):
            optimizer.step(closure)
        loss = closure()
        assert max(weight.grad.abs().max(), bias.grad.abs().max()) < 1e-7
        accuracy = ((features @ weight.T + bias).argmax(1) == labels).double().mean() * 100
        results.append(dict(l2=l2, value=float(loss), acc1=float(accuracy), weight=rounded(weight)))
    return dict(rows=rows, width=width, classes=classes, results=results)


def positions(width=3):
    """Position embeddings sin(0.9 t + 0.4 c) of token t (class token 0) for other grids."""
    results = []
    for before, after in ((3, 5), (5, 3), (2, 7)):
        t, c = np.meshgrid(np.arange(1 + before**2, dtype=np.float64), np.arange(width, dtype=np.float64), indexing="ij")
        values = torch.from_numpy(np.sin(0.9 * t + 0.4 * c))
        grid = values[1:].view(1, before, before, width).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(after, after), mode="bicubic", align_corners=False)
        whole = torch.cat([values[:1], grid.permute(0, 2, 3, 1).reshape(-1, width)])
        results.append({"from": before, "to": after, "values": rounded(whole)})
    return dict(width=width, results=results)


published = dict(pooling="cls", absolute=True, relative=False, layer_scale=0)
beit = dict(pooling="mean", absolute=False, relative=True, layer_scale=0.1)
both = dict(pooling="cls", absolute=True, relative=True, layer_scale=0.1)
document = dict(
    config=CONFIG, batch=BATCH, smoothing=SMOOTHING, box=dict(top=2, bottom=8, left=5, right=12),
    targets=[rounded(mixed(step)[1]) for step in range(2)], shares=[mixed(step)[2] for step in range(2)],
    pictures=[rounded(mixed(step)[0][3, 1]) for step in range(2)],
    linear=[linear(), linear(weight_decay=0.01)],
    finetune=dict(
        published=finetune(published, 0.1, None, None, 0.65),
        beit=finetune(beit, 0.2, 0.5, 0.9, 0.75),
        both=finetune(both, 0, None, None, 1),
    ),
    augmentations=augmentations(),
    probes=probes(),
    positions=positions(),
)
path = pathlib.Path(__file__).with_name("classifier.json")
path.write_text(json.dumps(document, separators=(",", ":")) + "\n")
print(path, path.stat().st_size, "bytes")
