// Every tensor of a model in state-dict order: name, shape, initialisation, weight decay, place in the flat arenas
// (reference 1.2 to 1.4, 2.1). Data only; drawing the numbers is initialise.ts.

import { bottlenecks } from './bottlenecks.js';
import {
  type ModelConfig,
  RESNET_STRIDE,
  type ResNetConfig,
  type SslHeadConfig,
  type TextConfig,
  type VisionTransformerConfig,
} from './models.js';

/** How a parameter starts. `truncatedNormal` cuts at the absolute values -2 and 2, as timm does. */
export type Initialisation =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'normal'; readonly std: number }
  | { readonly kind: 'truncatedNormal'; readonly std: number }
  | { readonly kind: 'uniform'; readonly bound: number };

export interface TensorEntry {
  /** State-dict name, without `module.`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: 'param' | 'buffer';
  readonly dtype: 'float32' | 'int64';
  /** Whether weight decay applies (reference 4.1). */
  readonly decay: boolean;
  /** Factor of the learning rate; 1 where it is absent. */
  readonly lrScale?: number;
  readonly size: number;
  /** First element in the parameter arena or the buffer arena; 0 for int64 counters, which live in neither. */
  readonly offset: number;
  readonly initial: Initialisation;
}

export interface StateLayout {
  readonly entries: readonly TensorEntry[];
  /** Elements of the parameter arena. */
  readonly parameterCount: number;
  /** Elements of the buffer arena (running means and variances). */
  readonly bufferCount: number;
}

/** A tensor before it has a place. `decay` follows the rule of pre-training unless given. */
export type Declaration = Pick<TensorEntry, 'name' | 'shape' | 'initial'> &
  Partial<Pick<TensorEntry, 'kind' | 'dtype' | 'decay' | 'lrScale'>>;

export function stateLayout(model: ModelConfig): StateLayout {
  return layOut(declare(model));
}

/** Gives every declared tensor its place, in the order given. */
export function layOut(declarations: readonly Declaration[]): StateLayout {
  let parameterCount = 0;
  let bufferCount = 0;
  const entries = declarations.map((declared): TensorEntry => {
    const { name, shape, initial, kind = 'param', dtype = 'float32', lrScale } = declared;
    const size = shape.reduce((product, length) => product * length, 1);
    const offset = dtype === 'int64' ? 0 : kind === 'param' ? parameterCount : bufferCount;
    if (kind === 'param') parameterCount += size;
    else if (dtype === 'float32') bufferCount += size;
    const decay = kind === 'param' && (declared.decay ?? decays(name, shape));
    return { name, shape, kind, dtype, decay, size, offset, initial, ...(lrScale === undefined ? {} : { lrScale }) };
  });
  return { entries, parameterCount, bufferCount };
}

export function countParameters(model: ModelConfig): number {
  return stateLayout(model).parameterCount;
}

function decays(name: string, shape: readonly number[]): boolean {
  return shape.length >= 2 && !['bias', 'ln', 'bn'].some((part) => name.includes(part));
}

function declare(model: ModelConfig): Declaration[] {
  const { vision, text, ssl, embedDim } = model;
  return [
    ...(text === undefined ? [] : projections(vision.kind === 'vit' ? vision.width : undefined, text, embedDim)),
    ...(vision.kind === 'vit' ? visionTransformer(vision) : modifiedResNet(vision, embedDim)),
    ...(text === undefined ? [] : textTransformer(text)),
    ...(ssl === undefined ? [] : sslHead(vision.width, ssl)),
  ];
}

/** @param visionWidth undefined where the tower ends in the shared space already */
function projections(visionWidth: number | undefined, text: TextConfig, embedDim: number): Declaration[] {
  const image = visionWidth === undefined ? [] : [{ shape: [visionWidth, embedDim], std: visionWidth ** -0.5 }];
  return [
    { name: 'positional_embedding', shape: [text.contextLength, text.width], initial: normal(0.01) },
    ...image.map(({ shape, std }) => ({ name: 'image_projection', shape, initial: normal(std) })),
    { name: 'text_projection', shape: [text.width, embedDim], initial: normal(text.width ** -0.5) },
    { name: 'logit_scale', shape: [], initial: constant(Math.log(1 / 0.07)) },
  ];
}

/** The tensors of a tower, under `visual.`. */
export function visionTransformer(config: VisionTransformerConfig): Declaration[] {
  const { imageSize, patchSize, width, depth, preNorm, patchBias } = config;
  const numTokens = (imageSize / patchSize) ** 2 + 1;
  const patchBound = uniform(3 * patchSize * patchSize);
  const weight = { kind: 'truncatedNormal', std: 0.02 } as const;
  return [
    { name: 'visual.cls_token', shape: [1, 1, width], initial: weight },
    { name: 'visual.pos_embed', shape: [1, numTokens, width], initial: weight },
    { name: 'visual.patch_embed.proj.weight', shape: [width, 3, patchSize, patchSize], initial: patchBound },
    ...(patchBias ? [{ name: 'visual.patch_embed.proj.bias', shape: [width], initial: patchBound }] : []),
    ...(preNorm ? norm('visual.norm_pre', width) : []),
    ...range(depth).flatMap((i) => {
      const block = `visual.blocks.${i}`;
      return [
        ...norm(`${block}.norm1`, width),
        ...linear(`${block}.attn.qkv`, 3 * width, width, weight, constant(0)),
        ...linear(`${block}.attn.proj`, width, width, weight, constant(0)),
        ...norm(`${block}.norm2`, width),
        ...linear(`${block}.mlp.fc1`, 4 * width, width, weight, constant(0)),
        ...linear(`${block}.mlp.fc2`, width, 4 * width, weight, constant(0)),
      ];
    }),
    ...norm('visual.norm', width),
  ];
}

/** Names, order and initialisation are those of OpenAI's CLIP. */
function modifiedResNet(config: ResNetConfig, embedDim: number): Declaration[] {
  const { width, imageSize } = config;
  const conv = (name: string, out: number, input: number, kernel: number): Declaration => ({
    name: `visual.${name}.weight`,
    shape: [out, input, kernel, kernel],
    initial: uniform(input * kernel * kernel),
  });
  const features = RESNET_STRIDE * width;
  const pool = 'visual.attnpool';
  const weight = normal(features ** -0.5);
  return [
    conv('conv1', width / 2, 3, 3),
    ...batchNorm('visual.bn1', width / 2),
    conv('conv2', width / 2, width / 2, 3),
    ...batchNorm('visual.bn2', width / 2),
    conv('conv3', width, width / 2, 3),
    ...batchNorm('visual.bn3', width),
    ...bottlenecks(config).flatMap(({ name, inputs, planes, hasShortcut }) => [
      conv(`${name}.conv1`, planes, inputs, 1),
      ...batchNorm(`visual.${name}.bn1`, planes),
      conv(`${name}.conv2`, planes, planes, 3),
      ...batchNorm(`visual.${name}.bn2`, planes),
      conv(`${name}.conv3`, 4 * planes, planes, 1),
      // A block begins as the identity.
      ...batchNorm(`visual.${name}.bn3`, 4 * planes, 0),
      ...(hasShortcut
        ? [conv(`${name}.downsample.0`, 4 * planes, inputs, 1), ...batchNorm(`visual.${name}.downsample.1`, 4 * planes)]
        : []),
    ]),
    {
      name: `${pool}.positional_embedding`,
      shape: [(imageSize / RESNET_STRIDE) ** 2 + 1, features],
      initial: normal(features ** -0.5),
      decay: true,
    },
    ...['k_proj', 'q_proj', 'v_proj'].flatMap((name) =>
      linear(`${pool}.${name}`, features, features, weight, uniform(features)),
    ),
    ...linear(`${pool}.c_proj`, embedDim, features, weight, uniform(features)),
  ];
}

function textTransformer({ vocabSize, width, depth }: TextConfig): Declaration[] {
  const residual = normal(width ** -0.5 * (2 * depth) ** -0.5);
  return [
    ...range(depth).flatMap((i) => {
      const block = `transformer.resblocks.${i}`;
      return [
        { name: `${block}.attn.in_proj_weight`, shape: [3 * width, width], initial: normal(width ** -0.5) },
        { name: `${block}.attn.in_proj_bias`, shape: [3 * width], initial: constant(0) },
        ...linear(`${block}.attn.out_proj`, width, width, residual, constant(0)),
        ...norm(`${block}.ln_1`, width),
        ...linear(`${block}.mlp.c_fc`, 4 * width, width, normal((2 * width) ** -0.5), uniform(width)),
        ...linear(`${block}.mlp.c_proj`, width, 4 * width, residual, uniform(4 * width)),
        ...norm(`${block}.ln_2`, width),
      ];
    }),
    { name: 'token_embedding.weight', shape: [vocabSize, width], initial: normal(0.02) },
    ...norm('ln_final', width),
  ];
}

function sslHead(inputWidth: number, { mlpDim, embDim }: SslHeadConfig): Declaration[] {
  return [
    ...linear('image_mlp.layer1', mlpDim, inputWidth, uniform(inputWidth), uniform(inputWidth)),
    ...batchNorm('image_mlp.bn1', mlpDim),
    ...linear('image_mlp.layer2', mlpDim, mlpDim, uniform(mlpDim), uniform(mlpDim)),
    ...batchNorm('image_mlp.bn2', mlpDim),
    ...linear('image_mlp.layer3', embDim, mlpDim, uniform(mlpDim), uniform(mlpDim)),
  ];
}

function linear(name: string, out: number, input: number, weight: Initialisation, bias: Initialisation): Declaration[] {
  return [
    { name: `${name}.weight`, shape: [out, input], initial: weight },
    { name: `${name}.bias`, shape: [out], initial: bias },
  ];
}

function norm(name: string, width: number, weight = 1): Declaration[] {
  return [
    { name: `${name}.weight`, shape: [width], initial: constant(weight) },
    { name: `${name}.bias`, shape: [width], initial: constant(0) },
  ];
}

function batchNorm(name: string, width: number, weight = 1): Declaration[] {
  return [
    ...norm(name, width, weight),
    { name: `${name}.running_mean`, shape: [width], kind: 'buffer', initial: constant(0) },
    { name: `${name}.running_var`, shape: [width], kind: 'buffer', initial: constant(1) },
    { name: `${name}.num_batches_tracked`, shape: [], kind: 'buffer', dtype: 'int64', initial: constant(0) },
  ];
}

function constant(value: number): Initialisation {
  return { kind: 'constant', value };
}

function normal(std: number): Initialisation {
  return { kind: 'normal', std };
}

/** PyTorch's default for Linear and Conv2d: plus and minus 1 / sqrt(fan in). */
function uniform(fanIn: number): Initialisation {
  return { kind: 'uniform', bound: fanIn ** -0.5 };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
