// Running Slurm's own commands: with an environment free of other jobs' settings, a deadline, and errors in one line.
import { spawn } from 'node:child_process';
import { SlipError } from '@slip/core';

export interface SlurmCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly input?: string;
  readonly cwd?: string;
  /** Default 30 s: Slurm's commands wait for a controller that is not there. */
  readonly timeoutMs?: number;
}

export type RunSlurm = (command: SlurmCommand) => Promise<string>;

/** @returns a runner whose result is standard output, trimmed; @throws SlipError `scheduler` */
export function slurmRunner(environment: NodeJS.ProcessEnv): RunSlurm {
  const clean = slurmEnvironment(environment);
  return ({ program, args, input = '', cwd, timeoutMs = 30_000 }) =>
    new Promise((resolve, reject) => {
      const child = spawn(program, args, {
        env: clean,
        stdio: 'pipe',
        ...(cwd === undefined ? {} : { cwd }),
      });
      const timer = setTimeout(() => child.kill(), timeoutMs);
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk) => (stdout += chunk));
      child.stderr.on('data', (chunk) => (stderr += chunk));
      child.stdin.on('error', () => undefined);
      child.stdin.end(input);
      child.once('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        reject(
          new SlipError(
            'scheduler',
            error.code === 'ENOENT'
              ? `${program} is not on PATH: is Slurm installed here? slip-submit --dry-run works without it`
              : `${program} could not be started: ${error.message}`,
            { cause: error },
          ),
        );
      });
      child.once('close', (code, signal) => {
        clearTimeout(timer);
        if (code === 0) return resolve(stdout.trim());
        const why = stderr.trim().split('\n').slice(0, 3).join('; ') || (signal ?? `exit code ${code}`);
        reject(new SlipError('scheduler', `${program} ${args[0] ?? ''}: ${why}`.trim(), { details: { code, signal } }));
      });
    });
}

/** Inside a job, SLURM_* and SBATCH_* of that job would leak into the next one's options. */
export function slurmEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const keep = (name: string) =>
    ['SLURM_CONF', 'SLURM_JWT', 'SLURM_TIME_FORMAT'].includes(name) ||
    !/^(SLURM|SLURMD|SBATCH|SRUN|SALLOC)_/.test(name);
  return Object.fromEntries(Object.entries(environment).filter(([name]) => keep(name)));
}

/** Settings that people keep in their shell for sbatch, as flags of slip-submit. */
export function flagsFromSbatchVariables(environment: NodeJS.ProcessEnv): Record<string, string> {
  // Inside a job they are that job's, not the person's.
  if (environment.SLURM_JOB_ID !== undefined) return {};
  const names = ['partition', 'account', 'qos', 'reservation', 'constraint'];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = environment[`SBATCH_${name.toUpperCase()}`];
      return value === undefined || value === '' ? [] : [[name, value]];
    }),
  );
}
