#!/bin/bash
# Under Slurm: a process for each GPU, on one or several machines that share the folders of the recipe.
# Before the time limit the run saves a checkpoint and the job goes back into the queue, until the run is finished.
# sbatch recipes/launch/slurm.sh RECIPE [section.key=value ...]      (without --start-over, which would begin anew)
#SBATCH --job-name=hf-imgcls
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
# USR1@300: to every process of the run, not to this script, 300 s before the limit. It must be longer than a step, an
# evaluation and the writing of a checkpoint take.

MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))

# --wait: when a process has failed, the others end within a minute.
srun --wait=60 --kill-on-bad-exit=0 bash -c '
    export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS
    export LOCAL_WORLD_SIZE=$((SLURM_NTASKS / SLURM_NNODES))
    exec hf-imgcls train "$@"' hf-imgcls "$@"
status=$?

if [ $status -eq 138 ]; then # 128 + SIGUSR1: a checkpoint is saved, and the same command resumes
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
