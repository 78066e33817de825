// More ways of being interrupted, each on a real cluster: the run ends with the weights of an undisturbed one.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, processesWith, skipWithoutSlurm, startCluster } from './cluster.js';
import { type Expected, endsAsExpected, eventNames, resultOf, untilRestarted, untilStep } from './interruptions.js';
import { eventsOf, jobOutput, type Submitted, submitJob, tinyRuns } from './submit-runs.js';

const SHORT_RUN = 20;
const LONG_RUN = 80;

interface Way {
  act(job: Submitted, cluster: Cluster): Promise<unknown>;
  /** What follows the first attempt's end, and its cause. */
  readonly follows?: readonly [event: string, cause: string];
  /** Whether the job comes back at all, or goes on where it is. */
  readonly comesBack?: false;
  /** 2 unless it says otherwise, with as many ranks in all. */
  readonly nodes?: 1;
  /** What Slurm notices by itself takes half a minute, which a run has to last. */
  readonly epochs?: typeof LONG_RUN;
}

const worker = (job: Submitted, index: number) => processesWith(`SLIP_CONFIG=${job.runFolder}/config.json`).at(index)!;

const WAYS: Readonly<Record<string, Way>> = {
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
  },
  'its time limit': {
    // Slurm looks at limits every 30 s, and asks the job to save when the end is less than --signal-lead away.
    act: (job, cluster) => cluster.slurm('scontrol', 'update', `jobid=${job.jobId}`, `endtime=${inSeconds(100)}`),
    follows: ['requeued', 'timed-out'],
    epochs: LONG_RUN,
  },
  'a dead node': {
    act: async (job, cluster) => {
      const host = await cluster.jobField(job.jobId, 'BatchHost');
      await cluster.node('crash', host);
      await cluster.slurm('scontrol', 'update', `nodename=${host}`, 'state=down', 'reason=test');
      await untilRestarted(cluster, job);
      await bringBack(cluster, host);
    },
  },
  'a dead node without the batch script, which Slurm notices by itself': {
    act: async (job, cluster) => {
      await cluster.node('crash', 'node02');
      await untilRestarted(cluster, job);
      await bringBack(cluster, 'node02');
    },
    epochs: LONG_RUN,
  },
  'a slurmd that is gone while its tasks live on': {
    act: async (job, cluster) => {
      await cluster.node('kill-daemon', 'node02');
      await untilRestarted(cluster, job);
      await bringBack(cluster, 'node02');
    },
    epochs: LONG_RUN,
  },
  'a slurmd that is gone while all tasks of a one-node job live on': {
    act: async (job, cluster) => {
      const host = await cluster.jobField(job.jobId, 'BatchHost');
      await cluster.node('kill-daemon', host);
      await untilRestarted(cluster, job);
      await bringBack(cluster, host);
    },
    nodes: 1,
    epochs: LONG_RUN,
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
    '4',
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
  const results = new Map<number, Expected>();
  const undisturbed = async (epochs: number): Promise<Expected> => {
    const known = results.get(epochs) ?? (await resultOf(cluster, await submit(`undisturbed-${epochs}`, epochs)));
    results.set(epochs, known);
    return known;
  };
  const chosen = process.env.SLIP_INTERRUPTION;

  for (const [name, { act, follows, comesBack, nodes, epochs = SHORT_RUN }] of Object.entries(WAYS)) {
    if (chosen !== undefined && !name.includes(chosen)) continue;
    await context.test(name, async (inner) => {
      const expected = await undisturbed(epochs);
      const job = await submit(name.replaceAll(/\W+/g, '-'), epochs, nodes);
      await untilStep(job, 10);
      await act(job, cluster);
      if (comesBack === false) {
        await endsAsExpected(cluster, job, expected);
        assert.equal(await cluster.jobField(job.jobId, 'Restarts'), '0');
        return;
      }
      await untilRestarted(cluster, job);
      await endsAsExpected(cluster, job, expected);
      const events = eventsOf(job.runFolder);
      inner.diagnostic(eventNames(job).join(' '));
      assert.equal(events.filter(({ event }) => event === 'completed').length, 1);
      if (follows === undefined) return;
      const found = events.find(({ event }) => event === 'requeued' || event === 'left');
      assert.deepEqual([found?.event, found?.cause], follows, jobOutput(job));
      // Where there was time to save, no step is lost.
      if (found?.cause !== 'crashed') assert.doesNotMatch(String(found?.reason), /not saved/);
    });
  }
});

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
