// One measured process: builds a model at full size, runs training steps on random data, prints its figures as JSON.
import { parseArgs } from 'node:util';
import { createOnnxExecutor } from '@slip/engine';
import { adamW, initialiseParameters, trainStep } from '@slip/model';
import { resolveModel, stateLayout } from '@slip/model/architecture';

const WARM_UP_STEPS = 1;
const MEASURED_STEPS = 2;

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'SLIP_VITS16' },
    'batch-size': { type: 'string', default: '8' },
    threads: { type: 'string', default: '2' },
    'grad-checkpointing': { type: 'boolean', default: false },
    /** Tokens of the longest caption; the whole context without it. */
    captions: { type: 'string' },
  },
});
const batchSize = Number(values['batch-size']);
const model = resolveModel(values.model);
const layout = stateLayout(model);
const params = initialiseParameters(model, 0);
const arenas = {
  params,
  grads: new Float32Array(params.length),
  expAvg: new Float32Array(params.length),
  expAvgSq: new Float32Array(params.length),
};
const step = trainStep(model, { rows: [batchSize], rank: 0, gather: 'full', sslScale: 1, sslTemp: 0.1 });
const inputs: Record<string, Float32Array> = {};
const outputs: Record<string, Float32Array> = {};
for (const { name, kind, offset, size } of layout.entries) {
  if (kind !== 'param') continue;
  inputs[`param/${name}`] = arenas.params.subarray(offset, offset + size);
  outputs[`grad/${name}`] = arenas.grads.subarray(offset, offset + size);
}
const executor = await createOnnxExecutor(step, {
  rank: 0,
  worldSize: 1,
  threads: Number(values.threads),
  anyLength: true,
  recomputation: values['grad-checkpointing'] ? 'blocks' : 'cheap',
  inputs,
  outputs,
});
for (const view of step.inputs) {
  if (view.name.startsWith('param/')) continue;
  const data = executor.input(view.name);
  for (let i = 0; i < data.length; i++)
    data[i] = view.dtype === 'int32' ? 1 + ((i * 7919) % 49000) : Math.random() * 2 - 1;
}
if (values.captions !== undefined) {
  const longest = Number(values.captions);
  executor.setLength!(executor.lengths!.find((length) => length >= longest)!);
}

const stepMs: number[] = [];
const losses: number[] = [];
for (let i = 0; i < WARM_UP_STEPS + MEASURED_STEPS; i++) {
  const startedAt = performance.now();
  await executor.run();
  adamW(arenas, layout.entries, {
    lr: 1e-4,
    beta1: 0.9,
    beta2: 0.98,
    eps: 1e-8,
    weightDecay: 0.1,
    step: i + 1,
    gradScale: 1,
  });
  stepMs.push(performance.now() - startedAt);
  losses.push(executor.output('loss')[0]);
}
const measured = stepMs.slice(WARM_UP_STEPS);
console.log(
  JSON.stringify({
    imagesPerSecond: (batchSize * 1000 * measured.length) / measured.reduce((sum, ms) => sum + ms, 0),
    peakMemoryGB: process.resourceUsage().maxRSS / 1e6,
    firstLoss: losses[0],
    lastLoss: losses.at(-1),
  }),
);
