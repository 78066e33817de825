// The steps of linear probing and fine-tuning: pictures and targets in, loss, accuracy and gradients out; and the logits alone,
// for validation. Draws (mixing, drop path) come in as numbers: a step draws none.
import { linear, type StepDefinition, type TensorSpec, tf, valueAndGradients, withoutGradient } from '@slip/engine';
import { lossGradient, lossScaleInputs, type ScaledLoss } from '../loss-scale-input.js';
import { parametersOf } from '../parameters.js';
import type { StateLayout } from '../state-layout.js';
import { stepIdentity } from '../step-identity.js';
import { visionTransformer } from '../towers/vision-transformer.js';
import type { ClassifierConfig } from './classifier-config.js';
import { classifierLogits } from './classifier-tower.js';

type Tensors = Record<string, tf.Tensor>;

/** Names of `param/`, `frozen/` and `grad/` tensors are those of the layout. */
const PREFIX = { param: 'param/', buffer: 'frozen/' } as const;

export interface LinearStepOptions extends ScaledLoss {
  readonly rows: number;
}

/**
 * Inputs: `param/head.*`, `frozen/<name>` of the tower, `image` [B, 3, S, S], `labels` [B] int32, and `weights` [B], by which the
 * losses of rows are summed: 0 for rows that are padding, and such that the mean over ranks is the mean over all rows. With
 * `scaledLoss`: `loss_scale`.
 *
 * Outputs: `grad/head.*`, `loss`, `acc1`, `acc5` (percent, weighted likewise).
 */
export function linearStep(config: ClassifierConfig, layout: StateLayout, options: LinearStepOptions): StepDefinition {
  const { rows } = options;
  return {
    name: 'linear probe',
    identity: stepIdentity(config, layout, options),
    inputs: [
      ...stateSpecs(layout),
      imageSpec(config, rows),
      { name: 'labels', shape: [rows], dtype: 'int32' },
      { name: 'weights', shape: [rows], dtype: 'float32' },
      ...lossScaleInputs(options),
    ],
    fn(inputs) {
      const features = visionTransformer(inputs.image, parametersOf(stateTensors(layout, inputs)), config.vision);
      const targets = tf.oneHot(inputs.labels as tf.Tensor1D, config.numClasses, 1, 0, 'float32');
      return trained(layout, inputs, (params) => {
        const logits = linear(features, params['head.weight'], params['head.bias']);
        return classificationResults(logits, targets, inputs.weights);
      });
    },
  };
}

export interface FinetuneStepOptions extends ScaledLoss {
  readonly rows: number;
  /** Rows of `image` behind the own ones, which are only mixed in. */
  readonly extraRows: number;
  readonly mixes: boolean;
  readonly dropsPaths: boolean;
}

/**
 * Inputs: `param/<name>`; `image` [B + extra, 3, S, S]; `targets` [B, classes]; `weights` [B] as in {@link linearStep}.
 * With `mixes`: `mix/partner` [B] int32, the row of `image` that is mixed into each; `mix/base` [B], its share outside the box;
 * `mix/box` [B], what the box adds to that; `mix/rows` and `mix/columns` [B, S], 1 inside the box.
 * With `dropsPaths`: `drop_path` [2 * depth, B]. With `scaledLoss`: `loss_scale`.
 *
 * Outputs: `grad/<name>`, `loss`, `acc1` (percent, of the likeliest target), `acc5`.
 */
export function finetuneStep(
  config: ClassifierConfig,
  layout: StateLayout,
  options: FinetuneStepOptions,
): StepDefinition {
  const { rows, extraRows } = options;
  return {
    name: 'fine-tune',
    identity: stepIdentity(config, layout, options),
    inputs: [
      ...stateSpecs(layout),
      imageSpec(config, rows + extraRows),
      { name: 'targets', shape: [rows, config.numClasses], dtype: 'float32' },
      { name: 'weights', shape: [rows], dtype: 'float32' },
      ...(options.mixes ? mixSpecs(config, rows) : []),
      ...(options.dropsPaths
        ? [{ name: 'drop_path', shape: [2 * config.vision.depth, rows], dtype: 'float32' } as const]
        : []),
      ...lossScaleInputs(options),
    ],
    fn: (inputs) => {
      const image = options.mixes ? mixed(inputs, rows) : inputs.image;
      return trained(layout, inputs, (params) => {
        const logits = classifierLogits(image, parametersOf(params), config, inputs.drop_path);
        return classificationResults(logits, inputs.targets, inputs.weights);
      });
    },
  };
}

/** Inputs: the tensors of the layout and `image` [B, 3, S, S]; output `logits` [B, classes]. */
export function logitsStep(config: ClassifierConfig, layout: StateLayout, rows: number): StepDefinition {
  return {
    name: 'classify',
    identity: stepIdentity(config, layout),
    inputs: [...stateSpecs(layout), imageSpec(config, rows)],
    fn: (inputs) => ({
      logits: classifierLogits(inputs.image, parametersOf(stateTensors(layout, inputs)), config),
    }),
  };
}

/** Inputs: the tensors of the tower and `image` [B, 3, S, S]; output `features` [B, width], what the classifier would see. */
export function towerFeatureStep(config: ClassifierConfig, layout: StateLayout, rows: number): StepDefinition {
  return {
    name: 'tower features',
    identity: stepIdentity(config, layout),
    inputs: [
      ...stateSpecs(layout).filter(({ name }) => !name.startsWith(`${PREFIX.param}head.`)),
      imageSpec(config, rows),
    ],
    fn: (inputs) => ({
      features: visionTransformer(inputs.image, parametersOf(stateTensors(layout, inputs)), config.vision),
    }),
  };
}

/**
 * A linear classifier on features. Inputs: `param/head.weight` [classes, width], `param/head.bias` [classes], `features` [B, width],
 * `labels` [B] int32, `weights` [B]. Outputs: `loss`, the sum of weighted losses, `grad/head.*`, `logits` [B, classes].
 */
export function probeStep(width: number, numClasses: number, rows: number): StepDefinition {
  return {
    name: 'probe',
    identity: stepIdentity(numClasses),
    inputs: [
      { name: 'param/head.weight', shape: [numClasses, width], dtype: 'float32' },
      { name: 'param/head.bias', shape: [numClasses], dtype: 'float32' },
      { name: 'features', shape: [rows, width], dtype: 'float32' },
      { name: 'labels', shape: [rows], dtype: 'int32' },
      { name: 'weights', shape: [rows], dtype: 'float32' },
    ],
    fn(inputs) {
      const targets = tf.oneHot(inputs.labels as tf.Tensor1D, numClasses, 1, 0, 'float32');
      const head = { weight: inputs['param/head.weight'], bias: inputs['param/head.bias'] };
      const { results, gradients } = valueAndGradients(head, ({ weight, bias }) => {
        const logits = linear(inputs.features, weight, bias);
        const perRow = tf.neg(tf.sum(tf.mul(targets, tf.logSoftmax(logits)), 1));
        return { loss: tf.sum(tf.mul(perRow, inputs.weights)), logits };
      });
      return { ...results, 'grad/head.weight': gradients.weight, 'grad/head.bias': gradients.bias };
    },
  };
}

function stateSpecs({ entries }: StateLayout): TensorSpec[] {
  return entries.map(({ name, kind, shape }) => ({ name: PREFIX[kind] + name, shape, dtype: 'float32' }));
}

function stateTensors({ entries }: StateLayout, inputs: Tensors): Tensors {
  return Object.fromEntries(entries.map(({ name, kind }) => [name, inputs[PREFIX[kind] + name]]));
}

function imageSpec({ vision }: ClassifierConfig, rows: number): TensorSpec {
  return { name: 'image', shape: [rows, 3, vision.imageSize, vision.imageSize], dtype: 'float32' };
}

function mixSpecs({ vision }: ClassifierConfig, rows: number): TensorSpec[] {
  return [
    { name: 'mix/partner', shape: [rows], dtype: 'int32' },
    { name: 'mix/base', shape: [rows], dtype: 'float32' },
    { name: 'mix/box', shape: [rows], dtype: 'float32' },
    { name: 'mix/rows', shape: [rows, vision.imageSize], dtype: 'float32' },
    { name: 'mix/columns', shape: [rows, vision.imageSize], dtype: 'float32' },
  ];
}

/** Each row with its partner's pixels mixed in, or put into its box. */
function mixed(inputs: Tensors, rows: number): tf.Tensor {
  const [, channels, size] = inputs.image.shape as [number, number, number, number];
  const own = tf.slice(inputs.image, [0, 0, 0, 0], [rows, channels, size, size]);
  const partner = tf.gather(inputs.image, inputs['mix/partner']);
  const perRow = (name: string) => tf.reshape(inputs[name], [rows, 1, 1, 1]);
  const inside = tf.mul(
    tf.reshape(inputs['mix/rows'], [rows, 1, size, 1]),
    tf.reshape(inputs['mix/columns'], [rows, 1, 1, size]),
  );
  const share = tf.add(perRow('mix/base'), tf.mul(perRow('mix/box'), inside));
  return tf.add(tf.mul(own, tf.sub(1, share)), tf.mul(partner, share));
}

function trained(
  { entries }: StateLayout,
  inputs: Tensors,
  forward: (params: Tensors) => Tensors & { loss: tf.Tensor },
): Tensors {
  const names = entries.filter(({ kind }) => kind === 'param').map(({ name }) => name);
  const variables = Object.fromEntries(names.map((name) => [name, inputs[`param/${name}`]]));
  const { results, gradients } = valueAndGradients(variables, forward, lossGradient(inputs));
  return { ...results, ...Object.fromEntries(names.map((name) => [`grad/${name}`, gradients[name]])) };
}

/** Cross-entropy with soft targets, and how often the likeliest target is among the one and the five highest logits. */
function classificationResults(logits: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) {
  const perRow = tf.neg(tf.sum(tf.mul(targets, tf.logSoftmax(logits)), 1));
  const label = tf.argMax(targets, 1);
  const better = withoutGradient(() => {
    const hit = tf.oneHot(label as tf.Tensor1D, logits.shape[1]!, 1, 0, 'float32');
    const own = tf.sum(tf.mul(logits, hit), 1, true);
    return tf.sum(tf.cast(tf.greater(logits, own), 'float32'), 1);
  });
  const among = (count: number) => tf.mul(tf.sum(tf.mul(weights, tf.cast(tf.less(better, count), 'float32'))), 100);
  return { loss: tf.sum(tf.mul(perRow, weights)), acc1: among(1), acc5: among(5) };
}
