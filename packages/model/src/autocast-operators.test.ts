// Operators and a tower in emulated halves against PyTorch (test/golden/autocast-operators.json): values and gradients with the rounding
// of CUDA's autocast by hand, and bfloat16 as torch's own autocast computes it on the CPU.
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  attention,
  createOnnxExecutor,
  gelu,
  type HalfType,
  layerNorm,
  linear,
  type StepDefinition,
  tf,
  valueAndGradients,
} from '@slip/engine';
import { stateLayout, vitOf } from './architecture.js';
import { parametersOf } from './parameters.js';
import {
  golden,
  goldenModel,
  goldenParameters,
  goldenViews,
  readGolden,
  relativeError,
} from './testing/golden-model.js';
import { visionTransformer } from './towers/vision-transformer.js';

type Tensors = Record<string, tf.Tensor>;
type Values = Readonly<Record<string, readonly number[]>>;

type Results = Readonly<Record<string, Values>>;

const document = readGolden('autocast-operators.json') as {
  readonly float64: Results;
  readonly byHand: Readonly<Record<HalfType, Results>>;
  readonly torchCpuBfloat16: Results;
};

/** Shape and amplitude of each input, in the order of the generator. */
type Inputs = Readonly<Record<string, readonly [shape: readonly number[], amplitude: number]>>;

const HEADS = [2, 2, 6, 8];
const OPERATORS: Readonly<Record<string, readonly [Inputs, (inputs: Tensors) => tf.Tensor]>> = {
  linear: [
    { x: [[6, 16], 1], weight: [[24, 16], 0.5], bias: [[24], 0.1] },
    ({ x, weight, bias }) => linear(x, weight, bias),
  ],
  mlp: [
    { x: [[6, 16], 1], up: [[32, 16], 0.5], low: [[32], 0.1], down: [[16, 32], 0.5], high: [[16], 0.1] },
    ({ x, up, low, down, high }) => linear(gelu(linear(x, up, low)), down, high),
  ],
  attention: [
    { q: [HEADS, 1.5], k: [HEADS, 1.5], v: [HEADS, 1] },
    ({ q, k, v }) => attention(q, k, v, { causal: false }),
  ],
  norm: [
    { x: [[6, 16], 1], weight: [[16, 16], 0.5], bias: [[16], 0.1], gamma: [[16], 1], beta: [[16], 0.1] },
    ({ x, weight, bias, gamma, beta }) => layerNorm(tf.add(x, linear(x, weight, bias)), gamma, beta, 1e-6),
  ],
};

/**
 * Results and gradients of the sum of results, each times the cosine of its place.
 * @param variables what is differentiated by, with its shape and values
 */
async function run(
  variables: Readonly<Record<string, { readonly shape: readonly number[]; readonly values: Float32Array }>>,
  fn: (variables: Tensors) => tf.Tensor,
  half: HalfType,
): Promise<Record<string, Float32Array>> {
  const step: StepDefinition = {
    name: 'operator',
    inputs: Object.entries(variables).map(([name, { shape }]) => ({ name, shape, dtype: 'float32' })),
    fn(inputs) {
      const { results, gradients } = valueAndGradients(inputs as Tensors, (tensors) => {
        const y = fn(tensors);
        const places = tf.tensor(
          Float32Array.from({ length: y.size }, (_, i) => Math.cos(i)),
          y.shape,
        );
        return { y, loss: tf.sum(tf.mul(y, places)) };
      });
      const named = Object.entries(gradients).map(([name, gradient]) => [`grad/${name}`, gradient] as const);
      return { y: results.y, ...Object.fromEntries(named) };
    },
  };
  const executor = await createOnnxExecutor(step, { rank: 0, worldSize: 1, threads: 1, half });
  for (const [name, { values }] of Object.entries(variables)) executor.input(name).set(values);
  await executor.run();
  const outputs = ['y', ...Object.keys(variables).map((name) => `grad/${name}`)];
  const found = outputs.map(
    (name) => [name.replace('grad/', ''), executor.output(name).slice() as Float32Array] as const,
  );
  await executor.close();
  return Object.fromEntries(found);
}

for (const half of ['float16', 'bfloat16'] as const) {
  for (const [operator, [inputs, fn]] of Object.entries(OPERATORS)) {
    test(`${operator} in ${half} has PyTorch's results and gradients`, async () => {
      const variables = Object.entries(inputs).map(([name, [shape, amplitude]], t) => {
        const size = shape.reduce((product, length) => product * length, 1);
        const values = Float32Array.from({ length: size }, (_, i) => amplitude * Math.sin(0.618034 * (i + 1) + t));
        return [name, { shape, values }] as const;
      });
      const found = await run(Object.fromEntries(variables), fn, half);
      assertRoundedOnce(operator, found, half);
      if (half === 'bfloat16') assertNearTorch(operator, found);
    });
  }

  test(`a tower in ${half} has PyTorch's features and gradients`, async () => {
    const model = goldenModel('CLIP');
    const params = goldenParameters(model);
    const entries = stateLayout(model).entries.filter(({ name }) => name.startsWith('visual.'));
    const variables = entries.map(({ name, shape, offset, size }) => [
      name.slice('visual.'.length),
      { shape, values: params.subarray(offset, offset + size) },
    ]);
    const { imageSize } = model.vision;
    const { image } = goldenViews();
    const pictures = () => tf.tensor(image, [golden.batch, 3, imageSize, imageSize]);
    const found = await run(
      Object.fromEntries(variables),
      (tensors) => visionTransformer(pictures(), parametersOf(tensors), vitOf(model)),
      half,
    );
    assertRoundedOnce('tower', found, half);
    if (half === 'bfloat16') assertNearTorch('tower', found);
  });
}

/** float32 and float64 sums of the same rounded numbers. */
const EQUAL = 1e-6;

/**
 * How far a result may be from what is rounded by hand, as a share of how far that is from float64. Products, GELU and the forward of
 * attention round where PyTorch on CUDA does. Gradients of biases are not rounded here. Attention takes its gradient from its rounded
 * result, as fused kernels do, and not from scores that are rounded once more; a tower has both in it.
 */
function shareOfNoise(operator: string, name: string): number {
  if (operator === 'tower') return name === 'y' ? 0.1 : 3;
  if (operator === 'attention') return name === 'q' || name === 'k' ? 2 : 0;
  return ['bias', 'low', 'high'].includes(name) ? 1.01 : 0;
}

function assertRoundedOnce(operator: string, found: Readonly<Record<string, Float32Array>>, half: HalfType): void {
  for (const [name, exact] of Object.entries(document.float64[operator])) {
    const hand = document.byHand[half][operator][name];
    const error = relativeError(found[name], hand);
    const noise = relativeError(hand, exact);
    const share = shareOfNoise(operator, name);
    assert.ok(error <= share * noise + EQUAL, `${operator}, ${name}: ${error}, by hand to float64 ${noise}`);
  }
}

/** PyTorch's own rounds at least as often, so this is nearer to float64, and as near to PyTorch as the noise of both. */
function assertNearTorch(operator: string, found: Readonly<Record<string, Float32Array>>): void {
  for (const [name, exact] of Object.entries(document.float64[operator])) {
    const torch = document.torchCpuBfloat16[operator][name];
    const [own, noise] = [relativeError(found[name], exact), relativeError(torch, exact)];
    assert.ok(own <= 1.01 * noise + EQUAL, `${operator}, ${name}: ${own} from float64, PyTorch ${noise}`);
    // The forward of a linear layer rounds once there too, and a norm of float32 does not.
    const isEqual = ['linear y', 'norm y', 'norm gamma', 'norm beta'].includes(`${operator} ${name}`);
    const error = relativeError(found[name], torch);
    assert.ok(
      error <= (isEqual ? 0 : 2 * noise) + EQUAL,
      `${operator}, ${name}: ${error} from PyTorch's, noise ${noise}`,
    );
  }
}
