// Every form that weights can be written in, by name, and those that cannot hold them, with the reason.
import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { nearestName, SlipError } from '@slip/core';
import { modelFlags } from '@slip/model/architecture';
import { requireOwnModel } from './model-description.js';
import type { Weights } from './open-weights.js';
import { writeHuggingFace } from './targets/hugging-face-target.js';
import { writeOneSafetensors, writeOwnCheckpoint } from './targets/own-target.js';
import { writeOpenClip, writeTimm } from './targets/timm-target.js';
import { writeOriginal, writeSafeTorch } from './targets/torch-target.js';
import type { WriteProgress } from './torch/write-torch-file.js';

export const TARGETS = {
  original: "`.pt` for the original's scripts: Namespace of options, names with module., optimizer",
  torch: '`.pt` that PyTorch loads with weights_only=True: epoch, model, state_dict',
  checkpoint: 'a checkpoint folder of this program, to continue or evaluate from',
  safetensors: 'one safetensors file, the model alone under our names',
  timm: 'the vision tower alone for timm, `.pt` or `.safetensors`',
  open_clip: 'a folder for open_clip with a timm tower',
  'hugging-face': "a folder for Hugging Face's CLIPModel, where the tower is CLIP's",
} as const;

export type TargetName = keyof typeof TARGETS;

const PRE_NORM =
  'its vision tower always has a norm before the first block, which these models do not have, so it would compute something else; take open_clip or timm';

/** Asked for often, but no file in these forms would compute what the model computes. */
const REFUSED: Readonly<Record<string, string>> = {
  'openai-clip': `OpenAI's CLIP cannot hold the models of the original: ${PRE_NORM}`,
};

export interface ConvertOptions {
  readonly to: string;
  /** With the moments of AdamW; by default for `original` and `checkpoint` where the source has them. */
  readonly optimizer?: boolean | undefined;
  /** Replace a file that is there; folders are never replaced. */
  readonly force?: boolean;
  readonly onProgress?: WriteProgress | undefined;
}

export interface Converted {
  readonly path: string;
  readonly bytes: number;
  /** Advice and what was left out. */
  readonly notes: readonly string[];
}

/** @throws SlipError `config` or `unsupported` for a form that is not known or cannot hold any model of ours */
export function targetNamed(name: string): TargetName {
  if (Object.hasOwn(TARGETS, name)) return name as TargetName;
  const refusal = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
  if (refusal !== undefined) throw new SlipError('unsupported', `--to ${name}: ${refusal}`);
  const meant = nearestName(name, Object.keys(TARGETS));
  throw new SlipError(
    'config',
    `--to ${name} is not known; there are ${Object.keys(TARGETS).join(', ')}${meant === undefined ? '' : `; did you mean ${meant}?`}`,
  );
}

/** @throws SlipError when the target exists, cannot hold the model, or cannot be written; nothing is left of it then */
export async function convertWeights(weights: Weights, target: string, options: ConvertOptions): Promise<Converted> {
  const name = targetNamed(options.to);
  await refuseExisting(weights, target, name, options.force === true);
  const optimizer = chooseOptimizer(weights, name, options.optimizer);
  const { onProgress } = options;
  const torchOptions = { optimizer, onProgress };
  const source = optimizer ? weights : withoutMoments(weights);
  switch (name) {
    case 'original':
      return { path: target, bytes: await writeOriginal(target, source, torchOptions), notes: [] };
    case 'torch':
      return { path: target, bytes: await writeSafeTorch(target, source, torchOptions), notes: [] };
    case 'checkpoint':
      return { ...(await writeOwnCheckpoint(target, source)), notes: [runAdvice(source)] };
    case 'safetensors':
      return { path: target, bytes: await writeOneSafetensors(target, source), notes: [] };
    case 'timm': {
      const { bytes, build, left } = await writeTimm(target, source, onProgress);
      return { path: target, bytes, notes: [`build the model for it with ${build}`, ...leftOut(left)] };
    }
    case 'open_clip': {
      const { bytes, left } = await writeOpenClip(target, source, onProgress);
      return { path: target, bytes, notes: leftOut(left) };
    }
    case 'hugging-face': {
      const { bytes, left } = await writeHuggingFace(target, source);
      return { path: target, bytes, notes: ['load it with transformers.CLIPModel.from_pretrained', ...leftOut(left)] };
    }
  }
}

async function refuseExisting(weights: Weights, target: string, name: TargetName, force: boolean): Promise<void> {
  const status = await stat(target).catch(() => undefined);
  if (status === undefined) return;
  if (path.resolve(target) === path.resolve(weights.path)) {
    throw new SlipError('config', `${target} is the source itself; name another target`);
  }
  // Checkpoints are added to a folder of checkpoints.
  if (status.isDirectory() && name === 'checkpoint') return;
  if (status.isDirectory())
    throw new SlipError('config', `${target} is a folder that is there already; name another target`);
  if (!force) throw new SlipError('config', `${target} is there already; name another target or give --force`);
  if (name === 'open_clip' || name === 'hugging-face' || name === 'checkpoint') await rm(target);
}

function chooseOptimizer(weights: Weights, name: TargetName, wanted: boolean | undefined): boolean {
  const possible = name === 'original' || name === 'checkpoint' || name === 'torch';
  if (wanted !== true) return wanted !== false && name !== 'torch' && possible && weights.moments !== undefined;
  if (!possible) throw new SlipError('config', `--optimizer: --to ${name} holds the model alone`);
  if (weights.moments === undefined)
    throw new SlipError('config', `--optimizer: ${weights.path} has no optimizer state`);
  return true;
}

function withoutMoments(weights: Weights): Weights {
  const { moments: _, ...rest } = weights;
  return rest;
}

/** The flags that build the model, because a checkpoint folder is no run. */
function runAdvice({ path: source, tensors, model }: Weights): string {
  const unknown = [
    ...(model.vision.heads === undefined ? ['--vision-heads'] : []),
    ...(model.text !== undefined && model.text.heads === undefined ? ['--text-heads'] : []),
  ];
  try {
    const flags = modelFlags(requireOwnModel(source, tensors, model));
    const told = flags.filter((flag, i) => !unknown.includes(flag) && !unknown.includes(flags[i - 1]));
    const guess = unknown.length === 0 ? '' : `; nothing tells ${unknown.join(' and ')}: give the right number too`;
    return `start it with ${told.join(' ')}${guess}`;
  } catch (error) {
    return `no run can use it: ${SlipError.from(error).message}`;
  }
}

function leftOut(names: readonly string[]): string[] {
  if (names.length === 0) return [];
  return [`left out ${names.length} tensors that it has no place for, such as ${names[0]}`];
}
