"""All-reduce of Gloo through torch.distributed: gloo_all_reduce.py RANKS BYTES ROUNDS [RANK ADDRESS PORT INTERFACE], one JSON
line of figures. Without a rank all ranks are started here; with one, ADDRESS and PORT are where rank 0 is met.

A round is as long as on the slowest rank, as in `slip-launch bench-comm`; every result is checked.
"""
import json
import os
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def work(rank, ranks, size, rounds, address="127.0.0.1", port="29517", interface="lo"):
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR=address, MASTER_PORT=port, GLOO_SOCKET_IFNAME=interface)
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    buffer = torch.empty(size // 4)
    times = torch.zeros(rounds)
    for i in range(-3, rounds):
        buffer.fill_(rank + 1)
        dist.barrier()
        started = time.perf_counter()
        dist.all_reduce(buffer)
        if i >= 0:
            times[i] = (time.perf_counter() - started) * 1e3
        assert bool((buffer == ranks * (ranks + 1) // 2).all())
    dist.all_reduce(times, op=dist.ReduceOp.MAX)
    if rank == 0:
        median = float(times.sort().values[rounds // 2])
        bus = size / median / 1e6 * 2 * (ranks - 1) / ranks
        print(json.dumps({"timeMs": median, "busBandwidthGBps": bus}), flush=True)
    # Without these Gloo's threads are cut off, and the process aborts.
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    count, size, rounds = map(int, sys.argv[1:4])
    if len(sys.argv) > 4:
        work(int(sys.argv[4]), count, size, rounds, *sys.argv[5:8])
    else:
        mp.spawn(work, (count, size, rounds), nprocs=count)
