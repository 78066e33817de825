// The commands that batch scripts run inside a job: `slip-submit after` at the end of each, `slip-submit doctor-node` on each
// node of a doctor's. Reads arguments and the job's variables.
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { FlagDefinition } from '@slip/config/flags';
import { SlipError } from '@slip/core';
import { parseArguments } from '../cli/parse-arguments.js';
import { slurmRunner } from './slurm-command.js';
import { SUBMIT_FLAGS } from './submit-flags.js';

const AFTER_FLAGS: readonly FlagDefinition[] = [
  { name: 'exit-code', type: 'number', description: 'of the step' },
  { name: 'signal-lead', type: 'number', description: 'seconds' },
  ...SUBMIT_FLAGS.filter(({ name }) => name.startsWith('max-')),
];

const DOCTOR_NODE_FLAGS: readonly FlagDefinition[] = [
  { name: 'nodes', type: 'number', description: 'of the job' },
  { name: 'node-rank', type: 'number', description: 'number of this node' },
  { name: 'address', type: 'string', description: 'of node 0' },
];

export async function jobCommand(
  command: string,
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  return command === 'after' ? after(argv, environment) : doctorNode(argv, environment);
}

async function doctorNode(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const { task: run, flags } = parseArguments(argv, DOCTOR_NODE_FLAGS, []);
  if (run === undefined) throw new SlipError('config', 'slip-submit doctor-node RUN: runs inside a job only');
  const { REPORT_MARK, reportOnNode } = await import('./doctor-node.js');
  const report = await reportOnNode({
    runFolder: path.resolve(run),
    nodeRank: Number(flags['node-rank'] ?? 0),
    numNodes: Number(flags.nodes ?? 1),
    address: String(flags.address ?? '127.0.0.1'),
    environment,
  });
  process.stdout.write(`${REPORT_MARK}${JSON.stringify(report)}\n`);
  return 0;
}

async function after(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  // Slurm may be taking the job down already; what is decided here has to be written first.
  process.on('SIGTERM', () => undefined);
  const { task: run, flags } = parseArguments(argv, AFTER_FLAGS, []);
  const jobId = environment.SLURM_JOB_ID;
  if (run === undefined || flags['exit-code'] === undefined || jobId === undefined)
    throw new SlipError('config', 'slip-submit after RUN --exit-code N: runs at the end of a batch script only');
  const { afterAttempt } = await import('./after.js');
  const limit = (name: string) => Number(flags[name] ?? SUBMIT_FLAGS.find((flag) => flag.name === name)?.default);
  return afterAttempt(
    {
      runFolder: runFolderOf(run),
      exitCode: Number(flags['exit-code']),
      jobId,
      restartCount: Number(environment.SLURM_RESTART_COUNT ?? 0),
      signalLeadSeconds: Number(flags['signal-lead'] ?? 120),
      limits: {
        timeouts: limit('max-timeouts'),
        preemptions: limit('max-preemptions'),
        nodeFailures: limit('max-node-failures'),
        crashes: limit('max-crashes'),
      },
    },
    slurmRunner(environment),
    (line) => process.stdout.write(`${line}\n`),
  );
}

/** @throws SlipError `data` where there is no such folder */
export function runFolderOf(text: string): string {
  const folder = path.resolve(text);
  if (existsSync(folder)) return folder;
  throw new SlipError('data', `the run folder ${folder} does not exist`);
}
