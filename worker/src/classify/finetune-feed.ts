// What belongs to a micro-batch of fine-tuning beside its pictures: mixing, targets, dropped branches. Draws depend on the seed,
// the step and a row's place in the micro-batch, never on the rank that has it.
import { type FinetuneConfig, mixes } from '@slip/config';
import { RandomStream } from '@slip/core';
import type { StepExecutor } from '@slip/engine';
import {
  drawKey,
  drawMix,
  dropPathRates,
  type MixDraw,
  type MixingPolicy,
  mixRows,
  writeDropPath,
  writeMix,
  writeTargets,
} from '@slip/model';
import type { ClassifierConfig } from '@slip/model/architecture';
import type { Feed, LanePlan } from '../pretrain/lanes.js';
import { writeRowWeights } from './row-weights.js';

export function feedFinetune(
  executor: StepExecutor,
  { rows }: LanePlan,
  rank: number,
  config: FinetuneConfig,
  { vision, numClasses }: ClassifierConfig,
): Feed {
  const floats = (name: string) => executor.input(name) as Float32Array;
  const [own, total] = [rows[rank], rows.reduce((sum, count) => sum + count, 0)];
  const first = rows.slice(0, rank).reduce((sum, count) => sum + count, 0);
  const policy = policyOf(config);
  const { partners } = mixRows(first, own, policy.group);
  const isMixing = mixes(config);
  writeRowWeights(floats('weights'), own, total, rows.length);
  if (isMixing) executor.input('mix/partner').set(partners);
  const rates = dropPathRates(vision.depth, config.dropPath);
  return ({ image, labels }, { step, micro }) => {
    executor.input('image').set(image!);
    const stream = (what: string, row: number) => new RandomStream(config.seed, what, step, micro, row);
    const draws: MixDraw[] = [];
    for (let row = 0; isMixing && row < own; row++) {
      draws.push(drawMix(stream('mix', drawKey(first + row, policy)), policy, vision.imageSize));
    }
    const mix = isMixing ? { partners, draws } : undefined;
    writeTargets(floats('targets'), labels!, numClasses, config.smoothing, mix);
    if (isMixing) {
      const [base, box] = [floats('mix/base'), floats('mix/box')];
      writeMix(draws, vision.imageSize, { base, box, rows: floats('mix/rows'), columns: floats('mix/columns') });
    }
    if (config.dropPath === 0) return;
    for (let row = 0; row < own; row++) {
      writeDropPath(floats('drop_path'), rates, row, own, stream('drop path', first + row));
    }
  };
}

function policyOf(config: FinetuneConfig): MixingPolicy {
  const { mixup, cutmix, cutmixMinmax, mixupProb, mixupSwitchProb, mixupMode, mixupGroup } = config;
  return {
    ...{ mixup, cutmix, probability: mixupProb, switchProbability: mixupSwitchProb, mode: mixupMode },
    group: mixes(config) ? mixupGroup : 1,
    ...(cutmixMinmax === undefined ? {} : { cutmixMinmax }),
  };
}
