// Sending a plan to Slurm, by sbatch or by slurmrestd, so that the run folder is there before the job begins.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { SlipError } from '@slip/core';
import { createSlurmClient, type SlurmClient, SlurmError } from 'node-slurm-rest';
import { restSubmission } from './rest-submission.js';
import { slurmRunner } from './slurm-command.js';
import type { SubmitPlan } from './submit-plan.js';
import { prepareRunFolder, recordSubmission } from './submit-record.js';

export interface Sent {
  readonly jobId: number;
  readonly via: 'sbatch' | 'rest';
  readonly runFolder: string;
}

export interface RestAddress {
  readonly url: string;
  readonly user?: string;
  readonly token?: string;
}

/** `auto` takes sbatch where it is installed: it can do everything that slurmrestd can. */
export function chooseWay(
  via: 'auto' | 'sbatch' | 'rest',
  rest: RestAddress | undefined,
  environment: NodeJS.ProcessEnv,
): { via: 'sbatch' } | { via: 'rest'; rest: RestAddress } {
  const hasSbatch = (environment.PATH ?? '')
    .split(':')
    .some((folder) => folder !== '' && existsSync(`${folder}/sbatch`));
  if (via === 'sbatch' || (via === 'auto' && hasSbatch)) return { via: 'sbatch' };
  if (rest !== undefined) return { via: 'rest', rest };
  const missing = 'no address of slurmrestd: give --rest-url, or set SLURMRESTD_SOCKET or SLURMRESTD_URL';
  throw new SlipError('scheduler', via === 'rest' ? missing : `sbatch is not on PATH, and there is ${missing}`);
}

/** The flag first, then the variables that sites set. */
export function restAddress(flag: string | undefined, environment: NodeJS.ProcessEnv): RestAddress | undefined {
  const { SLURMRESTD_SOCKET, SLURMRESTD_URL, SLURMRESTD_USER, SLURMRESTD_TOKEN, SLURM_JWT, USER } = environment;
  const url = flag ?? (SLURMRESTD_SOCKET ? `unix:${SLURMRESTD_SOCKET}` : SLURMRESTD_URL);
  if (url === undefined || url === '') return undefined;
  const token = SLURMRESTD_TOKEN ?? SLURM_JWT;
  // On a socket the user of this process counts.
  if (url.startsWith('unix:') || token === undefined) return { url };
  return { url, token, user: SLURMRESTD_USER ?? USER ?? '' };
}

/** @throws SlipError `scheduler` when Slurm refuses or cannot be reached, `data` when the run folder cannot be made */
export async function sendPlan(
  plan: SubmitPlan,
  script: string,
  way: ReturnType<typeof chooseWay>,
  environment: NodeJS.ProcessEnv,
): Promise<Sent> {
  // With the job's id in its name, the folder can only be made once the job is known, and has to be before it begins.
  const hold = plan.runFolder.includes('%j');
  const undo = hold ? async () => undefined : await prepareRunFolder(plan.runFolder);
  const slurm = way.via === 'sbatch' ? bySbatch(environment) : byRest(way.rest, environment);
  try {
    const jobId = await slurm.submit(plan, script, hold).catch(async (error) => {
      await undo();
      throw error;
    });
    const runFolder = plan.runFolder.replaceAll('%j', String(jobId));
    const record = { jobId, via: way.via, submittedAt: new Date().toISOString(), plan: { ...plan, runFolder } };
    try {
      if (hold) await prepareRunFolder(runFolder);
      await recordSubmission(runFolder, record, script);
      if (hold) await slurm.release(jobId);
    } catch (error) {
      // A job that nobody knows of must not stay behind.
      if (hold) await slurm.cancel(jobId).catch(() => undefined);
      throw error;
    }
    return { jobId, via: way.via, runFolder };
  } finally {
    await slurm.close();
  }
}

interface Way {
  submit(plan: SubmitPlan, script: string, hold: boolean): Promise<number>;
  release(jobId: number): Promise<unknown>;
  cancel(jobId: number): Promise<unknown>;
  close(): Promise<void>;
}

function bySbatch(environment: NodeJS.ProcessEnv): Way {
  const slurm = slurmRunner(environment);
  return {
    submit: async (plan, script, hold) => {
      const args = ['--parsable', ...(hold ? ['--hold'] : [])];
      const cwd = existsSync(plan.workingFolder) ? plan.workingFolder : path.resolve('.');
      const printed = await slurm({ program: 'sbatch', args, input: script, cwd });
      // With several clusters the name of one follows: 12;cluster.
      const id = Number(printed.split('\n').at(-1)?.split(';')[0]);
      if (Number.isInteger(id) && id > 0) return id;
      throw new SlipError('scheduler', `sbatch did not print the id of a job but "${printed.slice(0, 80)}"`);
    },
    release: (jobId) => slurm({ program: 'scontrol', args: ['release', String(jobId)] }),
    cancel: (jobId) => slurm({ program: 'scancel', args: [String(jobId)] }),
    close: async () => undefined,
  };
}

function byRest(address: RestAddress, environment: NodeJS.ProcessEnv): Way {
  const client: SlurmClient = createSlurmClient(address);
  return {
    submit: async (plan, script, hold) => {
      const job = { ...restSubmission(plan, script, environment), ...(hold ? { hold } : {}) };
      return (await client.submitJob(job).catch(asSlipError)).id;
    },
    release: (jobId) => client.updateJob(jobId, { hold: false }).catch(asSlipError),
    cancel: (jobId) => client.cancelJob(jobId),
    close: () => client.close(),
  };
}

export function asSlipError(error: unknown): never {
  if (!(error instanceof SlurmError)) throw error;
  throw new SlipError('scheduler', `slurmrestd: ${error.message}`, {
    cause: error,
    details: { problems: error.problems },
  });
}
