"""Writes torch/clip-features.json: what transformers' CLIPModel computes with the tensors of torch/clip-hugging-face.bin
(which are those of clip-plain.pt): image and text features, loss and some gradients under our names, for both activations.
Run with PyTorch 2 and transformers 4; development only."""
import json
import pathlib

import torch
from transformers import CLIPConfig, CLIPModel

here = pathlib.Path(__file__).parent / "torch"
torch.set_default_dtype(torch.float64)
state = torch.load(here / "clip-hugging-face.bin", weights_only=True)
generator = torch.Generator().manual_seed(11)
image = torch.randn(3, 3, 8, 8, generator=generator, dtype=torch.float32)
tokens = torch.tensor([[9, 3, 10, 0, 0], [9, 1, 7, 4, 10], [9, 10, 0, 0, 0]])
GRADIENTS = {
    "visual.cls_token": "vision_model.embeddings.class_embedding",
    "visual.patch_embed.proj.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.norm_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.norm_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.blocks.0.mlp.fc1.weight": "vision_model.encoder.layers.0.mlp.fc1.weight",
    "visual.blocks.1.mlp.fc1.bias": "vision_model.encoder.layers.1.mlp.fc1.bias",
    "transformer.resblocks.0.mlp.c_fc.bias": "text_model.encoder.layers.0.mlp.fc1.bias",
    "logit_scale": "logit_scale",
}


def compute(activation):
    tower = dict(num_attention_heads=2, hidden_act=activation)
    model = CLIPModel(CLIPConfig(
        text_config=dict(hidden_size=6, intermediate_size=24, num_hidden_layers=1, vocab_size=11,
                         max_position_embeddings=5, eos_token_id=10, bos_token_id=9, **tower),
        vision_config=dict(hidden_size=8, intermediate_size=32, num_hidden_layers=2, image_size=8, patch_size=4, **tower),
        projection_dim=4)).eval()
    model.load_state_dict({name: tensor for name, tensor in state.items() if not name.endswith("position_ids")})
    loss = model(input_ids=tokens, pixel_values=image.double(), return_loss=True).loss
    loss.backward()
    parameters = dict(model.named_parameters())
    return {
        "imageFeatures": model.get_image_features(image.double()).flatten().tolist(),
        "textFeatures": model.get_text_features(tokens).flatten().tolist(),
        "loss": loss.item(),
        "gradients": {ours: parameters[theirs].grad.flatten().tolist() for ours, theirs in GRADIENTS.items()},
    }


with open(here / "clip-features.json", "w", encoding="utf8") as file:
    json.dump({"image": image.flatten().tolist(), "tokens": tokens.flatten().tolist(),
               "quick_gelu": compute("quick_gelu"), "gelu": compute("gelu")}, file)
    file.write("\n")
