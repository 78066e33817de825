// For tests: what every device owes, whatever computes there: the losses of ten optimizer steps of each kind of model, within a
// tolerance that the device states, of those that the eager reference computes on the CPU.
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  createEagerExecutor,
  type Device,
  type StepBindings,
  type StepDefinition,
  type StepExecutor,
} from '@slip/engine';
import { type Family, type ModelConfig, stateLayout } from '../architecture.js';
import { adamW } from '../optimizer/adamw.js';
import { adamWHyper, deviceAdamW, optimizerStep, updateGroups } from '../optimizer/optimizer-step.js';
import { trainStep } from '../train-step.js';
import { bindArenas, feedGoldenRows, golden, goldenModel, goldenParameters } from './golden-model.js';

const STEPS = 10;
const FAMILIES: readonly Family[] = ['CLIP', 'SIMCLR', 'SLIP'];

export interface DeviceUnderTest {
  /** In the names of the tests. */
  readonly name: string;
  /** Losses of steps of AdamW from the golden weights on the golden batch, at world size 1. */
  losses(model: ModelConfig, steps: number): Promise<number[]>;
  /**
   * Largest difference of a loss from the reference's, relative to the larger of it and 1.
   * @param step from 1; rounding grows with the steps where batch norm and a steep temperature amplify it
   */
  tolerance(family: Family, step: number): number;
  /** All without it. */
  readonly families?: readonly Family[];
  /** Ten without it. */
  readonly steps?: number;
  /** Of the SSL loss; 0.1 without it. */
  readonly sslTemp?: number;
  /** Why its tests do not run here. */
  readonly skipped?: string;
}

/** Defines one test for each family. */
export function deviceContract(device: DeviceUnderTest): void {
  const { steps = STEPS } = device;
  for (const family of device.families ?? FAMILIES) {
    const skip = device.skipped ?? false;
    test(`${device.name}: ${steps} steps of ${family} have the losses of the eager CPU`, { skip }, async () => {
      const expected = await referenceLosses(family, device.sslTemp);
      const losses = await device.losses(goldenModel(family), steps);
      assert.equal(losses.length, steps);
      for (const [i, loss] of losses.entries()) {
        const error = Math.abs(loss - expected[i]) / Math.max(1, Math.abs(expected[i]));
        const tolerance = device.tolerance(family, i + 1);
        assert.ok(error <= tolerance, `loss of step ${i + 1}: ${loss}, expected ${expected[i]} within ${tolerance}`);
      }
      // Equal losses would be a step that does not train.
      assert.ok(new Set(expected).size === STEPS, 'the losses change');
    });
  }
}

export interface HostSteps {
  readonly steps?: number;
  readonly sslTemp?: number | undefined;
  /** Of gradients on their way; a power of two changes no bit in float32. */
  readonly lossScale?: number;
}

/** The losses with the state in host memory. @param createExecutor the parameters among the bindings change between runs */
export async function lossesOfSteps(
  model: ModelConfig,
  createExecutor: (step: StepDefinition, bindings: StepBindings) => Promise<StepExecutor>,
  { steps = STEPS, sslTemp = 0.1, lossScale = 1 }: HostSteps = {},
): Promise<number[]> {
  const options = { gather: 'full', sslScale: 1, sslTemp, scaledLoss: true } as const;
  const definition = trainStep(model, { rows: [golden.batch], rank: 0, ...options });
  const params = goldenParameters(model);
  const arenas = {
    params,
    grads: new Float32Array(params.length),
    expAvg: new Float32Array(params.length),
    expAvgSq: new Float32Array(params.length),
  };
  const executor = await createExecutor(definition, bindArenas(model, params, arenas.grads));
  const { entries } = stateLayout(model);
  const { lr, weightDecay } = golden.optimizer;
  const losses: number[] = [];
  try {
    for (let step = 1; step <= steps; step++) {
      feedGoldenRows(definition, executor, 0);
      executor.input('loss_scale')[0] = lossScale;
      await executor.run();
      losses.push(executor.output('loss')[0]);
      const gradScale = 1 / lossScale;
      adamW(arenas, entries, { lr, beta1: 0.9, beta2: 0.98, eps: 1e-8, weightDecay, step, gradScale });
    }
  } finally {
    await executor.close();
  }
  return losses;
}

/** The losses with parameters, gradients and moments on a device that keeps them: only batches go there, and losses come back. */
export async function lossesOnDevice(device: Device, model: ModelConfig, steps = STEPS): Promise<number[]> {
  const definition = trainStep(model, { rows: [golden.batch], rank: 0, gather: 'full', sslScale: 1, sslTemp: 0.1 });
  const entries = stateLayout(model).entries.filter(({ kind }) => kind === 'param');
  const params = goldenParameters(model);
  const { lr, weightDecay } = golden.optimizer;
  const betas = [0.9, 0.98] as const;
  const adamWStep = optimizerStep(deviceAdamW(betas, 1e-8), entries);
  const memory = device.openMemory();
  await memory.upload(
    entries.flatMap(({ name, shape, offset, size }) => [
      { name: `param/${name}`, shape, values: params.subarray(offset, offset + size) },
      ...['exp_avg', 'exp_avg_sq'].map((kind) => ({ name: `${kind}/${name}`, shape, values: new Float32Array(size) })),
    ]),
  );
  const single = { rank: 0, worldSize: 1, threads: 1, memory };
  const grads = entries.map(({ name }) => `grad/${name}`);
  const training = await device.createExecutor(definition, { ...single, kept: grads });
  const updated = ['param', 'exp_avg', 'exp_avg_sq'].flatMap((kind) => entries.map(({ name }) => `${kind}/${name}`));
  const losses: number[] = [];
  let update: StepExecutor | undefined;
  try {
    for (let step = 1; step <= steps; step++) {
      feedGoldenRows(definition, training, 0);
      await training.run();
      losses.push(training.output('loss')[0]);
      update ??= await device.createExecutor(adamWStep, { ...single, kept: updated });
      const hyper = adamWHyper(updateGroups(entries), { lr, betas, weightDecay, step, gradScale: 1 });
      for (const [name, value] of Object.entries(hyper)) update.input(`hyper/${name}`)[0] = value;
      await update.run();
    }
  } finally {
    await training.close();
    await update?.close();
    await memory.close();
  }
  return losses;
}

const references = new Map<string, Promise<number[]>>();

/** Computed once in a process. */
function referenceLosses(family: Family, sslTemp?: number): Promise<number[]> {
  const name = `${family} ${sslTemp}`;
  const known = references.get(name) ?? lossesOfSteps(goldenModel(family), createEagerExecutor, { sslTemp });
  references.set(name, known);
  return known;
}
