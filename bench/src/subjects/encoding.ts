// One measured process: a model at full size encodes random images and texts; prints its figures as JSON.
import { parseArgs } from 'node:util';
import { createOnnxExecutor, type StepDefinition } from '@slip/engine';
import { imageFeatureStep, initialiseParameters, textFeatureStep } from '@slip/model';
import { resolveModel, stateLayout } from '@slip/model/architecture';

const [WARM_UP, MEASURED] = [1, 5];

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'SLIP_VITS16' },
    'batch-size': { type: 'string', default: '32' },
    threads: { type: 'string', default: '2' },
  },
});
const batchSize = Number(values['batch-size']);
const model = resolveModel(values.model);
const params = initialiseParameters(model, 0);
const inputs = Object.fromEntries(
  stateLayout(model)
    .entries.filter(({ kind }) => kind === 'param')
    .map(({ name, offset, size }) => [`param/${name}`, params.subarray(offset, offset + size)]),
);
const [imagesPerSecond, textsPerSecond] = [
  await rowsPerSecond(imageFeatureStep(model, { batchSize })),
  await rowsPerSecond(textFeatureStep(model, { batchSize })),
];
console.log(JSON.stringify({ imagesPerSecond, textsPerSecond }));

async function rowsPerSecond(step: StepDefinition): Promise<number> {
  const own = Object.fromEntries(step.inputs.flatMap(({ name }) => (name in inputs ? [[name, inputs[name]]] : [])));
  const executor = await createOnnxExecutor(step, {
    ...{ rank: 0, worldSize: 1, threads: Number(values.threads), inputs: own },
  });
  for (const { name, dtype } of step.inputs) {
    if (name in inputs) continue;
    const data = executor.input(name);
    for (let i = 0; i < data.length; i++)
      data[i] = dtype === 'int32' ? 1 + ((i * 7919) % 49000) : Math.random() * 2 - 1;
  }
  const times: number[] = [];
  for (let i = 0; i < WARM_UP + MEASURED; i++) {
    const startedAt = performance.now();
    await executor.run();
    times.push(performance.now() - startedAt);
  }
  await executor.close();
  return (1000 * batchSize) / times.slice(WARM_UP).sort((a, b) => a - b)[MEASURED >> 1];
}
