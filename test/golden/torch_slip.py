"""SLIP, CLIP and SimCLR in plain PyTorch, written from the facts of the paper and its release: the independent reference
that golden files and benchmarks compare against. Development only; not used by the product."""
import math

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        rows, tokens, width = x.shape
        head_dim = width // self.heads
        q, k, v = self.qkv(x).view(rows, tokens, 3, self.heads, head_dim).permute(2, 0, 3, 1, 4)
        weights = ((q @ k.transpose(-1, -2)) * head_dim**-0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(rows, tokens, width))


class VisionMlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class VisionBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = VisionMlp(width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, patch, width):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, image):
        return self.proj(image).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    def __init__(self, image, patch, width, depth, heads):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, (image // patch) ** 2 + 1, width))
        self.patch_embed = PatchEmbed(patch, width)
        self.blocks = nn.Sequential(*[VisionBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, image):
        x = self.patch_embed(image)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        return self.norm(self.blocks(x))[:, 0]


class TextMlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x):
        x = self.c_fc(x)
        return self.c_proj(x * torch.sigmoid(1.702 * x))


class TextBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = TextMlp(width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x, mask):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class TextTransformer(nn.Module):
    def __init__(self, width, depth, heads):
        super().__init__()
        self.resblocks = nn.ModuleList([TextBlock(width, heads) for _ in range(depth)])

    def forward(self, x):
        length = x.shape[0]
        mask = torch.full((length, length), float("-inf")).triu(1)
        for block in self.resblocks:
            x = block(x, mask)
        return x


class ImageMlp(nn.Module):
    def __init__(self, width, hidden, out):
        super().__init__()
        self.layer1 = nn.Linear(width, hidden)
        self.bn1 = nn.BatchNorm1d(hidden)
        self.layer2 = nn.Linear(hidden, hidden)
        self.bn2 = nn.BatchNorm1d(hidden)
        self.layer3 = nn.Linear(hidden, out)

    def forward(self, x):
        x = torch.relu(self.bn1(self.layer1(x)))
        return self.layer3(torch.relu(self.bn2(self.layer2(x))))


class Slip(nn.Module):
    """Parameters are registered in the order of the release's state dict."""

    def __init__(self, family, c):
        super().__init__()
        self.family = family
        has_text, has_ssl = family != "SIMCLR", family != "CLIP"
        if has_text:
            self.positional_embedding = nn.Parameter(torch.empty(c["context"], c["text_width"]))
            self.image_projection = nn.Parameter(torch.empty(c["width"], c["embed"]))
            self.text_projection = nn.Parameter(torch.empty(c["text_width"], c["embed"]))
            self.logit_scale = nn.Parameter(torch.ones([]) * math.log(1 / 0.07))
        self.visual = VisionTransformer(c["image"], c["patch"], c["width"], c["depth"], c["heads"])
        if has_text:
            self.transformer = TextTransformer(c["text_width"], c["text_depth"], c["text_heads"])
            self.token_embedding = nn.Embedding(c["vocab"], c["text_width"])
            self.ln_final = nn.LayerNorm(c["text_width"])
        if has_ssl:
            self.image_mlp = ImageMlp(c["width"], c["ssl_mlp"], c["ssl_emb"])

    def encode_text(self, tokens):
        x = self.token_embedding(tokens) + self.positional_embedding
        x = self.ln_final(self.transformer(x.transpose(0, 1)).transpose(0, 1))
        return x[torch.arange(x.shape[0]), tokens.argmax(-1)] @ self.text_projection

    def losses(self, views, ssl_scale=1.0, temperature=0.1):
        out = {}
        if self.family != "CLIP":
            a = self.image_mlp(self.visual(views["aug1"]))
            b = self.image_mlp(self.visual(views["aug2"]))
            out["ssl_loss"], out["ssl_acc"] = simclr_loss(a, b, temperature)
        if self.family != "SIMCLR":
            image = self.visual(views["image"]) @ self.image_projection
            text = self.encode_text(views["tokens"])
            out["clip_loss"], out["clip_acc"] = clip_loss(image, text, self.logit_scale.exp())
        loss = out.get("clip_loss", 0.0) + (ssl_scale if self.family == "SLIP" else 1.0) * out.get("ssl_loss", 0.0)
        out["loss"] = loss
        return out


def clip_loss(image, text, scale):
    image, text = F.normalize(image, dim=-1), F.normalize(text, dim=-1)
    labels = torch.arange(image.shape[0])
    per_image = scale * image @ text.t()
    loss = (F.cross_entropy(per_image, labels) + F.cross_entropy(per_image.t(), labels)) / 2
    return loss, 100 * (per_image.argmax(-1) == labels).float().mean()


def simclr_loss(a, b, temperature):
    a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
    rows = a.shape[0]
    labels = torch.arange(rows)
    self_mask = torch.eye(rows) * 1e9
    from_a = torch.cat([a @ b.t() / temperature, a @ a.t() / temperature - self_mask], 1)
    from_b = torch.cat([b @ a.t() / temperature, b @ b.t() / temperature - self_mask], 1)
    loss = (F.cross_entropy(from_a, labels) + F.cross_entropy(from_b, labels)) / 2
    return loss, 100 * (from_a.argmax(-1) == labels).float().mean()


def adamw(model, lr, weight_decay, betas=(0.9, 0.98), eps=1e-8):
    """Two groups: no decay for vectors, scalars and names with bias, ln or bn."""
    decayed, plain = [], []
    for name, parameter in model.named_parameters():
        exempt = parameter.ndim < 2 or any(part in name for part in ("bias", "ln", "bn"))
        (plain if exempt else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps)
