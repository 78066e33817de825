// A model in the flags of a run: the inverse of `resolveModel`, for advice that can be copied. Pure.
import { SlipError } from '@slip/core';
import {
  MODEL_NAMES,
  type ModelConfig,
  type ModelOverrides,
  resolveModel,
  type VisionTransformerConfig,
} from './models.js';

/**
 * @returns `--model` of the registered model that is nearest, and a flag for each difference
 * @throws SlipError `unsupported` when no flags make this model, because of its number of words
 */
export function modelFlags(model: ModelConfig): string[] {
  const candidates = MODEL_NAMES.filter((name) => {
    const known = resolveModel(name);
    return known.family === model.family && known.vision.kind === model.vision.kind;
  });
  const choices = candidates.map((name) => ['--model', name, ...differences(model, resolveModel(name))]);
  const [first, ...others] = choices;
  return others.reduce((best, choice) => (choice.length < best.length ? choice : best), first);
}

function differences(model: ModelConfig, known: ModelConfig): string[] {
  const [wanted, given] = [overridesOf(model), overridesOf(known)];
  if (wanted.vocabSize !== given.vocabSize) {
    throw new SlipError(
      'unsupported',
      `the text tower has ${wanted.vocabSize} words, runs of this program have ${given.vocabSize}`,
    );
  }
  return (Object.keys(wanted) as (keyof ModelOverrides)[]).flatMap((key) => {
    const value = wanted[key];
    if (value === undefined || value === given[key]) return [];
    const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (typeof value === 'boolean') return [value ? `--${name}` : `--no-${name}`];
    return [`--${name}`, String(value)];
  });
}

function overridesOf({ vision, text, ssl, embedDim }: ModelConfig): Partial<ModelOverrides> {
  return {
    imageSize: vision.imageSize,
    visionWidth: vision.width,
    visionHeads: vision.heads,
    ...(vision.kind === 'vit' ? vitOverrides(vision) : {}),
    ...(text === undefined
      ? {}
      : {
          textWidth: text.width,
          textDepth: text.depth,
          textHeads: text.heads,
          textActivation: text.activation,
          contextLength: text.contextLength,
          vocabSize: text.vocabSize,
          embedDim,
        }),
    ...(ssl === undefined ? {} : { sslMlpDim: ssl.mlpDim, sslEmbDim: ssl.embDim }),
  };
}

function vitOverrides(vision: VisionTransformerConfig): Partial<ModelOverrides> {
  return {
    patchSize: vision.patchSize,
    visionDepth: vision.depth,
    visionPreNorm: vision.preNorm,
    patchBias: vision.patchBias,
    visionActivation: vision.activation,
    visionNormEps: vision.normEps,
  };
}
