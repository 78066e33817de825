"""Saves and loads a model with its optimizer through torch.save and torch.load: checkpoint.py SHAPES.json FOLDER, one JSON line of times.
Like ours it saves several times and the last time counts, the file before stays until the new one is safe, and file and folder are synced."""
import json, os, sys, time
import torch

SAVES = 3
shapes, folder = json.load(open(sys.argv[1])), sys.argv[2]
fill = lambda: {name: torch.rand(shape) for name, shape in shapes.items()}
state = {"model": fill(), "optimizer": {"exp_avg": fill(), "exp_avg_sq": fill()}}


def sync(place, flags):
    handle = os.open(place, flags)
    os.fsync(handle)
    os.close(handle)


previous = None
for number in range(SAVES):
    path = os.path.join(folder, f"bench-{os.getpid()}-{number}.pt")
    started = time.perf_counter()
    torch.save(state, path)
    sync(path, os.O_RDWR)
    sync(folder, os.O_RDONLY)
    save_ms = (time.perf_counter() - started) * 1e3
    if previous:
        os.remove(previous)
    previous = path
started = time.perf_counter()
loaded = torch.load(path)
load_ms = (time.perf_counter() - started) * 1e3
size = os.path.getsize(path)
os.remove(path)
assert all(torch.equal(loaded["model"][name], value) for name, value in state["model"].items())
print(json.dumps({"saveMs": save_ms, "loadMs": load_ms, "stallMs": save_ms, "saveGBps": size / save_ms / 1e6}))
