// The task zeroshot through the real launcher: the same figures on 1, 2 and 3 ranks, sets that are done are not done again, killed and
// stopped it goes on, the original's files as they are, and mistakes in one line.
import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { launch, root } from '../pretrain/launch-runs.js';
import { killedAndStopped } from './interrupted.js';

const golden = path.join(root, 'test/golden');
const model = path.join(golden, 'zeroshot/clip-tiny.pt');
const { model: torch } = JSON.parse(readFileSync(path.join(golden, 'zeroshot.json'), 'utf8'));
const work = mkdtempSync(path.join(os.tmpdir(), 'slip-zeroshot-'));
const sets = path.join(work, 'sets');
before(() => {
  for (const name of ['cifar10', 'mnist', 'hateful_memes'])
    cpSync(path.join(golden, 'zeroshot/sets', name), path.join(sets, name), { recursive: true });
});
after(() => rmSync(work, { recursive: true, force: true }));

const HEADS = ['--vision-heads', '2', '--text-heads', '1'];
const flags = (output: string, ...more: string[]) => [
  ...['zeroshot', '--resume', model, ...HEADS, '--threads', '1', '--batch-size', '4'],
  ...['--output-dir', path.join(work, output), ...more],
];
const evaluate = (ranks: number, output: string, ...more: string[]) =>
  launch(['--nproc', String(ranks), '--max-restarts', '0', ...flags(output, '--root', sets, ...more)]);

interface Results {
  readonly sets: Record<string, { value: number; seconds: number; figures: object; key: string }>;
  readonly missing: string[];
}

function results(output: string): Results {
  return JSON.parse(readFileSync(path.join(work, output, 'zeroshot.json'), 'utf8'));
}

/** Without what depends on the clock. */
function figures(output: string): object[] {
  return Object.entries(results(output).sets).map(([name, { seconds: _, ...rest }]) => ({ name, ...rest }));
}

test('1, 2 and 3 ranks give the same bits and figures, which are those of PyTorch', async () => {
  for (const ranks of [1, 2, 3]) {
    const { code, output } = await evaluate(ranks, `ranks-${ranks}`);
    assert.equal(code, 0, output);
    assert.match(output, /23 of 26 sets are not there: food101, cifar100, /);
    assert.match(output, /^zeroshot \* mean [\d.]+ over 3 sets: cifar10 [\d.]+, mnist [\d.]+, hateful_memes [\d.]+$/m);
    assert.deepEqual(figures(`ranks-${ranks}`), figures('ranks-1'));
    const vectors = (name: string) =>
      readdirSync(path.join(work, name, 'class-vectors')).map((file) => [
        file,
        readFileSync(path.join(work, name, 'class-vectors', file)).toString('hex'),
      ]);
    assert.deepEqual(vectors(`ranks-${ranks}`), vectors('ranks-1'));
  }
  const { sets: found, missing } = results('ranks-3');
  assert.equal(found.cifar10.value, torch.cifar10.accuracy);
  assert.equal(found.mnist.value, torch.mnist.accuracy);
  assert.ok(Math.abs(found.hateful_memes.value - torch.hateful_memes.auc) < 1e-9);
  assert.equal(missing.length, 23);
  assert.match(
    readFileSync(path.join(work, 'ranks-2/zeroshot.md'), 'utf8'),
    /\| hateful_memes \| [\d.]+ \| roc-auc \| 12 \| 2 \|/,
  );
});

test('what is done is kept, a set that failed is named, and the next call goes on', async () => {
  // The last set cannot be read, as if the evaluation had been ended there.
  const broken = path.join(sets, 'hateful_memes/dev/1/3.png');
  const whole = readFileSync(broken);
  writeFileSync(broken, 'no picture');
  const failed = await evaluate(2, 'continued');
  assert.equal(failed.code, 3);
  assert.match(failed.output, /error {5}\[data\] the image \S+hateful_memes\/dev\/1\/3.png cannot be read/);
  assert.deepEqual(Object.keys(results('continued').sets), ['cifar10', 'mnist']);
  writeFileSync(broken, whole);
  const { code, output } = await evaluate(1, 'continued', '--datasets', 'hateful_memes,cifar10,mnist');
  assert.equal(code, 0, output);
  assert.match(output, /0-shot mnist: done before/);
  assert.match(output, /0-shot hateful_memes \* roc-auc/);
  const byName = (a: object, b: object) => JSON.stringify(a).localeCompare(JSON.stringify(b));
  assert.deepEqual(figures('continued').sort(byName), figures('ranks-1').sort(byName));
});

test('a worker is killed in the last set, then the evaluation is stopped there: it goes on with that set, to the same figures', async () => {
  const command = flags('interrupted', '--root', sets);
  const output = await killedAndStopped(
    ['--nproc', '2', '--max-restarts', '1', ...command],
    path.join(sets, 'hateful_memes/dev/0/2.png'),
  );
  assert.equal(output.match(/0-shot mnist \* accuracy/g)?.length, 1, output);
  assert.equal(output.match(/0-shot mnist: done before/g)?.length, 1, output);
  assert.deepEqual(Object.keys(results('interrupted').sets), ['cifar10', 'mnist']);
  const last = await launch(['--nproc', '1', ...command]);
  assert.equal(last.code, 0, last.output);
  assert.match(last.output, /0-shot cifar10: done before/);
  assert.deepEqual(figures('interrupted'), figures('ranks-1'));
});

test("the original's catalogue, labels and templates are taken as they are, with the same figures", async (t) => {
  const original = path.join(root, '../shared/data');
  if (!existsSync(original)) return t.skip(`the original's files are not at ${original}`);
  // Its paths are relative to the catalogue, as ./data/cifar10.
  const place = path.join(work, 'original');
  mkdirSync(path.join(place, 'data'), { recursive: true });
  symlinkSync(path.join(original, 'dataset_catalog.json'), path.join(place, 'dataset_catalog.json'));
  for (const name of ['cifar10', 'mnist']) symlinkSync(path.join(sets, name), path.join(place, 'data', name));
  const files = ['catalog', 'labels', 'templates'].flatMap((flag) => [
    `--${flag}`,
    flag === 'catalog' ? path.join(place, 'dataset_catalog.json') : path.join(original, `${flag}.json`),
  ]);
  const { code, output } = await launch(['--nproc', '1', ...flags('as-they-are', ...files)]);
  assert.equal(code, 0, output);
  assert.match(output, /24 of 26 sets are not there: food101, cifar100, /);
  for (const name of ['cifar10', 'mnist'])
    assert.deepEqual(results('as-they-are').sets[name].figures, results('ranks-1').sets[name].figures);
});

test('mistakes are told in one line', async () => {
  mkdirSync(path.join(sets, 'eurosat/val/Forest'), { recursive: true });
  cpSync(path.join(sets, 'hateful_memes/dev/0/0.png'), path.join(sets, 'eurosat/val/Forest/0.png'));
  const cases: [string[], number, RegExp][] = [
    [['--datasets', 'pets'], 3, /\[data\] pets: \S+pets\/test cannot be read: ENOENT.*one sub-folder per class/],
    [['--datasets', 'eurosat'], 3, /eurosat\/val has 1 classes, eurosat has 10; missing: AnnualCrop, /],
    [['--datasets', 'petz'], 3, /the catalogue has no set petz; it has food101, /],
  ];
  for (const [flags, exitCode, message] of cases) {
    const { code, output } = await evaluate(1, 'mistakes', ...flags);
    assert.deepEqual([code, message.test(output)], [exitCode, true], output);
  }
  const noSets = await launch(['zeroshot', '--resume', model]);
  assert.equal(noSets.code, 2);
  assert.match(noSets.output, /--root or --catalog is missing/);
  const noModel = await launch(['zeroshot', '--root', sets, '--output-dir', path.join(work, 'none')]);
  assert.match(noModel.output, /\[config\] --resume is missing/);
});
