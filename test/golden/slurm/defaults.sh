#!/bin/bash
#SBATCH --job-name=slip
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=80
#SBATCH --gpus-per-node=8
#SBATCH --time=1-22:40:00
#SBATCH --signal=USR2@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=/work/runs/%j/slurm/%j.out
#SBATCH --chdir=/work
#SBATCH --export=HOME,USER,LOGNAME,LANG,PATH

# Written by slip-submit. It can be read, changed and submitted by hand with sbatch.
run=/work/runs/"$SLURM_JOB_ID"
node=/usr/bin/node
slip=/opt/slip/orchestrator/bin
attempt="$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}"

# Some releases of Slurm, 24.11 among them, start a job once more that was preempted and has completed since.
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && grep -qs "\"event\":\"completed\",\"jobId\":$SLURM_JOB_ID," "$run/events.jsonl"; then exit 0; fi

# Slurm's signals reach the steps too, and slip-launch saves when it gets one. This script only has to outlive them.
interrupted=0
trap 'interrupted=1' TERM USR2

# One agent per node. The one of the first node hosts the coordinator, on a free port that it writes into the run folder.
mkdir -p "$run/slurm/rendezvous"
srun --export=ALL --nodes=8 --ntasks=8 --ntasks-per-node=1 --cpus-per-task=80 --kill-on-bad-exit=0 \
  bash -c 'exec "$0" "$1" --node-rank "$SLURM_PROCID" --master-addr "$SLURM_LAUNCH_NODE_IPADDR" "${@:2}"' \
  "$node" "$slip/slip-launch.js" \
  --nnodes=8 \
  --nproc=8 \
  --rdzv-id="$attempt" \
  --rdzv-endpoint="file://$run/slurm/rendezvous/$attempt" \
  --bind-workers \
  pretrain \
  --output-dir="$run" \
  --root=/data/yfcc100m \
  --metadata=/data/yfcc15m.pkl \
  --precision=fp32 \
  &
step=$!
wait "$step"; code=$?
# A signal ends the waiting, not the step. 127: the first waiting had its result already.
while [ "$interrupted" = 1 ]; do
  interrupted=0
  wait "$step"; again=$?
  [ "$again" = 127 ] || code=$again
done

# Asks Slurm why the step ended, and puts the job back into the queue where that helps.
trap '' TERM USR2
exec "$node" "$slip/slip-submit.js" after "$run" --exit-code "$code" --signal-lead=120 --max-timeouts=30 --max-preemptions=30 --max-node-failures=10 --max-crashes=0
