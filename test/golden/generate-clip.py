"""Writes torch/clip-*: a tiny CLIP under OpenAI's names, plain and as a TorchScript archive, and the same tensors under
Hugging Face's names, with the digests that they must have under ours. Run with PyTorch 1.13; development only."""
import hashlib
import json
import pathlib
import zipfile

import torch
from torch import nn

here = pathlib.Path(__file__).parent / "torch"
WIDTH, TEXT, EMBED, PATCH, SIDE, VOCAB, CONTEXT = 8, 6, 4, 4, 8, 11, 5


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.c_proj(torch.sigmoid(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, 2)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x):
        return self.mlp(self.ln_2(self.ln_1(x)))


class Transformer(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        self.resblocks = nn.Sequential(*[Block(width) for _ in range(depth)])

    def forward(self, x):
        return self.resblocks(x)


class Visual(nn.Module):
    def __init__(self):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.empty(WIDTH))
        self.positional_embedding = nn.Parameter(torch.empty((SIDE // PATCH) ** 2 + 1, WIDTH))
        self.proj = nn.Parameter(torch.empty(WIDTH, EMBED))
        self.conv1 = nn.Conv2d(3, WIDTH, PATCH, PATCH, bias=False)
        self.ln_pre = nn.LayerNorm(WIDTH)
        self.transformer = Transformer(WIDTH, 2)
        self.ln_post = nn.LayerNorm(WIDTH)

    def forward(self, x):
        return self.ln_post(self.transformer(self.ln_pre(x))) @ self.proj


class Clip(nn.Module):
    def __init__(self):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.empty(CONTEXT, TEXT))
        self.text_projection = nn.Parameter(torch.empty(TEXT, EMBED))
        self.logit_scale = nn.Parameter(torch.empty([]))
        self.visual = Visual()
        self.transformer = Transformer(TEXT, 1)
        self.token_embedding = nn.Embedding(VOCAB, TEXT)
        self.ln_final = nn.LayerNorm(TEXT)
        self.register_buffer("input_resolution", torch.tensor(SIDE))
        self.register_buffer("context_length", torch.tensor(CONTEXT))
        self.register_buffer("vocab_size", torch.tensor(VOCAB))

    def forward(self, x):
        return self.visual(x)


def digest(tensor):
    return [list(tensor.shape), hashlib.sha256(tensor.detach().contiguous().view(-1).numpy().tobytes()).hexdigest()]


def ours(state):
    out = {
        "visual.cls_token": state["visual.class_embedding"][None, None],
        "visual.pos_embed": state["visual.positional_embedding"][None],
        "visual.patch_embed.proj.weight": state["visual.conv1.weight"],
        "image_projection": state["visual.proj"],
    }
    names = {"ln_1": "norm1", "ln_2": "norm2", "attn.out_proj": "attn.proj", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    for kind in ("weight", "bias"):
        out[f"visual.norm_pre.{kind}"] = state[f"visual.ln_pre.{kind}"]
        out[f"visual.norm.{kind}"] = state[f"visual.ln_post.{kind}"]
        for block in range(2):
            theirs = f"visual.transformer.resblocks.{block}"
            out[f"visual.blocks.{block}.attn.qkv.{kind}"] = state[f"{theirs}.attn.in_proj_{kind}"]
            for their, our in names.items():
                out[f"visual.blocks.{block}.{our}.{kind}"] = state[f"{theirs}.{their}.{kind}"]
    for name, tensor in state.items():
        if not name.startswith("visual.") and name not in ("input_resolution", "context_length", "vocab_size"):
            out[name] = tensor
    return out


def hugging_face(state):
    out = {
        "logit_scale": state["logit_scale"],
        "text_projection.weight": state["text_projection"].t().contiguous(),
        "visual_projection.weight": state["visual.proj"].t().contiguous(),
        "text_model.embeddings.token_embedding.weight": state["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": state["positional_embedding"],
        "text_model.embeddings.position_ids": torch.arange(CONTEXT)[None],
        "vision_model.embeddings.position_ids": torch.arange(5)[None],
        "vision_model.embeddings.class_embedding": state["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": state["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": state["visual.positional_embedding"],
    }
    names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for kind in ("weight", "bias"):
        out[f"text_model.final_layer_norm.{kind}"] = state[f"ln_final.{kind}"]
        out[f"vision_model.pre_layrnorm.{kind}"] = state[f"visual.ln_pre.{kind}"]
        out[f"vision_model.post_layernorm.{kind}"] = state[f"visual.ln_post.{kind}"]
        for model, prefix, depth in (("text_model", "", 1), ("vision_model", "visual.", 2)):
            for block in range(depth):
                here_, there = f"{model}.encoder.layers.{block}", f"{prefix}transformer.resblocks.{block}"
                for part, piece in zip("qkv", state[f"{there}.attn.in_proj_{kind}"].chunk(3)):
                    out[f"{here_}.self_attn.{part}_proj.{kind}"] = piece.contiguous()
                for their, openai in names.items():
                    out[f"{here_}.{their}.{kind}"] = state[f"{there}.{openai}.{kind}"]
    return {name: tensor.clone() for name, tensor in out.items()}


torch.manual_seed(5)
model = Clip()
for parameter in model.parameters():
    nn.init.normal_(parameter)
state = model.state_dict()
torch.save(state, here / "clip-plain.pt")
torch.save(hugging_face(state), here / "clip-hugging-face.bin")
with open(here / "clip-expected.json", "w", encoding="utf8") as file:
    json.dump({"full": {name: digest(tensor) for name, tensor in ours(state).items()},
               "half": {name: digest(tensor) for name, tensor in ours({n: t.half() for n, t in state.items()}).items()}}, file)
    file.write("\n")
half = model.half()
path = here / "clip-script.pt"
torch.jit.save(torch.jit.script(half), str(path))
# Without its code, which nothing here reads and which names the files it came from.
with zipfile.ZipFile(path) as archive:
    kept = [(name, archive.read(name)) for name in archive.namelist() if "/code/" not in name]
with zipfile.ZipFile(path, "w") as archive:
    for name, content in kept:
        archive.writestr(zipfile.ZipInfo(name), content)
