// Softmax cross entropy against constant labels and top-one accuracy; not the contrastive losses built on them.
import { SlipError } from '@slip/core';
import { defineKernel, registerEagerKernel, runKernel } from '../kernels/kernel.js';
import { tf } from '../tfjs.js';
import { withGradient, withoutGradient } from './custom-gradient.js';

/** Class indices known when the step is traced. */
export type Labels = Int32Array | readonly number[];

/**
 * Mean over the rows of `-log softmax(logits)[label]`, computed through a shifted log-sum-exp.
 *
 * @param logits [B, C] float32
 * @param labels B integers in [0, C)
 * @returns scalar
 * @throws SlipError `internal` when the labels do not fit the logits
 */
export function softmaxCrossEntropy(logits: tf.Tensor, labels: Labels): tf.Tensor {
  const index = labelColumn(logits, labels);
  return withGradient<[tf.Tensor, tf.Tensor]>(
    [logits],
    () => {
      const [loss, logProbs] = runKernel('SlipCrossEntropy', { logits, labels: index });
      return { value: loss!, saved: [logProbs!, index] };
    },
    (dy, [logProbs, labels]) => runKernel('SlipCrossEntropyGrad', { dy, logProbs, labels }),
  );
}

/**
 * Percentage of rows whose largest logit (the first of equals) is the label's; no gradient.
 *
 * @param logits [B, C] float32
 * @param labels B integers in [0, C)
 * @returns scalar in [0, 100]
 */
export function topOneAccuracy(logits: tf.Tensor, labels: Labels): tf.Tensor {
  const index = labelColumn(logits, labels);
  return withoutGradient(() => {
    const hits = tf.equal(tf.argMax(logits, 1), tf.reshape(index, [-1]));
    return tf.mul(tf.mean(tf.cast(hits, 'float32')), 100);
  });
}

function labelColumn(logits: tf.Tensor, labels: Labels): tf.Tensor {
  const [numRows, numClasses] = logits.shape as [number, number];
  if (logits.rank !== 2 || labels.length !== numRows) {
    throw new SlipError('internal', `${labels.length} labels do not fit logits of shape [${logits.shape}]`);
  }
  const wrong = labels.find((label) => !Number.isInteger(label) || label < 0 || label >= numClasses);
  if (wrong !== undefined) throw new SlipError('internal', `label ${wrong} is not in [0, ${numClasses})`);
  return tf.tensor2d(Int32Array.from(labels), [numRows, 1], 'int32');
}

const forward = defineKernel<object>({
  name: 'SlipCrossEntropy',
  place: 'graph',
  inputs: ['logits', 'labels'],
  infer: ([logits]) => [{ shape: [], dtype: 'float32' }, logits!],
  lower: ({ inputs, emit }) => {
    const [logits, labels] = inputs.map(({ name }) => name);
    const logProbs = emit.logSoftmax(logits!);
    const picked = emit.op('GatherElements', [logProbs, labels!], { axis: 1 });
    const mean = emit.op('ReduceMean', [picked, emit.ints([0, 1])], { keepdims: 0 });
    return [emit.op('Neg', [mean]), logProbs];
  },
});

const backward = defineKernel<object>({
  name: 'SlipCrossEntropyGrad',
  place: 'graph',
  inputs: ['dy', 'logProbs', 'labels'],
  infer: ([, logProbs]) => [logProbs!],
  lower: ({ inputs, emit }) => {
    const [dy, logProbs, labels] = inputs.map(({ name }) => name);
    const numRows = inputs[1]!.shape[0]!;
    // softmax - one-hot: only one element a row changes, so it is scattered instead of subtracting a matrix.
    const minusOnes = emit.constant(new Float32Array(numRows).fill(-1), [numRows, 1], 'float32');
    const difference = emit.op('ScatterElements', [emit.op('Exp', [logProbs!]), labels!, minusOnes], {
      axis: 1,
      reduction: { string: 'add' },
    });
    return [emit.op('Mul', [difference, emit.op('Mul', [dy!, emit.scalar(1 / numRows)])])];
  },
});

export const CROSS_ENTROPY_KERNELS = [forward, backward];

registerEagerKernel<object>({ name: forward.name, inputs: ['logits', 'labels'] }, ([logits, labels]) => {
  const [numRows, numClasses] = logits!.shape as [number, number];
  const logProbs = new Float32Array(numRows * numClasses);
  let loss = 0;
  for (let row = 0; row < numRows; row++) {
    const values = Array.from(logits!.values.subarray(row * numClasses, (row + 1) * numClasses));
    const highest = Math.max(...values);
    const total = values.reduce((sum, value) => sum + Math.exp(value - highest), 0);
    for (let c = 0; c < numClasses; c++) logProbs[row * numClasses + c] = values[c]! - highest - Math.log(total);
    loss -= logProbs[row * numClasses + labels!.values[row]!]! / numRows;
  }
  return [
    { values: Float32Array.of(loss), shape: [], dtype: 'float32' },
    { values: logProbs, shape: logits!.shape, dtype: 'float32' },
  ];
});

registerEagerKernel<object>({ name: backward.name, inputs: ['dy', 'logProbs', 'labels'] }, ([dy, logProbs, labels]) => {
  const [numRows, numClasses] = logProbs!.shape as [number, number];
  const values = Float32Array.from(logProbs!.values, (logProb, i) => {
    const hit = i % numClasses === labels!.values[Math.floor(i / numClasses)];
    return ((Math.exp(logProb) - (hit ? 1 : 0)) * dy!.values[0]!) / numRows;
  });
  return [{ values, shape: logProbs!.shape, dtype: 'float32' }];
});
