"""Writes torch/clip-resnet.pt, a tiny CLIP with a modified ResNet under OpenAI's names in halves as they publish theirs, and
torch/clip-resnet.json with the features of two pictures by PyTorch in float32. Development only.

    python3 test/golden/generate-clip-resnet.py        (Debian's python3-torch or PyPI's torch)
"""
import json
import pathlib

import torch
from torch import nn

from torch_resnet import ModifiedResNet

here = pathlib.Path(__file__).parent / "torch"
IMAGE, WIDTH, LAYERS, TEXT, EMBED, VOCAB, CONTEXT = 64, 2, [1, 2, 1, 1], 6, 4, 11, 5


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_fc = nn.Linear(TEXT, 4 * TEXT)
        self.c_proj = nn.Linear(4 * TEXT, TEXT)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(TEXT, 2)
        self.ln_1 = nn.LayerNorm(TEXT)
        self.mlp = Mlp()
        self.ln_2 = nn.LayerNorm(TEXT)


class Clip(nn.Module):
    def __init__(self):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(CONTEXT, TEXT))
        self.text_projection = nn.Parameter(torch.randn(TEXT, EMBED))
        self.logit_scale = nn.Parameter(torch.tensor(2.5))
        self.visual = ModifiedResNet(IMAGE, WIDTH, LAYERS, WIDTH // 2, EMBED)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.Sequential(Block())
        self.token_embedding = nn.Embedding(VOCAB, TEXT)
        self.ln_final = nn.LayerNorm(TEXT)
        for name, size in (("input_resolution", IMAGE), ("context_length", CONTEXT), ("vocab_size", VOCAB)):
            self.register_buffer(name, torch.tensor(size))


torch.manual_seed(7)
model = Clip()
nn.init.normal_(model.visual.attnpool.positional_embedding, std=0.1)
with torch.no_grad():
    for _ in range(3):
        # In training: the running statistics become other than 0 and 1.
        model.visual(torch.randn(8, 3, IMAGE, IMAGE))
model.half()
torch.save(model.state_dict(), here / "clip-resnet.pt")
model.float().eval()
# The test repeats this.
pictures = torch.sin(0.37 * torch.arange(2 * 3 * IMAGE * IMAGE, dtype=torch.float64)).float().view(2, 3, IMAGE, IMAGE)
with torch.no_grad():
    features = model.visual(pictures)
document = {
    "generator": "generate-clip-resnet.py",
    "torch": torch.__version__,
    "model": {"width": WIDTH, "layers": LAYERS, "imageSize": IMAGE, "heads": WIDTH // 2},
    "features": [float(f"{value:.8g}") for value in features.flatten().tolist()],
}
(here / "clip-resnet.json").write_text(json.dumps(document) + "\n", encoding="utf8")
