// A plan as slurmrestd wants it. Pure.
import { SlipError } from '@slip/core';
import type { JobSubmission } from 'node-slurm-rest';
import type { SubmitPlan } from './submit-plan.js';

/**
 * @param script the batch script; slurmrestd ignores its #SBATCH lines, so everything in them is given here again
 * @throws SlipError `config` for what only sbatch can do
 */
export function restSubmission(
  plan: SubmitPlan,
  script: string,
  environment: Readonly<Record<string, string | undefined>>,
): JobSubmission {
  const [extra] = plan.extra;
  if (extra !== undefined)
    throw new SlipError(
      'config',
      `--sbatch ${extra.key}: options of sbatch cannot be sent to slurmrestd; use --via sbatch`,
    );
  const exported = plan.exported.flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const gpus = plan.gpuType === undefined ? plan.workersPerNode : `${plan.gpuType}:${plan.workersPerNode}`;
  const given = {
    partition: plan.partition,
    account: plan.account,
    qos: plan.qos,
    reservation: plan.reservation,
    constraints: plan.constraint,
    comment: plan.comment,
    dependency: plan.dependency,
    excludeNodes: plan.exclude === undefined ? undefined : [plan.exclude],
    requireNodes: plan.nodelist === undefined ? undefined : [plan.nodelist],
    gpusPerNode: plan.gpuRequest === 'none' ? undefined : gpus,
    memoryPerNodeMb: plan.memoryPerNode === undefined ? undefined : megabytes(plan.memoryPerNode),
    exclusive: plan.exclusive ? true : undefined,
  };
  return {
    script,
    environment: Object.fromEntries(exported),
    workingDirectory: plan.workingFolder,
    name: plan.jobName,
    nodes: plan.nodes,
    tasksPerNode: 1,
    cpusPerTask: plan.cpusPerNode,
    timeLimitMinutes: plan.timeLimitMinutes,
    signal: { name: 'USR2', secondsBefore: plan.signalLeadSeconds },
    requeue: true,
    openMode: 'append',
    standardOutput: `${plan.runFolder}/slurm/%j.out`,
    ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<JobSubmission>),
  };
}

function megabytes(text: string): number {
  const factor = { K: 1 / 1024, M: 1, G: 1024, T: 1024 * 1024 }[text.at(-1)!] ?? 1;
  return Math.ceil(Number.parseInt(text, 10) * factor);
}
