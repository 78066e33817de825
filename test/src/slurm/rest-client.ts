// For tests: everything that node-slurm-rest offers, against a live slurmrestd over its unix socket and over TCP with tokens.
// What differs between releases of Slurm is told by whoever runs it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSlurmClient, type JobSubmission, type SlurmClient } from 'node-slurm-rest';
import type { Cluster } from './cluster.js';

/** What a release of Slurm has of its own. */
export interface Release {
  /** The newest that it offers and the client speaks. */
  readonly apiVersion: string;
  readonly release: RegExp;
  /** One that it does not offer. */
  readonly missingVersion: string;
  /** Whether it says how a partition preempts. */
  readonly saysPreemptMode: boolean;
  /** A property that it does not know is refused, or left out with a remark. */
  readonly refusesUnknownKeys: boolean;
  /** Whether a signal may go to the batch script alone. */
  readonly signalsBatchScript: boolean;
  /** What a token that nobody signed is answered with. */
  readonly badToken: { readonly code: string; readonly message: RegExp };
}

/** @param cluster of two nodes with four GPUs each; its controller is ended at last */
export async function tryRestClient(
  context: TestContext,
  cluster: Cluster,
  release: Release,
  apiVersion = release.apiVersion,
): Promise<void> {
  const { SLURMRESTD_SOCKET, SLURMRESTD_URL, SLURMRESTD_USER, SLURMRESTD_TOKEN } = cluster.environment;
  const chosen = apiVersion === release.apiVersion ? {} : { apiVersion };
  const local = createSlurmClient({ url: `unix:${SLURMRESTD_SOCKET}`, ...chosen });
  const remote = createSlurmClient({
    ...chosen,
    url: SLURMRESTD_URL!,
    user: SLURMRESTD_USER!,
    token: async () => SLURMRESTD_TOKEN!,
  });
  context.after(async () => Promise.all([local.close(), remote.close()]));
  const logs = path.join(cluster.folder, 'log');
  const job = (script: string, more: Partial<JobSubmission> = {}): JobSubmission => ({
    script: `#!/bin/bash\n${script}\n`,
    environment: { PATH: '/usr/bin:/bin', GREETING: 'two words, "quoted"' },
    workingDirectory: logs,
    standardOutput: `${logs}/%j.txt`,
    ...more,
  });
  const until = async (client: SlurmClient, id: number, state: string) => {
    for (let i = 0; i < 150; i++, await sleep(100)) {
      const found = await client.job(id);
      if (found.state === state && found.stateFlags.length === 0) return found;
    }
    return assert.fail(`job ${id} did not become ${state}: ${JSON.stringify(await client.job(id))}`);
  };

  await context.test('the newest common version is negotiated; ping and diag answer', async () => {
    assert.equal(await local.apiVersion(), apiVersion);
    assert.match(await local.release(), release.release);
    for (const client of [local, remote])
      assert.deepEqual(
        (await client.ping()).map(({ isUp, isPrimary }) => [isUp, isPrimary]),
        [[true, true]],
      );
    assert.equal((await remote.diag()).jobsRunning, 0);
  });

  await context.test('nodes and partitions', async () => {
    const nodes = await local.nodes();
    assert.deepEqual(
      nodes.map(({ name, state, gpus, gpusUsed, cpus }) => [name, state, gpus, gpusUsed, cpus]),
      [
        ['node01', 'IDLE', 4, 0, 16],
        ['node02', 'IDLE', 4, 0, 16],
      ],
    );
    const { name, state, totalNodes, maxTimeMinutes, graceTimeSeconds, preemptModes } = await remote.partition('low');
    assert.deepEqual([name, state, totalNodes, graceTimeSeconds], ['low', 'UP', 2, 10]);
    assert.deepEqual(preemptModes, release.saysPreemptMode ? ['requeue'] : []);
    assert.equal(maxTimeMinutes, Number.POSITIVE_INFINITY);
    assert.deepEqual((await local.partitions()).map((partition) => partition.name).sort(), ['high', 'low', 'main']);
  });

  for (const [name, client] of [
    ['socket', local],
    ['token', remote],
  ] as const)
    await context.test(`over the ${name}: submit, run on two nodes with GPUs, read the result`, async () => {
      const script = 'srun bash -c \'echo "$SLURM_PROCID $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES $GREETING"\'';
      const { id, remarks } = await client.submitJob(
        job(script, {
          name: 'r',
          nodes: 2,
          tasksPerNode: 1,
          gpusPerNode: 2,
          timeLimitMinutes: 5,
          comment: '{"run":"x y"}',
          memoryPerNodeMb: 100,
        }),
      );
      assert.deepEqual(remarks, []);
      const done = await until(client, id, 'COMPLETED');
      assert.deepEqual(
        [done.name, done.comment, done.nodeCount, done.timeLimitMinutes, done.exitCode],
        ['r', '{"run":"x y"}', 2, 5, 0],
      );
      assert.deepEqual(readFileSync(`${logs}/${id}.txt`, 'utf8').trim().split('\n').sort(), [
        '0 node01 0,1 two words, "quoted"',
        '1 node02 0,1 two words, "quoted"',
      ]);
    });

  await context.test('exit code, cancel, signal, update, hold, requeue flag, array', async () => {
    const failing = await local.submitJob(job('exit 3'));
    assert.deepEqual([(await until(local, failing.id, 'FAILED')).exitCode], [3]);

    const held = await local.submitJob(job('exec sleep 100', { hold: true, requeue: false }));
    assert.match(held.remarks[0]?.message ?? '', /held state/);
    await local.updateJob(held.id, { comment: 'changed', timeLimitMinutes: 7, priority: 11 });
    const pending = await local.job(held.id);
    assert.deepEqual([pending.comment, pending.timeLimitMinutes, pending.raw.requeue], ['changed', 7, false]);
    await local.updateJob(held.id, { hold: false });
    await until(local, held.id, 'RUNNING');
    await local.cancelJob(held.id);
    await until(local, held.id, 'CANCELLED');

    const listening = await local.submitJob(
      job('trap "echo heard; exit 0" USR1; echo ready; while :; do sleep 0.1; done'),
    );
    while (!(await local.job(listening.id)).startTime || !exists(`${logs}/${listening.id}.txt`)) await sleep(100);
    await local.signalJob(listening.id, 'USR1');
    await until(local, listening.id, 'COMPLETED');
    assert.match(readFileSync(`${logs}/${listening.id}.txt`, 'utf8'), /heard/);

    const signal = { name: 'USR2', secondsBefore: 60, toBatchScript: true };
    const warned = local.submitJob(job('true', { signal, timeLimitMinutes: 5, exclusive: true, openMode: 'append' }));
    if (release.signalsBatchScript) assert.deepEqual((await warned).remarks, []);
    else await assert.rejects(warned, { code: 'unsupported-version', message: /batch script alone/ });

    const dependency = `afterok:${failing.id}`;
    const dependent = await local.submitJob(job('true', { dependency, killOnInvalidDependency: true }));
    assert.deepEqual(dependent.remarks, []);
    await until(local, dependent.id, 'CANCELLED');

    const array = await local.submitJob(job('echo $SLURM_ARRAY_TASK_ID', { array: '0-2' }));
    while ((await local.jobElements(array.id)).some(({ state }) => state !== 'COMPLETED')) await sleep(100);
    assert.deepEqual((await local.jobElements(array.id)).map(({ arrayTaskId }) => arrayTaskId).sort(), [0, 1, 2]);
    assert.ok((await local.jobs()).length >= 6);
  });

  await context.test("Slurm's refusals are typed errors with Slurm's own numbers", async () => {
    const refusal = (code: string, number?: number) => (error: unknown) => {
      const {
        name,
        code: found,
        problems,
        message,
      } = error as Record<string, never> as unknown as {
        name: string;
        code: string;
        message: string;
        problems: { number?: number }[];
      };
      assert.deepEqual([name, found], ['SlurmError', code], message);
      if (number !== undefined)
        assert.ok(
          problems.some((problem) => problem.number === number),
          message,
        );
      return true;
    };
    await assert.rejects(local.submitJob(job('true', { partition: 'none' })), refusal('rejected', 2000));
    await assert.rejects(local.submitJob(job('true', { gpusPerNode: 99 })), refusal('rejected', 2014));
    await assert.rejects(local.submitJob(job('true', { constraints: 'none' })), refusal('rejected', 2029));
    const unknownKey = local.submitJob(job('true', { extra: { whatever: 1 } }));
    if (release.refusesUnknownKeys) await assert.rejects(unknownKey, refusal('invalid-request', 9001));
    else assert.match((await unknownKey).remarks[0]?.message ?? '', /unknown field "whatever"/);
    await assert.rejects(local.submitJob(job('true', { environment: {} })), refusal('invalid-request'));
    await assert.rejects(local.signalJob((await local.jobs())[0]!.id, 'NOPE'), refusal('invalid-request'));
    await assert.rejects(local.job(999), refusal('not-found', 2017));
    await assert.rejects(local.cancelJob(999), refusal('not-found', 2017));
    await assert.rejects(local.updateJob(999, { comment: 'x' }), refusal('not-found', 2017));
    await assert.rejects(local.node('nowhere'), refusal('not-found'));
    await assert.rejects(local.partition('nowhere'), refusal('not-found'));
  });

  await context.test('transport: no token, a wrong one, nobody there, no controller', async () => {
    const withClient = async (options: Parameters<typeof createSlurmClient>[0], code: string, message: RegExp) => {
      const client = createSlurmClient(options);
      await assert.rejects(client.jobs(), { code, message });
      await client.close();
    };
    await withClient({ url: SLURMRESTD_URL! }, 'unauthorized', /401|user name and token/);
    const { code, message } = release.badToken;
    await withClient({ url: SLURMRESTD_URL!, user: 'root', token: 'x.y.z' }, code, message);
    await withClient({ url: `unix:${cluster.folder}/none.sock` }, 'unreachable', /none.sock cannot be reached: ENOENT/);
    await withClient({ url: `unix:${SLURMRESTD_SOCKET}`, apiVersion: release.missingVersion }, 'not-found', /404/);
    await withClient({ url: `unix:${SLURMRESTD_SOCKET}`, timeoutMs: 0 }, 'timeout', /no answer/);
    process.kill(Number(readFileSync(`${cluster.folder}/run/slurmctld.pid`, 'utf8')), 'SIGTERM');
    await sleep(1500);
    await assert.rejects(local.job(1), { code: 'controller-unavailable' });
  });
}

function exists(file: string): boolean {
  try {
    return readFileSync(file, 'utf8').includes('ready');
  } catch {
    return false;
  }
}
