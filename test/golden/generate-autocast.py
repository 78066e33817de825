"""Writes autocast.json: losses and gradients of the small models of gradients.json in mixed precision, by hand; and
autocast-operators.json: the same of single operators.

    python3 test/golden/generate-autocast.py        (Debian's python3-torch or PyPI's torch)

Every operator that autocast runs in halves is a function here that computes in float64 and rounds its result, forward and backward,
to the half; the rest stays float64. The order of operators is PyTorch's on CUDA, with attention and the activations as one operator
each, rounded as a fused kernel rounds. Beside it: the losses of torch's own bfloat16 autocast on the CPU, whose list of operators is
another one (layer norms and normalisation run in bfloat16 there), for a comparison within the noise of both.

Single operators, and the tower of the models, are there too: values and gradients by hand in both halves, by torch's bfloat16 autocast
on the CPU, and in float64. Torch has no products of float16 on a CPU, and those of bfloat16 round once only where the second operand is
transposed (the forward of a linear layer): elsewhere torch 1.13 without AVX-512 rounds its partial sums, and each step of GELU. Inputs
come from a formula that the test repeats:
    element i of input t:  amplitude * sin(0.618034 * (i + 1) + t)
The loss is the sum of all results, each times the cosine of its place.
"""
import importlib
import json
import pathlib

import torch
from torch.nn import functional as F

from torch_slip import Slip

gradients = importlib.import_module("generate-gradients")

HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
LOSS_SCALE = 8.0
half = torch.float16


def rounded(x):
    return x.to(half).to(torch.float64)


class Narrow(torch.autograd.Function):
    """A conversion to the half; the gradient is converted back, which changes nothing."""

    @staticmethod
    def forward(ctx, x):
        return rounded(x)

    @staticmethod
    def backward(ctx, g):
        return g


class Product(torch.autograd.Function):
    """A matrix product of halves, in any leading dimensions."""

    @staticmethod
    def forward(ctx, a, b, scale):
        ctx.save_for_backward(a, b)
        ctx.scale = scale
        return rounded(a @ b * scale)

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        g = rounded(g)
        return rounded(g @ b.transpose(-1, -2) * ctx.scale), rounded(a.transpose(-1, -2) @ g * ctx.scale), None


class Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return rounded(x @ weight.t() + bias)

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        g = rounded(g)
        rows, flat = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
        return rounded(g @ weight), rounded(rows.t() @ flat), rounded(rows.sum(0))


class Elementwise(torch.autograd.Function):
    """An operator of one half operand: value and slope by autograd in float64, each rounded once."""

    @staticmethod
    def forward(ctx, x, fn):
        with torch.enable_grad():
            ctx.x = x.detach().requires_grad_()
            ctx.y = fn(ctx.x)
        return rounded(ctx.y.detach())

    @staticmethod
    def backward(ctx, g):
        (slope,) = torch.autograd.grad(ctx.y, ctx.x, rounded(g))
        return rounded(slope), None


def matmul(a, b, scale=1.0):
    return Product.apply(Narrow.apply(a), Narrow.apply(b), scale)


def linear(x, weight, bias):
    return Linear.apply(Narrow.apply(x), Narrow.apply(weight), Narrow.apply(bias))


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


def attention(q, k, v, mask=None):
    scores = matmul(q, k.transpose(-1, -2), q.shape[-1] ** -0.5)
    return matmul((scores if mask is None else scores + mask).softmax(-1), v)


def heads_of(x, parts, heads):
    rows, tokens, width = x.shape
    return x.view(rows, tokens, parts, heads, width // parts // heads).permute(2, 0, 3, 1, 4)


def joined(x):
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1)


def vision(tower, image, patch):
    rows = image.shape[0]
    proj = tower.patch_embed.proj
    patches = F.unfold(image, patch, stride=patch).transpose(1, 2)
    x = linear(patches, proj.weight.flatten(1), proj.bias)
    x = torch.cat([tower.cls_token.expand(rows, -1, -1), x], 1) + tower.pos_embed
    for block in tower.blocks:
        q, k, v = heads_of(linear(block.norm1(x), block.attn.qkv.weight, block.attn.qkv.bias), 3, block.attn.heads)
        x = x + linear(joined(attention(q, k, v)), block.attn.proj.weight, block.attn.proj.bias)
        hidden = linear(block.norm2(x), block.mlp.fc1.weight, block.mlp.fc1.bias)
        x = x + linear(Elementwise.apply(hidden, F.gelu), block.mlp.fc2.weight, block.mlp.fc2.bias)
    return tower.norm(x)[:, 0]


def text(model, tokens, heads):
    x = model.token_embedding(tokens) + model.positional_embedding
    mask = torch.full((x.shape[1], x.shape[1]), float("-inf")).triu(1)
    for block in model.transformer.resblocks:
        q, k, v = heads_of(linear(block.ln_1(x), block.attn.in_proj_weight, block.attn.in_proj_bias), 3, heads)
        x = x + linear(joined(attention(q, k, v, mask)), block.attn.out_proj.weight, block.attn.out_proj.bias)
        hidden = linear(block.ln_2(x), block.mlp.c_fc.weight, block.mlp.c_fc.bias)
        x = x + linear(Elementwise.apply(hidden, quick_gelu), block.mlp.c_proj.weight, block.mlp.c_proj.bias)
    x = model.ln_final(x)
    return matmul(x[torch.arange(x.shape[0]), tokens.argmax(-1)], model.text_projection)


def head(mlp, x):
    x = torch.relu(mlp.bn1(linear(x, mlp.layer1.weight, mlp.layer1.bias)))
    x = torch.relu(mlp.bn2(linear(x, mlp.layer2.weight, mlp.layer2.bias)))
    return linear(x, mlp.layer3.weight, mlp.layer3.bias)


class Rounded(torch.autograd.Function):
    """The result of an operator on halves, and its gradient."""

    @staticmethod
    def forward(ctx, x):
        return rounded(x)

    @staticmethod
    def backward(ctx, g):
        return rounded(g)


def scaled(logits, factor):
    """Logits times a scalar, which is an operator of its own."""
    return Rounded.apply(logits * factor)


def losses(model, family, config, data):
    out = {}
    if family != "CLIP":
        a = F.normalize(head(model.image_mlp, vision(model.visual, data["aug1"], config["patch"])), dim=-1)
        b = F.normalize(head(model.image_mlp, vision(model.visual, data["aug2"], config["patch"])), dim=-1)
        rows = a.shape[0]
        labels, mask = torch.arange(rows), torch.eye(rows) * 1e9
        from_a = torch.cat([scaled(matmul(a, b.t()), 10.0), scaled(matmul(a, a.t()), 10.0) - mask], 1)
        from_b = torch.cat([scaled(matmul(b, a.t()), 10.0), scaled(matmul(b, b.t()), 10.0) - mask], 1)
        out["ssl_loss"] = (F.cross_entropy(from_a, labels) + F.cross_entropy(from_b, labels)) / 2
    if family != "SIMCLR":
        image = F.normalize(matmul(vision(model.visual, data["image"], config["patch"]), model.image_projection), dim=-1)
        words = F.normalize(text(model, data["tokens"], config["text_heads"]), dim=-1)
        labels = torch.arange(image.shape[0])
        per_image = scaled(matmul(image, words.t()), model.logit_scale.exp())
        per_text = scaled(matmul(words, image.t()), model.logit_scale.exp())
        out["clip_loss"] = (F.cross_entropy(per_image, labels) + F.cross_entropy(per_text, labels)) / 2
    out["loss"] = out.get("clip_loss", 0.0) + out.get("ssl_loss", 0.0)
    return out


def model_of(family):
    torch.set_default_dtype(torch.float32)
    model = Slip(family, gradients.CONFIG)
    gradients.fill(model)
    return model


def by_hand(family):
    model = model_of(family).double()
    torch.set_default_dtype(torch.float64)
    out = losses(model, family, gradients.CONFIG, gradients.views())
    (out["loss"] * LOSS_SCALE).backward()
    found = {"losses": {name: float(value) for name, value in out.items()}}
    if family == "SLIP":
        found["gradients"] = {name: [float(f"{value:.6g}") for value in (p.grad / LOSS_SCALE).flatten().tolist()]
                              for name, p in model.named_parameters()}
    return found


def by_torch(family):
    model = model_of(family)
    data = {name: view.float() if view.is_floating_point() else view for name, view in gradients.views().items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return {name: float(value) for name, value in model.losses(data).items() if name.endswith("loss")}


class Hands:
    linear, attention = staticmethod(linear), staticmethod(attention)
    gelu = staticmethod(lambda x: Elementwise.apply(x, F.gelu))


class Torch:
    linear, gelu = staticmethod(F.linear), staticmethod(F.gelu)

    @staticmethod
    def attention(q, k, v):
        return ((q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5).softmax(-1) @ v


# Inputs with their amplitudes, and what is made of them by one of the classes above.
HEADS, MATRIX = (2, 2, 6, 8), (16, 16)
OPERATORS = {
    "linear": ({"x": ((6, 16), 1), "weight": ((24, 16), 0.5), "bias": ((24,), 0.1)},
               lambda by, x, weight, bias: by.linear(x, weight, bias)),
    "mlp": ({"x": ((6, 16), 1), "up": ((32, 16), 0.5), "low": ((32,), 0.1), "down": ((16, 32), 0.5), "high": ((16,), 0.1)},
            lambda by, x, up, low, down, high: by.linear(by.gelu(by.linear(x, up, low)), down, high)),
    "attention": ({"q": (HEADS, 1.5), "k": (HEADS, 1.5), "v": (HEADS, 1)}, lambda by, q, k, v: by.attention(q, k, v)),
    "norm": ({"x": ((6, 16), 1), "weight": (MATRIX, 0.5), "bias": ((16,), 0.1), "gamma": ((16,), 1), "beta": ((16,), 0.1)},
             lambda by, x, weight, bias, gamma, beta: F.layer_norm(x + by.linear(x, weight, bias), (16,), gamma, beta, 1e-6)),
}


def wave(t, shape, amplitude):
    places = torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float64)
    return (amplitude * torch.sin(0.618034 * places + t)).float().view(shape)


def weighted_sum(y):
    return (y.flatten() * torch.cos(torch.arange(y.numel(), dtype=torch.float64)).to(torch.get_default_dtype())).sum()


def numbers(tensor):
    return [float(f"{value:.7g}") for value in tensor.flatten().tolist()]


def operators(by, dtype):
    torch.set_default_dtype(dtype)
    found = {}
    for name, (inputs, fn) in OPERATORS.items():
        tensors = {key: wave(t, *spec).to(dtype).requires_grad_() for t, (key, spec) in enumerate(inputs.items())}
        y = fn(by, **tensors)
        weighted_sum(y).backward()
        found[name] = {"y": numbers(y), **{key: numbers(tensor.grad) for key, tensor in tensors.items()}}
    return found


def tower(by, dtype):
    """Features of the vision tower, and the gradients of one tensor of each kind."""
    visual = model_of("CLIP").visual.to(dtype)
    torch.set_default_dtype(dtype)
    image = gradients.views()["image"].to(dtype)
    y = visual(image) if by is Torch else vision(visual, image, gradients.CONFIG["patch"])
    weighted_sum(y).backward()
    named = dict(visual.named_parameters())
    kinds = ("pos_embed", "blocks.0.norm1.weight", "blocks.0.attn.qkv.weight", "blocks.1.mlp.fc2.weight", "blocks.1.mlp.fc1.bias")
    return {"y": numbers(y), **{name: numbers(named[name].grad) for name in kinds}}


def single(by, dtype):
    return {**operators(by, dtype), "tower": tower(by, dtype)}


families = ("CLIP", "SIMCLR", "SLIP")
document = {"generator": "generate-autocast.py", "torch": torch.__version__, "lossScale": LOSS_SCALE, "byHand": {}}
for name, half in HALVES.items():
    document["byHand"][name] = {family: by_hand(family) for family in families}
document["torchCpuBfloat16"] = {family: by_torch(family) for family in families}
here = pathlib.Path(__file__).parent
single_operators = {"torch": torch.__version__, "float64": single(Torch, torch.float64), "byHand": {}}
for name, half in HALVES.items():
    single_operators["byHand"][name] = single(Hands, torch.float64)
with torch.autocast("cpu", dtype=torch.bfloat16):
    single_operators["torchCpuBfloat16"] = single(Torch, torch.float32)
(here / "autocast-operators.json").write_text(json.dumps(single_operators, separators=(",", ":")) + "\n")
(here / "autocast.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")
