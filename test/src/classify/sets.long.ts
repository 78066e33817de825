// Linear probing and fine-tuning on sets in every form: the pictures of a binary set or of lists, saved as files of their own, train the
// same weights bit for bit.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { decodeImage, locateInCatalog, openLabelled } from '@slip/data';
import { type ListedSplit, writeLists } from '@slip/data/prepare';
import sharp from 'sharp';
import { root } from '../pretrain/launch-runs.js';
import { type ClassifyRun, makeLabelledSet, QUICK, run, TINY_TOWER, tinyTower } from './classify-runs.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-classify-sets-'));
const sets = path.join(folder, 'sets');
let tower: string;
before(async () => {
  cpSync(path.join(root, 'test/golden/zeroshot/sets'), sets, { recursive: true });
  tower = await tinyTower(folder);
});
after(() => rmSync(folder, { recursive: true, force: true }));

const TASKS: Readonly<Record<string, () => string[]>> = {
  linear: () => ['linear', '--pretrained', tower, ...QUICK, '--epochs', '2', '--lr', '30'],
  finetune: () => [
    ...['finetune', '--finetune', tower, ...QUICK, ...TINY_TOWER, '--model', 'beit_small_patch16_224'],
    ...['--epochs', '2', '--warmup_epochs', '1', '--lr', '4e-3', '--imagenet_default_mean_and_std'],
  ],
};

/** Files of the pictures, and lists of them in the order of the set. @returns a catalogue, and rows for a micro-batch */
async function asLists(dataset: string): Promise<{ catalog: string; rows: number }> {
  const { train, validation } = await locateInCatalog({ catalog: '', root: sets }, dataset);
  const target = path.join(folder, 'lists', dataset);
  mkdirSync(target, { recursive: true });
  const splits: ListedSplit[] = [];
  for (const [split, location] of Object.entries({ train, test: validation })) {
    const set = await openLabelled(location);
    const [images, labels]: [string[], number[]] = [[], []];
    for (let i = 0; i < set.length; i++) {
      const { image, label } = set.describe(i);
      const { data, width, height } = await decodeImage(image);
      images.push(path.join(target, `${split}-${i}.png`));
      labels.push(label);
      await sharp(data, { raw: { width, height, channels: 3 } })
        .png()
        .toFile(images[i]!);
    }
    splits.push({ split, images, labels });
    set.close();
  }
  await writeLists(splits, target);
  const catalog = path.join(target, 'dataset_catalog.json');
  const entry = { path: target, type: 'filelist', train: 'train', test: 'test' };
  writeFileSync(catalog, JSON.stringify({ [dataset]: entry }));
  return { catalog, rows: Math.min(2, splits[0]!.images.length) };
}

function assertEqualRuns(found: ClassifyRun, expected: ClassifyRun): void {
  assert.ok(expected.losses.length > 0);
  assert.deepEqual(found.losses, expected.losses);
  assert.deepEqual(found.weights, expected.weights);
}

for (const dataset of ['cifar10', 'cifar100', 'stl10', 'mnist']) {
  test(`${dataset}: linear and finetune on its binary files, and on two ranks`, async () => {
    const { catalog, rows } = await asLists(dataset);
    for (const [task, flags] of Object.entries(TASKS)) {
      const args = [...flags(), '--dataset', dataset, '--rows-per-micro-batch', String(rows)];
      const lists = await run({ folder }, `${dataset}-${task}-lists`, [...args, '--catalog', catalog]);
      const binary = await run({ folder }, `${dataset}-${task}`, [...args, '--root', sets]);
      assertEqualRuns(binary, lists);
      assert.match(binary.output, new RegExp(`${task} ${dataset} \\* Acc@1 [\\d.]+ `));
      if (rows === 1) continue;
      const two = await run({ folder }, `${dataset}-${task}-2`, ['--nproc', '2', ...args, '--root', sets]);
      assert.equal(two.losses.length, binary.losses.length);
    }
  });
}

test('clevr_counts and sun397: linear and finetune on the lists of the catalogue', async () => {
  for (const dataset of ['clevr_counts', 'sun397'])
    for (const [task, flags] of Object.entries(TASKS)) {
      const args = [...flags(), '--dataset', dataset, '--root', sets, '--rows-per-micro-batch', '2'];
      const { output, losses } = await run({ folder }, `${dataset}-${task}`, args);
      assert.ok(losses.length > 0);
      assert.match(output, new RegExp(`${task} ${dataset} \\* Acc@1 [\\d.]+ `));
    }
});

test('lists of the pictures of class folders, in their order, train the same weights; the classifier learns', async () => {
  const images = await makeLabelledSet(path.join(folder, 'boxes'), 22);
  const lists = path.join(folder, 'box-lists');
  const splits = ['train', 'val'].map((split): ListedSplit => {
    const classes = readdirSync(path.join(images, split)).sort();
    const listed = classes.flatMap((name) =>
      readdirSync(path.join(images, split, name))
        .sort()
        .map((file) => ({ name, file: path.join(images, split, name, file) })),
    );
    return { split, images: listed.map(({ file }) => file), labels: listed.map(({ name }) => name) };
  });
  await writeLists(splits, lists);
  const catalog = path.join(folder, 'boxes.json');
  writeFileSync(catalog, JSON.stringify({ boxes: { path: lists, type: 'filelist', train: 'train', test: 'val' } }));
  for (const [task, flags] of Object.entries(TASKS)) {
    const args = [...flags(), '--dataset', 'boxes', '--rows-per-micro-batch', '11', '--epochs', '4'];
    const expected = await run({ folder }, `boxes-${task}`, [...args, '--data-path', images]);
    assertEqualRuns(await run({ folder }, `boxes-${task}-lists`, [...args, '--catalog', catalog]), expected);
    assert.ok(expected.losses.at(-1)! < expected.losses[0]!);
  }
});
