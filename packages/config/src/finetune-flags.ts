// The flags of the task finetune: names and defaults of the original's run_class_finetuning.py (reference 7.5). Pure and light.
import { count, define, type FlagDefinition, group, real, size, text, toggle } from './flag-definition.js';
import { LABELLED_DATA_FLAGS } from './linear-flags.js';
import { COMPUTE_FLAGS, RUN_FLAGS } from './run-flags.js';

const optional = (name: string, type: 'number' | 'array', description: string, options: Partial<FlagDefinition> = {}) =>
  define(name, type, undefined, description, options);

/** Of the original, taken so that its command lines run; each says what is done instead. */
const ACCEPTED: readonly FlagDefinition[] = group(
  'Accepted without effect',
  [
    count('save-ckpt-freq', 5, 'a checkpoint is saved after every epoch'),
    toggle('model-ema-force-cpu', 'averages are kept where the optimizer is'),
    real('warmup-lr', 1e-6, 'the warm-up begins at 0, as in the original'),
    text('model-key', 'model|module', 'weights are recognised'),
    text('model-prefix', '', 'weights are recognised'),
    toggle('resplit', 'there are no augmentation splits'),
    define('auto-resume', 'boolean', true, 'a run continues where its folder says', {}),
    define('save-ckpt', 'boolean', true, 'checkpoints are what a run continues from', {}),
    define('pin-mem', 'boolean', true, 'there is no pinned memory', {}),
    toggle('dist-eval', 'ranks always share the validation, with exact figures'),
    toggle('dist-on-itp', 'ranks are found by slip-launch'),
    toggle('enable-deepspeed', 'the optimizer is always sharded over the ranks (ZeRO stage 1)'),
    count('start-epoch', 0, 'a run continues where its folder says'),
    define('rel-pos-bias', 'boolean', true, 'see --disable-rel-pos-bias', {}),
    define('use-mean-pooling', 'boolean', true, 'see --use-cls', {}),
  ].map((flag) => ({ ...flag, mayChange: true })),
);

export const FINETUNE_FLAGS: readonly FlagDefinition[] = [
  ...group('Data', [
    text(
      'data-set',
      'IMNET',
      'train/ and val/ in --data-path, two folders, or CIFAR-100; --dataset is for a catalogue',
      {
        choices: ['IMNET', 'image_folder', 'CIFAR'],
      },
    ),
    text('data-path', '', 'folder of the set', { mayChange: true }),
    text('eval-data-path', '', 'folder of the validation pictures, with --data-set image_folder', { mayChange: true }),
    text('dataset', 'imagenet', 'set of the catalogue, where there is no --data-path'),
    count('nb-classes', 0, 'outputs of the classifier; 0 is as many as the set has classes', {
      alias: ['num-classes'],
    }),
    toggle('imagenet-default-mean-and-std', "pixels are scaled by ImageNet's mean and deviation, not to -1..1"),
  ]),
  ...LABELLED_DATA_FLAGS,
  ...group('Model', [
    text('model', 'beit_base_patch16_224', 'beit_small, beit_base or beit_large with _patch16_ and a size in pixels'),
    count('input-size', undefined, "pixels; the model's own unless given, as are the sizes below", size),
    count('patch-size', undefined, 'pixels', size),
    count('vision-width', undefined, 'features of the tower', size),
    count('vision-depth', undefined, 'its blocks', size),
    count('vision-heads', undefined, 'its attention heads', size),
    toggle('disable-rel-pos-bias', 'no bias of attention by relative position'),
    toggle('abs-pos-emb', 'learned positions are added to the tokens, as in pre-training'),
    real('layer-scale-init-value', 0.1, 'first value of the factors of each branch; 0 has none'),
    toggle('use-cls', 'the classifier sees the class token, not the mean of the patches'),
    real('init-scale', 0.001, 'factor of the classifier before the first step'),
    real('drop', 0, 'dropout; only 0 is there', { max: 1 }),
    real('attn-drop-rate', 0, 'dropout of attention; only 0 is there', { max: 1 }),
    real('drop-path', 0.1, 'share of samples that skip a branch of the last block; rises from 0', { max: 0.999 }),
  ]),
  ...group('Training', [
    count('epochs', 30, 'passes over the set', { min: 1 }),
    count('warmup-epochs', 5, 'epochs of linear warm-up from 0'),
    define('warmup-steps', 'number', -1, 'steps of warm-up instead, when above 0', { integer: true, min: -1 }),
    count('batch-size', 64, 'rows per worker and micro-batch', { min: 1 }),
    count('rows-per-micro-batch', undefined, 'rows over all workers instead, spread as evenly as can be', size),
    count('update-freq', 1, 'micro-batches per optimizer step', { min: 1 }),
    text('opt', 'adamw', 'optimizer', { choices: ['adamw'] }),
    real('lr', 5e-4, 'peak learning rate of the last layer, used as given'),
    real('min-lr', 1e-6, 'learning rate that the cosine ends at'),
    real('layer-decay', 0.9, 'factor of the learning rate from each layer to the one before it', { max: 1 }),
    real('weight-decay', 0.05, 'at the beginning', { alias: ['wd'] }),
    optional('weight-decay-end', 'number', 'at the end, by a cosine; the same unless given', { min: 0 }),
    toggle('disable-weight-decay-on-rel-pos-bias', 'no weight decay of the biases by relative position'),
    optional('opt-betas', 'array', 'two numbers of AdamW; 0.9 and 0.999 unless given', {
      length: 2,
      min: 0,
      max: 0.999999,
    }),
    real('opt-eps', 1e-8, 'epsilon of AdamW'),
    real('momentum', 0.9, 'accepted; AdamW has none', { mayChange: true }),
    optional('clip-grad', 'number', 'largest norm of all gradients; no limit unless given', { min: 0 }),
    toggle('model-ema', 'keep a moving average of the weights, and validate it too'),
    real('model-ema-decay', 0.9999, 'its decay', { max: 1 }),
    count('seed', 0, 'of initialisation, order and augmentation'),
    count('max-steps', 0, 'stop after this many steps, schedule unchanged; 0 is all', { mayChange: true }),
  ]),
  ...group('Augmentation', [
    define('augment', 'boolean', true, 'crops, flips and what follows; --no-augment trains on the evaluation view', {}),
    text('aa', 'rand-m9-mstd0.5-inc1', "RandAugment in timm's notation, or none"),
    real('color-jitter', 0.4, 'brightness, contrast and saturation, where --aa is none'),
    text('train-interpolation', 'bicubic', 'of crops', { choices: ['bicubic', 'bilinear'] }),
    optional(
      'crop-pct',
      'number',
      'share of the resized picture in the validation crop; 0.875 below 384 pixels, else 1',
      {
        min: 0.01,
        max: 1,
      },
    ),
    real('reprob', 0.25, 'probability of random erasing', { max: 1 }),
    text('remode', 'pixel', 'erased with noise per pixel, one random colour, or zeros', {
      choices: ['pixel', 'rand', 'const'],
    }),
    count('recount', 1, 'rectangles at most', { min: 1 }),
    real('smoothing', 0.1, 'label smoothing', { max: 0.999 }),
    real('mixup', 0, 'alpha of mixup; 0 is off'),
    real('cutmix', 0, 'alpha of CutMix; 0 is off'),
    optional('cutmix-minmax', 'array', 'smallest and largest side of the CutMix box as shares, instead of --cutmix', {
      length: 2,
      min: 0,
      max: 1,
    }),
    real('mixup-prob', 1, 'probability of either', { max: 1 }),
    real('mixup-switch-prob', 0.5, 'probability of CutMix where both are on', { max: 1 }),
    text('mixup-mode', 'batch', 'one draw for a group of rows, for each pair, or for each row', {
      choices: ['batch', 'pair', 'elem'],
    }),
    count('mixup-group', 0, 'rows that are mixed with each other and share a draw; 0 is --batch-size'),
  ]),
  ...RUN_FLAGS.map((flag) => (flag.name === 'pretrained' ? { ...flag, alias: ['finetune'] } : flag)),
  ...group('Validation', [
    count('eval-freq', 1, 'epochs between validations', { min: 1, mayChange: true }),
    toggle('evaluate', 'only validate the newest checkpoint', { alias: ['eval'], mayChange: true }),
    toggle('disable-eval-during-finetuning', 'validate after the last epoch only', { mayChange: true }),
  ]),
  ...COMPUTE_FLAGS,
  ...ACCEPTED,
];
