// For tests: runs one step eagerly and compiled on the same inputs and compares the results.
import assert from 'node:assert/strict';
import { createEagerExecutor } from '../execute/eager-executor.js';
import { createOnnxExecutor } from '../execute/onnx-executor.js';
import type { StepArray, StepDefinition, TensorSpec } from '../step.js';
import { sizeOf } from '../tensor-type.js';
import { tf } from '../tfjs.js';

/** Shape, and optionally how to fill it: default is a fixed sequence of both signs in (-2, 2), away from 0. */
export interface TestInput {
  readonly shape: readonly number[];
  readonly dtype?: 'float32' | 'int32';
  readonly values?: readonly number[] | ((index: number) => number);
}

export type TestInputs = Readonly<Record<string, TestInput>>;

export function testStep(inputs: TestInputs, fn: StepDefinition['fn']): StepDefinition {
  const specs = Object.entries(inputs).map(
    ([name, { shape, dtype }]): TensorSpec => ({ name, shape, dtype: dtype ?? 'float32' }),
  );
  return { name: 'test', inputs: specs, fn };
}

/** The elements of a test input; `stream` tells several inputs of equal shape apart. */
export function testValues(input: TestInput, stream: number): number[] {
  const size = sizeOf(input.shape);
  const { values } = input;
  if (typeof values === 'function') return Array.from({ length: size }, (_, i) => values(i));
  if (values !== undefined) return [...values];
  if (input.dtype === 'int32') return Array.from({ length: size }, (_, i) => ((i * 7 + stream * 3) % 9) - 4);
  return Array.from({ length: size }, (_, i) => {
    const wave = Math.sin(1 + i * 1.37 + stream * 2.11);
    return wave + Math.sign(wave) * 0.3 + 0.4 * Math.cos(i * 0.73 + stream);
  });
}

/** Runs the step compiled at world size 1 and returns copies of its outputs. */
export async function runCompiled(inputs: TestInputs, fn: StepDefinition['fn']): Promise<Record<string, StepArray>> {
  const names = outputNames(inputs, fn);
  const executor = await createOnnxExecutor(testStep(inputs, fn), { rank: 0, worldSize: 1, threads: 1 });
  Object.entries(inputs).forEach(([name, input], stream) => {
    executor.input(name).set(testValues(input, stream));
  });
  await executor.run();
  const results = Object.fromEntries(names.map((name) => [name, executor.output(name).slice()]));
  await executor.close();
  return results;
}

export async function runEagerly(inputs: TestInputs, fn: StepDefinition['fn']): Promise<Record<string, StepArray>> {
  const names = outputNames(inputs, fn);
  const executor = await createEagerExecutor(testStep(inputs, fn));
  Object.entries(inputs).forEach(([name, input], stream) => {
    executor.input(name).set(testValues(input, stream));
  });
  await executor.run();
  return Object.fromEntries(names.map((name) => [name, executor.output(name).slice()]));
}

/**
 * Eager and compiled results agree: |difference| <= tolerance * (1 + largest eager magnitude of that output), equal
 * lengths, and non-finite elements at the same places.
 */
export async function assertSameOnBothBackends(
  inputs: TestInputs,
  fn: StepDefinition['fn'],
  tolerance = 2e-6,
): Promise<Record<string, StepArray>> {
  const eager = await runEagerly(inputs, fn);
  const compiled = await runCompiled(inputs, fn);
  for (const [name, expected] of Object.entries(eager)) assertClose(compiled[name]!, expected, tolerance, name);
  return compiled;
}

export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  label: string,
): void {
  assert.equal(actual.length, expected.length, `${label}: length`);
  const scale = 1 + Array.from(expected).reduce((max, v) => (Number.isFinite(v) ? Math.max(max, Math.abs(v)) : max), 0);
  for (let i = 0; i < expected.length; i++) {
    const same = Object.is(actual[i], expected[i]) || Math.abs(actual[i]! - expected[i]!) <= tolerance * scale;
    assert.ok(same, `${label}[${i}]: ${actual[i]} instead of ${expected[i]} (tolerance ${tolerance * scale})`);
  }
}

/** The outputs of `fn` and the gradients of `sum(outputs[0] * weights)`, so that dy is not uniform. */
export function withGradients(fn: (...tensors: tf.Tensor[]) => tf.Tensor): StepDefinition['fn'] {
  return (inputs) => {
    const tensors = Object.values(inputs);
    let result: tf.Tensor | undefined;
    const { grads } = tf.valueAndGrads((...variables: tf.Tensor[]) => {
      result = fn(...variables);
      return tf.sum(tf.mul(result, unevenWeights(result.shape)));
    })(tensors);
    const gradients = Object.keys(inputs).map((name, i) => [`gradient of ${name}`, grads[i]!]);
    return { value: fn(...tensors), ...Object.fromEntries(gradients) };
  };
}

export function unevenWeights(shape: readonly number[]): tf.Tensor {
  const values = Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.cos(i * 0.9) + 0.2);
  return tf.tensor(values, [...shape]);
}

function outputNames(inputs: TestInputs, fn: StepDefinition['fn']): string[] {
  return tf.tidy(() => {
    const tensors = Object.entries(inputs).map(([name, input], stream) => [
      name,
      tf.tensor(testValues(input, stream), [...input.shape], input.dtype ?? 'float32'),
    ]);
    return Object.keys(fn(Object.fromEntries(tensors)));
  });
}
