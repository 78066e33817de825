// The training step of each family: views in, losses, gradients and batch statistics out, written once in tfjs.
import { type StepDefinition, type TensorSpec, tf, valueAndGradients } from '@slip/engine';
import { lossGradient, lossScaleInputs, type ScaledLoss } from './loss-scale-input.js';
import { type ContrastiveLoss, clipLoss, type Gather, type RowPlacement, totalRows } from './losses/clip-loss.js';
import { simclrLoss } from './losses/simclr-loss.js';
import type { ModelConfig } from './models.js';
import { type Parameters, parametersOf } from './parameters.js';
import { stateLayout } from './state-layout.js';
import { stepIdentity } from './step-identity.js';
import { sslHead } from './towers/ssl-head.js';
import { textFeatures, textLengths } from './towers/text-transformer.js';
import { hasBatchStatistics, imageEmbedding, visionFeatures } from './towers/vision-tower.js';

export interface TrainStepOptions extends RowPlacement, ScaledLoss {
  readonly gather: Gather;
  /** Weight of the SSL loss in SLIP. */
  readonly sslScale: number;
  readonly sslTemp: number;
  /** Tokens of a caption that are looked at; all of the context without it. */
  readonly textLength?: number;
}

type Tensors = Record<string, tf.Tensor>;

/**
 * Inputs: `param/<name>` for each parameter, and the views of the family: `image`, `aug1`, `aug2` [B, 3, S, S] and `tokens`
 * [B, L] int32, which may be cut behind the last end of a text.
 *
 * Outputs: `grad/<name>` for each parameter, of this rank's loss plus what other ranks' losses owe to its rows, so that the
 * mean over ranks is the gradient of the global loss; `loss`, `clip_loss`, `clip_acc`, `ssl_loss`, `ssl_acc` as the family
 * has them, weighted likewise where ranks have different numbers of rows: their mean over ranks is that over all rows;
 * `bn/<module>/<view>/mean` and `.../variance` of the global batch (`.../unbiased` in a vision tower).
 */
export function trainStep(model: ModelConfig, options: TrainStepOptions): StepDefinition {
  const names = parameterNames(model);
  const { textLength = model.text?.contextLength ?? 0 } = options;
  return {
    name: `train ${model.name}`,
    identity: stepIdentity(model, options),
    inputs: [
      ...parameterInputs(model),
      ...viewInputs(model, options.rows[options.rank], textLength),
      ...lossScaleInputs(options),
    ],
    fn(inputs) {
      const variables = Object.fromEntries(names.map((name) => [name, inputs[`param/${name}`]]));
      const { results, gradients } = valueAndGradients(
        variables,
        (tensors) => forward(model, parametersOf(tensors), inputs, options),
        lossGradient(inputs),
      );
      const outputs: Tensors = { ...results };
      for (const name of names) outputs[`grad/${name}`] = gradients[name];
      return outputs;
    },
    ...(model.text === undefined || options.textLength !== undefined
      ? {}
      : {
          lengths: {
            allowed: textLengths(model.text),
            at: (length: number) => trainStep(model, { ...options, textLength: length }),
          },
        }),
  };
}

/** `param/<name>` specs in state-dict order. */
export function parameterInputs(model: ModelConfig): TensorSpec[] {
  return stateLayout(model)
    .entries.filter((entry) => entry.kind === 'param')
    .map(({ name, shape }) => ({ name: `param/${name}`, shape, dtype: 'float32' }));
}

function parameterNames(model: ModelConfig): string[] {
  return parameterInputs(model).map(({ name }) => name.slice('param/'.length));
}

function viewInputs({ family, vision, text }: ModelConfig, batchSize: number, textLength: number): TensorSpec[] {
  const image = (name: string): TensorSpec => ({
    name,
    shape: [batchSize, 3, vision.imageSize, vision.imageSize],
    dtype: 'float32',
  });
  const tokens: TensorSpec[] =
    text === undefined ? [] : [{ name: 'tokens', shape: [batchSize, textLength], dtype: 'int32' }];
  return [
    ...(family === 'SIMCLR' ? [] : [image('image')]),
    ...tokens,
    ...(family === 'CLIP' ? [] : [image('aug1'), image('aug2')]),
  ];
}

function forward(
  model: ModelConfig,
  params: Parameters,
  inputs: Tensors,
  options: TrainStepOptions,
): Tensors & { loss: tf.Tensor } {
  const views = ['image', 'aug1', 'aug2'].filter((view) => inputs[view] !== undefined);
  const outputs: Tensors = {};
  const features = towerFeatures(model, params, views, inputs, outputs);
  const clip =
    model.text === undefined
      ? undefined
      : weighted(clipPart(model, params, features.image, inputs.tokens, options), options);
  if (clip !== undefined) {
    outputs.clip_loss = clip.loss;
    outputs.clip_acc = clip.accuracy;
  }
  const ssl = model.ssl === undefined ? undefined : weighted(sslPart(params, features, options, outputs), options);
  if (ssl !== undefined) {
    outputs.ssl_loss = ssl.loss;
    outputs.ssl_acc = ssl.accuracy;
  }
  return { ...outputs, loss: totalLoss(clip, ssl, options.sslScale) };
}

/** Means over local rows become this rank's part of a mean over all rows. */
function weighted({ loss, accuracy }: ContrastiveLoss, { rank, rows }: RowPlacement): ContrastiveLoss {
  const weight = (rows[rank] * rows.length) / totalRows({ rows });
  return weight === 1 ? { loss, accuracy } : { loss: tf.mul(loss, weight), accuracy: tf.mul(accuracy, weight) };
}

/** SLIP adds the two (reference 3.3); the others have one. */
function totalLoss(clip: ContrastiveLoss | undefined, ssl: ContrastiveLoss | undefined, sslScale: number): tf.Tensor {
  if (clip === undefined) return tf.mul(ssl!.loss, 1);
  return ssl === undefined ? tf.mul(clip.loss, 1) : tf.add(clip.loss, tf.mul(ssl.loss, sslScale));
}

/** One pass for all views where the tower allows it: larger products, and each weight's gradient summed once. */
function towerFeatures(
  model: ModelConfig,
  params: Parameters,
  views: readonly string[],
  inputs: Tensors,
  outputs: Tensors,
): Tensors {
  if (views.length === 1 || hasBatchStatistics(model.vision)) {
    const ofView = (view: string) =>
      visionFeatures(inputs[view], params, model.vision, {
        record: (module, mean, variance) => {
          outputs[`bn/visual.${module}/${view}/mean`] = mean;
          outputs[`bn/visual.${module}/${view}/unbiased`] = variance;
        },
      });
    return Object.fromEntries(views.map((view) => [view, ofView(view)]));
  }
  const stacked = visionFeatures(
    tf.concat(
      views.map((view) => inputs[view]),
      0,
    ),
    params,
    model.vision,
  );
  const parts = tf.split(stacked, views.length, 0);
  return Object.fromEntries(views.map((view, i) => [view, parts[i]]));
}

function clipPart(
  model: ModelConfig,
  params: Parameters,
  imageFeatures: tf.Tensor,
  tokens: tf.Tensor,
  options: TrainStepOptions,
): ContrastiveLoss {
  const imageEmbed = imageEmbedding(imageFeatures, params, model.vision);
  const textEmbed = tf.matMul(textFeatures(tokens, params, model.text!), params.get('text_projection'));
  return clipLoss(imageEmbed, textEmbed, tf.exp(params.get('logit_scale')), options, options.gather);
}

function sslPart(params: Parameters, features: Tensors, options: TrainStepOptions, outputs: Tensors): ContrastiveLoss {
  const [aug1, aug2] = ['aug1', 'aug2'].map((view) => {
    const { embed, statistics } = sslHead(features[view], params);
    for (const [bn, { mean, variance }] of Object.entries(statistics)) {
      outputs[`bn/image_mlp.${bn}/${view}/mean`] = mean;
      outputs[`bn/image_mlp.${bn}/${view}/variance`] = variance;
    }
    return embed;
  });
  return simclrLoss(aug1, aug2, options, options.sslTemp);
}
