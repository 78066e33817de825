// The one table of pre-training flags: names, defaults, ranges, help. Recipe keys, the run configuration and the help page
// all come from it. Pure and light, so that `--help` is quick.
import { DATASET_FORMATS } from '@slip/data/formats';
import { PROMPT_FLAGS } from './catalog-flags.js';
import { count, define, type FlagDefinition, group, real, size, text, toggle } from './flag-definition.js';
import { COMPUTE_FLAGS, RUN_FLAGS } from './run-flags.js';

export { FINETUNE_FLAGS } from './finetune-flags.js';
export { configKey, type FlagDefinition } from './flag-definition.js';
export { LINEAR_FLAGS } from './linear-flags.js';
export { isUseTask, USE_FLAGS, type UseTaskName } from './use-flags.js';

export const PRETRAIN_FLAGS: readonly FlagDefinition[] = [
  ...group('Data', [
    text('dataset', 'yfcc15m', 'pre-training set, or the form that your own has; docs/data.md describes each', {
      choices: DATASET_FORMATS.map(({ name }) => name),
    }),
    text('root', '', 'folder of the set', { mayChange: true }),
    text('metadata', 'yfcc15m.pkl', 'its metadata file; webdataset and image-folder need none', { mayChange: true }),
    text('csv-img-key', '', 'column of paths in a table; its usual names are known', { mayChange: true }),
    text('csv-caption-key', '', 'column of captions in a table; its usual names are known', { mayChange: true }),
    text('index-dir', '', 'folder for the index that is made of the metadata; beside it unless given', {
      mayChange: true,
    }),
    count('workers', 10, 'loader threads per worker, at most its cores; 0 loads inline', {
      alias: ['j'],
      mayChange: true,
    }),
    count('prefetch-mb', 1024, 'memory for batches that are made ahead of need, MB per worker', { mayChange: true }),
    text('transforms', 'fast', "views in fewer roundings, or in Pillow's own arithmetic to the bit", {
      choices: ['fast', 'exact'],
    }),
    text('sampler', 'slip', 'order of samples: ours, the same on any number of ranks, or that of DistributedSampler', {
      choices: ['slip', 'torch'],
    }),
    text('truncate', 'keep-eot', 'captions that are too long keep their end token, or lose it as in the original', {
      choices: ['keep-eot', 'drop-eot'],
    }),
    text('bad-samples', 'fail', 'an unreadable image ends the run, or is replaced by the next sample and counted', {
      choices: ['fail', 'replace'],
    }),
  ]),
  ...group('Model', [
    text('model', 'SLIP_VITB16', 'CLIP_, SIMCLR_ or SLIP_ with VITS16, VITB16 or VITL16, or CLIP_RN50'),
    count('ssl-mlp-dim', 4096, 'hidden width of the SSL head', size),
    count('ssl-emb-dim', 256, 'output width of the SSL head', size),
    count('image-size', undefined, "pixels; the model's own (224) unless given, as are all sizes below", size),
    count('patch-size', undefined, 'pixels', size),
    count('vision-width', undefined, 'features of the vision tower', size),
    count('vision-depth', undefined, 'its blocks', size),
    count('vision-heads', undefined, 'its attention heads', size),
    define('vision-pre-norm', 'boolean', undefined, "norm before the first block, as OpenAI's CLIP has", {}),
    define('patch-bias', 'boolean', undefined, "bias of the patch embedding; --no-patch-bias is OpenAI's CLIP", {}),
    text('vision-activation', undefined, 'of the vision tower: gelu unless given', { choices: ['gelu', 'quick_gelu'] }),
    define('vision-norm-eps', 'number', undefined, "epsilon of its norms: 1e-6 unless given; 1e-5 is OpenAI's CLIP", {
      min: 1e-12,
    }),
    count('text-width', undefined, 'features of the text tower', size),
    count('text-depth', undefined, 'its blocks', size),
    count('text-heads', undefined, 'its attention heads', size),
    text('text-activation', undefined, 'of the text tower: quick_gelu unless given', {
      choices: ['gelu', 'quick_gelu'],
    }),
    count('context-length', undefined, 'tokens of a caption', { min: 3 }),
    count('embed-dim', undefined, 'width of the shared image and text space', size),
  ]),
  ...group('Losses', [
    real('ssl-scale', 1, 'weight of the SSL loss in SLIP'),
    real('ssl-temp', 0.1, 'temperature of the SSL loss', { min: 1e-6 }),
    text('gather', 'full', 'gradient through the embeddings of other ranks: all of it, or none as in the original', {
      choices: ['full', 'query-only'],
    }),
  ]),
  ...group('Training', [
    count('epochs', 25, 'passes over the set', { min: 1 }),
    count('warmup-epochs', 1, 'epochs of linear warm-up'),
    count('warmup-steps', 0, 'steps of warm-up instead, when above 0'),
    count('start-epoch', 0, 'accepted; a run continues where its folder says'),
    count('batch-size', 64, 'rows per worker and micro-batch', { min: 1 }),
    count('rows-per-micro-batch', undefined, 'rows over all workers instead, spread as evenly as can be', size),
    count('update-freq', 1, 'micro-batches per optimizer step', { min: 1 }),
    real('lr', 3e-3, 'peak learning rate, used as given'),
    real('lr-start', 1e-6, 'learning rate at the start of the warm-up'),
    real('lr-end', 1e-5, 'learning rate that the cosine ends at'),
    real('wd', 0.1, 'weight decay'),
    define('betas', 'array', [0.9, 0.98], 'two numbers of AdamW', { length: 2, min: 0, max: 0.999999 }),
    real('eps', 1e-8, 'epsilon of AdamW'),
    count('seed', 0, 'of initialisation, order and augmentation'),
    count('max-steps', 0, 'stop after this many steps, schedule unchanged; 0 is all', { mayChange: true }),
  ]),
  ...RUN_FLAGS,
  ...group('Validation', [
    count('eval-freq', 1, 'epochs between zero-shot validations', { min: 1, mayChange: true }),
    toggle('evaluate', 'only validate the newest checkpoint', { mayChange: true }),
    text('val-dataset', 'imagenet', 'set of the catalogue, or none', { mayChange: true }),
    text('catalog', '', 'dataset_catalog.json', { mayChange: true }),
    ...PROMPT_FLAGS,
  ]),
  ...COMPUTE_FLAGS,
];
