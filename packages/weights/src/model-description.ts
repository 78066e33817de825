// Which model a set of tensors is, read off their names and shapes. What shapes cannot tell (the number of heads, the
// activation) comes from the file's own facts, or stays unknown.
import { SlipError } from '@slip/core';
import {
  type Activation,
  type Family,
  MODEL_NAMES,
  type ModelConfig,
  resolveModel,
  stateLayout,
} from '@slip/model/architecture';
import { countElements, type StoredTensor } from './stored-tensor.js';

/** A union by `kind`, as the models' own configuration. */
export type VisionDescription = VisionTransformerDescription | ResNetDescription;

export interface VisionTransformerDescription {
  readonly kind: 'vit';
  readonly width: number;
  readonly depth: number;
  readonly patchSize: number;
  /** Pixels, for square pictures. */
  readonly imageSize: number;
  readonly heads: number | undefined;
  /** A norm before the first block, as OpenAI's CLIP has. */
  readonly preNorm: boolean;
  readonly patchBias: boolean;
  readonly activation: Activation;
  readonly normEps: number;
}

/** OpenAI's modified ResNet. */
export interface ResNetDescription {
  readonly kind: 'resnet';
  readonly width: number;
  /** Blocks of each stage. */
  readonly layers: readonly number[];
  readonly imageSize: number;
  readonly heads: number;
}

export interface ModelDescription {
  /** Registered name, where the file or the sizes tell it. */
  readonly name: string | undefined;
  /** Undefined for a tower alone. */
  readonly family: Family | undefined;
  readonly vision: VisionDescription;
  readonly text?: {
    readonly width: number;
    readonly depth: number;
    readonly vocabSize: number;
    readonly contextLength: number;
    readonly heads: number | undefined;
    readonly activation: Activation;
  };
  readonly embedDim: number | undefined;
  readonly ssl?: { readonly mlpDim: number; readonly embDim: number };
  readonly parameters: number;
}

/** What a file says about its model beside the tensors. */
export interface ModelHints {
  readonly name?: string | undefined;
  readonly visionHeads?: number | undefined;
  /** Of the vision tower. */
  readonly activation?: Activation | undefined;
  /** Of the vision tower's norms. */
  readonly normEps?: number | undefined;
  readonly textHeads?: number | undefined;
  readonly textActivation?: Activation | undefined;
}

/**
 * @param tensors under our names
 * @throws SlipError `checkpoint` when there is no vision tower, or it has shapes that no such tower has
 */
export function describeModel(
  file: string,
  tensors: readonly StoredTensor[],
  hints: ModelHints = {},
): ModelDescription {
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  const hasText = shapes.has('token_embedding.weight');
  const hasSsl = shapes.has('image_mlp.layer1.weight');
  const family = hasText ? (hasSsl ? 'SLIP' : 'CLIP') : hasSsl ? 'SIMCLR' : undefined;
  const vision = describeVision(file, shapes, hints);
  const parameters = tensors
    .filter(({ name }) => !/running_(mean|var)$|num_batches_tracked$/.test(name))
    .reduce((sum, { shape }) => sum + countElements(shape), 0);
  return {
    name: hints.name ?? registeredName(family, vision),
    family,
    vision,
    ...(hasText ? { text: describeText(file, shapes, hints) } : {}),
    embedDim: shapes.get('image_projection')?.[1] ?? shapes.get(`${POOL}.c_proj.weight`)?.[0],
    ...(hasSsl
      ? {
          ssl: {
            mlpDim: axis(file, shapes, 'image_mlp.layer1.weight', 2, 0),
            embDim: axis(file, shapes, 'image_mlp.layer3.weight', 2, 0),
          },
        }
      : {}),
    parameters,
  };
}

type Shapes = ReadonlyMap<string, readonly number[]>;

const POOL = 'visual.attnpool';
/** Pixels of a picture for each place that the attention pooling sees along a side. */
const RESNET_STRIDE = 32;

function describeVision(file: string, shapes: Shapes, hints: ModelHints): VisionDescription {
  return shapes.has(`${POOL}.positional_embedding`)
    ? describeResNet(file, shapes, hints)
    : describeVisionTransformer(file, shapes, hints);
}

function describeResNet(file: string, shapes: Shapes, hints: ModelHints): ResNetDescription {
  const width = axis(file, shapes, 'visual.conv3.weight', 4, 0);
  return {
    kind: 'resnet',
    width,
    layers: [1, 2, 3, 4].map((stage) => countBlocks(shapes, `visual.layer${stage}`)),
    imageSize: RESNET_STRIDE * squareSide(file, axis(file, shapes, `${POOL}.positional_embedding`, 2, 0)),
    // 64 features a head of those that are pooled, which are 32 times the width.
    heads: hints.visionHeads ?? Math.max(1, width / 2),
  };
}

/** @param positions one of them the class token's, or that of the mean */
function squareSide(file: string, positions: number): number {
  const side = Math.sqrt(positions - 1);
  if (Number.isInteger(side)) return side;
  throw new SlipError('unsupported', `${file} has position embeddings for pictures that are not square`);
}

function describeVisionTransformer(file: string, shapes: Shapes, hints: ModelHints): VisionTransformerDescription {
  const width = axis(file, shapes, 'visual.cls_token', 3, 2);
  const patchSize = axis(file, shapes, 'visual.patch_embed.proj.weight', 4, 2);
  const side = squareSide(file, axis(file, shapes, 'visual.pos_embed', 3, 1));
  const preNorm = shapes.has('visual.norm_pre.weight');
  const depth = countBlocks(shapes, 'visual.blocks');
  return {
    kind: 'vit',
    width,
    depth,
    patchSize,
    imageSize: side * patchSize,
    heads: hints.visionHeads ?? registeredHeads(width, depth, preNorm),
    preNorm,
    patchBias: shapes.has('visual.patch_embed.proj.bias'),
    activation: hints.activation ?? 'gelu',
    // CLIP's towers have PyTorch's own epsilon, timm's another.
    normEps: hints.normEps ?? (preNorm ? 1e-5 : 1e-6),
  };
}

function describeText(file: string, shapes: Shapes, hints: ModelHints): NonNullable<ModelDescription['text']> {
  const width = axis(file, shapes, 'token_embedding.weight', 2, 1);
  return {
    width,
    depth: countBlocks(shapes, 'transformer.resblocks'),
    vocabSize: axis(file, shapes, 'token_embedding.weight', 2, 0),
    contextLength: axis(file, shapes, 'positional_embedding', 2, 0),
    // 64 features a head, in the original and in all of OpenAI's.
    heads: hints.textHeads ?? (width % 64 === 0 ? width / 64 : undefined),
    activation: hints.textActivation ?? 'quick_gelu',
  };
}

function axis(file: string, shapes: Shapes, name: string, axes: number, which: number): number {
  const shape = shapes.get(name);
  if (shape?.length === axes) return shape[which];
  throw new SlipError(
    'checkpoint',
    `${file} has no ${name} with ${axes} axes (found ${shape === undefined ? 'none' : `[${shape}]`})`,
  );
}

function countBlocks(shapes: Shapes, prefix: string): number {
  let highest = -1;
  for (const name of shapes.keys()) {
    if (!name.startsWith(`${prefix}.`)) continue;
    highest = Math.max(highest, Number.parseInt(name.slice(prefix.length + 1), 10));
  }
  return highest + 1;
}

/** Of the nine models; towers with a norm in front are CLIP's, with 64 features a head. */
function registeredHeads(width: number, depth: number, preNorm: boolean): number | undefined {
  if (preNorm) return width % 64 === 0 ? width / 64 : undefined;
  const name = MODEL_NAMES.find((candidate) => {
    const { vision } = resolveModel(candidate);
    return vision.kind === 'vit' && vision.width === width && vision.depth === depth;
  });
  return name === undefined ? undefined : resolveModel(name).vision.heads;
}

function registeredName(family: Family | undefined, vision: VisionDescription): string | undefined {
  return MODEL_NAMES.find((name) => {
    const known = resolveModel(name);
    if (vision.kind === 'resnet') {
      const { width, layers } = vision;
      return known.vision.kind === 'resnet' && known.vision.width === width && `${known.vision.layers}` === `${layers}`;
    }
    return (
      known.family === family &&
      known.vision.kind === 'vit' &&
      known.vision.width === vision.width &&
      known.vision.depth === vision.depth &&
      known.vision.patchSize === vision.patchSize &&
      !vision.preNorm
    );
  });
}

/**
 * The model as this program would build it, which every tensor must fit. A number of heads that nothing tells is 1.
 * @throws SlipError `unsupported` for a tower alone, `checkpoint` for tensors that are missing, left over
 *   or of another shape
 */
export function requireOwnModel(file: string, tensors: readonly StoredTensor[], model: ModelDescription): ModelConfig {
  if (model.family === undefined) {
    throw new SlipError(
      'unsupported',
      `${file} holds a vision tower alone; a whole SLIP, CLIP or SimCLR model is needed`,
    );
  }
  const config = ownConfig(model);
  checkLayout(file, tensors, config);
  return config;
}

/** @throws SlipError `config` for a model that knows no texts. @param what needs one */
export function requireTexts(file: string, family: Family | undefined, what: string): void {
  if (family === 'CLIP' || family === 'SLIP') return;
  const found = family === 'SIMCLR' ? 'a SimCLR model' : 'a vision tower alone';
  throw new SlipError(
    'config',
    `${what} needs a model that knows texts, and ${file} is ${found}; use a CLIP or SLIP model`,
  );
}

/** What the original's towers do not have, in words; empty when it can build the model. */
export function beyondTheOriginal({ vision, text }: ModelDescription): string[] {
  if (vision.kind === 'resnet') return ['a ResNet'];
  return [
    ...(vision.preNorm ? ['a norm before its first block'] : []),
    ...(vision.patchBias ? [] : ['no bias in its patch embedding']),
    ...(vision.activation === 'gelu' ? [] : ['another activation (QuickGELU)']),
    ...(vision.normEps === 1e-6 ? [] : [`norms with an epsilon of ${vision.normEps}`]),
    ...(text === undefined || text.activation === 'quick_gelu' ? [] : ['a text tower with another activation (GELU)']),
  ];
}

/**
 * In the order of the original's state dict, by which its optimizer numbers the parameters; safetensors files keep an order
 * of their own. Tensors that no model of ours has come last.
 */
export function inStateDictOrder(tensors: readonly StoredTensor[], model: ModelDescription): readonly StoredTensor[] {
  if (model.family === undefined) return tensors;
  const places = new Map(stateLayout(ownConfig(model)).entries.map(({ name }, i) => [name, i]));
  const placeOf = ({ name }: StoredTensor): number => places.get(name) ?? places.size;
  return tensors.toSorted((a, b) => placeOf(a) - placeOf(b));
}

function ownConfig(model: ModelDescription): ModelConfig {
  const { vision, text, ssl } = model;
  return {
    name: model.name ?? model.family!,
    family: model.family!,
    vision: { ...vision, heads: vision.heads ?? 1 },
    embedDim: model.embedDim ?? 0,
    ...(text === undefined ? {} : { text: { ...text, heads: text.heads ?? 1 } }),
    ...(ssl === undefined ? {} : { ssl }),
  };
}

function checkLayout(file: string, tensors: readonly StoredTensor[], config: ModelConfig): void {
  const wanted = new Map(stateLayout(config).entries.map((entry) => [entry.name, entry]));
  const missing = new Set(wanted.keys());
  for (const { name, shape } of tensors) {
    const entry = wanted.get(name);
    if (entry === undefined)
      throw new SlipError('checkpoint', `${file} holds ${name}, which a ${config.family} model does not have`);
    if (`${entry.shape}` !== `${shape}`) {
      throw new SlipError(
        'checkpoint',
        `${file}: ${name} is [${shape}] where the other tensors ask for [${entry.shape}]`,
      );
    }
    missing.delete(name);
  }
  if (missing.size > 0) {
    const [first] = missing;
    throw new SlipError(
      'checkpoint',
      `${file} lacks ${missing.size} tensors of a ${config.family} model, such as ${first}`,
    );
  }
}
