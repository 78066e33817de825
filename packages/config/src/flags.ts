// The one table of pre-training flags: names, defaults, ranges, help. Recipe keys, the run configuration and the help page
// all come from it. Pure and light, so that `--help` is quick.
import { DATASET_FORMATS } from '@slip/data/formats';

export interface FlagDefinition {
  /** Kebab-case, without dashes; also the key in recipes. */
  readonly name: string;
  readonly alias?: readonly string[];
  readonly type: 'string' | 'number' | 'boolean' | 'array';
  readonly description: string;
  /** Absent: not set unless given. */
  readonly default?: unknown;
  /** Title under which the help page lists it. */
  readonly group?: string;
  readonly choices?: readonly string[];
  /** Numbers: lowest and highest value allowed. */
  readonly min?: number;
  readonly max?: number;
  readonly integer?: boolean;
  /** Numbers that may be written with a percent sign. */
  readonly percent?: boolean;
  /** Arrays: how many numbers. */
  readonly length?: number;
  /** Arrays of texts, not numbers. */
  readonly texts?: boolean;
  /** Arrays: may be given several times, which adds up. */
  readonly repeatable?: boolean;
  /** May change between attempts of one run: not part of its identity. */
  readonly mayChange?: boolean;
  readonly hidden?: boolean;
}

/** The key of a flag in the run configuration: `ssl-mlp-dim` becomes `sslMlpDim`. */
export function configKey(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

type Options = Partial<FlagDefinition>;

const text = (name: string, value: string | undefined, description: string, options: Options = {}) =>
  define(name, 'string', value, description, options);
const count = (name: string, value: number | undefined, description: string, options: Options = {}) =>
  define(name, 'number', value, description, { integer: true, min: 0, ...options });
const real = (name: string, value: number, description: string, options: Options = {}) =>
  define(name, 'number', value, description, { min: 0, ...options });
const toggle = (name: string, description: string, options: Options = {}) =>
  define(name, 'boolean', false, description, options);

function define(
  name: string,
  type: FlagDefinition['type'],
  value: unknown,
  description: string,
  options: Options,
): FlagDefinition {
  return { name, type, description, group: '', ...(value === undefined ? {} : { default: value }), ...options };
}

function group(title: string, flags: readonly FlagDefinition[]): FlagDefinition[] {
  return flags.map((flag) => ({ ...flag, group: title }));
}

const size = { min: 1 };

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
    text('model', 'SLIP_VITB16', 'CLIP_, SIMCLR_ or SLIP_ with VITS16, VITB16 or VITL16'),
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
  ...group('Run', [
    text('output-dir', './', 'run folder; an existing run continues', { mayChange: true }),
    text('resume', '', 'checkpoint to start from where the run folder has none', { mayChange: true }),
    text(
      'pretrained',
      '',
      'published model, or file or folder of weights, that a run without checkpoints starts from',
      {
        mayChange: true,
      },
    ),
    count('checkpoint-every-steps', 0, 'save every so many steps too; 0 is at the end of epochs only', {
      mayChange: true,
    }),
    real('checkpoint-every-minutes', 0, 'save every so many minutes too', { mayChange: true }),
    real('checkpoint-overhead', 0, 'save as often as costs so many percent of the time, measured; 0 is not at all', {
      max: 100,
      percent: true,
      mayChange: true,
    }),
    count('keep-checkpoints', 3, 'newest checkpoints kept', { min: 1, mayChange: true }),
    count('keep-every', 0, 'keep those besides whose step is a multiple of it', { mayChange: true }),
    text('checkpoint-mode', 'async', 'train on while a copy in memory is written, or wait', {
      choices: ['async', 'sync'],
      mayChange: true,
    }),
    count('checkpoint-writers', 0, 'ranks that write a checkpoint side by side; 0 is one for each 64 MiB', {
      mayChange: true,
    }),
    text(
      'on-checkpoint-error',
      'continue',
      'a save that fails is reported, or ends the run; the last save always does',
      {
        choices: ['continue', 'stop'],
        mayChange: true,
      },
    ),
    count('print-freq', 10, 'steps between lines', { alias: ['p'], min: 1, mayChange: true }),
    toggle('wandb', 'stream metrics to Weights & Biases (project slip)', { mayChange: true }),
  ]),
  ...group('Validation', [
    count('eval-freq', 1, 'epochs between zero-shot validations', { min: 1, mayChange: true }),
    toggle('evaluate', 'only validate the newest checkpoint', { mayChange: true }),
    text('val-dataset', 'imagenet', 'set of the catalogue, or none', { mayChange: true }),
    text('catalog', '', 'dataset_catalog.json', { mayChange: true }),
    text('labels', '', 'labels.json', { mayChange: true }),
    text('templates', '', 'templates.json', { mayChange: true }),
  ]),
  ...group('Compute', [
    text('device', 'cpu', 'where to compute; only cpu today', {
      choices: ['cpu', 'auto', 'webgpu', 'cuda', 'tensorflow'],
    }),
    text('precision', 'fp32', 'number format; only fp32 today', { choices: ['fp32', 'fp16', 'bf16', 'amp'] }),
    toggle('disable-amp', 'the same as --precision fp32', { mayChange: true }),
    count('threads', 0, 'compute threads per worker; 0 shares the cores of the node', { mayChange: true }),
    text('transport', 'shared', 'ranks of a machine use memory that they share, or everything goes over ZeroMQ', {
      choices: ['shared', 'zmq'],
      mayChange: true,
    }),
    text(
      'reduce',
      'fixed',
      'sums in an order that is fixed for a number of ranks, or the same bits on 1, 2, 4, ... ranks',
      {
        choices: ['fixed', 'invariant'],
      },
    ),
    count('reduce-shards', 8, 'virtual ranks of --reduce invariant: the largest number of ranks', size),
    text(
      'compress',
      'none',
      'gradients travel between machines as halves (sums stay fp32), or everywhere as thin factors with error feedback ' +
        '(powersgd: worth its arithmetic on slow links between machines, pointless on one)',
      { choices: ['none', 'bf16', 'fp16', 'powersgd'] },
    ),
    count('powersgd-rank', 4, 'columns of the factors of --compress powersgd', { min: 1, max: 64 }),
    count('powersgd-start', 0, 'steps of plain reduction before --compress powersgd begins'),
    text('comm-encryption', 'auto', 'what ranks send is encrypted: between hosts, always, or never', {
      choices: ['auto', 'on', 'off'],
      mayChange: true,
    }),
    real('bucket-mb', 25, 'gradients leave during the backward pass in buckets of so many MB; 0: all at its end', {
      min: 0,
      mayChange: true,
    }),
    text('comm-thread', 'auto', 'collectives run in a thread of their own; auto: where ranks talk over sockets', {
      choices: ['auto', 'on', 'off'],
      mayChange: true,
    }),
    real('comm-timeout', 60, 'seconds to wait for another rank', { min: 0.1, mayChange: true }),
  ]),
];
