// The exact GELU and OpenAI's quick GELU with their backwards; not the tanh approximation.
import { defineKernel, type OnnxEmitter, registerEagerKernel, runKernel } from '../kernels/kernel.js';
import { sizeOf, type TensorType } from '../tensor-type.js';
import type { tf } from '../tfjs.js';
import { withGradient } from './custom-gradient.js';

const SQRT_HALF = Math.SQRT1_2;
const QUICK_SLOPE = 1.702;

/** `x * Phi(x)` with the exact normal distribution function, elementwise on float32 of any shape. */
export function gelu(x: tf.Tensor): tf.Tensor {
  return activation('SlipGelu', x);
}

/** `x * sigmoid(1.702 x)`, elementwise on float32 of any shape (CLIP's activation). */
export function quickGelu(x: tf.Tensor): tf.Tensor {
  return activation('SlipQuickGelu', x);
}

function activation(kernelName: string, x: tf.Tensor): tf.Tensor {
  return withGradient<[tf.Tensor]>(
    [x],
    () => ({ value: runKernel(kernelName, { x })[0]!, saved: [x] }),
    (dy, [x]) => runKernel(`${kernelName}Grad`, { dy, x }),
  );
}

/** The backward passes hold about as many intermediate results at a time. */
const GRADIENT_SCRATCH = 4;

const elementwise = (name: string, inputs: string[], lower: (emit: OnnxEmitter, names: string[]) => string) =>
  defineKernel<object>({
    name,
    place: 'graph',
    inputs,
    infer: ([x]) => [x!],
    ...(inputs.length === 1 ? {} : { scratch: ([x]: readonly TensorType[]) => GRADIENT_SCRATCH * sizeOf(x!.shape) }),
    lower: (call) => [
      lower(
        call.emit,
        call.inputs.map(({ name }) => name),
      ),
    ],
  });

export const GELU_KERNELS = [
  elementwise('SlipGelu', ['x'], (emit, x) => emit.ops('Gelu', x, {}, { outputs: 1, domain: 'com.microsoft' })[0]!),
  elementwise('SlipGeluGrad', ['dy', 'x'], (emit, [dy, x]) => {
    // With a = x / sqrt(2): Phi(x) = (1 + erf a) / 2 and x * phi(x) = a * exp(-a^2) / sqrt(pi). Each line is one pass.
    const a = emit.op('Mul', [x!, emit.scalar(SQRT_HALF)]);
    const erfA = emit.op('Erf', [a]);
    // erf lies in [-1, 1], so HardSigmoid never clips: it is the affine map in one pass.
    const phi = emit.op('HardSigmoid', [erfA], { alpha: { float: 0.5 }, beta: { float: 0.5 } });
    const square = emit.op('Mul', [a, a]);
    const exponent = emit.op('Sub', [emit.scalar(-0.5 * Math.log(Math.PI)), square]);
    const slope = emit.op('Mul', [a, emit.op('Exp', [exponent])]);
    return emit.op('Mul', [dy!, emit.op('Add', [phi, slope])]);
  }),
  elementwise(
    'SlipQuickGelu',
    ['x'],
    (emit, x) =>
      emit.ops('QuickGelu', x, { alpha: { float: QUICK_SLOPE } }, { outputs: 1, domain: 'com.microsoft' })[0]!,
  ),
  elementwise('SlipQuickGeluGrad', ['dy', 'x'], (emit, [dy, x]) => {
    // With t = 1.702 x and s = sigmoid(t): the slope is s * (1 + t - t s).
    const t = emit.op('Mul', [x!, emit.scalar(QUICK_SLOPE)]);
    const s = emit.op('Sigmoid', [t]);
    const inner = emit.op('Add', [emit.op('Sub', [t, emit.op('Mul', [t, s])]), emit.scalar(1)]);
    return emit.op('Mul', [dy!, emit.op('Mul', [s, inner])]);
  }),
];

registerElementwise('SlipGelu', (x) => x * normalDistribution(x));
registerElementwiseGradient(
  'SlipGeluGrad',
  (x) => normalDistribution(x) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI),
);
registerElementwise('SlipQuickGelu', (x) => x * sigmoid(QUICK_SLOPE * x));
registerElementwiseGradient('SlipQuickGeluGrad', (x) => {
  const s = sigmoid(QUICK_SLOPE * x);
  return s * (1 + QUICK_SLOPE * x * (1 - s));
});

function registerElementwise(name: string, value: (x: number) => number): void {
  registerEagerKernel<object>({ name, inputs: ['x'] }, ([x]) => [
    { values: Float32Array.from(x!.values, value), shape: x!.shape, dtype: 'float32' },
  ]);
}

function registerElementwiseGradient(name: string, slope: (x: number) => number): void {
  registerEagerKernel<object>({ name, inputs: ['dy', 'x'] }, ([dy, x]) => [
    { values: Float32Array.from(dy!.values, (d, i) => d * slope(x!.values[i]!)), shape: x!.shape, dtype: 'float32' },
  ]);
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function normalDistribution(x: number): number {
  return 0.5 * (1 + erf(x * SQRT_HALF));
}

/** The error function to about 1e-15: the Taylor series near 0, the continued fraction of erfc beyond. */
function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let term = z;
    let sum = z;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-z * z) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let k = 60; k > 0; k--) fraction = k / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction));
}
