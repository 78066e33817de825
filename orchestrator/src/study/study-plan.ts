// What the emoji study runs: for each seed and method a pre-training, then a linear probe and a fine-tuning of its weights. Pure.
import path from 'node:path';

export const METHODS = ['clip', 'simclr', 'slip'] as const;
export type Method = (typeof METHODS)[number];
export const MEASURES = ['zero-shot', 'linear', 'finetune'] as const;
export type Measure = (typeof MEASURES)[number];

export interface StudyStep {
  /** `slip-seed0-linear`; also the name of its run folder. */
  readonly key: string;
  readonly method: Method;
  readonly seed: number;
  /** What it leaves to be read: a pre-training of SimCLR has no figures. */
  readonly measure: Measure | undefined;
  readonly folder: string;
  /** Arguments of slip-launch. */
  readonly args: readonly string[];
}

/** The steps of a chain come one after another; chains do not wait for each other. Seed by seed, so that a part is a study too. */
export function studyChains(folder: string, seeds: readonly number[], extra: readonly string[]): StudyStep[][] {
  return seeds.flatMap((seed) => METHODS.map((method) => chain(folder, method, seed, extra)));
}

function chain(folder: string, method: Method, seed: number, extra: readonly string[]): StudyStep[] {
  const step = (name: string, measure: Measure | undefined, args: readonly string[]): StudyStep => {
    const key = `${method}-seed${seed}-${name}`;
    const own = path.join(folder, key);
    const common = ['--seed', String(seed), '--output-dir', own, '--keep-checkpoints', '1', ...extra];
    return { key, method, seed, measure, folder: own, args: ['--nproc', '1', ...args, ...common] };
  };
  const pretrain = step('pretrain', method === 'simclr' ? undefined : 'zero-shot', ['--recipe', `emoji_${method}`]);
  const weights = path.join(pretrain.folder, 'checkpoints', 'latest');
  return [
    pretrain,
    step('linear', 'linear', ['linear', '--recipe', 'emoji_linear', '--pretrained', weights]),
    step('finetune', 'finetune', ['finetune', '--recipe', 'emoji_finetune', '--finetune', weights]),
  ];
}
