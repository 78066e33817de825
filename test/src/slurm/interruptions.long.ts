// More ways of being interrupted, each on a real cluster: the run ends with the weights of an undisturbed one.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, processesWith, skipWithoutSlurm, startCluster } from './cluster.js';
import {
  type Expected,
  endsAsExpected,
  eventNames,
  preempt,
  resultOf,
  resumedSteps,
  secondsPerStep,
  untilDecided,
  untilRestarted,
  untilStep,
  wasTooShort,
} from './interruptions.js';
import { eventsOf, jobOutput, type Submitted, submitJob, tinyRuns } from './submit-runs.js';

const STEPS_PER_EPOCH = 15;
const SAVED_EVERY = 4;

interface Way {
  act(job: Submitted, cluster: Cluster): Promise<unknown>;
  /** What follows the first attempt's end, and its cause; not where nobody is left to decide. */
  readonly follows?: readonly [event: string, cause: string];
  /** Nobody had time to save, so steps since the last checkpoint are lost. */
  readonly losesSteps?: true;
  /** Whether the job comes back at all, or goes on where it is. */
  readonly comesBack?: false;
  /** 2 unless it says otherwise, with as many ranks in all. */
  readonly nodes?: 1;
  /** What Slurm notices by itself takes a minute and more, which a run has to last. */
  readonly isLong?: true;
}

const worker = (job: Submitted, index: number) => processesWith(`SLIP_CONFIG=${job.runFolder}/config.json`).at(index)!;

const WAYS: Readonly<Record<string, Way>> = {
  'a job of the high partition': {
    act: (_job, cluster) => preempt(cluster),
    follows: ['requeued', 'preempted'],
  },
  'scontrol requeue': {
    act: (job, cluster) => cluster.slurm('scontrol', 'requeue', String(job.jobId)),
    follows: ['left', 'ended-by-slurm'],
  },
  'SIGUSR2 to the steps': {
    act: (job, cluster) => cluster.slurm('scancel', '--signal=USR2', String(job.jobId)),
    follows: ['requeued', 'signalled'],
  },
  'SIGUSR2 to one rank only': {
    act: async (job) => process.kill(worker(job, -1), 'SIGUSR2'),
    follows: ['requeued', 'signalled'],
  },
  'a crash that slip-launch may not mend': {
    act: async (job) => process.kill(worker(job, -1), 'SIGKILL'),
    follows: ['requeued', 'crashed'],
    losesSteps: true,
  },
  'its time limit': {
    // Slurm looks at limits every 30 s, and asks the job to save when the end is less than --signal-lead away.
    act: async (job, cluster) => {
      await cluster.slurm('scontrol', 'update', `jobid=${job.jobId}`, `endtime=${inSeconds(100)}`);
      await untilRestarted(cluster, job);
      // That has become the limit of every start.
      await cluster.slurm('scontrol', 'update', `jobid=${job.jobId}`, 'timelimit=30');
    },
    follows: ['requeued', 'timed-out'],
    isLong: true,
  },
  'a dead node': {
    losesSteps: true,
    act: async (job, cluster) => {
      const host = await cluster.jobField(job.jobId, 'BatchHost');
      await cluster.node('crash', host);
      await cluster.slurm('scontrol', 'update', `nodename=${host}`, 'state=down', 'reason=test');
      await untilRestarted(cluster, job);
      await bringBack(cluster, host);
    },
  },
  'a dead node without the batch script, which Slurm notices by itself': {
    losesSteps: true,
    act: async (job, cluster) => {
      await cluster.node('crash', 'node02');
      await untilRestarted(cluster, job);
      await bringBack(cluster, 'node02');
    },
    isLong: true,
  },
  'a slurmd that is gone while its tasks live on': {
    losesSteps: true,
    act: async (job, cluster) => {
      await cluster.node('kill-daemon', 'node02');
      await untilRestarted(cluster, job);
      await bringBack(cluster, 'node02');
    },
    isLong: true,
  },
  'a slurmd that is gone while all tasks of a one-node job live on': {
    losesSteps: true,
    act: async (job, cluster) => {
      const host = await cluster.jobField(job.jobId, 'BatchHost');
      await cluster.node('kill-daemon', host);
      await untilRestarted(cluster, job);
      await bringBack(cluster, host);
    },
    nodes: 1,
    isLong: true,
  },
  'suspended for 30 s': {
    act: async (job, cluster) => {
      await cluster.slurm('scontrol', 'suspend', String(job.jobId));
      await sleep(30_000);
      await cluster.slurm('scontrol', 'resume', String(job.jobId));
    },
    comesBack: false,
  },
};

test('interrupted in any way, a run ends with the same weights', { skip: skipWithoutSlurm() }, async (context) => {
  const cluster = await startCluster(context, '--nodes', '3', '--gpus', '2', '--cpus', '4');
  const runs = await tinyRuns(context);
  const more = [
    '--checkpoint-every-steps',
    String(SAVED_EVERY),
    '--max-restarts',
    '0',
    '--max-crashes',
    '1',
    '--signal-lead',
    '60',
    '--comm-timeout',
    '120',
  ];
  const submit = (name: string, epochs: number, nodes = 2) =>
    submitJob(
      cluster,
      runs.run(
        name,
        '--partition',
        'low',
        ...more,
        '--epochs',
        String(epochs),
        '--nodes',
        String(nodes),
        '--ngpus',
        String(4 / nodes),
        '--gpu-request',
        'none',
      ),
    );
  // Machines differ, and what else they have to do: runs are as long as an interruption takes at the pace of a first one.
  const pilot = await submit('pilot', 2);
  await resultOf(cluster, pilot);
  const epochsOf = (seconds: number) =>
    Math.max(3, Math.min(100, Math.ceil(seconds / secondsPerStep(pilot) / STEPS_PER_EPOCH)));
  const results = new Map<number, Expected>();
  const undisturbed = async (epochs: number): Promise<Expected> => {
    const known = results.get(epochs) ?? (await resultOf(cluster, await submit(`undisturbed-${epochs}`, epochs)));
    results.set(epochs, known);
    return known;
  };
  const chosen = process.env.SLIP_INTERRUPTION;

  for (const [name, way] of Object.entries(WAYS)) {
    if (chosen !== undefined && !name.includes(chosen)) continue;
    await context.test(name, async (inner) => {
      for (let epochs = epochsOf(way.isLong === true ? 120 : 15), tries = 1; ; epochs *= 3, tries++) {
        const job = await submit(`${name.replaceAll(/\W+/g, '-')}-${tries}`, epochs, way.nodes);
        inner.diagnostic(`${epochs * STEPS_PER_EPOCH} steps`);
        try {
          const news = await interrupt(cluster, job, way);
          const expected = await undisturbed(epochs);
          await endsAsExpected(cluster, job, expected);
          return inner.diagnostic(news);
        } catch (error) {
          if (tries === 3 || !wasTooShort(job)) throw error;
        }
      }
    });
  }
});

/** Interrupts a run, waits for its end and looks at what followed. @returns what there is to say about it */
async function interrupt(cluster: Cluster, job: Submitted, way: Way): Promise<string> {
  await untilStep(job, 10);
  // Looked for from the start: the run soon goes on, and records more.
  const ending = way.follows === undefined ? undefined : untilDecided(job);
  await Promise.all([way.act(job, cluster), ending]);
  if (way.comesBack !== false) await untilRestarted(cluster, job);
  await cluster.untilState(job.jobId, ['COMPLETED', 'FAILED'], 1200);
  const events = eventsOf(job.runFolder);
  const names = eventNames(job).join(' ');
  assert.equal(events.filter(({ event }) => event === 'completed').length, 1, jobOutput(job));
  assert.equal(await cluster.jobField(job.jobId, 'Restarts'), way.comesBack === false ? '0' : '1', jobOutput(job));
  if (ending === undefined) return names;
  const { decision, reachedStep } = await ending;
  assert.deepEqual([decision.event, decision.cause], way.follows, jobOutput(job));
  const lost = reachedStep - resumedSteps(job).at(-1)!;
  if (way.losesSteps) assert.ok(lost <= SAVED_EVERY, jobOutput(job));
  else {
    assert.equal(lost, 0, jobOutput(job));
    assert.doesNotMatch(String(decision.reason), /not saved/);
  }
  return `${names}; step ${reachedStep} was done, ${lost} steps lost`;
}

/** A node that Slurm found silent returns by itself, one that an administrator set down has to be resumed. */
async function bringBack(cluster: Cluster, host: string): Promise<void> {
  await cluster.node('start', host);
  for (let i = 0; i < 100; i++, await sleep(200)) {
    await cluster.slurm('scontrol', 'update', `nodename=${host}`, 'state=resume').catch(() => undefined);
    if (/^(idle|mix|alloc)/.test(await cluster.slurm('sinfo', '-h', '-n', host, '-p', 'main', '-o', '%t'))) return;
  }
  assert.fail(`${host} did not come back`);
}

/** Local time as scontrol takes it. */
function inSeconds(seconds: number): string {
  const date = new Date(Date.now() + seconds * 1000);
  const two = (part: number) => String(part).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
