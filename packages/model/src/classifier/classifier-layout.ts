// Every tensor of a classifier under timm's names, in the order of its state dict: which are trained, how they start, and at
// what learning rate and weight decay (reference 1.6, 6.3, 6.4). Data only.
import { type Declaration, layOut, type StateLayout, visionTransformer } from '../state-layout.js';
import type { ClassifierConfig } from './classifier-config.js';
import { relativeDistances } from './relative-positions.js';

/** The tower is frozen: its tensors are buffers. Only `head` has gradients; weight decay, if any, is of all of it. */
export function linearLayout({ vision, numClasses }: ClassifierConfig): StateLayout {
  const head = { std: 0.01 };
  return layOut([
    ...towerDeclarations(visionTransformer(vision)).map((tensor): Declaration => ({ ...tensor, kind: 'buffer' })),
    { name: 'head.weight', shape: [numClasses, vision.width], initial: { kind: 'normal', ...head }, decay: true },
    { name: 'head.bias', shape: [numClasses], initial: constant(0), decay: true },
  ]);
}

export interface FinetuneGroups {
  /** Factor of the learning rate from each layer to the one before it. */
  readonly layerDecay: number;
  /** Whether weight decay applies to biases by relative position. */
  readonly decayRelativePositions: boolean;
  /** Factor of the classifier's first weights. */
  readonly initScale: number;
}

/** Everything is trained: later layers faster than earlier ones. */
export function finetuneLayout(config: ClassifierConfig, groups: FinetuneGroups): StateLayout {
  const { depth } = config.vision;
  const scale = (name: string) => groups.layerDecay ** (depth + 1 - layerOf(name, depth));
  return layOut(
    declarations(config, groups.initScale).map((tensor) => ({
      ...tensor,
      decay: decays(tensor, groups),
      lrScale: scale(tensor.name),
    })),
  );
}

/** 0 for the embedding, i + 1 for block i, depth + 1 for what follows. */
export function layerOf(name: string, depth: number): number {
  if (name === 'cls_token' || name === 'pos_embed' || name.startsWith('patch_embed.')) return 0;
  const block = /^blocks\.(\d+)\./.exec(name);
  return block === null ? depth + 1 : Number(block[1]) + 1;
}

export interface ParameterGroup {
  /** `layer_3_decay`, as BEiT calls it. */
  readonly name: string;
  readonly lrScale: number;
  readonly decay: boolean;
  readonly tensors: readonly string[];
}

/** The groups of the optimizer, in the order of their first tensors. */
export function parameterGroups({ entries }: StateLayout, depth: number): ParameterGroup[] {
  const groups = new Map<string, { name: string; lrScale: number; decay: boolean; tensors: string[] }>();
  for (const { name: tensor, kind, decay, lrScale = 1 } of entries) {
    if (kind !== 'param') continue;
    const name = `layer_${layerOf(tensor, depth)}_${decay ? 'decay' : 'no_decay'}`;
    const group = groups.get(name) ?? { name, lrScale, decay, tensors: [] };
    group.tensors.push(tensor);
    groups.set(name, group);
  }
  return [...groups.values()];
}

function decays({ name, shape }: Declaration, groups: FinetuneGroups): boolean {
  if (shape.length === 1 || name.endsWith('.bias') || name === 'pos_embed' || name === 'cls_token') return false;
  return groups.decayRelativePositions || !name.endsWith('.relative_position_bias_table');
}

/** timm's names have no `visual.` in front. */
function towerDeclarations(tower: readonly Declaration[]): Declaration[] {
  return tower.map((tensor) => ({ ...tensor, name: tensor.name.slice('visual.'.length) }));
}

function declarations(config: ClassifierConfig, initScale: number): Declaration[] {
  const { vision, numClasses, pooling, absolutePositions } = config;
  const tower = towerDeclarations(visionTransformer(vision))
    .filter(({ name }) => absolutePositions || name !== 'pos_embed')
    .flatMap((tensor) => [...before(tensor.name, config), withInitial(tensor)])
    .map((tensor) => (pooling === 'cls' ? tensor : { ...tensor, name: tensor.name.replace(/^norm\./, 'fc_norm.') }));
  return [
    ...tower,
    { name: 'head.weight', shape: [numClasses, vision.width], initial: { ...NORMAL, std: NORMAL.std * initScale } },
    { name: 'head.bias', shape: [numClasses], initial: constant(0) },
  ];
}

const NORMAL = { kind: 'truncatedNormal', std: 0.02 } as const;

/** What stands before a tensor of the plain tower: factors of the branches, and the table of relative positions. */
function before(name: string, { vision, layerScale, relativePositions }: ClassifierConfig): Declaration[] {
  const block = /^(blocks\.\d+)\.(norm1\.weight|attn\.qkv\.weight)$/.exec(name);
  if (block === null) return [];
  const [, prefix, tensor] = block;
  if (tensor === 'norm1.weight') {
    const gammas = layerScale > 0 ? ['gamma_1', 'gamma_2'] : [];
    return gammas.map((gamma) => ({
      name: `${prefix}.${gamma}`,
      shape: [vision.width],
      initial: constant(layerScale),
    }));
  }
  if (!relativePositions) return [];
  const shape = [relativeDistances(vision.imageSize / vision.patchSize), vision.heads];
  return [{ name: `${prefix}.attn.relative_position_bias_table`, shape, initial: constant(0) }];
}

/** Branches of later blocks begin smaller. */
function withInitial(tensor: Declaration): Declaration {
  const branch = /^blocks\.(\d+)\.(attn\.proj|mlp\.fc2)\.weight$/.exec(tensor.name);
  if (branch === null) return tensor;
  return { ...tensor, initial: { ...NORMAL, std: NORMAL.std / Math.sqrt(2 * (Number(branch[1]) + 1)) } };
}

function constant(value: number) {
  return { kind: 'constant', value } as const;
}
