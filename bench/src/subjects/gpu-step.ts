// One measured process: training steps of a model at full size on a GPU, with the state on it where it can stay there.
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import type { DeviceKind } from '@slip/devices';
import { openDevice, type StepExecutor } from '@slip/engine';
import {
  adamW,
  adamWHyper,
  deviceAdamW,
  initialiseParameters,
  optimizerStep,
  trainStep,
  updateGroups,
} from '@slip/model';
import { resolveModel, stateLayout } from '@slip/model/architecture';

const WARM_UP_STEPS = 3;
const MEASURED_STEPS = 10;
const HYPER = { lr: 1e-4, betas: [0.9, 0.98], eps: 1e-8, weightDecay: 0.1 } as const;

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'cuda' },
    model: { type: 'string', default: 'SLIP_VITB16' },
    'batch-size': { type: 'string', default: '64' },
  },
});
const batchSize = Number(values['batch-size']);
const before = usedGpuMemoryGB();
const model = resolveModel(values.model);
const { entries: all } = stateLayout(model);
const entries = all.filter(({ kind }) => kind === 'param');
const params = initialiseParameters(model, 0);
const zeros = () => new Float32Array(params.length);
const arenas = { params, grads: zeros(), expAvg: zeros(), expAvgSq: zeros() };
const definition = trainStep(model, { rows: [batchSize], rank: 0, gather: 'full', sslScale: 1, sslTemp: 0.1 });
const device = await openDevice(values.device as DeviceKind);
const single = { rank: 0, worldSize: 1, threads: 1 };
const named = (kind: string, arena: Float32Array) =>
  entries.map(({ name, shape, offset, size }) => ({
    ...{ name: `${kind}/${name}`, shape, values: arena.subarray(offset, offset + size) },
  }));
const bound = (kind: string, arena: Float32Array) =>
  Object.fromEntries(named(kind, arena).map(({ name, values }) => [name, values]));

const training = device.keepsTensors ? await onDevice() : await onHost();
for (const { name, dtype } of definition.inputs) {
  if (name.startsWith('param/')) continue;
  const data = training.executor.input(name);
  for (let i = 0; i < data.length; i++) data[i] = dtype === 'int32' ? 1 + ((i * 7919) % 49000) : Math.random() * 2 - 1;
}
const stepMs: number[] = [];
for (let step = 1; step <= WARM_UP_STEPS + MEASURED_STEPS; step++) {
  const startedAt = performance.now();
  await training.executor.run();
  await training.update(step);
  stepMs.push(performance.now() - startedAt);
}
const measured = stepMs.slice(WARM_UP_STEPS).sort((a, b) => a - b);
console.log(
  JSON.stringify({
    imagesPerSecond: (batchSize * 1000) / measured[Math.floor(measured.length / 2)],
    gpuMemoryGB: usedGpuMemoryGB() - before,
    loss: training.executor.output('loss')[0],
  }),
);
process.exit(0);

interface Training {
  readonly executor: StepExecutor;
  update(step: number): Promise<void>;
}

async function onHost(): Promise<Training> {
  const executor = await device.createExecutor(definition, {
    ...{ ...single, inputs: bound('param', arenas.params), outputs: bound('grad', arenas.grads) },
  });
  const [beta1, beta2] = HYPER.betas;
  return {
    executor,
    async update(step) {
      adamW(arenas, all, { ...HYPER, beta1, beta2, step, gradScale: 1 });
    },
  };
}

/** One executor for each parameter: old and new ones exist side by side only a little. */
async function onDevice(): Promise<Training> {
  const memory = device.openMemory();
  const moments = [...named('exp_avg', arenas.expAvg), ...named('exp_avg_sq', arenas.expAvgSq)];
  await memory.upload([...named('param', arenas.params), ...moments]);
  const kept = entries.map(({ name }) => `grad/${name}`);
  const executor = await device.createExecutor(definition, { ...single, memory, kept });
  const updates: StepExecutor[] = [];
  return {
    executor,
    async update(step) {
      for (const [i, entry] of entries.entries()) {
        const own = ['param', 'exp_avg', 'exp_avg_sq'].map((kind) => `${kind}/${entry.name}`);
        const definition = optimizerStep(deviceAdamW(HYPER.betas, HYPER.eps), [entry]);
        updates[i] ??= await device.createExecutor(definition, { ...single, memory, kept: own });
        const hyper = adamWHyper(updateGroups([entry]), { ...HYPER, step, gradScale: 1 });
        for (const [name, value] of Object.entries(hyper)) updates[i].input(`hyper/${name}`)[0] = value;
        await updates[i].run();
      }
      memory.free(kept);
      // Until the GPU has done it all.
      await memory.download(named('param', arenas.params).slice(0, 1));
    },
  };
}

/** Of the first visible GPU, by whomever: the driver's own count, the same for both sides. */
function usedGpuMemoryGB(): number {
  const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits', '--id=0'];
  return Number(execFileSync('nvidia-smi', query, { encoding: 'utf8' }).trim().split('\n')[0]) / 1000;
}
