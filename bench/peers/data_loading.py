"""The peer of the data-loading bench: SLIP's three views in torchvision and Pillow, through PyTorch's DataLoader; prints one JSON line."""
import argparse
import json
import os
import pathlib
import random
import time

import torch
import torchvision.transforms as transforms
from PIL import Image, ImageFile, ImageFilter

ImageFile.LOAD_TRUNCATED_IMAGES = True


class GaussianBlur:
    def __call__(self, image):
        return image.filter(ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))


normalize = transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
VIEW = transforms.Compose([transforms.RandomResizedCrop(224, scale=(0.5, 1.0)), transforms.ToTensor(), normalize])
AUGMENT = transforms.Compose([
    transforms.RandomResizedCrop(224, scale=(0.08, 1.0)),
    transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
    transforms.RandomGrayscale(p=0.2),
    transforms.RandomApply([GaussianBlur()], p=0.5),
    transforms.RandomHorizontalFlip(),
    transforms.ToTensor(),
    normalize,
])


class Photographs(torch.utils.data.Dataset):
    def __init__(self, root):
        self.files = sorted((root / "train2017").iterdir())

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        with open(self.files[index], "rb") as file:
            image = Image.open(file).convert("RGB")
        return VIEW(image), AUGMENT(image), AUGMENT(image)


parser = argparse.ArgumentParser()
parser.add_argument("root", type=pathlib.Path)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--epochs", type=int, default=3)
options = parser.parse_args()

torch.set_num_threads(1)
loader = torch.utils.data.DataLoader(
    Photographs(options.root), batch_size=options.batch_size, shuffle=True, num_workers=options.workers, drop_last=True,
    persistent_workers=options.workers > 0)
# The first epoch starts processes and fills caches.
for _ in loader:
    pass


def cpu_seconds():
    """Of this process and its workers."""
    ticks = 0
    for process in [os.getpid(), *[worker.pid for worker in getattr(loader._iterator, "_workers", [])]]:
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


count, cpu_before, started = 0, cpu_seconds(), time.perf_counter()
for _ in range(options.epochs):
    for view, first, second in loader:
        count += view.shape[0]
elapsed = time.perf_counter() - started
print(json.dumps({"imagesPerSecond": count / elapsed, "cpuMsPerImage": 1000 * (cpu_seconds() - cpu_before) / count}))
