// For tests: a real Slurm cluster of slurm/test-cluster, ended with the test. Where Slurm is not installed tests skip and
// say so, unless CI_REQUIRE_SLURM=1 makes that a failure.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const scripts = path.resolve(import.meta.dirname, '../../../slurm/test-cluster');
const PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'slurmrestd', 'sbatch'];

/** For the `skip` option of a test: a sentence where Slurm is missing, false where it is there or required. */
export function skipWithoutSlurm(): string | false {
  const missing = PROGRAMS.filter(
    (program) =>
      !['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin'].some((f) => existsSync(`${f}/${program}`)),
  );
  if (missing.length === 0) return false;
  const sentence = `Slurm is not installed here (no ${missing.join(', ')}); see slurm/test-cluster/README.md`;
  if (process.env.CI_REQUIRE_SLURM !== '1') return sentence;
  throw new Error(`CI_REQUIRE_SLURM=1, but ${sentence}`);
}

export interface Cluster {
  readonly folder: string;
  /** For child processes: the cluster's variables over a clean environment without any other Slurm's. */
  readonly environment: Readonly<Record<string, string>>;
  /** Runs one of Slurm's commands and returns its output, trimmed. */
  slurm(program: string, ...args: string[]): Promise<string>;
  /** Runs node.sh: start, stop, crash, kill-daemon. */
  node(action: string, name: string): Promise<void>;
  /** One field of `scontrol show job`. */
  jobField(jobId: number | string, field: string): Promise<string>;
  /** Waits until the job is in one of the states. */
  untilState(jobId: number | string, states: readonly string[], seconds?: number): Promise<string>;
}

let numClusters = 0;

/** Starts a cluster with the options of up.sh; it ends with the test, and also when this process is killed. */
export async function startCluster(context: TestContext, ...options: string[]): Promise<Cluster> {
  const folder = path.join(mkdtempSync(path.join(os.tmpdir(), 'slip-slurm-')), 'cluster');
  // Job ids of its own: processes of a job are found by them, and other clusters may run on this machine.
  const firstJobId = 1000 * (1 + ((process.pid * 17 + numClusters++) % 60_000));
  const own = ['--dir', folder, '--while', String(process.pid), '--set', `FirstJobId=${firstJobId}`];
  const up = await run(path.join(scripts, 'up.sh'), [...own, ...options]);
  context.diagnostic(up.stdout.trim().split('\n').at(-1) ?? '');
  context.after(() => {
    const down = spawnSync(path.join(scripts, 'down.sh'), ['--dir', folder], { encoding: 'utf8' });
    rmSync(path.dirname(folder), { recursive: true, force: true });
    assert.match(down.stdout, /is down/, down.stderr);
    assert.doesNotMatch(down.stdout, /killed what was left/, 'no process outlives its job');
  });
  const inherited = Object.entries(process.env).filter(([name]) => !/^(SLURM|SBATCH|SRUN|SALLOC)/.test(name));
  const environment = { ...Object.fromEntries(inherited), ...readEnvironment(folder) } as Record<string, string>;
  const slurm = async (program: string, ...args: string[]): Promise<string> => {
    const { stdout } = await run(program, args, { env: environment, cwd: path.dirname(folder), timeout: 30_000 });
    return stdout.trim();
  };
  const jobField = async (jobId: number | string, field: string): Promise<string> => {
    const ask = () => slurm('scontrol', '-o', 'show', 'job', String(jobId));
    // On a machine that is too busy, a client gives up before the controller has answered.
    const text = await ask().catch((error) => (/timed out/.test(String(error)) ? ask() : Promise.reject(error)));
    return new RegExp(`(?:^|\\s)${field}=(\\S*)`).exec(text)?.[1] ?? '';
  };
  return {
    folder,
    environment,
    slurm,
    jobField,
    node: async (action, name) => {
      await run(path.join(scripts, 'node.sh'), ['--dir', folder, action, name]);
    },
    untilState: async (jobId, states, seconds = 60) => {
      for (const end = Date.now() + seconds * 1000; ; await sleep(200)) {
        const state = await jobField(jobId, 'JobState');
        if (states.includes(state)) return state;
        if (Date.now() > end)
          assert.fail(
            `job ${jobId} is ${state}, not ${states.join(' or ')}, after ${seconds} s\n${await slurm('scontrol', 'show', 'job', String(jobId))}`,
          );
      }
    },
  };
}

function readEnvironment(folder: string): Record<string, string> {
  const lines = readFileSync(path.join(folder, 'env.sh'), 'utf8').trim().split('\n');
  return Object.fromEntries(
    lines.map((line) => {
      const [, name, value] = /^export (\w+)=(.*)$/.exec(line)!;
      return [name, value!.replace('$PATH', process.env.PATH ?? '')];
    }),
  );
}

/** Living processes whose environment has all these entries, by id. */
export function processesWith(...entries: readonly string[]): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
        return entries.every((entry) => environment.includes(entry));
      } catch {
        return false;
      }
    })
    .map(Number);
}
