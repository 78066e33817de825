// Convergence with compressed gradients: a small SLIP learns the same pairs on two ranks that talk through sockets, where halves
// and factors are what really travels, and ends where it ends without compression.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { connectZeroMqGroup, type ProcessGroup } from '@slip/comms';
import { resolvePretrainConfig } from '@slip/config';
import { RandomStream, silentLogger } from '@slip/core';
import type { TrainBatch, TrainLoader } from '@slip/data';
import { createOnnxExecutor } from '@slip/engine';
import { trainStep } from '@slip/model';
import { resolveModel, stateLayout } from '@slip/model/architecture';
import { createCollectiveClock, timedCollectives } from './collective-clock.js';
import { feedViews } from './feed-views.js';
import { createGradientWire } from './gradient-wire.js';
import { adamWOptimizer } from './optimizer.js';
import { createTrainState, tensorView } from './train-state.js';
import { runTrainStep } from './train-step.js';

const model = resolveModel('SLIP_VITS16', {
  ...{ imageSize: 16, patchSize: 8, visionWidth: 48, visionDepth: 2, visionHeads: 2 },
  ...{ textWidth: 32, textDepth: 1, textHeads: 2, contextLength: 6, vocabSize: 64 },
  ...{ embedDim: 16, sslMlpDim: 32, sslEmbDim: 8 },
});
const [WORLD, ROWS, BATCHES, STEPS, LAST] = [2, 4, 3, 36, 6];
const LR = 2e-3;
const NO_SAVES = { isUnderWay: false, isWriting: false, isDue: false, release: async () => {} };

/** A run's mean loss over its first and its last steps, and bytes that rank 0 sent in a step. */
interface Run {
  readonly first: number;
  readonly last: number;
  readonly bytesPerStep: number;
}

let plain: Run;
before(async () => {
  plain = await runWith({});
});

test('without compression the model learns its pairs', () => {
  assert.ok(plain.last < 0.6 * plain.first, `loss went from ${plain.first} to ${plain.last}`);
});

/** Flags, how far the last loss may be from that without compression (of what was learned), and bytes sent at most (of the plain run's). */
const CASES = [
  ['bf16', {}, 0.05, 0.85],
  ['fp16', {}, 0.05, 0.85],
  ['powersgd', { 'powersgd-rank': 2, 'powersgd-start': 5 }, 0.2, 0.85],
] as const;

for (const [compress, flags, margin, share] of CASES) {
  test(`--compress ${compress} learns as much, within ${margin * 100} %, and sends less`, async () => {
    const run = await runWith({ compress, ...flags });
    const learned = plain.first - plain.last;
    assert.ok(
      run.last - plain.last < margin * learned,
      `loss ${run.last}, without compression ${plain.last} of ${plain.first}`,
    );
    assert.ok(run.bytesPerStep < share * plain.bytesPerStep, `${run.bytesPerStep} of ${plain.bytesPerStep} bytes`);
  });
}

async function runWith(flags: Record<string, unknown>): Promise<Run> {
  const groups = await connect();
  const [run] = await Promise.all(groups.map((group) => trainOn(group, flags)));
  await Promise.all(groups.map((group) => group.close()));
  return run;
}

async function trainOn(group: ProcessGroup, flags: Record<string, unknown>): Promise<Run> {
  const { config } = await resolvePretrainConfig({
    flags: { 'batch-size': ROWS, ...flags },
    launch: { numNodes: 1, nprocPerNode: WORLD },
    cwd: process.cwd(),
  });
  const state = await createTrainState(stateLayout(model), 0, group);
  const clock = createCollectiveClock();
  const step = trainStep(model, {
    ...{ rows: new Array(WORLD).fill(ROWS), rank: group.rank, gather: 'full', sslScale: 1, sslTemp: 0.1 },
  });
  const inputs: Record<string, Float32Array> = {};
  const outputs: Record<string, Float32Array> = {};
  for (const { name, kind } of state.entries) {
    if (kind !== 'param') continue;
    inputs[`param/${name}`] = tensorView(state, state.params, name);
    outputs[`grad/${name}`] = tensorView(state, state.grads, name);
  }
  const executor = await createOnnxExecutor(step, {
    ...{ rank: group.rank, worldSize: WORLD, threads: 1, inputs, outputs },
    collectives: timedCollectives(group, clock),
  });
  const gradientWire = await createGradientWire(config, state, group, silentLogger);
  const { grads } = state;
  const feed = (batch: TrainBatch) => feedViews(executor, batch);
  const lanes = [{ executor, loader: loaderOf(group.rank), feed, microGrads: grads, grads }];
  const parts = {
    config,
    state,
    lanes,
    metricNames: ['loss'],
    optimizer: adamWOptimizer({ betas: config.betas, eps: config.eps, weightDecay: config.wd }),
    group,
    clock,
    gradientWire,
    stopRequested: () => false,
    saving: NO_SAVES,
  };
  const losses: number[] = [];
  const sentBefore = group.traffic.bytesSent;
  for (let i = 0; i < STEPS; i++) losses.push((await runTrainStep(parts, LR)).metrics.loss);
  const bytesPerStep = (group.traffic.bytesSent - sentBefore) / STEPS;
  await executor.close();
  await group.barrier();
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return { first: mean(losses.slice(0, BATCHES)), last: mean(losses.slice(-LAST)), bytesPerStep };
}

function connect(): Promise<ProcessGroup[]> {
  const endpoints: string[] = [];
  let open = () => {};
  const complete = new Promise<void>((resolve) => {
    open = resolve;
  });
  const exchangeOf = (rank: number) => async (endpoint: string) => {
    endpoints[rank] = endpoint;
    if (endpoints.filter(Boolean).length === WORLD) open();
    await complete;
    return endpoints;
  };
  const common = {
    worldSize: WORLD,
    runId: 'compression',
    generation: 0,
    host: '127.0.0.1',
    timeoutMs: 60_000,
    transport: 'zmq',
  } as const;
  return Promise.all(
    Array.from({ length: WORLD }, (_, rank) => connectZeroMqGroup({ rank, exchange: exchangeOf(rank), ...common })),
  );
}

/** The same few batches again and again. */
function loaderOf(rank: number): TrainLoader {
  const batches = Array.from({ length: BATCHES }, (_, i) => randomBatch(rank, i));
  let next = 0;
  return {
    ...{ datasetSize: WORLD * ROWS * BATCHES, batchesPerEpoch: BATCHES, replacedSamples: 0, replacedBecause: [] },
    seek: () => {},
    next: async () => batches[next++ % BATCHES],
    close: async () => {},
  };
}

function randomBatch(rank: number, index: number): TrainBatch {
  const random = new RandomStream('batch', rank, index);
  const image = Float32Array.from({ length: ROWS * 3 * 16 * 16 }, () => random.normal());
  const view = () => image.map((value) => value + 0.3 * random.normal());
  const tokens = Int32Array.from({ length: ROWS * 6 }, () => random.integer(64));
  return { epoch: 0, index, samples: new Uint32Array(ROWS), waitMs: 0, image, aug1: view(), aug2: view(), tokens };
}
