// What users get wrong ends in one clear line and a documented exit code, and leaves no half-made run.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { ERROR_CODES } from '@slip/core';
import { datasetFlags, launch, makeTinySet, TINY_MODEL, temporaryFolder } from './launch-runs.js';

test('mistakes that are found before anything starts', async (context) => {
  const folder = temporaryFolder(context);
  const recipe = path.join(folder, 'wrong.yaml');
  writeFileSync(recipe, '# a recipe\nmodel: CLIP_VITS16\nlearning-rate: 3\n');
  const cases: [string[], RegExp, number][] = [
    [['--lrr', '3'], /unknown flag --lrr; did you mean --lr\?/, 2],
    [['--lr', 'fast'], /--lr needs a number, found "fast"/, 2],
    [['--update-freq', '0'], /--update-freq is 0; a whole number of at least 1 is wanted/, 2],
    [['--betas', '0.9'], /--betas is \["0.9"\]; 2 numbers is wanted/, 2],
    [['--model', 'SLIP_VITB61'], /--model SLIP_VITB61 is not known; did you mean SLIP_VITB16\?/, 2],
    [['--image-size', '30', '--patch-size', '16'], /--image-size 30 is not a multiple of --patch-size 16/, 2],
    [['--recipe', 'nothing'], /--recipe nothing: cannot read configs\/nothing.yaml/, 2],
    [['--recipe', recipe], /wrong.yaml:3: unknown key "learning-rate"/, 2],
    [
      ['--precision', 'fp16', '--compress', 'powersgd'],
      /--compress powersgd .* which --precision fp16 changes; use bf16 or fp32/,
      2,
    ],
    [
      ['--device', 'cuda', '--precision', 'fp32'],
      /--device cuda cannot be used here .*libonnxruntime_providers_cuda.so.*npm run setup-cuda/,
      8,
    ],
    [
      ['--output-dir', path.join(recipe, 'run')],
      /cannot read .*wrong.yaml\/run\/config.json: ENOTDIR.*; --output-dir has to be a folder/,
      3,
    ],
    [['train-now'], /unknown task "train-now"/, 2],
  ];
  for (const [args, message, code] of cases) {
    const found = await launch(['--output-dir', path.join(folder, 'run'), ...args]);
    assert.match(found.output, message);
    assert.equal(found.code, code, found.output);
    assert.equal(found.output.trim().split('\n').length, 1, `one line: ${found.output}`);
  }
  assert.ok(!existsSync(path.join(folder, 'run')));
});

test('mistakes in the data end the run with the file named', async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 20);
  const empty = path.join(folder, 'empty.json');
  writeFileSync(empty, '{"annotations": []}');
  mkdirSync(path.join(folder, 'none'));
  const broken = await makeTinySet(path.join(folder, 'broken'), 20);
  const picture = path.join(broken.root, 'train2017/000000000007.jpg');
  writeFileSync(picture, 'not a picture');

  const cases: [string[], RegExp, number][] = [
    [
      ['--root', path.join(folder, 'none'), '--metadata', set.metadata],
      /there is no folder .*none\/train2017/,
      ERROR_CODES.data,
    ],
    [['--root', set.root, '--metadata', empty], /empty.json has no annotations/, ERROR_CODES.data],
    [
      ['--root', set.root, '--metadata', set.metadata, '--batch-size', '64'],
      /has 20 samples, too few for one micro-batch/,
      ERROR_CODES.data,
    ],
    [
      ['--root', set.root, '--metadata', set.metadata, '--update-freq', '9'],
      /an epoch has no step: 20 samples make 5 micro-batches/,
      ERROR_CODES.config,
    ],
    [
      ['--root', broken.root, '--metadata', broken.metadata],
      /the image .*000000000007.jpg cannot be read/,
      ERROR_CODES.data,
    ],
    [['--dataset', 'redcaps', '--root', set.root], /--dataset redcaps needs --metadata/, ERROR_CODES.data],
    [
      ['--root', set.root, '--metadata', set.metadata, '--lr', '1e30', '--warmup-epochs', '0'],
      /the loss is not finite at step [23]/,
      ERROR_CODES['non-finite'],
    ],
  ];
  for (const [i, [args, message, code]] of cases.entries()) {
    const found = await launch([
      ...['--nproc', '1', '--output-dir', path.join(folder, `run-${i}`), '--dataset', 'coco', '--model', 'SLIP_VITS16'],
      ...['--batch-size', '4', '--epochs', '2', ...TINY_MODEL, ...args],
    ]);
    assert.match(found.output, message);
    assert.equal(found.code, code, found.output);
  }

  const replaced = await launch([
    ...['--nproc', '1', '--output-dir', path.join(folder, 'replaced'), '--dataset', 'coco', '--model', 'CLIP_VITS16'],
    ...[
      '--root',
      broken.root,
      '--metadata',
      broken.metadata,
      '--batch-size',
      '4',
      '--epochs',
      '1',
      '--warmup-epochs',
      '0',
    ],
    ...[...TINY_MODEL, '--bad-samples', 'replace'],
  ]);
  assert.equal(replaced.code, 0, replaced.output);
  assert.match(replaced.output, /1 unreadable samples were replaced/);
});

test('a folder of another run is refused, with what differs', async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 12);
  const args = [
    ...['--nproc', '1', '--output-dir', path.join(folder, 'run'), ...datasetFlags(set)],
    ...['--model', 'CLIP_VITS16', '--batch-size', '4', '--epochs', '1', '--warmup-epochs', '0', ...TINY_MODEL],
  ];
  const first = await launch(args);
  assert.equal(first.code, 0, first.output);
  const other = await launch([...args, '--lr', '1e-4']);
  assert.equal(other.code, 2);
  assert.match(other.output, /belongs to another run \(lr 0.003 -> 0.0001\)/);
  const again = await launch(args);
  assert.equal(again.code, 0, again.output);
  assert.match(again.output, /finished at step 3 of 3/);
});
