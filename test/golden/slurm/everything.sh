#!/bin/bash
#SBATCH --job-name="my run"
#SBATCH --partition=gpu
#SBATCH --account=my-project
#SBATCH --qos=high
#SBATCH --reservation=week
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=64
#SBATCH --gres=gpu:a100:4
#SBATCH --mem=500G
#SBATCH --time=2-12:30:00
#SBATCH --exclude=n[1-3]
#SBATCH --dependency=afterok:7
#SBATCH --exclusive
#SBATCH --signal=USR2@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output="/shared/ann's runs/one/slurm/%j.out"
#SBATCH --chdir=/work
#SBATCH --export=HOME,USER,LOGNAME,LANG,PATH,HTTPS_PROXY,WANDB_API_KEY
#SBATCH --mail-type=FAIL
#SBATCH --licenses=fs:1
#SBATCH --contiguous

# Written by slip-submit. It can be read, changed and submitted by hand with sbatch.
run='/shared/ann'\''s runs/one'
node=/usr/bin/node
slip=/opt/slip/orchestrator/bin
attempt="$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}"

# Set-up lines of site profile and command line.
module purge
module load nodejs
source venv/bin/activate

# Some releases of Slurm, 24.11 among them, start a job once more that was preempted and has completed since.
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && grep -qs "\"event\":\"completed\",\"jobId\":$SLURM_JOB_ID," "$run/events.jsonl"; then exit 0; fi

# Slurm's signals reach the steps too, and slip-launch saves when it gets one. This script only has to outlive them.
interrupted=0
trap 'interrupted=1' TERM USR2

# One agent per node. The one of the first node hosts the coordinator, on a free port that it writes into the run folder.
mkdir -p "$run/slurm/rendezvous"
srun --export=ALL --nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=64 --kill-on-bad-exit=0 --container-image='my image.sqsh' --mpi=none \
  bash -c 'exec apptainer exec --bind '\''/shared data'\'' slip.sif "$0" "$1" --node-rank "$SLURM_PROCID" --master-addr "$SLURM_LAUNCH_NODE_IPADDR" "${@:2}"' \
  "$node" "$slip/slip-launch.js" \
  --nnodes=2 \
  --nproc=4 \
  --rdzv-id="$attempt" \
  --rdzv-endpoint="file://$run/slurm/rendezvous/$attempt" \
  --bind-workers \
  pretrain \
  --output-dir="$run" \
  --lr=0.001 \
  --betas=0.9,0.95 \
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
exec "$node" "$slip/slip-submit.js" after "$run" --exit-code "$code" --signal-lead=300 --max-timeouts=30 --max-preemptions=30 --max-node-failures=10 --max-crashes=2
