// Using a model: features of a checkpoint that PyTorch's own modules made equal theirs (test/golden/embed.json), on any number of ranks,
// and what is made of features.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { readSafetensorsInto, writeSafetensors } from '@slip/checkpoint';
import { createMemoryGroups, createSoloGroup } from '@slip/comms';
import { type EmbedConfig, type PredictConfig, type RetrieveConfig, resolveUse, type UseConfig } from '@slip/config';
import { silentLogger } from '@slip/core';
import { readNpyMatrix } from '@slip/data';
import { CPU } from '@slip/engine';
import { openWeights } from '@slip/weights';
import { nearestRows } from '../encode/cosines.js';
import { countNearer, recallOf } from './recall.js';
import { runEmbed, type UsePlace } from './run-embed.js';
import { runPredict } from './run-predict.js';
import { runRecall } from './run-recall.js';
import { runRetrieve } from './run-retrieve.js';
import { shareFeatures } from './shared-features.js';

const goldenFolder = path.resolve(import.meta.dirname, '../../../test/golden');
const golden = JSON.parse(readFileSync(path.join(goldenFolder, 'embed.json'), 'utf8'));
const weights = path.join(goldenFolder, 'torch/embed.pt');
const heads = { resume: weights, 'vision-heads': golden.visionHeads, 'text-heads': golden.textHeads };

interface Input {
  readonly folder: string;
  readonly images: string;
  readonly texts: string;
}

async function makeInput(context: TestContext): Promise<Input> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'slip-use-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const images = path.join(folder, 'images');
  for (const [name, base64] of Object.entries(golden.pictures as Record<string, string>)) {
    mkdirSync(path.dirname(path.join(images, name)), { recursive: true });
    writeFileSync(path.join(images, name), Buffer.from(base64, 'base64'));
  }
  const texts = path.join(folder, 'texts.txt');
  writeFileSync(texts, `${golden.texts.join('\n')}\n`);
  return { folder, images, texts };
}

async function resolved<C extends UseConfig>(task: C['task'], flags: Record<string, unknown>): Promise<C> {
  return (await resolveUse(task, { flags: { threads: 1, ...heads, ...flags }, cwd: '.' })).config as C;
}

function placeOf(group: UsePlace['group'], lines: string[] = []): UsePlace {
  const log = { ...silentLogger, info: (line: string) => void lines.push(line) };
  return {
    group,
    log,
    threads: 1,
    device: CPU,
    cacheFolder: '',
    stopRequested: () => false,
    showProgress: () => undefined,
  };
}

async function onRanks(count: number, work: (place: UsePlace) => Promise<void>): Promise<string[]> {
  const lines: string[] = [];
  const groups = count === 1 ? [createSoloGroup()] : createMemoryGroups(count);
  await Promise.all(groups.map((group) => work(placeOf(group, lines))));
  await Promise.all(groups.map((group) => group.close()));
  return lines;
}

function assertClose(found: ArrayLike<number>, wanted: readonly number[], what: string): void {
  assert.equal(found.length, wanted.length, what);
  const worst = Math.max(...wanted.map((value, i) => Math.abs(value - found[i])));
  assert.ok(worst < 1e-4, `${what}: largest difference ${worst}`);
}

test('embed gives the features of PyTorch to 1e-4, and the same bits on 1, 2 and 3 ranks', async (context) => {
  const { folder, images, texts } = await makeInput(context);
  const bits: Buffer[] = [];
  for (const ranks of [1, 2, 3]) {
    const out = path.join(folder, `out${ranks}`);
    const config = await resolved<EmbedConfig>('embed', {
      ...{ images, texts, 'output-dir': out, 'batch-size': 1, safetensors: ranks === 1 },
    });
    mkdirSync(out);
    const [line] = (await onRanks(ranks, (place) => runEmbed(config, place))).slice(-1);
    assert.match(
      line,
      /^embed \* 3 images and 4 texts of width 6 in [\d.]+ s: .*image_features\.npy, .*text_features\.npy/,
    );
    const found = await readNpyMatrix(path.join(out, 'image_features.npy'));
    assert.deepEqual([found.rows, found.width], [3, golden.width]);
    assertClose(found.values, golden.imageFeatures, 'images');
    assertClose((await readNpyMatrix(path.join(out, 'text_features.npy'))).values, golden.textFeatures, 'texts');
    assert.deepEqual(readFileSync(path.join(out, 'images.txt'), 'utf8').split('\n').slice(0, -1), golden.names);
    bits.push(readFileSync(path.join(out, 'image_features.npy')), readFileSync(path.join(out, 'text_features.npy')));
  }
  for (let i = 2; i < bits.length; i++) assert.ok(bits[i].equals(bits[i % 2]), `file ${i}`);
  const read: Record<string, Float32Array> = {};
  await readSafetensorsInto(path.join(folder, 'out1/features.safetensors'), (name, _dtype, shape) => {
    read[name] = new Float32Array(shape[0] * shape[1]);
    return read[name];
  });
  assertClose(read.text_features, golden.textFeatures, 'safetensors');
});

test('parts that were computed before a stop are not computed again', async (context) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'slip-use-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const encoded: number[] = [];
  const run = (stopAfter: number, ranks: number) =>
    onRanks(ranks, async ({ group }) => {
      let calls = 0;
      const finish = await shareFeatures({
        ...{ folder, group, name: 'text', total: 11, width: 2, batchSize: 2, key: 'k', told: () => undefined },
        stopRequested: () => calls >= stopAfter,
        async encode(first, end) {
          calls += 1;
          for (let row = first; row < end; row++) encoded.push(row);
          return Float32Array.from({ length: 2 * (end - first) }, (_, i) => 2 * first + i);
        },
      });
      if (group.rank === 0) await finish();
    });
  await assert.rejects(run(1, 2), { code: 'stopped' });
  assert.deepEqual(
    [...encoded].sort((a, b) => a - b),
    [0, 1, 2, 3],
  );
  await run(100, 3);
  assert.deepEqual(
    [...encoded].sort((a, b) => a - b),
    Array.from({ length: 11 }, (_, i) => i),
  );
  const { rows, values } = await readNpyMatrix(path.join(folder, 'text_features.npy'));
  assert.equal(rows, 11);
  assert.deepEqual(
    [...values],
    Array.from({ length: 22 }, (_, i) => i),
  );
});

test('predict gives the softmax of scaled cosines; retrieve the nearest, both ways, and a page of pictures', async (context) => {
  const { folder, images, texts } = await makeInput(context);
  const [lines, out] = [[] as string[], path.join(folder, 'out')];
  const predict = await resolved<PredictConfig>('predict', {
    ...{ image: [path.join(images, 'a.png')], labels: 'dog, cat', template: 'a {}', json: true },
  });
  await onRanks(1, (place) =>
    runPredict({ ...predict, labels: 'a dog, cat', template: '{}' }, place, (line) => lines.push(line)),
  );
  const { labels } = JSON.parse(lines[0]) as { labels: { label: string; probability: number }[] };
  const row = (values: number[], i: number) => values.slice(i * golden.width, (i + 1) * golden.width);
  const cosine = (a: number[], b: number[]) =>
    a.reduce((sum, value, i) => sum + value * b[i], 0) / (Math.hypot(...a) * Math.hypot(...b));
  const [dog, cat] = [0, 3].map((text) => cosine(row(golden.imageFeatures, 0), row(golden.textFeatures, text)));
  const expected = 1 / (1 + Math.exp(golden.logitScale * (cat - dog)));
  const ofDog = labels.find(({ label }) => label === 'a dog')!;
  assert.ok(Math.abs(ofDog.probability - expected) < 1e-4, `${ofDog.probability}, ${expected}`);

  mkdirSync(out);
  const embed = await resolved<EmbedConfig>('embed', { images, texts, 'output-dir': out });
  await onRanks(1, (place) => runEmbed(embed, place));
  const retrieve = { embedded: out, 'top-k': 2, resume: '' };
  await onRanks(2, async (place) =>
    runRetrieve(await resolved<RetrieveConfig>('retrieve', retrieve), place, () => undefined),
  );
  const answers = readFileSync(path.join(out, 'retrieval/retrieval.json'), 'utf8').trimEnd().split('\n');
  assert.equal(answers.length, 7);
  const asked: string[] = [];
  const relative = path.relative(process.cwd(), path.join(images, 'b.png'));
  const query = { ...retrieve, query: ['a dog'], image: [relative], json: true };
  await onRanks(1, async (place) =>
    runRetrieve(await resolved<RetrieveConfig>('retrieve', query), place, (line) => asked.push(line)),
  );
  const [toImages, toTexts, alike] = asked.map((line) => JSON.parse(line));
  const best = [0, 1, 2].map((i) => cosine(row(golden.imageFeatures, i), row(golden.textFeatures, 0)));
  assert.equal(toImages.found[0].name, golden.names[best.indexOf(Math.max(...best))]);
  assert.ok(Math.abs(toImages.found[0].score - Math.max(...best)) < 1e-4);
  assert.equal(toTexts.kind, 'image-to-text');
  assert.equal(alike.found[0].name, 'b.png');
  assert.match(
    readFileSync(path.join(out, 'retrieval/retrieval.html'), 'utf8'),
    /<img alt="" src="data:image\/jpeg;base64,/,
  );
});

test('recalls are those of numpy, whatever the shares', async (context) => {
  const { imageOf, images, captions, figures } = golden.recall;
  const matrix = (values: number[]) => ({ rows: values.length / 5, width: 5, values: Float32Array.from(values) });
  const counts = ([0, 4, 5, 12] as const)
    .slice(0, -1)
    .map((first, i) => countNearer(matrix(images), matrix(captions), imageOf, [first, [4, 5, 12][i]]));
  const nearerImages = counts[0].nearerImages.map((_, i) =>
    counts.reduce((sum, part) => sum + part.nearerImages[i], 0),
  );
  const toText = recallOf(counts.flatMap(({ nearerCaptions }) => [...nearerCaptions]));
  const toImage = recallOf(nearerImages);
  for (const k of [1, 5, 10]) {
    assert.ok(Math.abs(toText[`R@${k}`] - figures[`imageToText@${k}`]) < 1e-9, `image to text ${k}`);
    assert.ok(Math.abs(toImage[`R@${k}`] - figures[`textToImage@${k}`]) < 1e-9, `text to image ${k}`);
  }
  const input = await makeInput(context);
  const [file, out] = [path.join(input.folder, 'captions.json'), path.join(input.folder, 'recall')];
  const named = (golden.names as string[]).map((file_name, id) => ({ id, file_name }));
  const annotations = ['a dog', 'cat', 'a photo of a cat', 'a dog'].map((caption, i) => ({ image_id: i % 3, caption }));
  writeFileSync(file, JSON.stringify({ images: named, annotations }));
  const lines: string[][] = [];
  for (const ranks of [1, 2]) {
    const config = await resolved<UseConfig>('recall', {
      images: input.images,
      captions: file,
      'output-dir': `${out}${ranks}`,
    });
    mkdirSync(`${out}${ranks}`);
    lines.push(await onRanks(ranks, (place) => runRecall(config as never, place)));
  }
  assert.match(
    lines[0].at(-1)!,
    /^recall \* image to text R@1 [\d.]+ R@5 100\.00 R@10 100\.00, text to image R@1 .* \(3 images, 4 captions\)$/,
  );
  assert.equal(lines[0].at(-1), lines[1].at(-1));
});

test('the nearest rows come best first, equals in their own order', () => {
  const rows = { rows: 4, width: 1, values: Float32Array.of(0.5, 0.9, 0.5, 0.1) };
  assert.deepEqual(
    nearestRows(Float32Array.of(1), rows, 3).map(({ row }) => row),
    [1, 0, 2],
  );
});

test('what cannot be done is one error that says why', async (context) => {
  const { folder, images } = await makeInput(context);
  const opened = await openWeights(weights);
  const simclr = path.join(folder, 'simclr.safetensors');
  const own = opened.tensors.filter(({ name }) => /^(visual|image_mlp)\./.test(name));
  await writeSafetensors(
    simclr,
    own.map(({ name, dtype, shape, byteLength, chunks }) => ({ name, dtype, shape, byteLength, chunks })),
  );
  await opened.close();
  const predict = (flags: Record<string, unknown>) =>
    onRanks(1, async (place) =>
      runPredict(
        await resolved<PredictConfig>('predict', { image: ['x.png'], labels: 'a, b', ...flags }),
        place,
        () => undefined,
      ),
    );
  await assert.rejects(predict({ resume: simclr }), {
    code: 'config',
    message: /simclr\.safetensors is a SimCLR model; use a CLIP or SLIP model/,
  });
  const damaged = path.join(images, 'damaged.png');
  writeFileSync(damaged, 'no picture');
  await assert.rejects(predict({ image: [damaged] }), { code: 'data', message: /damaged\.png cannot be read/ });
  const { 'vision-heads': _, ...headless } = heads;
  await assert.rejects(
    resolveUse('predict', { flags: { ...headless, image: ['x.png'], labels: 'a' }, cwd: '.' }).then(({ config }) =>
      onRanks(1, (place) => runPredict(config as PredictConfig, place, () => undefined)),
    ),
    { code: 'config', message: /pass --vision-heads/ },
  );
  for (const [task, flags, message] of [
    ['predict', { labels: 'a' }, /the picture is missing: slip-launch predict IMAGE/],
    ['predict', { image: ['x'] }, /--labels is missing/],
    ['predict', { image: ['x'], labels: 'a', template: 'x' }, /no \{\} where the label goes/],
    ['embed', { images: 'x' }, /--output-dir is missing/],
    ['retrieve', {}, /--embedded is missing/],
  ] as const) {
    await assert.rejects(resolved(task, flags), { code: 'config', message });
  }
});
