// Using a model as people do: embed on two workers and predict on one through slip-launch, and the example of docs/library.md.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { writeSafetensors } from '@slip/checkpoint';
import { readNpyMatrix } from '@slip/data';
import { openWeights } from '@slip/weights';
import { killedAndStopped } from '../evaluation/interrupted.js';

const root = path.resolve(import.meta.dirname, '../../..');
const golden = JSON.parse(readFileSync(path.join(root, 'test/golden/embed.json'), 'utf8'));
const weights = path.join(root, 'test/golden/torch/embed.pt');
const MODEL = ['--resume', weights, '--vision-heads', '2', '--text-heads', '2', '--threads', '1'];

function makeImages(context: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-use-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, base64] of Object.entries(golden.pictures as Record<string, string>)) {
    const file = path.join(folder, 'images', name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, Buffer.from(base64, 'base64'));
  }
  return folder;
}

function run(script: string, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(root, script), ...args], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('slip-launch embed on two workers leaves features and one line that can be found; a training is not overwritten', async (context) => {
  const folder = makeImages(context);
  const [texts, out] = [path.join(folder, 'texts.txt'), path.join(folder, 'out')];
  writeFileSync(texts, `${golden.texts.join('\n')}\n`);
  const input = ['--images', path.join(folder, 'images'), '--texts', texts, '--output-dir', out, '--batch-size', '2'];
  const { status, stderr } = run('orchestrator/bin/slip-launch.js', '--nproc', '2', 'embed', ...MODEL, ...input);
  assert.equal(status, 0, stderr);
  assert.equal(stderr.match(/embed \* 3 images and 4 texts of width 6 in /g)?.length, 1, stderr);
  const { values } = await readNpyMatrix(path.join(out, 'image_features.npy'));
  const worst = Math.max(...golden.imageFeatures.map((value: number, i: number) => Math.abs(value - values[i])));
  assert.ok(worst < 1e-4, `${worst}`);
  assert.equal(readFileSync(path.join(out, 'texts.txt'), 'utf8'), readFileSync(texts, 'utf8'));
  assert.ok(!existsSync(path.join(out, 'parts')));
  writeFileSync(path.join(out, 'config.json'), '{"hash":"","config":{}}');
  const refused = run('orchestrator/bin/slip-launch.js', 'embed', ...MODEL, ...input);
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /is the run folder of another task \(a training\); choose another folder/);
});

test('embed: a worker is killed at a picture, then the task is stopped there; the same command ends with the same bits', async (context) => {
  const folder = makeImages(context);
  const images = path.join(folder, 'images');
  const embed = (name: string) => ['embed', ...MODEL, '--images', images, '--batch-size', '1', '--output-dir', name];
  const [whole, cut] = [path.join(folder, 'whole'), path.join(folder, 'cut')];
  const undisturbed = run('orchestrator/bin/slip-launch.js', ...embed(whole));
  assert.equal(undisturbed.status, 0, undisturbed.stderr);
  const last = Object.keys(golden.pictures).sort().at(-1)!;
  await killedAndStopped(['--max-restarts', '1', ...embed(cut)], path.join(images, last));
  assert.ok(existsSync(path.join(cut, 'parts')) && !existsSync(path.join(cut, 'image_features.npy')));
  const continued = run('orchestrator/bin/slip-launch.js', ...embed(cut));
  assert.equal(continued.status, 0, continued.stderr);
  for (const file of ['image_features.npy', 'images.txt'])
    assert.deepEqual(readFileSync(path.join(cut, file)), readFileSync(path.join(whole, file)), file);
});

test('slip-launch predict prints labels for pictures, and names one that cannot be read', (context) => {
  const images = path.join(makeImages(context), 'images');
  const [good, bad] = [path.join(images, 'a.png'), path.join(images, 'bad.png')];
  writeFileSync(bad, 'no picture');
  const predict = (...pictures: string[]) =>
    run('orchestrator/bin/slip-launch.js', 'predict', ...pictures, ...MODEL, '--labels', 'a dog, a cat');
  const { status, stdout, stderr } = predict(good);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^.*a\.png\n +[\d.]+ % {2}a (dog|cat)\n +[\d.]+ % {2}a (dog|cat)\n$/);
  const refused = predict(good, bad);
  assert.equal(refused.status, 3, refused.stderr);
  assert.match(refused.stderr, /bad\.png cannot be read/);
});

test('a SimCLR model is refused in one line, before anything is started', async (context) => {
  const folder = makeImages(context);
  const simclr = path.join(folder, 'simclr.safetensors');
  const opened = await openWeights(weights);
  const own = opened.tensors.filter(({ name }) => /^(visual|image_mlp)\./.test(name));
  await writeSafetensors(simclr, own);
  await opened.close();
  const cases: [string[], string][] = [
    [['predict', path.join(folder, 'images/a.png'), '--labels', 'a, b'], 'choosing among labels'],
    [['zeroshot', '--root', folder], 'zero-shot classification'],
  ];
  for (const [args, what] of cases) {
    const { status, stderr } = run('orchestrator/bin/slip-launch.js', ...args, '--resume', simclr);
    assert.equal(status, 2, stderr);
    const told = /\nslip-launch: \[config\] (.*)\n$/.exec(stderr)?.[1];
    assert.equal(
      told,
      `${what} needs a model that knows texts, and ${simclr} is a SimCLR model; use a CLIP or SLIP model`,
    );
  }
});

test('the example of docs/library.md is a program that runs', (context) => {
  const source = readFileSync(path.join(root, 'test/src/use/library-example.ts'), 'utf8');
  const page = readFileSync(path.join(root, 'docs/library.md'), 'utf8');
  assert.equal(/```ts\n([\s\S]*?)```/.exec(page)?.[1], source);
  const images = path.join(makeImages(context), 'images');
  const { status, stdout, stderr } = run('test/dist/use/library-example.js', weights, images, 'a dog');
  assert.equal(status, 0, stderr);
  const lines = stdout.trimEnd().split('\n');
  assert.equal(lines.length, 2);
  for (const line of lines) assert.match(line, /^-?0\.\d{4} [ab]\.png: (dog|cat), [\d.]+ %$/);
});
