// What a run of linear probing or fine-tuning amounts to, as the text of --dry-run. Pure.
import { type FinetuneConfig, finetuneSizes } from './finetune-config.js';
import { initialLr, type LinearConfig } from './linear-config.js';
import { describeRows, planTraining, rowsOfRanks, table, thousands } from './plan.js';

/** @param trainingImages undefined where the set cannot be read here */
export function describeClassifier(config: LinearConfig | FinetuneConfig, trainingImages: number | undefined): string {
  const place = config.dataPath || config.catalog;
  const rows: [string, string][] = [
    ['task', config.task === 'linear' ? 'linear probing: a classifier on a frozen tower' : 'end-to-end fine-tuning'],
    ['weights', config.pretrained || '(none: the tower begins as initialised)'],
    ...(config.task === 'finetune' ? [modelRow(config)] : []),
    ['ranks', `${config.numNodes * config.nprocPerNode} = ${config.numNodes} node(s) x ${config.nprocPerNode}`],
    ['run folder', config.outputDir],
  ];
  if (trainingImages === undefined) {
    rows.push(['dataset', `${config.dataset} at ${place}: not readable here, so steps are not known`]);
    return table([...rows, lrRow(config)]);
  }
  const warmupSteps = config.task === 'finetune' ? Math.max(0, config.warmupSteps) : 0;
  const plan = planTraining({ ...config, warmupSteps }, trainingImages, config.task === 'linear');
  rows.push(
    ['dataset', `${config.dataset}, ${thousands(trainingImages)} training images (${place})`],
    [
      'global batch',
      `${thousands(plan.globalBatch)} = ${describeRows(rowsOfRanks(config))} rows x update-freq ${config.updateFreq}`,
    ],
    [
      'steps',
      `${thousands(plan.stepsPerEpoch)} per epoch, ${thousands(plan.totalSteps)} in all (${config.epochs} epochs)`,
    ],
    lrRow(config, plan.warmupSteps),
  );
  return table(rows);
}

function modelRow(config: FinetuneConfig): [string, string] {
  const { inputSize, patchSize, width, depth, heads } = finetuneSizes(config);
  return [
    'model',
    `${config.model}: ${depth} blocks of width ${width}, ${heads} heads, ${inputSize} pixels in patches of ${patchSize}`,
  ];
}

function lrRow(config: LinearConfig | FinetuneConfig, warmupSteps?: number): [string, string] {
  if (config.task === 'linear') {
    return [
      'learning rate',
      `${initialLr(config)} (--lr-rule ${config.lrRule}), by a cosine over ${config.epochs} epochs`,
    ];
  }
  const warmup = warmupSteps === undefined ? `${config.warmupEpochs} epochs` : `${thousands(warmupSteps)} steps`;
  return [
    'learning rate',
    `0 -> ${config.lr} in ${warmup} of warm-up, then cosine to ${config.minLr}; x ${config.layerDecay} for each layer down; ` +
      `weight decay ${config.weightDecay}`,
  ];
}
