"""torchrun's start: until its help is there, or until two ranks begin a step of a linear layer under DDP. One JSON line."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("--what", default="SLIP_VITS16")
parser.add_argument("--rank-script", action="store_true")
parser.add_argument("--out")
options = parser.parse_args()


def train_one_step():
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    dist.init_process_group("gloo")
    model = DistributedDataParallel(torch.nn.Linear(8, 8))
    optimizer = torch.optim.AdamW(model.parameters())
    begun = time.time()
    model(torch.ones(2, 8)).sum().backward()
    optimizer.step()
    dist.barrier()
    if dist.get_rank() == 0:
        with open(options.out, "w") as file:
            json.dump({"begun": begun}, file)


if options.rank_script:
    train_one_step()
    sys.exit(0)

torchrun = [sys.executable, "-m", "torch.distributed.run"]
started = time.time()
if options.what == "help":
    subprocess.run([*torchrun, "--help"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    total = time.time() - started
    print(json.dumps({"totalS": total, "toFirstStepS": total}))
else:
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.json")
        script = [os.path.abspath(__file__), "--rank-script", "--out", out]
        # Redirected, since PyTorch 1.13's default for both fails on Python 3.11.
        redirected = ["--redirects", "1", "--tee", "1"]
        subprocess.run(
            [*torchrun, "--nproc_per_node", "2", "--standalone", *redirected, *script],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        total = time.time() - started
        with open(out) as file:
            begun = json.load(file)["begun"]
    print(json.dumps({"totalS": total, "toFirstStepS": begun - started}))
