// Every kind of set, written by Python in its own layout (test/golden/generate-datasets.py), gives what Python put in.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { decodeImage } from '../images/decode-image.js';
import { createTrainLoader } from '../loader/train-loader.js';
import { openDataset } from './captioned-dataset.js';
import { DATASET_FORMATS } from './formats.js';
import { READERS } from './readers.js';

interface Expected {
  readonly colours: readonly (readonly number[])[];
  readonly sets: Readonly<
    Record<
      string,
      {
        dataset: string;
        root: string;
        metadata: string;
        samples: { name: string; captions: string[]; number: number }[];
      }
    >
  >;
}

const golden = path.resolve(import.meta.dirname, '../../../../test/golden/datasets');
const { colours, sets } = JSON.parse(readFileSync(path.join(golden, 'expected.json'), 'utf8')) as Expected;
const work = mkdtempSync(path.join(os.tmpdir(), 'slip-sets-'));
after(() => rmSync(work, { recursive: true, force: true }));

for (const [name, { dataset, root, metadata, samples }] of Object.entries(sets)) {
  test(`${name}: records and pictures, the first time and from the index`, async () => {
    const location = {
      dataset,
      root: path.join(golden, root),
      metadata: metadata === '' ? '' : path.join(golden, metadata),
      indexDir: path.join(work, name),
    };
    for (const time of ['first', 'second']) {
      const set = await openDataset(location);
      assert.equal(set.length, samples.length, time);
      for (const [i, sample] of samples.entries()) {
        const { image, captions } = set.describe(i);
        assert.equal(path.relative(location.root, image.name), sample.name);
        assert.deepEqual(captions, sample.captions);
        const { width, height, data } = await decodeImage(image);
        assert.deepEqual([width, height], [24 + sample.number, 16]);
        const colour = colours[sample.number % colours.length];
        assert.ok(
          colour.every((value, channel) => Math.abs(value - data[channel]) < 6),
          image.name,
        );
      }
      set.close();
    }
  });
}

test('the table of formats and the readers name the same sets, and all of them are tested', () => {
  const names = DATASET_FORMATS.map(({ name }) => name).sort();
  assert.deepEqual(Object.keys(READERS).sort(), names);
  assert.deepEqual([...new Set(Object.values(sets).map(({ dataset }) => dataset))].sort(), names);
});

test('what is missing or of another kind is named', async () => {
  const at = (file: string) => path.join(golden, file);
  const indexDir = path.join(work, 'wrong');
  const cases: [Parameters<typeof openDataset>[0], RegExp][] = [
    [{ dataset: 'yfcc15m', root: at('yfcc'), metadata: '' }, /yfcc15m needs --metadata: yfcc15m.pkl/],
    [{ dataset: 'yfcc15m', root: at('coco'), metadata: at('yfcc/yfcc15m.pkl') }, /there is no folder .*coco.images/],
    [{ dataset: 'yfcc15m', root: at('yfcc'), metadata: at('absent') }, /--metadata .*absent cannot be read: ENOENT/],
    [{ dataset: 'yfcc15m', root: at('yfcc'), metadata: at('cc3m/cc3m.npy') }, /empty stack, at byte 0 of the pickle/],
    [{ dataset: 'cc3m', root: at('cc3m'), metadata: at('yfcc/yfcc15m.pkl') }, /is no numpy file/],
    [{ dataset: 'cc12m', root: at('cc3m'), metadata: at('cc3m/cc3m.npy') }, /record 0 needs image_name and a list/],
    [{ dataset: 'coco', root: at('coco'), metadata: at('redcaps/redcaps_v1.json') }, /annotation 0 needs a number/],
    [{ dataset: 'redcaps', root: at('redcaps'), metadata: at('coco/captions_train2017.json') }, /annotation 0 needs/],
    [{ dataset: 'webdataset', root: at('coco'), metadata: '' }, /has no \.tar files/],
    [{ dataset: 'image-folder', root: at('coco'), metadata: '' }, /no image with a caption beside it/],
    [{ dataset: 'image-folder', root: at('coco'), metadata: at('cc3m/cc3m.npy') }, /neither .jsonl nor .csv/],
    [
      { dataset: 'csv', root: at('folder'), metadata: at('folder/captions.csv'), csvImgKey: 'filepaht' },
      /--csv-img-key filepaht is no column; did you mean filepath/,
    ],
  ];
  for (const [location, message] of cases) {
    await assert.rejects(openDataset({ ...location, indexDir }), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'data', String(error.stack));
      assert.match(error.message, message);
      return true;
    });
  }
});

test('a picture that is not in its archive, or damaged there, is named', async () => {
  const root = path.join(work, 'damaged');
  cpSync(path.join(golden, 'yfcc'), root, { recursive: true });
  const set = await openDataset({ dataset: 'yfcc15m', root, metadata: path.join(root, 'yfcc15m.pkl') });
  const { image } = set.describe(0);
  const archive = image.name.split('#')[0];
  const bytes = readFileSync(archive);
  const changed = Buffer.from(bytes);
  changed[100] ^= 1;
  writeFileSync(archive, changed);
  await assert.rejects(image.bytes(), /#678.jpg cannot be read: .*checksum/);
  writeFileSync(archive, bytes.subarray(0, 300));
  await assert.rejects(image.bytes(), /345.zip has no zip directory at its end/);
  rmSync(archive);
  await assert.rejects(image.bytes(), /345.zip#678.jpg cannot be read: ENOENT/);
});

test('the trainer reads from archives and shards as from files, with and without threads', async () => {
  for (const name of ['yfcc', 'webdataset', 'folder-jsonl']) {
    const { dataset, root, metadata } = sets[name];
    const location = {
      dataset,
      root: path.join(golden, root),
      metadata: metadata === '' ? '' : path.join(golden, metadata),
      indexDir: path.join(work, 'loader'),
    };
    const read = async (workers: number) => {
      const loader = await createTrainLoader({
        dataset: location,
        views: ['image', 'aug1', 'tokens'],
        imageSize: 8,
        contextLength: 12,
        seed: 1,
        sampler: 'slip',
        truncate: 'keep-eot',
        transforms: 'fast',
        badSamples: 'fail',
        rows: [2],
        rank: 0,
        workers,
        prefetchBytes: 1e8,
      });
      const { image, aug1, tokens, samples } = await loader.next();
      await loader.close();
      return { image, aug1, tokens, samples };
    };
    assert.deepEqual(await read(1), await read(0), name);
  }
});
