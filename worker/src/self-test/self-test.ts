// A small training on a device against the same on the CPU: what `slip-launch doctor` starts, as a process of its own, because a
// driver that fails may take it along. Prints one line of JSON.
import { performance } from 'node:perf_hooks';
import { createSoloGroup } from '@slip/comms';
import { SlipError } from '@slip/core';
import { chooseDevice, type DeviceWish, findDeviceFacts } from '@slip/devices';
import { CPU, type Device, openDevice } from '@slip/engine';
import { trainStep } from '@slip/model';
import { type ModelConfig, resolveModel, stateLayout } from '@slip/model/architecture';
import { DeviceState } from '../pretrain/device-state.js';
import { adamWOptimizer } from '../pretrain/optimizer.js';
import { stateInputs } from '../pretrain/state-inputs.js';
import { createTrainState, tensorView } from '../pretrain/train-state.js';

export interface SelfTest {
  readonly device: string;
  readonly name: string;
  /** Largest difference of a loss from the CPU's, relative. */
  readonly lossError: number;
  readonly firstStepMs: number;
  readonly stepMs: number;
}

const STEPS = 5;
const ROWS = 8;
const HYPER = { betas: [0.9, 0.98], eps: 1e-8, weightDecay: 0.1 } as const;
const LEARNING_RATE = 1e-3;

async function main(wish: DeviceWish): Promise<SelfTest> {
  const { kind, name, gpuIndex, tensorflow } = chooseDevice(wish, findDeviceFacts(process.env), 0);
  const device = await openDevice(kind, {
    ...(gpuIndex === undefined ? {} : { gpuIndex }),
    ...(tensorflow === undefined ? {} : { tensorflowFolder: tensorflow }),
  });
  const model = smallModel();
  const expected = await trainOn(CPU, model);
  const found = await trainOn(device, model);
  const errors = found.losses.map((loss, i) => Math.abs(loss - expected.losses[i]) / expected.losses[i]);
  return {
    device: kind,
    name,
    lossError: Math.max(...errors),
    firstStepMs: found.stepMs[0],
    stepMs: Math.min(...found.stepMs.slice(1)),
  };
}

function smallModel(): ModelConfig {
  return resolveModel('CLIP_VITS16', {
    ...{ imageSize: 32, patchSize: 8, visionWidth: 64, visionDepth: 2, visionHeads: 2 },
    ...{ textWidth: 32, textDepth: 2, textHeads: 2, contextLength: 16, vocabSize: 512, embedDim: 32 },
  });
}

async function trainOn(device: Device, model: ModelConfig) {
  const layout = stateLayout(model);
  const state = await createTrainState(layout, 0, createSoloGroup(), undefined, device);
  const optimizer = adamWOptimizer(HYPER);
  const definition = trainStep(model, { rank: 0, rows: [ROWS], gather: 'full', sslScale: 1, sslTemp: 0.1 });
  const kept = device.keepsTensors ? await DeviceState.create(device, state, optimizer, 1, definition) : undefined;
  const outputs = Object.fromEntries(
    state.entries.flatMap(({ kind, name }) =>
      kind === 'param' ? [[`grad/${name}`, tensorView(state, state.grads, name)] as const] : [],
    ),
  );
  const executor = await device.createExecutor(definition, {
    ...{ rank: 0, worldSize: 1, threads: 1 },
    ...(kept === undefined
      ? { inputs: stateInputs(state, definition), outputs }
      : { memory: kept.memory, kept: kept.gradientNames }),
  });
  const image = executor.input('image');
  for (let i = 0; i < image.length; i++) image[i] = Math.sin(i * 0.7) + Math.sin(i * 0.013);
  const tokens = executor.input('tokens');
  for (let i = 0; i < tokens.length; i++) tokens[i] = i % 16 === 15 ? 511 : (i * 37) % 500;
  const losses: number[] = [];
  const stepMs: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    const startedAt = performance.now();
    await executor.run();
    losses.push(executor.output('loss')[0]);
    const hyper = { lr: LEARNING_RATE, step, applied: step, gradScale: 1 };
    if (kept !== undefined) await kept.update(optimizer.hyper(state.entries, hyper));
    else optimizer.update(state, hyper)({ start: 0, end: state.params.length });
    stepMs.push(performance.now() - startedAt);
  }
  await executor.close();
  await kept?.close();
  return { losses, stepMs };
}

main(process.argv[2] as DeviceWish).then(
  (result) => {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    process.exit(0);
  },
  (thrown: unknown) => {
    process.stdout.write(`${JSON.stringify({ problem: SlipError.from(thrown).message })}\n`);
    process.exit(1);
  },
);
