// What is looked at before a job is queued: better refused now than after two days in the queue.
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SlipError } from '@slip/core';
import { isActive, openJobQuery } from './job-query.js';
import { describeSaveBudget, readSaveBudget } from './save-budget.js';
import { slurmRunner } from './slurm-command.js';
import type { SubmitPlan } from './submit-plan.js';
import { readSubmissions } from './submit-record.js';
import type { SubmitTask } from './submit-tasks.js';

export interface CheckInput {
  readonly plan: SubmitPlan;
  readonly task: SubmitTask;
  readonly script: string;
  readonly via: 'auto' | 'sbatch' | 'rest';
  readonly environment: NodeJS.ProcessEnv;
}

export interface CheckResult {
  readonly errors: readonly SlipError[];
  readonly warnings: readonly string[];
}

export async function checkSubmission(input: CheckInput): Promise<CheckResult> {
  const { plan, task } = input;
  const errors: SlipError[] = [];
  const warnings: string[] = [];
  const parent = nearestFolder(plan.runFolder);
  if (!isWritable(parent))
    errors.push(
      new SlipError(
        'data',
        `the run folder ${plan.runFolder} cannot be made: ${parent} is not a folder that you may write; see --job-dir`,
      ),
    );
  const full = diskProblem(freeBytes(parent), task.checkpointBytes, parent);
  if (full !== undefined) errors.push(full);
  if (plan.nodes > 1 && isLocalFolder(plan.runFolder))
    warnings.push(`${plan.runFolder} looks like a folder of this machine only; all ${plan.nodes} nodes have to see it`);
  for (const [flag, file] of task.files)
    if (path.isAbsolute(file) && !existsSync(file)) warnings.push(`--${flag} ${file} does not exist on this machine`);
  if (plan.timeLimitMinutes * 60 < 3 * plan.signalLeadSeconds)
    warnings.push(
      `of ${plan.timeLimitMinutes} minutes, the last ${plan.signalLeadSeconds} s (--signal-lead) and up to 60 s before are for saving`,
    );
  const inUse = await askWhetherInUse(plan.runFolder, input.environment);
  if (inUse !== undefined) errors.push(inUse);
  const refused = await askSbatch(input);
  if (refused !== undefined) errors.push(refused);
  else warnings.push(...(await askSaveBudget(input)));
  return { errors, warnings };
}

/** Two jobs in one run folder would overwrite each other's checkpoints. */
async function askWhetherInUse(runFolder: string, environment: NodeJS.ProcessEnv): Promise<SlipError | undefined> {
  const submission = (await readSubmissions(runFolder)).at(-1);
  if (submission === undefined) return undefined;
  try {
    const facts = await openJobQuery(environment).facts(submission.jobId);
    if (!isActive(facts)) return undefined;
    return new SlipError(
      'config',
      `the run folder ${runFolder} belongs to job ${submission.jobId}, which is ${facts?.state}; slip-submit cancel it first, or choose another --job-dir`,
    );
  } catch {
    // Where no Slurm answers, submitting will say so.
    return undefined;
  }
}

/** sbatch itself knows best: partition, account, GPUs, sizes. Says nothing where it is not installed or not meant. */
async function askSbatch({ plan, script, via, environment }: CheckInput): Promise<SlipError | undefined> {
  const isInstalled = (environment.PATH ?? '').split(':').some((folder) => existsSync(path.join(folder, 'sbatch')));
  if (via === 'rest' || !isInstalled) return undefined;
  const cwd = existsSync(plan.workingFolder) ? plan.workingFolder : '/';
  try {
    await slurmRunner(environment)({ program: 'sbatch', args: ['--test-only'], input: script, cwd });
    return undefined;
  } catch (thrown) {
    return SlipError.from(thrown);
  }
}

/** How long a preempted job will have to save. Nothing where Slurm's commands are not here or do not answer. */
async function askSaveBudget({ plan, task, environment }: CheckInput): Promise<string[]> {
  if (task.checkpointBytes === 0) return [];
  const slurm = slurmRunner(environment);
  try {
    const partitions = (await slurm({ program: 'scontrol', args: ['--oneliner', 'show', 'partition'] })).split('\n');
    const name = (line: string) => /^PartitionName=(\S+)/.exec(line)?.[1];
    const line = partitions.find((found) =>
      plan.partition === undefined ? /\bDefault=YES\b/.test(found) : name(found) === plan.partition,
    );
    if (line === undefined) return [];
    const budget = readSaveBudget(line, await slurm({ program: 'scontrol', args: ['show', 'config'] }));
    const sentence = describeSaveBudget(name(line) ?? '', budget, task.checkpointBytes);
    return sentence === undefined ? [] : [sentence];
  } catch {
    return [];
  }
}

/** A checkpoint is written whole before the one before it may go. Undefined where there is room, or nobody can tell. */
export function diskProblem(free: number | undefined, checkpointBytes: number, folder: string): SlipError | undefined {
  if (free === undefined || free >= 2 * checkpointBytes) return undefined;
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
  return new SlipError(
    'data',
    `${folder} has ${megabytes(free)} free, and two checkpoints of ${megabytes(checkpointBytes)} have to fit; make room or choose another --job-dir`,
  );
}

function freeBytes(folder: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

function nearestFolder(folder: string): string {
  const fixed = folder.split('%j')[0]!;
  let at = fixed.endsWith('/') ? fixed : path.dirname(fixed);
  if (existsSync(folder)) return folder;
  while (!existsSync(at)) at = path.dirname(at);
  return at;
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return statSync(folder).isDirectory();
  } catch {
    return false;
  }
}

function isLocalFolder(folder: string): boolean {
  return [os.tmpdir(), '/tmp', '/var/tmp', '/dev/shm', '/run'].some((local) => folder.startsWith(`${local}/`));
}
