// For tests: tiny runs submitted with the real slip-submit to a test cluster.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { makeTinySet, root, TINY_MODEL, temporaryFolder } from '../pretrain/launch-runs.js';
import type { Cluster } from './cluster.js';

const program = path.join(root, 'orchestrator/bin/slip-submit.js');

export interface Submitted {
  readonly jobId: number;
  readonly runFolder: string;
  readonly via: string;
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs slip-submit in the cluster's environment. */
export function slipSubmit(
  cluster: Cluster,
  args: readonly string[],
  more: Record<string, string> = {},
  onFirstLine?: (line: string) => void,
): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...args], {
      env: { ...cluster.environment, ...more },
      cwd: path.dirname(cluster.folder),
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => {
      const isFirst = !stdout.includes('\n');
      stdout += chunk;
      if (isFirst && stdout.includes('\n')) onFirstLine?.(stdout.slice(0, stdout.indexOf('\n')));
    });
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

export async function submitJob(cluster: Cluster, args: readonly string[]): Promise<Submitted> {
  const { code, stdout, stderr } = await slipSubmit(cluster, ['--json', ...args]);
  if (code !== 0) throw new Error(`slip-submit ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

/** For `--follow`: the job as soon as it is submitted, and the end of slip-submit. */
export function submitJobAndGoOn(
  cluster: Cluster,
  args: readonly string[],
): Promise<{ job: Submitted; finished: Promise<Finished> }> {
  return new Promise((resolve, reject) => {
    const onLine = (line: string) => resolve({ job: JSON.parse(line), finished });
    const finished = slipSubmit(cluster, ['--json', ...args], {}, onLine);
    finished.then(({ stderr }) => reject(new Error(`slip-submit ended without a job: ${stderr}`)), reject);
  });
}

export interface TinyRuns {
  readonly folder: string;
  /** Arguments of a run of 2 nodes x 2 workers that takes some seconds. */
  run(name: string, ...more: string[]): string[];
}

/** A small set, and runs on it: 15 steps an epoch. */
export async function tinyRuns(context: { after(fn: () => void): void }): Promise<TinyRuns> {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 120);
  return {
    folder,
    run: (name, ...more) => [
      ...['--nodes', '2', '--ngpus', '2', '--cpus-per-task', '1', '--gpu-request', 'gres', '--timeout', '30'],
      ...[
        '--job_dir',
        path.join(folder, name),
        '--batch-size',
        '2',
        '--epochs',
        '2',
        '--print-freq',
        '1',
        '--lr',
        '1e-3',
      ],
      ...['--dataset', 'coco', '--root', set.root, '--metadata', set.metadata, '--model', 'SLIP_VITS16', ...TINY_MODEL],
      ...more,
    ],
  };
}

/** What a job printed, for messages of failing tests. */
export function jobOutput({ runFolder, jobId }: Submitted): string {
  try {
    return readFileSync(path.join(runFolder, 'slurm', `${jobId}.out`), 'utf8');
  } catch {
    return '(no output)';
  }
}

export function eventsOf(runFolder: string): Record<string, unknown>[] {
  return readFileSync(path.join(runFolder, 'events.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}
