// Asking about and acting on jobs that exist, through Slurm's commands where they are installed, else through slurmrestd.
import { existsSync } from 'node:fs';
import { SlipError } from '@slip/core';
import { createSlurmClient, type Job, SlurmError } from 'node-slurm-rest';
import { type JobFacts, parseJobFacts } from './job-facts.js';
import { asSlipError, type RestAddress, restAddress } from './send.js';
import { slurmRunner } from './slurm-command.js';

export interface JobQuery {
  /** Undefined when Slurm has forgotten the job. @throws SlipError `scheduler` when Slurm does not answer */
  facts(jobId: number): Promise<JobFacts | undefined>;
  cancel(jobId: number): Promise<void>;
}

/** @throws SlipError `scheduler` where there is neither */
export function openJobQuery(environment: NodeJS.ProcessEnv, restUrl?: string): JobQuery {
  const folders = (environment.PATH ?? '').split(':').filter((folder) => folder !== '');
  const hasCommands = folders.some((folder) => existsSync(`${folder}/scontrol`));
  const rest = restAddress(restUrl, environment);
  if (restUrl === undefined && hasCommands) return throughCommands(environment);
  if (rest !== undefined) return throughRest(rest);
  throw new SlipError('scheduler', 'scontrol is not on PATH, and there is no address of slurmrestd (--rest-url)');
}

/** Whether the job still holds, or waits for, nodes. */
export function isActive(facts: JobFacts | undefined): boolean {
  return facts !== undefined && ACTIVE.includes(facts.state);
}

const ACTIVE = ['PENDING', 'CONFIGURING', 'RUNNING', 'SUSPENDED', 'COMPLETING', 'REQUEUED', 'REQUEUE_HOLD', 'STOPPED'];

function throughCommands(environment: NodeJS.ProcessEnv): JobQuery {
  const slurm = slurmRunner(environment);
  return {
    facts: async (jobId) => {
      try {
        return parseJobFacts(await slurm({ program: 'scontrol', args: ['--oneliner', 'show', 'job', String(jobId)] }));
      } catch (error) {
        if (/invalid job id/i.test(String(error))) return undefined;
        throw error;
      }
    },
    cancel: async (jobId) => {
      await slurm({ program: 'scancel', args: [String(jobId)] });
    },
  };
}

function throughRest(address: RestAddress): JobQuery {
  const during = async <T>(act: (client: ReturnType<typeof createSlurmClient>) => Promise<T>): Promise<T> => {
    const client = createSlurmClient(address);
    try {
      return await act(client);
    } finally {
      await client.close();
    }
  };
  return {
    facts: (jobId) =>
      during(async (client) => {
        try {
          return factsOf(await client.job(jobId));
        } catch (error) {
          if (error instanceof SlurmError && error.code === 'not-found') return undefined;
          return asSlipError(error);
        }
      }),
    cancel: (jobId) => during((client) => client.cancelJob(jobId).catch(asSlipError)),
  };
}

function factsOf(job: Job): JobFacts {
  return {
    id: String(job.id),
    name: job.name,
    state: job.state === 'UNKNOWN' ? (job.stateFlags[0] ?? 'UNKNOWN') : job.state,
    reason: job.reason,
    partition: job.partition,
    nodes: job.nodes,
    restarts: job.restartCount,
    requeueAllowed: job.raw.requeue !== false,
    exitCode: `${job.exitCode ?? 0}:${job.exitSignal ?? 0}`,
    startTime: job.startTime,
    endTime: job.endTime,
    preemptTime: job.preemptTime,
    timeLimit: job.timeLimitMinutes === Number.POSITIVE_INFINITY ? 'UNLIMITED' : `${job.timeLimitMinutes} min`,
    workingFolder: job.workingDirectory,
    output: job.standardOutput.replaceAll('%j', String(job.id)),
  };
}
