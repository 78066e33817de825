"""The peer of the optimizer-step bench: optimizer_step.py MODEL RANKS, one JSON line with the slowest rank's median time.

As DDP does it: gradients of all parameters are summed by Gloo in buckets of 25 MB, then torch.optim.AdamW updates every parameter on
every rank. Sizes of the tensors are the model's.
"""
import json
import os
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "test" / "golden"))

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402

from torch_slip import Slip, adamw  # noqa: E402

TOWERS = {"VITS16": (384, 12, 12), "VITB16": (768, 12, 12), "VITL16": (1024, 24, 16)}
WARM_UP_STEPS, MEASURED_STEPS, BUCKET = 1, 5, 25 << 18


def work(rank, ranks, name):
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29519", GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    family, tower = name.split("_")
    width, depth, heads = TOWERS[tower]
    model = Slip(family, dict(image=224, patch=16, width=width, depth=depth, heads=heads, context=77, vocab=49408,
                              text_width=512, text_depth=12, text_heads=8, embed=512, ssl_mlp=4096, ssl_emb=256))
    optimizer = adamw(model, 1e-4, 0.1)
    flat = torch.empty(sum(p.numel() for p in model.parameters()))
    place = 0
    for p in model.parameters():
        p.grad = flat[place:place + p.numel()].view(p.shape)
        place += p.numel()
    times = torch.zeros(MEASURED_STEPS)
    for i in range(-WARM_UP_STEPS, MEASURED_STEPS):
        flat.fill_(0.01 * (rank + 1))
        dist.barrier()
        started = time.perf_counter()
        for handle in [dist.all_reduce(bucket, async_op=True) for bucket in flat.split(BUCKET)]:
            handle.wait()
        flat.div_(ranks)
        optimizer.step()
        if i >= 0:
            times[i] = (time.perf_counter() - started) * 1e3
    dist.all_reduce(times, op=dist.ReduceOp.MAX)
    if rank == 0:
        print(json.dumps({"timeMs": float(times.sort().values[MEASURED_STEPS // 2])}), flush=True)
    # Without these Gloo's threads are cut off, and the process aborts.
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(work, (int(sys.argv[2]), sys.argv[1]), nprocs=int(sys.argv[2]))
