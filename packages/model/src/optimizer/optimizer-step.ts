// The optimizers as steps for a device that keeps the state: the arithmetic of adamw.ts and sgd.ts on tensors, in float32.
import { type StepDefinition, type TensorSpec, tf } from '@slip/engine';
import type { TensorEntry } from '../architecture.js';
import { MAX_LOGIT_SCALE } from './logit-scale.js';

type Tensors = Record<string, tf.Tensor>;

/** Numbers that change from step to step, as scalar inputs `hyper/<name>`. */
export type HyperInputs = Readonly<Record<string, number>>;

/** An optimizer on a device: what it computes for one parameter, and the numbers it needs for a step. */
export interface DeviceOptimizer {
  /** Names of what it keeps for each parameter, as PyTorch has them. */
  readonly moments: readonly string[];
  /** Names of the numbers; those of `groupNames` come once for each group of parameters that are updated alike. */
  readonly hyperNames: readonly string[];
  readonly groupNames: readonly string[];
  /** @returns the new parameter as `param`, and the new moments by name */
  update(tensors: { param: tf.Tensor; grad: tf.Tensor } & Tensors, hyper: Tensors, group: Tensors): Tensors;
}

/** Parameters that are updated alike. */
export interface UpdateGroup {
  readonly decay: boolean;
  readonly lrScale: number;
}

export function updateGroups(entries: readonly TensorEntry[]): UpdateGroup[] {
  const groups = new Map<string, UpdateGroup>();
  for (const { kind, decay, lrScale = 1 } of entries)
    if (kind === 'param') groups.set(groupKey({ decay, lrScale }), { decay, lrScale });
  return [...groups.values()];
}

function groupKey({ decay, lrScale }: UpdateGroup): string {
  return `${decay ? 'decayed' : 'plain'}-${lrScale}`;
}

/** `hyper/<name>` of a group of parameters. */
export function groupHyperName(name: string, group: UpdateGroup): string {
  return `${name}/${groupKey(group)}`;
}

/**
 * Inputs: `param/<name>`, `grad/<name>` and `<moment>/<name>` for each of the given parameters, and scalars `hyper/<name>`.
 * Outputs: the new `param/<name>` and `<moment>/<name>`. CLIP's temperature is clamped as after a step on the host.
 */
export function optimizerStep(optimizer: DeviceOptimizer, entries: readonly TensorEntry[]): StepDefinition {
  const kinds = ['param', 'grad', ...optimizer.moments];
  const tensors = entries.flatMap(({ name, shape }) => kinds.map((kind) => spec(`${kind}/${name}`, shape)));
  const groups = updateGroups(entries);
  const scalars = [
    ...optimizer.hyperNames,
    ...groups.flatMap((group) => optimizer.groupNames.map((name) => groupHyperName(name, group))),
  ];
  return {
    name: 'optimizer',
    inputs: [...tensors, ...scalars.map((name) => spec(`hyper/${name}`, []))],
    fn(inputs) {
      const hyper = byName(optimizer.hyperNames, (name) => inputs[`hyper/${name}`]);
      const outputs: Tensors = {};
      for (const { name, decay, lrScale = 1 } of entries) {
        const group = byName(optimizer.groupNames, (own) => inputs[`hyper/${groupHyperName(own, { decay, lrScale })}`]);
        const old = byName(kinds, (kind) => inputs[`${kind}/${name}`]) as { param: tf.Tensor; grad: tf.Tensor };
        const updated = optimizer.update(old, hyper, group);
        if (name === 'logit_scale') updated.param = tf.clipByValue(updated.param, 0, MAX_LOGIT_SCALE);
        for (const [kind, tensor] of Object.entries(updated)) outputs[`${kind}/${name}`] = tensor;
      }
      return outputs;
    },
  };
}

/** Adds a micro-batch's `grad/<name>` to `sum/<name>`. */
export function accumulateStep(entries: readonly TensorEntry[]): StepDefinition {
  return {
    name: 'accumulate',
    inputs: entries.flatMap(({ name, shape }) => [spec(`sum/${name}`, shape), spec(`grad/${name}`, shape)]),
    fn: (inputs) =>
      Object.fromEntries(
        entries.map(({ name }) => [`sum/${name}`, tf.add(inputs[`sum/${name}`], inputs[`grad/${name}`])]),
      ),
  };
}

/** `squares`: the sum of the squares of all `grad/<name>`. */
export function gradientSquaresStep(entries: readonly TensorEntry[]): StepDefinition {
  return {
    name: 'gradient norm',
    inputs: entries.map(({ name, shape }) => spec(`grad/${name}`, shape)),
    fn: (inputs) => ({
      squares: entries
        .map(({ name }) => tf.sum(tf.square(inputs[`grad/${name}`])))
        .reduce((sum, squares) => tf.add(sum, squares)),
    }),
  };
}

/** AdamW (reference 4.1). Group numbers: `keep`, 1 - lr * decay, and `rate`, the learning rate over the first bias correction. */
export function deviceAdamW(betas: readonly [number, number], eps: number): DeviceOptimizer {
  const [beta1, beta2] = betas;
  return {
    moments: ['exp_avg', 'exp_avg_sq'],
    hyperNames: ['gradScale', 'correction'],
    groupNames: ['keep', 'rate'],
    update({ param, grad, exp_avg: expAvg, exp_avg_sq: expAvgSq }, { gradScale, correction }, { keep, rate }) {
      const g = tf.mul(grad, gradScale);
      const m = tf.add(tf.mul(expAvg, beta1), tf.mul(g, 1 - beta1));
      const v = tf.add(tf.mul(expAvgSq, beta2), tf.mul(tf.mul(g, g), 1 - beta2));
      const denominator = tf.add(tf.mul(tf.sqrt(v), correction), eps);
      const moved = tf.sub(tf.mul(param, keep), tf.div(tf.mul(m, rate), denominator));
      return { param: moved, exp_avg: m, exp_avg_sq: v };
    },
  };
}

/** The numbers of a step of AdamW. @param step 1 for the first update */
export function adamWHyper(
  groups: readonly UpdateGroup[],
  hyper: {
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly weightDecay: number;
    readonly step: number;
    readonly gradScale: number;
  },
): HyperInputs {
  const { lr, betas, weightDecay, step, gradScale } = hyper;
  const values: Record<string, number> = { gradScale, correction: 1 / Math.sqrt(1 - betas[1] ** step) };
  for (const group of groups) {
    const own = lr * group.lrScale;
    values[groupHyperName('keep', group)] = 1 - own * (group.decay ? weightDecay : 0);
    values[groupHyperName('rate', group)] = own / (1 - betas[0] ** step);
  }
  return values;
}

/** SGD with momentum (reference 6.3). Group numbers: `decay`, added to the gradient, and `rate`, the learning rate. */
export function deviceSgd(momentum: number): DeviceOptimizer {
  return {
    moments: ['momentum_buffer'],
    hyperNames: ['gradScale'],
    groupNames: ['decay', 'rate'],
    update({ param, grad, momentum_buffer: buffer }, { gradScale }, { decay, rate }) {
      const g = tf.add(tf.mul(grad, gradScale), tf.mul(param, decay));
      const moved = tf.add(tf.mul(buffer, momentum), g);
      return { param: tf.sub(param, tf.mul(moved, rate)), momentum_buffer: moved };
    },
  };
}

/** The numbers of a step of SGD. */
export function sgdHyper(
  groups: readonly UpdateGroup[],
  { lr, weightDecay, gradScale }: { readonly lr: number; readonly weightDecay: number; readonly gradScale: number },
): HyperInputs {
  const values: Record<string, number> = { gradScale };
  for (const group of groups) {
    values[groupHyperName('decay', group)] = group.decay ? weightDecay : 0;
    values[groupHyperName('rate', group)] = lr * group.lrScale;
  }
  return values;
}

/** A moving average of the parameters beside another optimizer, in the moment `ema`. */
export function deviceAverage(optimizer: DeviceOptimizer, decay: number): DeviceOptimizer {
  return {
    ...optimizer,
    moments: [...optimizer.moments, 'ema'],
    update(tensors, hyper, group) {
      const updated = optimizer.update(tensors, hyper, group);
      return { ...updated, ema: tf.add(tf.mul(tensors.ema, decay), tf.mul(updated.param, 1 - decay)) };
    },
  };
}

function spec(name: string, shape: readonly number[]): TensorSpec {
  return { name, shape, dtype: 'float32' };
}

function byName(names: readonly string[], of: (name: string) => tf.Tensor): Tensors {
  return Object.fromEntries(names.map((name) => [name, of(name)]));
}
