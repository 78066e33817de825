"""Streams a run's metrics to Weights & Biases: JSON lines on standard input, one call of wandb for each.

The first line is {"init": {"project", "id", "dir", "config"}}, every other {"step": n, "log": {name: value}}.
The end of the input finishes the run. Exits with 3 where wandb is not installed.
"""
import json
import re
import signal
import sys

# The trainer decides when this ends, by closing the pipe: signals to its process group are not for this script.
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), signal.SIG_IGN)

try:
    import wandb
except ImportError as error:
    print(f"cannot import wandb: {error}", file=sys.stderr)
    sys.exit(3)


def main():
    run = None
    for line in sys.stdin:
        message = json.loads(line)
        if "init" in message:
            run = start(message["init"])
        elif run is not None:
            run.log(message["log"], step=message["step"])
    if run is not None:
        run.finish()


def start(settings):
    # Characters that an id may not have.
    run_id = re.sub(r"[/\\#?%:]", "-", settings["id"])
    return wandb.init(
        project=settings["project"],
        id=run_id,
        name=settings["id"],
        dir=settings["dir"],
        config=settings["config"],
        resume="allow",
    )


main()
