// Our own kernels as compositions of TensorFlow's, for the tensorflow backend; their plain loops for the CPU stand with each op.
import { tf } from '../tfjs.js';

type Operands = Record<string, tf.Tensor>;

interface Composition {
  readonly name: string;
  compute(inputs: Operands, attrs: tf.NamedAttrMap): tf.Tensor[];
}

/** Called once, when the backend is there. */
export function registerTensorFlowKernels(backendName: string): void {
  for (const { name, compute } of COMPOSITIONS) {
    tf.registerKernel({
      kernelName: name,
      backendName,
      kernelFunc: ({ inputs, attrs }) =>
        tf.tidy(() => {
          const operands = Object.entries(inputs).flatMap(([key, info]) =>
            info === undefined || info === null ? [] : [[key, info as unknown as tf.Tensor] as const],
          );
          return compute(Object.fromEntries(operands), attrs ?? {});
        }),
    });
  }
}

const SQRT_HALF = Math.SQRT1_2;
const QUICK_SLOPE = 1.702;

const COMPOSITIONS: readonly Composition[] = [
  { name: 'SlipBoundary', compute: ({ x }) => [tf.clone(x!)] },
  {
    name: 'SlipConv',
    compute: ({ x, weight }, { stride, padding }) => {
      const result = tf.conv2d(
        channelsLast(padded(x!, padding as number)) as tf.Tensor4D,
        tf.transpose(weight!, [2, 3, 1, 0]) as tf.Tensor4D,
        stride as number,
        'valid',
      );
      return [channelsFirst(result)];
    },
  },
  {
    name: 'SlipConvInputGrad',
    compute: ({ dy, weight }, { stride, padding, size }) => {
      const [s, p] = [size as number, padding as number];
      const [batch, channels] = [dy!.shape[0]!, weight!.shape[1]!];
      const result = tf.conv2dTranspose(
        channelsLast(dy!) as tf.Tensor4D,
        tf.transpose(weight!, [2, 3, 1, 0]) as tf.Tensor4D,
        [batch, s + 2 * p, s + 2 * p, channels],
        stride as number,
        'valid',
      );
      return [channelsFirst(tf.slice(result, [0, p, p, 0], [batch, s, s, channels]))];
    },
  },
  {
    name: 'SlipConvFilterGrad',
    compute: ({ dy, x }, { stride, padding, kernel }) => {
      const [k, s] = [kernel as number, stride as number];
      // TensorFlow.js has it as a kernel and exports no function for it.
      const gradient: tf.Tensor = tf
        .engine()
        .runKernel(
          'Conv2DBackpropFilter',
          { x: channelsLast(padded(x!, padding as number)), dy: channelsLast(dy!) },
          { strides: [s, s], pad: 'valid', dataFormat: 'NHWC', filterShape: [k, k, x!.shape[1]!, dy!.shape[1]!] },
        );
      return [tf.transpose(gradient, [3, 2, 0, 1])];
    },
  },
  { name: 'SlipGelu', compute: ({ x }) => [tf.mul(x!, normalDistribution(x!))] },
  {
    name: 'SlipGeluGrad',
    compute: ({ dy, x }) => {
      const density = tf.mul(tf.exp(tf.mul(tf.square(x!), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return [tf.mul(dy!, tf.add(normalDistribution(x!), tf.mul(x!, density)))];
    },
  },
  { name: 'SlipFirstRows', compute: ({ x }, { count }) => [tf.slice(x!, [0, 0], [count as number, -1])] },
  {
    name: 'SlipPadRows',
    compute: ({ dy }, { numRows }) => [
      tf.pad(dy!, [
        [0, (numRows as number) - dy!.shape[0]!],
        [0, 0],
      ]),
    ],
  },
  { name: 'SlipQuickGelu', compute: ({ x }) => [tf.mul(x!, tf.sigmoid(tf.mul(x!, QUICK_SLOPE)))] },
  {
    name: 'SlipQuickGeluGrad',
    compute: ({ dy, x }) => {
      const t = tf.mul(x!, QUICK_SLOPE);
      const s = tf.sigmoid(t);
      return [tf.mul(dy!, tf.mul(s, tf.add(tf.sub(t, tf.mul(t, s)), 1)))];
    },
  },
  {
    name: 'SlipLinear',
    compute: ({ rows, weight, bias }) => {
      const product = tf.matMul(rows!, weight!, false, true);
      return [bias === undefined ? product : tf.add(product, bias)];
    },
  },
  { name: 'SlipLinearWeightGrad', compute: ({ dy, rows }) => [tf.matMul(dy!, rows!, true, false)] },
  {
    name: 'SlipLayerNorm',
    compute: ({ x, gamma, beta }, { eps }) => {
      const { normalized, mean, inverse } = normalize(x!, eps as number);
      return [tf.add(tf.mul(normalized, gamma!), beta!), mean, inverse];
    },
  },
  {
    name: 'SlipLayerNormGrad',
    compute: ({ dy, x, gamma, mean, inverseDeviation }) => {
      const normalized = tf.mul(tf.sub(x!, mean!), inverseDeviation!);
      const upstream = tf.mul(dy!, gamma!);
      const shift = tf.mean(upstream, -1, true);
      const slope = tf.mean(tf.mul(upstream, normalized), -1, true);
      const dx = tf.mul(tf.sub(tf.sub(upstream, shift), tf.mul(normalized, slope)), inverseDeviation!);
      const rows = x!.shape.slice(0, -1).map((_, axis) => axis);
      return [dx, tf.sum(tf.mul(dy!, normalized), rows), tf.sum(dy!, rows)];
    },
  },
  {
    name: 'SlipAttention',
    compute: ({ q, k, v }, { scale, causal }) => {
      const product = tf.mul(tf.matMul(q!, k!, false, true), scale as number);
      const weights = tf.softmax(causal === true ? tf.add(product, causalMask(product)) : product);
      return [tf.matMul(weights, v!), weights];
    },
  },
  {
    name: 'SlipAttentionGrad',
    compute: ({ dy, q, k, v, weights, y }, { scale }) => {
      const dWeights = tf.matMul(dy!, v!, false, true);
      const rowDot = tf.sum(tf.mul(dy!, y!), -1, true);
      const dScores = tf.mul(tf.mul(weights!, tf.sub(dWeights, rowDot)), scale as number);
      return [tf.matMul(dScores, k!), tf.matMul(dScores, q!, true, false), tf.matMul(weights!, dy!, true, false)];
    },
  },
  {
    name: 'SlipCrossEntropy',
    compute: ({ logits, labels }) => {
      const logProbs = tf.logSoftmax(logits!);
      const hits = tf.oneHot(tf.reshape(labels!, [-1]), logits!.shape[1]!);
      return [tf.neg(tf.mean(tf.sum(tf.mul(logProbs, tf.cast(hits, 'float32')), 1))), logProbs];
    },
  },
  {
    name: 'SlipCrossEntropyGrad',
    compute: ({ dy, logProbs, labels }) => {
      const [numRows, numClasses] = logProbs!.shape as [number, number];
      const hits = tf.cast(tf.oneHot(tf.reshape(labels!, [-1]), numClasses), 'float32');
      return [tf.mul(tf.sub(tf.exp(logProbs!), hits), tf.mul(dy!, 1 / numRows))];
    },
  },
  {
    name: 'SlipScatterRows',
    compute: ({ dy, ids }, { numRows }) => [tf.unsortedSegmentSum(dy!, ids! as tf.Tensor1D, numRows as number)],
  },
];

function channelsLast(x: tf.Tensor): tf.Tensor {
  return tf.transpose(x, [0, 2, 3, 1]);
}

function channelsFirst(x: tf.Tensor): tf.Tensor {
  return tf.transpose(x, [0, 3, 1, 2]);
}

/** TensorFlow's convolutions take no explicit padding in the addon. */
function padded(x: tf.Tensor, padding: number): tf.Tensor {
  if (padding === 0) return x;
  const around: [number, number] = [padding, padding];
  return tf.pad(x, [[0, 0], [0, 0], around, around]);
}

/** Phi. */
function normalDistribution(x: tf.Tensor): tf.Tensor {
  return tf.mul(tf.add(tf.erf(tf.mul(x, SQRT_HALF)), 1), 0.5);
}

function normalize(x: tf.Tensor, eps: number) {
  const mean = tf.mean(x, -1, true);
  const centered = tf.sub(x, mean);
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centered), -1, true), eps));
  return { normalized: tf.mul(centered, inverse), mean, inverse };
}

/** Minus infinity above the diagonal of the last two axes. */
function causalMask(scores: tf.Tensor): tf.Tensor {
  const [rows, columns] = scores.shape.slice(-2) as [number, number];
  const values = Float32Array.from({ length: rows * columns }, (_, i) =>
    i % columns > Math.floor(i / columns) ? Number.NEGATIVE_INFINITY : 0,
  );
  return tf.tensor2d(values, [rows, columns]);
}
