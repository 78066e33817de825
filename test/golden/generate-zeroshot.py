"""Writes zeroshot.json and zeroshot/: small sets in the true formats of torchvision, VISSL and numpy, a tiny CLIP of PyTorch's own
modules, the features and logits that it gives on them, and figures by scikit-learn. Development only.

    npm run build && python3 test/golden/generate-zeroshot.py      # PyTorch 1.13, torchvision, scikit-learn
"""
import hashlib
import json
import pathlib
import pickle
import shutil
import struct
import subprocess
import sys

import numpy as np
import sklearn.metrics
import torch
import torchvision
from PIL import Image
from torch.nn import functional as F
from torchvision import transforms

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here))
from torch_slip import Slip  # noqa: E402

out = here / "zeroshot"
sets = out / "sets"
root = here.parent.parent
rng = np.random.RandomState(7)
SIZES = dict(image=16, patch=8, width=8, depth=2, heads=2, text_width=4, text_depth=2, text_heads=1, vocab=49408, context=16,
             embed=4)


class Python2Pickler(pickle._Pickler):
    """CIFAR's files were written by Python 2, whose byte strings are BINSTRINGs."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        if len(value) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(value)]) + value)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes

    def save_str(self, value):
        self.save_bytes(value.encode("latin1"))

    dispatch[str] = save_str


def write_cifar(folder, names, label_keys, rows):
    folder.mkdir(parents=True)
    for name in names:
        count = rows if name in ("test_batch", "test") else 2
        entry = {"batch_label": name, "filenames": [f"{name}_{i}.png" for i in range(count)]}
        for key, classes in label_keys.items():
            entry[key] = rng.randint(0, classes, count).tolist()
        # Blocks of one colour, so that pictures differ after resizing too.
        blocks = rng.randint(0, 256, (count, 3, 4, 4)).astype("uint8")
        entry["data"] = blocks.repeat(8, 2).repeat(8, 3).reshape(count, 3072)
        with open(folder / name, "wb") as file:
            Python2Pickler(file, protocol=2).dump(entry)


def write_stl(folder):
    folder.mkdir(parents=True)
    for split, count in (("train", 1), ("test", 2)):
        (folder / f"{split}_X.bin").write_bytes(rng.randint(0, 256, count * 27648).astype("uint8").tobytes())
        (folder / f"{split}_y.bin").write_bytes(rng.randint(1, 11, count).astype("uint8").tobytes())


def write_mnist(folder):
    folder.mkdir(parents=True)
    for prefix, count in (("train", 2), ("t10k", 13)):
        pictures = rng.randint(0, 256, (count, 4, 4)).astype("uint8").repeat(7, 1).repeat(7, 2)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, 28, 28) + pictures.tobytes())
        labels = rng.randint(0, 10, count).astype("uint8")
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels.tobytes())


def picture(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.randint(0, 256, (3, 3, 3)).astype("uint8").repeat(6, 0).repeat(6, 1)).save(file)


def write_lists(folder):
    """clevr_counts with texts as labels, sun397 with numbers; one list as plain texts, one as objects."""
    names = [f"images/{i}.png" for i in range(5)]
    for name in names:
        picture(folder / "clevr_counts" / name)
        picture(folder / "sun397" / name)
    for split in ("train", "val"):
        np.save(folder / f"clevr_counts/{split}_images.npy", np.array(names))
        np.save(folder / f"clevr_counts/{split}_labels.npy", np.array(["count_3", "count_10", "count_9", "count_4", "count_3"]))
    for split in ("train", "test"):
        np.save(folder / f"sun397/{split}_images.npy", np.array(names, dtype=object), allow_pickle=True)
        np.save(folder / f"sun397/{split}_labels.npy", np.array([396, 0, 5, 7, 5]))


def loaded():
    """What torchvision reads of the binaries: labels and a digest of the RGB bytes of each picture."""
    found = {}
    for cls in (torchvision.datasets.CIFAR10, torchvision.datasets.CIFAR100, torchvision.datasets.STL10, torchvision.datasets.MNIST):
        cls._check_integrity = lambda self: True
    torchvision.datasets.MNIST._check_exists = lambda self: True
    readers = {
        "cifar10": lambda train: torchvision.datasets.CIFAR10(sets / "cifar10", train),
        "cifar100": lambda train: torchvision.datasets.CIFAR100(sets / "cifar100", train),
        "stl10": lambda train: torchvision.datasets.STL10(sets / "stl10", "train" if train else "test"),
        "mnist": lambda train: torchvision.datasets.MNIST(sets / "mnist", train),
    }
    # There is no meta data with names of classes, nor the lists of folds.
    torchvision.datasets.CIFAR10._load_meta = lambda self: None
    torchvision.datasets.STL10._STL10__load_folds = lambda self, folds: None
    for name, read in readers.items():
        for split in ("train", "test"):
            pictures = [(image.convert("RGB"), int(label)) for image, label in read(split == "train")]
            found.setdefault(name, {})[split] = {
                "labels": [label for _, label in pictures],
                "sha256": [hashlib.sha256(image.tobytes()).hexdigest() for image, _ in pictures],
            }
            if split == "test":
                found[name]["pictures"] = pictures
    return found


def tokens_of(texts, context):
    """By the tokenizer of the project, which has vectors of its own."""
    script = (
        "import {Tokenizer} from './packages/data/dist/tokenizer/index.js';"
        "let text='';for await (const piece of process.stdin) text+=piece;const t=Tokenizer.load();"
        f"console.log(JSON.stringify(JSON.parse(text).map((x)=>[...t.tokenize(x,{{contextLength:{context},truncate:'keep-eot'}})])))"
    )
    done = subprocess.run(["node", "--input-type=module", "-e", script], cwd=root, input=json.dumps(texts), text=True,
                          capture_output=True, check=True)
    return torch.tensor(json.loads(done.stdout))


def tiny_clip():
    torch.manual_seed(1)
    model = Slip("CLIP", SIZES)
    for name, parameter in model.named_parameters():
        if name != "logit_scale":
            torch.nn.init.normal_(parameter, std=0.4)
    # Halves in the file, which this program computes with as well.
    model.half().float()
    state = {f"module.{name}": value.half() for name, value in model.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": state}, out / "clip-tiny.pt")
    return model.eval()


def classify(model, prompts, pictures):
    view = transforms.Compose([
        transforms.Resize(SIZES["image"]),
        transforms.CenterCrop(SIZES["image"]),
        lambda image: image.convert("RGB"),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ])
    with torch.no_grad():
        classes = []
        for texts in prompts:
            rows = F.normalize(model.encode_text(tokens_of(texts, SIZES["context"])), dim=-1)
            classes.append(F.normalize(rows.mean(0), dim=-1))
        classes = torch.stack(classes)
        images = torch.stack([view(image) for image in pictures])
        features = F.normalize(model.visual(images) @ model.image_projection, dim=-1)
        return {"classes": classes.tolist(), "logits": (features @ classes.t()).tolist()}


def prompts_of(name):
    """Of the project, which a test holds equal to the original's."""
    script = (
        "import {readPrompts,captionsOf} from './packages/data/dist/index.js';"
        f"const p=await readPrompts({{labels:'',templates:''}},'{name}');"
        "console.log(JSON.stringify(p.labels.map((l)=>captionsOf(l,p.templates))))"
    )
    return json.loads(subprocess.check_output(["node", "--input-type=module", "-e", script], cwd=root, text=True))


def figures(logits, labels):
    logits = np.array(logits)
    labels = np.array(labels)
    known = np.arange(logits.shape[1])
    result = {
        "accuracy": 100 * sklearn.metrics.accuracy_score(labels, logits.argmax(1)),
        "meanPerClass": 100 * sklearn.metrics.balanced_accuracy_score(labels, logits.argmax(1)),
    }
    if logits.shape[1] > 5:
        result["top5"] = 100 * sklearn.metrics.top_k_accuracy_score(labels, logits, k=5, labels=known)
    if logits.shape[1] == 2:
        result["auc"] = 100 * sklearn.metrics.roc_auc_score(labels, logits[:, 1] - logits[:, 0])
    return result


def metric_cases():
    """Scores without ties between classes; the binary case has ties between pictures."""
    cases = []
    for rows, classes in ((200, 7), (50, 20), (60, 2)):
        scores = rng.permutation(rows * classes).reshape(rows, classes) / (rows * classes)
        if classes == 2:
            scores = np.stack([np.zeros(rows), np.round(scores[:, 1] * 10 - 5) / 10 + 0.05], 1)
        labels = rng.randint(0, classes, rows)
        cases.append({"scores": scores.tolist(), "labels": labels.tolist(), **figures(scores, labels)})
    return cases


def main():
    shutil.rmtree(out, ignore_errors=True)
    write_cifar(sets / "cifar10/cifar-10-batches-py", [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"], {"labels": 10}, 13)
    write_cifar(sets / "cifar100/cifar-100-python", ["train", "test"], {"coarse_labels": 20, "fine_labels": 100}, 2)
    write_stl(sets / "stl10/stl10_binary")
    write_mnist(sets / "mnist/MNIST/raw")
    write_lists(sets)
    for label in "01":
        for i in range(6):
            picture(sets / f"hateful_memes/dev/{label}/{i}.png")
    model = tiny_clip()
    expected = {"loaded": loaded(), "model": {}, "metrics": metric_cases(), "torch": torch.__version__}
    for name in ("cifar10", "mnist"):
        pictures = expected["loaded"][name]["pictures"]
        expected["model"][name] = classify(model, prompts_of(name), [image for image, _ in pictures])
        expected["model"][name].update(figures(expected["model"][name]["logits"], [label for _, label in pictures]))
    memes = sorted((sets / "hateful_memes/dev").glob("*/*.png"))
    found = classify(model, prompts_of("hateful_memes"), [Image.open(file).convert("RGB") for file in memes])
    expected["model"]["hateful_memes"] = {**found, **figures(found["logits"], [int(file.parent.name) for file in memes])}
    for entry in expected["loaded"].values():
        entry.pop("pictures")
    (here / "zeroshot.json").write_text(json.dumps(expected, indent=1) + "\n")


main()
