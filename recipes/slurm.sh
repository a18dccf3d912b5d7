#!/bin/bash
# sbatch recipes/slurm.sh run.yaml: several machines, as many processes as GPUs on each. run.yaml gives `out` below and `processes`.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# Five minutes before the end, or before another job takes the place, the run is told to save and stop: exit code 75.
#SBATCH --signal=TERM@300

OUT=runs/large

export PET_NNODES=$SLURM_NNODES PET_MASTER_PORT=29500
PET_MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export PET_MASTER_ADDR

words=("$1" "out=$OUT")
if [ -f "$OUT/run.yaml" ]; then words=("$OUT" --resume); fi
srun bash -c 'PET_NODE_RANK=$SLURM_NODEID exec tunesmith train "$@"' train "${words[@]}"
code=$?
# What was stopped is queued again, and goes on by itself.
if [ $code -eq 75 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit $code
