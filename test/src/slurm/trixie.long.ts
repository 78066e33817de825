// Debian 13's Slurm 24.11 in a folder of its own: node-slurm-rest in each version of the API that it offers, and slip-submit.
import assert from 'node:assert/strict';
import test from 'node:test';
import { startCluster } from './cluster.js';
import {
  endsAsExpected,
  eventNames,
  preempt,
  resultOf,
  resumedSteps,
  untilDecided,
  untilRestarted,
  untilStep,
} from './interruptions.js';
import { makeRoot, skipWithoutRoot } from './other-release.js';
import { type Release, tryRestClient } from './rest-client.js';
import { jobOutput, submitJob, tinyRuns } from './submit-runs.js';

const TRIXIE: Release = {
  apiVersion: 'v0.0.42',
  release: /^24\.11\./,
  missingVersion: 'v0.0.38',
  saysPreemptMode: false,
  refusesUnknownKeys: false,
  signalsBatchScript: true,
  badToken: { code: 'unauthorized', message: /Protocol authentication error.*token/ },
};

test("Debian 13's Slurm 24.11", { skip: skipWithoutRoot() }, async (context) => {
  const root = makeRoot();
  for (const apiVersion of ['v0.0.42', 'v0.0.41', 'v0.0.40'])
    await context.test(`node-slurm-rest, API ${apiVersion}`, async (inner) => {
      const cluster = await startCluster(inner, '--nodes', '2', '--gpus', '4', '--root', root);
      await tryRestClient(inner, cluster, TRIXIE, apiVersion);
    });
});

test("slip-submit on Debian 13's Slurm 24.11: by REST, and by sbatch with a preemption, the same weights", {
  skip: skipWithoutRoot(),
}, async (context) => {
  const root = makeRoot();
  const cluster = await startCluster(context, '--nodes', '2', '--gpus', '2', '--cpus', '4', '--root', root);
  assert.match(await cluster.slurm('sbatch', '--version'), / 24\.11\./);
  const runs = await tinyRuns(context);
  const submit = (via: string) =>
    submitJob(cluster, runs.run(via, '--via', via, '--partition', 'low', '--epochs', '3', '--max-restarts', '0'));
  const undisturbed = await submit('rest');
  const expected = await resultOf(cluster, undisturbed);
  assert.deepEqual([undisturbed.via, expected.weights.step], ['rest', 45]);

  const job = await submit('sbatch');
  await untilStep(job, 8);
  const ending = untilDecided(job);
  await preempt(cluster);
  const { decision, reachedStep } = await ending;
  assert.deepEqual([decision.event, decision.cause], ['requeued', 'preempted']);
  await untilRestarted(cluster, job);
  await endsAsExpected(cluster, job, expected);
  assert.deepEqual(
    resumedSteps(job),
    [reachedStep],
    `0 steps lost, one requeue: ${eventNames(job)}\n${jobOutput(job)}`,
  );
});
