// The commands about a run that exists: `slip-submit COMMAND RUN`. Reads arguments, and hands over to one file per command.
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { FlagDefinition } from '@slip/config/flags';
import { SlipError } from '@slip/core';
import { parseArguments } from '../cli/parse-arguments.js';
import { slurmRunner } from './slurm-command.js';
import { SUBMIT_FLAGS } from './submit-flags.js';

export const RUN_COMMANDS = ['after'];

const AFTER_FLAGS: readonly FlagDefinition[] = [
  { name: 'exit-code', type: 'number', description: 'of the step' },
  { name: 'signal-lead', type: 'number', description: 'seconds' },
  ...SUBMIT_FLAGS.filter(({ name }) => name.startsWith('max-')),
];

export async function runCommand(
  command: string,
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  switch (command) {
    case 'after':
      return after(argv, environment);
    default:
      throw new SlipError('internal', `no command ${command}`);
  }
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
