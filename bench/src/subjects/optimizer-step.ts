// One measured world: ranks as processes on arenas of a model's size, and one way to update the parameters.
// `sharded` makes the calls of the product's optimizer: reduce-scatter, AdamW on the own shard, all-gather; `replicated` an
// all-reduce and a whole AdamW on every rank. Prints the slowest rank's median times as JSON.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { connectZeroMqGroup, type ProcessGroup, shardLengths } from '@slip/comms';
import { type AdamWArenas, adamW } from '@slip/model';
import { resolveModel, stateLayout } from '@slip/model/architecture';

const [WARM_UP_STEPS, MEASURED_STEPS] = [1, 5];

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'SLIP_VITS16' },
    ranks: { type: 'string', default: '2' },
    mode: { type: 'string', default: 'sharded' },
    rank: { type: 'string' },
  },
});
const worldSize = Number(values.ranks);
const { entries, parameterCount } = stateLayout(resolveModel(values.model));

if (values.rank === undefined) await playAll();
else await play(Number(values.rank));

/** Starts the ranks, and gives them each other's endpoints. */
async function playAll(): Promise<void> {
  const args = (rank: number) => [...process.argv.slice(2), '--rank', String(rank)];
  const ranks = Array.from({ length: worldSize }, (_, rank) => fork(import.meta.filename, args(rank)));
  const ends = ranks.map((rank) => once(rank, 'exit'));
  const endpoints = await Promise.all(ranks.map(async (rank) => (await once(rank, 'message'))[0] as string));
  for (const rank of ranks) rank.send(endpoints);
  const codes = (await Promise.all(ends)).map(([code]) => code as number | null);
  if (codes.some((code) => code !== 0)) process.exitCode = 1;
}

async function play(rank: number): Promise<void> {
  const group = await connectZeroMqGroup({
    ...{ rank, worldSize, runId: 'optimizer-step', generation: 0, host: '127.0.0.1', timeoutMs: 100_000 },
    exchange: async (endpoint) => {
      const table = once(process, 'message');
      process.send!(endpoint);
      return (await table)[0] as string[];
    },
  });
  const update = values.mode === 'sharded' ? await sharded(group) : await replicated(group);
  const steps: Record<string, number>[] = [];
  for (let step = 1; step <= WARM_UP_STEPS + MEASURED_STEPS; step++) {
    update.grads.fill(0.01 * (rank + 1));
    await group.barrier();
    const times = Float32Array.from(await update.run(step));
    await group.allReduce(times, 'max');
    const [sumMs, adamWMs, gatherMs, timeMs] = times;
    steps.push({ sumMs, adamWMs, gatherMs, timeMs });
  }
  const measured = steps.slice(WARM_UP_STEPS);
  const median = (key: string) => measured.map((step) => step[key]).sort((a, b) => a - b)[measured.length >> 1];
  if (rank === 0)
    console.log(JSON.stringify(Object.fromEntries(Object.keys(measured[0]).map((key) => [key, median(key)]))));
  await group.barrier();
  await group.close();
  process.disconnect();
}

interface Update {
  readonly grads: Float32Array;
  /** @returns ms of the sum, of AdamW, of the gather, and of all */
  run(step: number): Promise<number[]>;
}

async function sharded(group: ProcessGroup): Promise<Update> {
  const common = () => group.allocate(parameterCount, 'common');
  const grads = await group.allocate(parameterCount);
  const arenas = { grads, params: await common(), expAvg: await common(), expAvgSq: await common() };
  const lengths = shardLengths(parameterCount, group.worldSize);
  const start = lengths.slice(0, group.rank).reduce((sum, length) => sum + length, 0);
  const end = start + lengths[group.rank];
  return timed(
    arenas,
    { start, end },
    () => group.reduceScatter(grads, grads.subarray(start, end), lengths),
    () => group.allGather(arenas.params.subarray(start, end), arenas.params, lengths),
  );
}

async function replicated(group: ProcessGroup): Promise<Update> {
  const grads = await group.allocate(parameterCount);
  const own = () => new Float32Array(parameterCount);
  const arenas = { grads, params: own(), expAvg: own(), expAvgSq: own() };
  const whole = { start: 0, end: parameterCount };
  return timed(
    arenas,
    whole,
    () => group.allReduce(grads),
    async () => {},
  );
}

function timed(
  arenas: AdamWArenas,
  range: { readonly start: number; readonly end: number },
  sum: () => Promise<void>,
  gather: () => Promise<void>,
): Update {
  return {
    grads: arenas.grads,
    async run(step) {
      const startedAt = performance.now();
      await sum();
      const summedAt = performance.now();
      const hyper = { lr: 1e-4, beta1: 0.9, beta2: 0.98, eps: 1e-8, weightDecay: 0.1, step, gradScale: 1 / worldSize };
      adamW(arenas, entries, hyper, range);
      const updatedAt = performance.now();
      await gather();
      const endedAt = performance.now();
      return [summedAt - startedAt, updatedAt - summedAt, endedAt - updatedAt, endedAt - startedAt];
    },
  };
}
