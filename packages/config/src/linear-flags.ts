// The flags of the task linear: names and defaults of the original's main_linear.py (reference 7.3), and what ours adds. Pure and light.

import { CATALOG_FLAGS } from './catalog-flags.js';
import { count, define, type FlagDefinition, group, real, size, text, toggle } from './flag-definition.js';
import { COMPUTE_FLAGS, RUN_FLAGS } from './run-flags.js';

/** Flags that tell where labelled pictures are; in every task that needs them. */
export const LABELLED_DATA_FLAGS: readonly FlagDefinition[] = group('Data', [
  ...CATALOG_FLAGS,
  count('workers', 10, 'loader threads per worker, at most its cores; 0 loads inline', {
    alias: ['j', 'num-workers'],
    mayChange: true,
  }),
  count('prefetch-mb', 1024, 'memory for batches that are made ahead of need, MB per worker', { mayChange: true }),
  text('sampler', 'slip', 'order of samples: ours, the same on any number of ranks, or that of DistributedSampler', {
    choices: ['slip', 'torch'],
  }),
  text('bad-samples', 'fail', 'an unreadable image ends the run, or is replaced by the next sample and counted', {
    choices: ['fail', 'replace'],
  }),
]);

export const LINEAR_FLAGS: readonly FlagDefinition[] = [
  ...group('Data', [
    text('dataset', 'imagenet', 'set of the catalogue; or any name, with --data-path'),
    text('data-path', '', 'folder with train/ and val/ (or test/), one sub-folder per class, instead of a catalogue', {
      mayChange: true,
    }),
  ]),
  ...LABELLED_DATA_FLAGS,
  ...group('Model', [
    text('arch', '', "timm's name of the tower, which is checked against the weights; theirs unless given", {
      alias: ['a'],
    }),
    count('vision-heads', undefined, 'attention heads, where the weights do not tell', size),
    count(
      'num-classes',
      0,
      'outputs of the classifier; 0 is as many as the set has classes (the original: always 1000)',
    ),
  ]),
  ...group('Training', [
    count('epochs', 90, 'passes over the set', { min: 1 }),
    count('start-epoch', 0, 'accepted; a run continues where its folder says'),
    count('batch-size', 128, 'rows per worker and micro-batch', { alias: ['b'], min: 1 }),
    count('rows-per-micro-batch', undefined, 'rows over all workers instead, spread as evenly as can be', size),
    count('update-freq', 1, 'micro-batches per optimizer step', { min: 1 }),
    real('lr', 0.1, 'learning rate before --lr-rule', { alias: ['learning-rate'] }),
    text(
      'lr-rule',
      'published',
      'first learning rate: lr x rows / 64 / 256 over all ranks (0.00625 with the published recipe), the original formula ' +
        'lr x (batch-size / ranks) / 256, or lr x rows / 256 as in MoCo v3',
      { choices: ['published', 'reference', 'total-batch'] },
    ),
    real('momentum', 0.9, 'of SGD', { max: 0.999999 }),
    real('wd', 0, 'weight decay', { alias: ['weight-decay'] }),
    define('augment', 'boolean', true, 'random crops and flips; --no-augment trains on the evaluation view', {}),
    count('seed', 0, 'of initialisation, order and augmentation'),
    count('max-steps', 0, 'stop after this many steps, schedule unchanged; 0 is all', { mayChange: true }),
  ]),
  ...group('Fast probing', [
    text(
      'solver',
      'recipe',
      "the original's recipe with augmentation; or classifiers on features that are computed once, by L-BFGS to the optimum or SGD",
      { choices: ['recipe', 'lbfgs', 'sgd'] },
    ),
    define('l2', 'array', ['1e-6', '1e-5', '1e-4', '1e-3', '1e-2', '1e-1'], 'regularisations tried on features', {
      texts: true,
    }),
    real('holdout', 0.1, 'share of the training pictures by which the regularisation is chosen', {
      min: 0.001,
      max: 0.9,
    }),
    count('max-iterations', 1000, 'of L-BFGS for each regularisation', size),
  ]),
  ...RUN_FLAGS,
  ...group('Validation', [
    count('eval-freq', 10, 'epochs between validations', { min: 1, mayChange: true }),
    toggle('evaluate', 'only validate the newest checkpoint', { alias: ['e'], mayChange: true }),
  ]),
  ...COMPUTE_FLAGS,
];
