"""Saves and loads a model with its optimizer through torch.save and torch.load: checkpoint.py SHAPES.json FOLDER, one JSON line of times.
Synced like ours, file and folder; the file is removed afterwards."""
import json, os, sys, time
import torch

shapes, folder = json.load(open(sys.argv[1])), sys.argv[2]
path = os.path.join(folder, f"bench-{os.getpid()}.pt")
fill = lambda: {name: torch.rand(shape) for name, shape in shapes.items()}
state = {"model": fill(), "optimizer": {"exp_avg": fill(), "exp_avg_sq": fill()}}


def sync(place, flags):
    handle = os.open(place, flags)
    os.fsync(handle)
    os.close(handle)


started = time.perf_counter()
torch.save(state, path)
sync(path, os.O_RDWR)
sync(folder, os.O_RDONLY)
save_ms = (time.perf_counter() - started) * 1e3
started = time.perf_counter()
loaded = torch.load(path)
load_ms = (time.perf_counter() - started) * 1e3
size = os.path.getsize(path)
os.remove(path)
assert all(torch.equal(loaded["model"][name], value) for name, value in state["model"].items())
print(json.dumps({"saveMs": save_ms, "loadMs": load_ms, "stallMs": save_ms, "saveGBps": size / save_ms / 1e6}))
