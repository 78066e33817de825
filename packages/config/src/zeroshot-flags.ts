// The flags of the task zeroshot: those of the original's eval_zeroshot.py (reference 7.2), and what ours adds. Pure and light.
import { count, define, type FlagDefinition, group, size, text, toggle } from './flag-definition.js';
import { COMPUTE_FLAGS } from './run-flags.js';

const SHARED_COMPUTE = ['threads', 'transport', 'comm-encryption', 'comm-thread', 'comm-timeout'];

/** Flags that tell where the sets of a catalogue are. */
export const CATALOG_FLAGS: readonly FlagDefinition[] = [
  text('catalog', '', "dataset_catalog.json that names the sets, in the original's form", { mayChange: true }),
  text('root', '', 'instead of a catalogue: a folder with a folder for each set, as slip-data prepare makes them', {
    mayChange: true,
  }),
  text('index-dir', '', 'folder for the listings that are made of sets; beside them unless given', { mayChange: true }),
];

/** Flags that replace the built-in labels and captions. */
export const PROMPT_FLAGS: readonly FlagDefinition[] = [
  text('labels', '', "labels.json in the original's form; built in for the 26 sets", { mayChange: true }),
  text('templates', '', "templates.json in the original's form; built in for the 26 sets", { mayChange: true }),
];

export const ZEROSHOT_FLAGS: readonly FlagDefinition[] = [
  ...group('Sets', [
    define(
      'datasets',
      'array',
      undefined,
      'sets to evaluate, such as food101,cifar10; all that are there unless given',
      {
        texts: true,
        mayChange: true,
      },
    ),
    ...CATALOG_FLAGS,
    ...PROMPT_FLAGS,
  ]),
  ...group('Model', [
    text('resume', '', 'the model: a checkpoint folder, a .pt or safetensors file, or the name of a published model', {
      alias: ['pretrained'],
    }),
    count('vision-heads', undefined, 'attention heads of the vision tower, where the weights do not tell', size),
    count('text-heads', undefined, 'attention heads of the text tower, where the weights do not tell', size),
    text('truncate', 'keep-eot', 'texts that are too long keep their end token, or lose it as in the original', {
      choices: ['keep-eot', 'drop-eot'],
    }),
  ]),
  ...group('Output', [
    text(
      'output-dir',
      'zeroshot',
      'folder for zeroshot.json and zeroshot.md; sets that are in them are not done again',
    ),
    toggle('restart', 'do all sets again', { mayChange: true }),
  ]),
  ...group('Compute', [
    count('batch-size', 64, 'pictures at a time', size),
    count('workers', 10, 'accepted; pictures are decoded beside the computation', { alias: ['j'] }),
  ]),
  ...COMPUTE_FLAGS.filter(({ name }) => SHARED_COMPUTE.includes(name)),
];
