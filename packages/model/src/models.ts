// The ten registered models and their smaller siblings, as numbers; not their tensors (state-layout.ts).
import { SlipError } from '@slip/core';

export type Family = 'CLIP' | 'SIMCLR' | 'SLIP';

/** Exact GELU, or CLIP's `x * sigmoid(1.702 x)`. */
export type Activation = 'gelu' | 'quick_gelu';

/**
 * timm's ViT: pre-norm blocks, learned position embedding, class token. Sizes in pixels, tokens or features. The options at
 * the end have the original's values unless chosen; with others it is the tower of OpenAI's CLIP.
 */
export interface VisionTransformerConfig {
  readonly kind: 'vit';
  readonly imageSize: number;
  readonly patchSize: number;
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  /** A norm between the position embedding and the first block. */
  readonly preNorm: boolean;
  readonly patchBias: boolean;
  readonly activation: Activation;
  /** Epsilon of all norms of the tower. */
  readonly normEps: number;
}

/** OpenAI's modified ResNet: bottleneck blocks in four stages, attention pooling that ends in the shared space. */
export interface ResNetConfig {
  readonly kind: 'resnet';
  readonly imageSize: number;
  /** Channels after the stem; the last stage has 32 times as many. */
  readonly width: number;
  /** Blocks of each stage. */
  readonly layers: readonly number[];
  /** Of the attention pooling. */
  readonly heads: number;
}

/** A union by `kind`: nothing outside the tower may assume a ViT. */
export type VisionConfig = VisionTransformerConfig | ResNetConfig;

export interface TextConfig {
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly width: number;
  readonly heads: number;
  readonly depth: number;
  readonly activation: Activation;
}

export interface SslHeadConfig {
  readonly mlpDim: number;
  readonly embDim: number;
}

export interface ModelConfig {
  readonly name: string;
  readonly family: Family;
  readonly vision: VisionConfig;
  /** Absent for SIMCLR. */
  readonly text?: TextConfig;
  /** Width of the shared image and text space. */
  readonly embedDim: number;
  /** Absent for CLIP. */
  readonly ssl?: SslHeadConfig;
}

/** What may be chosen for small siblings and for towers of CLIP; what is left out is the registered model's. */
export interface ModelOverrides {
  readonly imageSize: number;
  readonly patchSize: number;
  readonly visionWidth: number;
  readonly visionDepth: number;
  readonly visionHeads: number;
  readonly textWidth: number;
  readonly textDepth: number;
  readonly textHeads: number;
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly embedDim: number;
  readonly sslMlpDim: number;
  readonly sslEmbDim: number;
  readonly visionPreNorm: boolean;
  readonly patchBias: boolean;
  readonly visionActivation: Activation;
  readonly visionNormEps: number;
  readonly textActivation: Activation;
}

const FAMILIES: readonly Family[] = ['CLIP', 'SIMCLR', 'SLIP'];

/** Reference 1.1. Only the head count of the small one comes from MoCo v3. */
const TOWERS: Readonly<Record<string, { width: number; depth: number; heads: number }>> = {
  VITS16: { width: 384, depth: 12, heads: 12 },
  VITB16: { width: 768, depth: 12, heads: 12 },
  VITL16: { width: 1024, depth: 24, heads: 16 },
};

const RESNET_50 = 'CLIP_RN50';

export const MODEL_NAMES: readonly string[] = [
  ...FAMILIES.flatMap((family) => Object.keys(TOWERS).map((tower) => `${family}_${tower}`)),
  RESNET_50,
];

/** @throws SlipError `config` for an unknown name or sizes that do not fit each other, naming the flag */
export function resolveModel(name: string, overrides: Partial<ModelOverrides> = {}): ModelConfig {
  if (!MODEL_NAMES.includes(name)) {
    throw new SlipError('config', `--model ${name} is not known; there are ${MODEL_NAMES.join(', ')}`);
  }
  const [family, tower] = name.split('_') as [Family, string];
  const isResNet = name === RESNET_50;
  const model: ModelConfig = {
    name,
    family,
    vision: isResNet ? resNetConfig(overrides) : visionTransformerConfig(tower, overrides),
    embedDim: overrides.embedDim ?? (isResNet ? 1024 : 512),
    ...(family === 'SIMCLR' ? {} : { text: textConfig(overrides) }),
    ...(family === 'CLIP' ? {} : { ssl: { mlpDim: overrides.sslMlpDim ?? 4096, embDim: overrides.sslEmbDim ?? 256 } }),
  };
  checkSizes(model);
  return model;
}

function visionTransformerConfig(tower: string, overrides: Partial<ModelOverrides>): VisionTransformerConfig {
  const sizes = TOWERS[tower];
  return {
    kind: 'vit',
    imageSize: overrides.imageSize ?? 224,
    patchSize: overrides.patchSize ?? 16,
    width: overrides.visionWidth ?? sizes.width,
    depth: overrides.visionDepth ?? sizes.depth,
    heads: overrides.visionHeads ?? sizes.heads,
    preNorm: overrides.visionPreNorm ?? false,
    patchBias: overrides.patchBias ?? true,
    activation: overrides.visionActivation ?? 'gelu',
    normEps: overrides.visionNormEps ?? 1e-6,
  };
}

/** What a ViT has and a ResNet has not. */
const VIT_ONLY = {
  patchSize: '--patch-size',
  visionDepth: '--vision-depth',
  visionPreNorm: '--vision-pre-norm',
  patchBias: '--patch-bias',
  visionActivation: '--vision-activation',
  visionNormEps: '--vision-norm-eps',
} as const;

function resNetConfig(overrides: Partial<ModelOverrides>): ResNetConfig {
  for (const [key, flag] of Object.entries(VIT_ONLY)) {
    if (overrides[key as keyof typeof VIT_ONLY] !== undefined) {
      throw new SlipError('config', `${flag} is of a ViT, and ${RESNET_50} has a ResNet; leave it out`);
    }
  }
  const width = overrides.visionWidth ?? 64;
  return {
    kind: 'resnet',
    imageSize: overrides.imageSize ?? 224,
    width,
    layers: [3, 4, 6, 3],
    heads: overrides.visionHeads ?? Math.max(1, width / 2),
  };
}

/** The tower of a model where only a ViT will do. @throws SlipError `unsupported` for another */
export function vitOf({ name, vision }: ModelConfig): VisionTransformerConfig {
  if (vision.kind === 'vit') return vision;
  throw new SlipError('unsupported', `${name} has no ViT, and this needs one`);
}

function textConfig(overrides: Partial<ModelOverrides>): TextConfig {
  return {
    contextLength: overrides.contextLength ?? 77,
    vocabSize: overrides.vocabSize ?? 49408,
    width: overrides.textWidth ?? 512,
    heads: overrides.textHeads ?? 8,
    depth: overrides.textDepth ?? 12,
    activation: overrides.textActivation ?? 'quick_gelu',
  };
}

function checkSizes({ vision, text, embedDim, ssl }: ModelConfig): void {
  const positive: Record<string, number | undefined> = {
    '--image-size': vision.imageSize,
    '--vision-width': vision.width,
    '--vision-heads': vision.heads,
    ...(vision.kind === 'vit' ? { '--patch-size': vision.patchSize, '--vision-depth': vision.depth } : {}),
    '--text-width': text?.width,
    '--text-depth': text?.depth,
    '--text-heads': text?.heads,
    '--embed-dim': embedDim,
    '--ssl-mlp-dim': ssl?.mlpDim,
    '--ssl-emb-dim': ssl?.embDim,
  };
  for (const [flag, value] of Object.entries(positive)) {
    if (value !== undefined && !(Number.isInteger(value) && value >= 1)) {
      throw new SlipError('config', `${flag} ${value} is not a positive integer`);
    }
  }
  if (text !== undefined && !(Number.isInteger(text.contextLength) && text.contextLength >= 3)) {
    throw new SlipError(
      'config',
      `--context-length ${text.contextLength} is too short; 3 holds start, one token and end`,
    );
  }
  if (vision.kind === 'vit') {
    if (!(vision.normEps > 0)) throw new SlipError('config', `--vision-norm-eps ${vision.normEps} is not above 0`);
    mustDivide('--image-size', vision.imageSize, '--patch-size', vision.patchSize);
    mustDivide('--vision-width', vision.width, '--vision-heads', vision.heads);
  } else {
    mustDivide('--image-size', vision.imageSize, 'the strides of a ResNet,', RESNET_STRIDE);
    mustDivide('32 x --vision-width', RESNET_STRIDE * vision.width, '--vision-heads', vision.heads);
  }
  if (text !== undefined) mustDivide('--text-width', text.width, '--text-heads', text.heads);
}

/** Pixels for one place of the last stage; also how many times the stem's channels that stage has. */
export const RESNET_STRIDE = 32;

function mustDivide(flag: string, value: number, divisorFlag: string, divisor: number): void {
  if (value % divisor !== 0) {
    throw new SlipError(
      'config',
      `${flag} ${value} is not a multiple of ${divisorFlag} ${divisor}; change one of them`,
    );
  }
}
