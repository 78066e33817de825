// For tests: a small set of labelled pictures, weights of a small tower, runs of both tasks on them, and what they leave.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { openCheckpoint } from '@slip/checkpoint';
import { RandomStream } from '@slip/core';
import sharp from 'sharp';
import { finalWeights, launch, makeTinySet, start, stepRecords, TINY_MODEL } from '../pretrain/launch-runs.js';

/** Sizes of the tower that `tinyTower` makes. */
export const TINY_TOWER = [
  ...['--input-size', '16', '--patch-size', '8', '--vision-width', '32', '--vision-depth', '2', '--vision-heads', '2'],
];
export const QUICK = ['--workers', '0', '--threads', '1', '--max-restarts', '0', '--comm-timeout', '30'];

/** Folders train and val with `classes` colours of boxes at random places; `perClass` and a third as many pictures. */
export async function makeLabelledSet(folder: string, perClass: number): Promise<string> {
  const colours = ['blue', 'green', 'orange', 'red'];
  for (const [split, count] of [
    ['train', perClass],
    ['val', Math.ceil(perClass / 3)],
  ] as const) {
    for (const colour of colours) {
      mkdirSync(path.join(folder, split, colour), { recursive: true });
      for (let i = 0; i < count; i++) {
        const random = new RandomStream('labelled set', split, colour, i);
        const [x, y, side] = [random.integer(12), random.integer(12), 14 + random.integer(6)];
        const svg =
          `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><rect width="32" height="32" fill="#888"/>` +
          `<rect x="${x}" y="${y}" width="${side}" height="${side}" fill="${colour}"/></svg>`;
        await sharp(Buffer.from(svg))
          .png()
          .toFile(path.join(folder, split, colour, `${i}.png`));
      }
    }
  }
  return folder;
}

/** Two steps of SimCLR: a checkpoint folder to begin from. */
export async function tinyTower(folder: string): Promise<string> {
  const set = await makeTinySet(path.join(folder, 'captions'), 16);
  const run = path.join(folder, 'tower');
  const { code, output } = await launch([
    ...['--batch-size', '8', '--epochs', '1', '--lr', '1e-3', '--max-steps', '2', '--output-dir', run],
    ...['--dataset', 'coco', '--root', set.root, '--metadata', set.metadata, '--model', 'SIMCLR_VITS16', ...TINY_MODEL],
  ]);
  if (code !== 0) throw new Error(output);
  return path.join(run, 'checkpoints/latest');
}

export interface ClassifyPlace {
  readonly folder: string;
  readonly tower: string;
  readonly set: string;
}

/** 88 pictures, and a tower. */
export async function makePlace(folder: string): Promise<ClassifyPlace> {
  return { folder, set: await makeLabelledSet(path.join(folder, 'set'), 22), tower: await tinyTower(folder) };
}

/** 88 pictures in micro-batches of 12: the last one of an epoch has 4, so that some ranks have fewer rows, or none. */
export const linearFlags = ({ tower, set }: ClassifyPlace): string[] => [
  ...['linear', '--pretrained', tower, '--data-path', set, ...QUICK, '--rows-per-micro-batch', '12'],
  ...['--epochs', '4', '--eval-freq', '2', '--lr', '30'],
];

/** Groups of 4 in micro-batches of 12: on two ranks, one group lies on both. */
export const finetuneFlags = ({ tower, set }: ClassifyPlace): string[] => [
  ...[
    'finetune',
    '--finetune',
    tower,
    '--data-path',
    set,
    ...QUICK,
    ...TINY_TOWER,
    '--model',
    'beit_small_patch16_224',
  ],
  ...['--rows-per-micro-batch', '12', '--mixup-group', '4', '--mixup', '0.8', '--cutmix', '1', '--update_freq', '2'],
  ...['--epochs', '6', '--warmup_epochs', '1', '--lr', '4e-3', '--layer_decay', '0.75', '--drop_path', '0.2'],
  ...['--imagenet_default_mean_and_std', '--model_ema', '--model_ema_decay', '0.9', '--clip_grad', '1'],
];

export interface ClassifyRun {
  readonly runFolder: string;
  readonly output: string;
  readonly losses: readonly number[];
  readonly weights: ReturnType<typeof finalWeights>;
}

export async function run(
  { folder }: Pick<ClassifyPlace, 'folder'>,
  name: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<ClassifyRun> {
  const runFolder = path.join(folder, name);
  const { code, output } = await start([...args, '--output-dir', runFolder], environment).finished;
  assert.equal(code, 0, output);
  return {
    runFolder,
    output,
    losses: stepRecords(runFolder).map(({ loss }) => loss),
    weights: finalWeights(runFolder),
  };
}

export function logLines(runFolder: string): Record<string, number>[] {
  const text = readFileSync(path.join(runFolder, 'log.txt'), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** Losses, parameters and figures of a run on several ranks are those of one. @returns how far they are apart, for people */
export async function assertAlike(run: ClassifyRun, one: ClassifyRun): Promise<string> {
  assert.equal(run.losses.length, one.losses.length);
  const worst = Math.max(...run.losses.map((loss, i) => Math.abs(loss - one.losses[i]) / one.losses[i]));
  const difference = await relativeDifference(run.runFolder, one.runFolder);
  assert.ok(worst < 1e-4, `losses differ by ${worst}`);
  assert.ok(difference < 1e-3, `parameters differ by ${difference}`);
  const [figures, expected] = [run, one].map(({ runFolder }) => logLines(runFolder).at(-1)!);
  assert.deepEqual([figures.test_acc1, figures.test_acc5], [expected.test_acc1, expected.test_acc5]);
  return `losses differ by ${worst.toExponential(1)} at most, parameters by ${difference.toExponential(1)}`;
}

/** The same bits, the same losses, the same lines. */
export function assertSame(found: ClassifyRun, whole: ClassifyRun): void {
  assert.deepEqual(found.weights, whole.weights);
  assert.deepEqual(found.losses, whole.losses);
  assert.deepEqual(logLines(found.runFolder), logLines(whole.runFolder));
}

/** Kills rank 0 while it writes one of its checkpoints, and lets the launcher start all ranks again. */
export async function runKilled(place: ClassifyPlace, name: string, args: readonly string[]): Promise<ClassifyRun> {
  const hook = pathToFileURL(path.join(import.meta.dirname, '../pretrain/fixtures/kill-point.js')).href;
  const killed = await run(place, name, [...args, '--max-restarts', '1'], {
    NODE_OPTIONS: `--import=${hook}`,
    SLIP_TEST_KILLS: JSON.stringify([{ rank: 0, thread: 'checkpoint', operation: 'sync', occurrence: 7 }]),
    SLIP_TEST_REACHED: place.folder,
  });
  assert.match(killed.output, /killed by SIGKILL/);
  assert.match(killed.output, /continuing from/);
  return killed;
}

async function relativeDifference(found: string, expected: string): Promise<number> {
  const [a, b] = await Promise.all([readModel(found), readModel(expected)]);
  let [difference, norm] = [0, 0];
  for (const [name, values] of b) {
    values.forEach((value, i) => {
      difference += (a.get(name)![i] - value) ** 2;
      norm += value ** 2;
    });
  }
  return Math.sqrt(difference / norm);
}

async function readModel(runFolder: string): Promise<Map<string, Float32Array>> {
  const checkpoint = await openCheckpoint(path.join(runFolder, 'checkpoints/latest'), { verify: true });
  const tensors = new Map<string, Float32Array>();
  await checkpoint.readInto('model', (name, _dtype, shape) => {
    const values = new Float32Array(shape.reduce((product, length) => product * length, 1));
    tensors.set(name, values);
    return values;
  });
  return tensors;
}
