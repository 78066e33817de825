// The flags of the tasks that use a model and train nothing: embed, retrieve, predict, recall, zeroshot. Pure and light.
import { CATALOG_FLAGS, PROMPT_FLAGS } from './catalog-flags.js';
import { count, define, type FlagDefinition, group, size, text, toggle } from './flag-definition.js';
import { COMPUTE_FLAGS } from './run-flags.js';

const SHARED_COMPUTE = ['threads', 'transport', 'comm-encryption', 'comm-thread', 'comm-timeout'];

const MODEL: readonly FlagDefinition[] = group('Model', [
  text('resume', '', 'the model: a checkpoint folder, a .pt or safetensors file, or the name of a published model', {
    alias: ['pretrained'],
  }),
  count('vision-heads', undefined, 'attention heads of the vision tower, where the weights do not tell', size),
  count('text-heads', undefined, 'attention heads of the text tower, where the weights do not tell', size),
  text('truncate', 'keep-eot', 'texts that are too long keep their end token, or lose it as in the original', {
    choices: ['keep-eot', 'drop-eot'],
  }),
]);
const COMPUTE: readonly FlagDefinition[] = COMPUTE_FLAGS.filter(({ name }) => SHARED_COMPUTE.includes(name));
const batchSize = count('batch-size', 64, 'pictures or texts at a time', size);
const topK = (description: string) => count('top-k', 5, description, size);
const outputDir = (description: string) => text('output-dir', '', description);
const folderOfRun = outputDir('folder for logs; a temporary one unless given');

const EMBED: readonly FlagDefinition[] = [
  ...group('Input', [
    text('images', '', 'folder of pictures, with its sub-folders; in sorted order'),
    text('texts', '', 'file with a text a line; in its order'),
  ]),
  ...MODEL,
  ...group('Output', [
    outputDir('folder for image_features.npy, text_features.npy and their indexes; needed'),
    toggle('safetensors', 'features.safetensors besides'),
  ]),
  ...group('Compute', [batchSize]),
  ...COMPUTE,
];

const RETRIEVE: readonly FlagDefinition[] = [
  ...group('Input', [
    text('embedded', '', 'folder that embed has written; needed'),
    define(
      'query',
      'array',
      undefined,
      'a text; may be given several times. Without any query: all texts of the folder',
      {
        texts: true,
        repeatable: true,
      },
    ),
    define('image', 'array', undefined, 'a picture to find texts for, or alike pictures; may be given several times', {
      texts: true,
      repeatable: true,
    }),
    topK('found for each query'),
  ]),
  ...MODEL.map((flag) =>
    flag.name === 'resume' ? { ...flag, description: 'the model, if it has moved since' } : flag,
  ),
  ...group('Output', [
    outputDir('folder for retrieval.json and retrieval.html; retrieval/ in the embedded folder unless given'),
    toggle('json', 'print JSON lines instead of a table'),
  ]),
  ...COMPUTE,
];

const PREDICT: readonly FlagDefinition[] = [
  ...group('Input', [
    define('image', 'array', undefined, 'a picture; words after the task are pictures too', {
      texts: true,
      repeatable: true,
      positional: true,
    }),
    text('labels', '', 'what to choose from, with commas between: "a dog, a cat"'),
    text('labels-file', '', 'a label a line instead, commas allowed'),
    text('template', '{}', 'the text of a label: "a photo of {}."'),
    topK('labels shown for each picture'),
  ]),
  ...MODEL,
  ...group('Output', [toggle('json', 'print JSON lines instead of a table'), folderOfRun]),
  ...COMPUTE,
];

const RECALL: readonly FlagDefinition[] = [
  ...group('Input', [
    text('images', '', 'folder of the pictures, such as val2017 of COCO'),
    text('captions', '', 'their captions in the form of COCO, such as captions_val2017.json'),
    count('captions-per-image', 5, 'captions of a picture that count, the first ones; 0 is all'),
  ]),
  ...MODEL,
  ...group('Output', [outputDir('folder for features and recall.json; needed')]),
  ...group('Compute', [batchSize]),
  ...COMPUTE,
];

/** Names and defaults of the original's eval_zeroshot.py (reference 7.2), and what ours adds. */
const ZEROSHOT: readonly FlagDefinition[] = [
  ...group('Sets', [
    define(
      'datasets',
      'array',
      undefined,
      'sets to evaluate, such as food101,cifar10; all that are there unless given',
      {
        texts: true,
      },
    ),
    ...CATALOG_FLAGS,
    ...PROMPT_FLAGS,
  ]),
  ...MODEL,
  ...group('Output', [
    text(
      'output-dir',
      'zeroshot',
      'folder for zeroshot.json and zeroshot.md; sets that are in them are not done again',
    ),
    toggle('restart', 'do all sets again'),
    toggle('save-scores', 'scores/<set>.npy besides: cosines of each picture with each class, in the order of the set'),
  ]),
  ...group('Compute', [
    batchSize,
    count('workers', 10, 'accepted; pictures are decoded beside the computation', { alias: ['j'] }),
  ]),
  ...COMPUTE,
];

/** By task. */
export const USE_FLAGS = {
  embed: EMBED,
  retrieve: RETRIEVE,
  predict: PREDICT,
  recall: RECALL,
  zeroshot: ZEROSHOT,
} as const satisfies Record<string, readonly FlagDefinition[]>;
export type UseTaskName = keyof typeof USE_FLAGS;

export function isUseTask(task: string): task is UseTaskName {
  return Object.hasOwn(USE_FLAGS, task);
}
