// For tests: gradients of a step function against central differences, on the eager backend.
import { sizeOf } from '../tensor-type.js';
import { tf } from '../tfjs.js';
import { assertClose, type TestInputs, testValues, unevenWeights } from './compare-backends.js';

/** Truncation errs by about step^2 and float32 cancellation by about 1e-7 / step: both near 1e-4 here. */
const STEP = 5e-3;

/**
 * tf.grads of `sum(fn(...) * weights)` agree with central differences within `tolerance` times (1 + largest gradient).
 * Only float32 inputs are varied.
 */
export function assertGradientsMatchDifferences(
  inputs: TestInputs,
  fn: (...tensors: tf.Tensor[]) => tf.Tensor,
  tolerance = 2e-3,
): void {
  const entries = Object.entries(inputs);
  const arrays = entries.map(([, input], stream) => testValues(input, stream));
  const tensors = (values: readonly number[][]) =>
    entries.map(([, { shape, dtype }], i) => tf.tensor(values[i]!, [...shape], dtype ?? 'float32'));
  const loss = (variables: tf.Tensor[]) => {
    const result = fn(...variables);
    return tf.sum(tf.mul(result, unevenWeights(result.shape)));
  };
  const lossAt = (values: readonly number[][]) => tf.tidy(() => loss(tensors(values)).dataSync()[0]!);

  const float = entries.flatMap(([, { dtype }], i) => (dtype === 'int32' ? [] : [i]));
  const gradients = tf.tidy(() => {
    const all = tensors(arrays);
    const { grads } = tf.valueAndGrads((...varied: tf.Tensor[]) =>
      loss(all.map((tensor, i) => (float.includes(i) ? varied[float.indexOf(i)]! : tensor))),
    )(float.map((i) => all[i]!));
    return grads.map((grad) => Float32Array.from(grad.dataSync()));
  });
  float.forEach((index, i) => {
    const [name, { shape }] = entries[index]!;
    const differences = Array.from({ length: sizeOf(shape) }, (_, element) => {
      const moved = (by: number) =>
        arrays.map((values, j) => (j === index ? values.map((v, k) => (k === element ? v + by : v)) : values));
      return (lossAt(moved(STEP)) - lossAt(moved(-STEP))) / (2 * STEP);
    });
    assertClose(gradients[i]!, differences, tolerance, `gradient of ${name}`);
  });
}
