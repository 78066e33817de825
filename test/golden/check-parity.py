"""Random-weight parity with open_clip, timm and transformers of what slip-checkpoint wrote for them or read from them.
Called by test/src/weights/torch-parity.long.ts; development only.

usage: check-parity.py make FOLDER | check FOLDER"""
import argparse
import functools
import json
import sys

import timm
import torch
from open_clip.model import CLIP
from transformers import CLIPConfig, CLIPModel

from torch_slip import Slip

SIZES = dict(image=224, patch=16, width=192, depth=12, heads=3, context=9, text_width=64, text_depth=2, text_heads=1,
             vocab=100, embed=48, ssl_mlp=16, ssl_emb=8)
END = 99


def inputs(side, context):
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(1, 97, (2, context), generator=generator)
    tokens[:, 5], tokens[:, 6:] = END, 0
    return torch.randn(2, 3, side, side, generator=generator), tokens


def make(folder):
    torch.manual_seed(1)
    model = Slip("SLIP", SIZES)
    for name, parameter in model.named_parameters():
        if name != "logit_scale":
            torch.nn.init.normal_(parameter, std=0.1)
    state = {"module." + name: tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": state, "args": argparse.Namespace(model="SLIP_VITB16")}, f"{folder}/slip.pt")
    tower = dict(intermediate_size=256, num_hidden_layers=2)
    hugging_face = CLIPModel(CLIPConfig(
        text_config=dict(hidden_size=64, num_attention_heads=1, vocab_size=100, max_position_embeddings=9,
                         eos_token_id=END, bos_token_id=98, **tower),
        vision_config=dict(hidden_size=64, num_attention_heads=1, image_size=32, patch_size=8, **tower), projection_dim=48))
    for parameter in hugging_face.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    hugging_face.save_pretrained(f"{folder}/hf")


class QuickGelu(torch.nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


def largest(a, b):
    return float(((a - b).abs().max() / b.abs().max()))


@torch.no_grad()
def check(folder):
    ours = Slip("SLIP", SIZES).eval()
    state = torch.load(f"{folder}/slip.pt")["state_dict"]
    ours.load_state_dict({name[7:]: tensor for name, tensor in state.items()})
    picture, tokens = inputs(224, 9)
    with open(f"{folder}/open_clip/open_clip_config.json", encoding="utf8") as file:
        open_clip = CLIP(**json.load(file)["model_cfg"]).eval()
    open_clip.load_state_dict(torch.load(f"{folder}/open_clip/open_clip_pytorch_model.bin", weights_only=True))
    tower = timm.create_model("vit_tiny_patch16_224", num_classes=0).eval()
    tower.load_state_dict(torch.load(f"{folder}/tower.pt", weights_only=True))
    result = {
        "open_clip image": largest(open_clip.encode_image(picture), ours.visual(picture) @ ours.image_projection),
        "open_clip text": largest(open_clip.encode_text(tokens), ours.encode_text(tokens)),
        "timm": largest(tower(picture), ours.visual(picture)),
    }

    hugging_face = CLIPModel.from_pretrained(f"{folder}/hf").eval()
    picture, tokens = inputs(32, 9)
    again = CLIPModel.from_pretrained(f"{folder}/hf-again").eval()
    result["CLIPModel image"] = largest(again.get_image_features(picture), hugging_face.get_image_features(picture))
    result["CLIPModel text"] = largest(again.get_text_features(tokens), hugging_face.get_text_features(tokens))
    safe = torch.load(f"{folder}/hf.pt", weights_only=True)["state_dict"]
    text = Slip("CLIP", {**SIZES, "image": 16, "width": 8, "depth": 1, "heads": 1})
    texts = {name: tensor for name, tensor in safe.items() if not name.startswith(("visual.", "image_"))}
    assert not text.load_state_dict(texts, strict=False).unexpected_keys
    result["hugging face text"] = largest(text.eval().encode_text(tokens), hugging_face.get_text_features(tokens))
    vision = timm.models.vision_transformer.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=1, num_classes=0, pre_norm=True,
        norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-5), act_layer=QuickGelu).eval()
    vision.load_state_dict(torch.load(f"{folder}/hf-tower.pt", weights_only=True))
    result["hugging face image"] = largest(vision(picture) @ safe["image_projection"], hugging_face.get_image_features(picture))
    print(json.dumps(result))


{"make": make, "check": check}[sys.argv[1]](sys.argv[2])
