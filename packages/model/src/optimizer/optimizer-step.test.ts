// Optimizers as steps for devices against their arithmetic on arenas, over several steps, decays and learning rates of layers.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createOnnxExecutor } from '@slip/engine';
import { layOut } from '../state-layout.js';
import { adamW } from './adamw.js';
import { clampLogitScale } from './logit-scale.js';
import {
  accumulateStep,
  adamWHyper,
  type DeviceOptimizer,
  deviceAdamW,
  deviceAverage,
  deviceSgd,
  gradientSquaresStep,
  type HyperInputs,
  optimizerStep,
  sgdHyper,
  updateGroups,
} from './optimizer-step.js';
import { sgd } from './sgd.js';

const zero = { kind: 'constant', value: 0 } as const;
const { entries, parameterCount } = layOut([
  { name: 'weight', shape: [4, 3], initial: zero },
  { name: 'bias', shape: [3], initial: zero, decay: false, lrScale: 0.5 },
  { name: 'logit_scale', shape: [], initial: zero, decay: false },
]);
const SINGLE = { rank: 0, worldSize: 1, threads: 1 };
const STEPS = 4;

const arena = (value: (i: number) => number) => Float32Array.from({ length: parameterCount }, (_, i) => value(i));
const gradients = (step: number) => arena((i) => Math.sin(1 + i * 1.3 + step));

/** Runs the step over the given arenas, by kind of tensor; the results are written back to them. */
async function runOn(
  optimizer: DeviceOptimizer,
  arenas: Record<string, Float32Array>,
  hyperOf: (step: number) => HyperInputs,
): Promise<void> {
  const definition = optimizerStep(optimizer, entries);
  const views = (kinds: readonly string[]) =>
    Object.fromEntries(
      kinds.flatMap((kind) =>
        entries.map(({ name, offset, size }) => [`${kind}/${name}`, arenas[kind].subarray(offset, offset + size)]),
      ),
    );
  const kinds = ['param', ...optimizer.moments];
  const executor = await createOnnxExecutor(definition, { ...SINGLE, inputs: views(['grad', ...kinds]) });
  for (let step = 0; step < STEPS; step++) {
    arenas.grad.set(gradients(step));
    for (const [name, value] of Object.entries(hyperOf(step))) executor.input(`hyper/${name}`)[0] = value;
    await executor.run();
    for (const [name, view] of Object.entries(views(kinds))) view.set(executor.output(name) as Float32Array);
  }
  await executor.close();
}

function assertClose(found: Float32Array, expected: Float32Array, what: string): void {
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs(found[i] - value) < 1e-6 * (1 + Math.abs(value)), `${what}[${i}]: ${found[i]}, not ${value}`);
}

test('AdamW with an average of the weights', async () => {
  const hyper = { lr: 0.02, betas: [0.9, 0.98], weightDecay: 0.1, gradScale: 0.25 } as const;
  const start = arena((i) => Math.cos(i) + (i === parameterCount - 1 ? 3.62 : 0));
  const host = { params: start.slice(), grads: arena(() => 0), expAvg: arena(() => 0), expAvgSq: arena(() => 0) };
  const average = start.slice();
  for (let step = 0; step < STEPS; step++) {
    host.grads.set(gradients(step));
    const [beta1, beta2] = hyper.betas;
    adamW(host, entries, { ...hyper, beta1, beta2, eps: 1e-8, step: step + 1 });
    clampLogitScale(host.params.subarray(parameterCount - 1));
    for (let i = 0; i < average.length; i++) average[i] = 0.9 * average[i] + 0.1 * host.params[i];
  }
  const [param, grad, ema] = [start.slice(), arena(() => 0), start.slice()];
  const arenas = { param, grad, exp_avg: arena(() => 0), exp_avg_sq: arena(() => 0), ema };
  await runOn(deviceAverage(deviceAdamW(hyper.betas, 1e-8), 0.9), arenas, (step) =>
    adamWHyper(updateGroups(entries), { ...hyper, step: step + 1 }),
  );
  assertClose(arenas.param, host.params, 'parameters');
  assertClose(arenas.exp_avg, host.expAvg, 'first moments');
  assertClose(arenas.exp_avg_sq, host.expAvgSq, 'second moments');
  assertClose(arenas.ema, average, 'averages');
  assert.ok(Math.abs(start.at(-1)! - arenas.param.at(-1)!) > 1e-3, 'the temperature moved');
});

test('SGD with momentum', async () => {
  const hyper = { lr: 0.1, weightDecay: 0.01, gradScale: 0.5 };
  const start = arena((i) => Math.cos(i));
  const host = { params: start.slice(), grads: arena(() => 0), momentumBuffer: arena(() => 0) };
  for (let step = 0; step < STEPS; step++) {
    host.grads.set(gradients(step));
    sgd(host, entries, { ...hyper, momentum: 0.9 });
    clampLogitScale(host.params.subarray(parameterCount - 1));
  }
  const arenas = { param: start.slice(), grad: arena(() => 0), momentum_buffer: arena(() => 0) };
  await runOn(deviceSgd(0.9), arenas, () => sgdHyper(updateGroups(entries), hyper));
  assertClose(arenas.param, host.params, 'parameters');
  assertClose(arenas.momentum_buffer, host.momentumBuffer, 'momentum');
});

test('gradients add up, and have a norm', async () => {
  const sums = await createOnnxExecutor(accumulateStep(entries), SINGLE);
  const norm = await createOnnxExecutor(gradientSquaresStep(entries), SINGLE);
  const [first, second] = [gradients(1), gradients(2)];
  for (const { name, offset, size } of entries) {
    sums.input(`sum/${name}`).set(first.subarray(offset, offset + size));
    sums.input(`grad/${name}`).set(second.subarray(offset, offset + size));
    norm.input(`grad/${name}`).set(first.subarray(offset, offset + size));
  }
  await sums.run();
  await norm.run();
  for (const { name, offset, size } of entries) {
    const expected = first.subarray(offset, offset + size).map((value, i) => value + second[offset + i]);
    assert.deepEqual(sums.output(`sum/${name}`), expected);
  }
  const squares = first.reduce((sum, value) => sum + value * value, 0);
  assert.ok(Math.abs(norm.output('squares')[0] - squares) < 1e-6 * squares);
  await sums.close();
  await norm.close();
});
