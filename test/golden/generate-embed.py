"""Writes embed.json and torch/embed.pt: features of pictures and texts by PyTorch's own modules (in double precision, from weights
rounded to halves, which is how the file keeps them), and recalls by numpy. Run with PyTorch 1.13, torchvision and Pillow; development
only. Token ids are those of OpenAI's tokenizer, written out by hand for words that are one token each."""
import base64
import io
import json
import pathlib

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from torch_slip import Slip

here = pathlib.Path(__file__).parent
SIZES = dict(image=32, patch=16, width=16, depth=2, heads=2, context=8, text_width=4, text_depth=2, text_heads=2,
             vocab=49408, embed=6, ssl_mlp=8, ssl_emb=4)
START, END = 49406, 49407
TOKENS = {"a": 320, "dog": 1929, "cat": 2368, "photo": 1125, "of": 539}
TEXTS = ["a dog", "a photo of a cat", "", "cat"]


def picture(index, width, height, mode):
    """Smooth colours, so that every way of decoding gives the same bytes."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 120 * np.sin((x * (c + 1) + y * (index + 1)) / 9.0 + c * index) for c in range(3)]
    pixels = np.stack(planes, -1).round().clip(0, 255).astype(np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    out = io.BytesIO()
    image.save(out, "PNG")
    return image, out.getvalue()


def main():
    torch.manual_seed(7)
    model = Slip("SLIP", SIZES)
    for name, parameter in model.named_parameters():
        if name != "logit_scale":
            torch.nn.init.normal_(parameter, std=0.3)
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": {f"module.{name}": tensor for name, tensor in halves.items()}}, here / "torch" / "embed.pt")
    model.load_state_dict({name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in halves.items()})
    model.double().eval()

    view = transforms.Compose([transforms.Resize(32), transforms.CenterCrop(32), transforms.ToTensor(),
                               transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])])
    pictures = {f"{name}.png": picture(i, w, h, mode) for i, (name, w, h, mode) in
                enumerate([("b", 40, 33, "RGB"), ("a", 32, 50, "RGB"), ("below/c", 64, 40, "L")])}
    names = sorted(pictures)
    tokens = torch.zeros(len(TEXTS), SIZES["context"], dtype=torch.long)
    for row, text in enumerate(TEXTS):
        ids = [START, *[TOKENS[word] for word in text.split()], END]
        tokens[row, : len(ids)] = torch.tensor(ids)
    with torch.no_grad():
        images = torch.stack([view(pictures[name][0].convert("RGB")) for name in names]).double()
        image = model.visual(images) @ model.image_projection
        text = model.encode_text(tokens)

    document = {
        "visionHeads": SIZES["heads"], "textHeads": SIZES["text_heads"], "width": SIZES["embed"],
        "pictures": {name: base64.b64encode(data).decode() for name, (_, data) in pictures.items()},
        "names": names, "texts": TEXTS,
        "imageFeatures": image.flatten().tolist(), "textFeatures": text.flatten().tolist(),
        "logitScale": float(model.logit_scale.exp()),
        "recall": recall(),
    }
    (here / "embed.json").write_text(json.dumps(document) + "\n", encoding="utf8")


def recall():
    """12 pictures with 1 to 4 captions each; scores in double precision, so there are no ties."""
    generator = np.random.default_rng(3)
    image_of = [i for i in range(12) for _ in range(1 + i % 4)]
    images = generator.normal(size=(12, 5))
    captions = images[image_of] + 1.5 * generator.normal(size=(len(image_of), 5))
    images, captions = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, captions))
    scores = images @ captions.T
    right = np.equal.outer(np.arange(12), image_of)
    out = {}
    for k in (1, 5, 10):
        nearest = np.argsort(-scores, axis=1)[:, :k]
        out[f"imageToText@{k}"] = 100 * float(np.mean([right[i, nearest[i]].any() for i in range(12)]))
        nearest = np.argsort(-scores, axis=0)[:k]
        out[f"textToImage@{k}"] = 100 * float(np.mean([right[nearest[:, t], t].any() for t in range(len(image_of))]))
    return {"imageOf": image_of, "images": images.flatten().tolist(), "captions": captions.flatten().tolist(), "figures": out}


main()
