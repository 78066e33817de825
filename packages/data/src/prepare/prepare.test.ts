// What slip-data makes, against what Python makes of the same files (test/golden/generate-datasets.py), and how it goes on
// after an interruption.
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { PickleInput, unpickle } from '@slip/pickle';
import sharp from 'sharp';
import { type DatasetLocation, openDataset } from '../datasets/captioned-dataset.js';
import {
  buildZipIndex,
  combineCaptions,
  datasetStats,
  makeConceptual,
  makeYfcc15m,
  packDataset,
  verifyDataset,
  writeContactSheet,
  yfccArchives,
} from './index.js';

const golden = path.resolve(import.meta.dirname, '../../../../test/golden/datasets');
const inputs = path.join(golden, 'prepare');
const work = mkdtempSync(path.join(os.tmpdir(), 'slip-prepare-'));
after(() => rmSync(work, { recursive: true, force: true }));
const progress = () => {};

function folder(name: string): string {
  const made = path.join(work, name);
  mkdirSync(made);
  return made;
}

test('make-yfcc15m gives the records that the original gives', async () => {
  const output = folder('yfcc');
  const options = {
    ids: path.join(inputs, 'flickr_unique_ids.npy'),
    subset: path.join(inputs, 'yfcc100m_subset_data.tsv'),
    dataset: path.join(inputs, 'yfcc100m_dataset.txt'),
    output,
    progress,
  };
  const expected = JSON.parse(readFileSync(path.join(inputs, 'expected.json'), 'utf8'));
  assert.deepEqual(await makeYfcc15m(options), { captioned: 6, images: 7 });
  const read = (name: string) =>
    unpickle(PickleInput.fromBytes(readFileSync(path.join(output, name)), { file: name, errorCode: 'data' }));
  assert.deepEqual(read('yfcc15m.pkl'), expected.captioned);
  assert.deepEqual(read('yfcc100m.pkl'), expected.images);

  const bad = path.join(output, 'bad.txt');
  writeFileSync(bad, 'no number\tx\n');
  await assert.rejects(makeYfcc15m({ ...options, dataset: bad }), /bad.txt:1: the first column is "no number"/);
  writeFileSync(bad, '0\tx\n');
  await assert.rejects(makeYfcc15m({ ...options, dataset: bad }), /bad.txt:1: 2 columns instead of at least 10/);
  assert.deepEqual(readdirSync(output).sort(), ['bad.txt', 'yfcc100m.pkl', 'yfcc15m.pkl'], 'nothing half written');
});

test('combine-captions gives the list that the original gives', async () => {
  const output = path.join(folder('redcaps'), 'all.json');
  const input = path.join(golden, 'redcaps/annotations');
  assert.deepEqual(await combineCaptions({ input, output, progress }), { files: 2, captions: 3 });
  const expected = readFileSync(path.join(golden, 'redcaps/redcaps_v1.json'), 'utf8');
  assert.equal(readFileSync(output, 'utf8'), expected, 'to the byte, as the annotations were written alike');
  const broken = folder('broken');
  writeFileSync(path.join(broken, 'a.json'), '{"annotations": [{"caption": "x"}');
  await assert.rejects(
    combineCaptions({ input: broken, output: path.join(broken, 'out'), progress }),
    /ends in the middle/,
  );
  assert.deepEqual(readdirSync(broken), ['a.json']);
  await assert.rejects(
    combineCaptions({ input: path.join(inputs, 'none'), output, progress }),
    /--input .*none cannot be read/,
  );
});

for (const kind of ['cc3m', 'cc12m'] as const) {
  test(`make-${kind} finds pictures by CRC-32, by row and by img2dataset's notes`, async () => {
    const output = path.join(folder(kind), `${kind}.npy`);
    const tsv = path.join(inputs, `${kind}.tsv`);
    const expected: Record<string, readonly [row: number, file: (crc: (n: number) => string) => string][]> = {
      'by-row': [
        [0, () => '0.jpg'],
        [5, () => '5.png'],
      ],
      img2dataset: [
        [0, () => '00000/000000000.jpg'],
        [2, () => '00000/000000003.jpg'],
        [5, () => '00000/000000001.jpg'],
      ],
      'by-crc': [],
    };
    for (const [layout, rows] of Object.entries(expected)) {
      const images = path.join(inputs, layout);
      const { found, rows: all } = await makeConceptual({ kind, tsv, images, output, progress });
      const set = await openDataset({ dataset: kind, root: images, metadata: output });
      assert.deepEqual([all, found, set.length], [6, layout === 'by-crc' ? 2 : rows.length, found]);
      for (let i = 0; i < found; i++) {
        const { image, captions } = set.describe(i);
        assert.ok(existsSync(image.name), image.name);
        const row = layout === 'by-crc' ? [1, 4][i] : rows[i][0];
        assert.deepEqual(captions, [`caption ${row} of café`]);
        const { width } = await sharp(await image.bytes()).metadata();
        assert.equal(width, 24 + row, 'the picture of this row');
        if (layout !== 'by-crc') assert.equal(path.relative(images, image.name), rows[i][1](String));
      }
      set.close();
    }
    const none = path.join(golden, 'coco');
    await assert.rejects(makeConceptual({ kind, tsv, images: none, output, progress }), /none of the 6 rows/);
    const other = path.join(inputs, kind === 'cc3m' ? 'cc12m.tsv' : 'cc3m.tsv');
    await assert.rejects(
      makeConceptual({ kind, tsv: other, images: none, output, progress }),
      /:1: .*columns are wanted/,
    );
  });
}

function yfccCopy(name: string): DatasetLocation {
  const root = path.join(work, name);
  cpSync(path.join(golden, 'yfcc'), root, { recursive: true });
  return { dataset: 'yfcc15m', root, metadata: path.join(root, 'yfcc15m.pkl') };
}

test('verify names what is bad, and goes on where it was', async () => {
  const location = yfccCopy('verify');
  rmSync(path.join(location.root, 'images/00/001.zip'));
  const report = path.join(work, 'report.jsonl');
  const options = { location, report, concurrency: 3, restart: false, progress };
  assert.deepEqual(await verifyDataset(options), { samples: 5, bad: 1, resumedAt: 0 });
  const whole = readFileSync(report, 'utf8');
  const [head, bad, mark] = whole.split('\n').map((line) => (line === '' ? undefined : JSON.parse(line)));
  assert.deepEqual([head.samples, bad.sample, mark.verified], [5, 2, 5]);
  assert.match(bad.error, /001.zip#000.jpg cannot be read: ENOENT/);
  assert.deepEqual(await verifyDataset(options), { samples: 5, bad: 1, resumedAt: 5 });
  writeFileSync(report, whole.slice(0, -3));
  assert.deepEqual(await verifyDataset(options), { samples: 5, bad: 1, resumedAt: 0 }, 'a cut report is continued');
  assert.equal(readFileSync(report, 'utf8'), whole);
  const other = { ...location, metadata: path.join(location.root, 'yfcc15m.p4.pkl') };
  await assert.rejects(verifyDataset({ ...options, location: other }), /is of another set or no report/);
  assert.equal((await verifyDataset({ ...options, location: other, restart: true })).samples, 3);
});

test('packed shards are the set, smaller if wanted, and an interrupted packing goes on', async () => {
  const location = yfccCopy('pack');
  const output = path.join(work, 'shards');
  const options = { location, output, samplesPerShard: 2, quality: 95, skipBad: false, concurrency: 2, progress };
  assert.deepEqual(await packDataset(options), { shards: 3, kept: 0, samples: 5, skipped: 0 });
  const [set, packed] = [
    await openDataset(location),
    await openDataset({ dataset: 'webdataset', root: output, metadata: '' }),
  ];
  assert.equal(packed.length, set.length);
  for (let i = 0; i < set.length; i++) {
    assert.deepEqual(packed.describe(i).captions, set.describe(i).captions);
    assert.ok(Buffer.from(await set.describe(i).image.bytes()).equals(await packed.describe(i).image.bytes()));
  }
  rmSync(path.join(output, '00001.tar'));
  assert.equal((await packDataset(options)).kept, 2);
  await assert.rejects(packDataset({ ...options, resize: 8 }), /holds shards of other settings/);
  const small = path.join(work, 'small');
  await packDataset({ ...options, output: small, resize: 16, samplesPerShard: 100 });
  const tiny = await openDataset({ dataset: 'webdataset', root: small, metadata: '' });
  assert.equal((await sharp(await tiny.describe(4).image.bytes()).metadata()).height, 16);
  rmSync(path.join(location.root, 'images/12/345.zip'));
  const bad = path.join(work, 'bad-shards');
  await assert.rejects(
    packDataset({ ...options, output: bad }),
    /345.zip#678.jpg .*\(sample 0\); repair it, or pass --skip-bad/,
  );
  assert.deepEqual(readdirSync(bad), [], 'nothing half written');
  assert.equal((await packDataset({ ...options, output: bad, skipBad: true })).skipped, 3);
});

test('an index of zip directories finds the pictures, and an archive that changed is looked at again', async () => {
  const location = yfccCopy('zips');
  const images = path.join(location.root, 'images');
  const made = await buildZipIndex(images, yfccArchives(), undefined, () => {});
  assert.deepEqual(made, { archives: 3, images: 5, missing: 99_997, damaged: [] });
  const set = await openDataset(location);
  const bytes = await Promise.all([0, 1, 2, 3, 4].map((i) => set.describe(i).image.bytes()));
  const archive = path.join(images, '12/345.zip');
  cpSync(path.join(images, '00/000.zip'), archive);
  await assert.rejects(set.describe(0).image.bytes(), /345.zip#678.jpg cannot be read: the archive has no such member/);
  cpSync(path.join(golden, 'yfcc/images/12/345.zip'), archive);
  assert.deepEqual(await set.describe(0).image.bytes(), bytes[0]);
});

test('stats and the contact sheet of a set', async () => {
  const location = yfccCopy('stats');
  const stats = await datasetStats({ location, pictures: 10, seed: 0, contextLength: 77, progress });
  assert.deepEqual([stats.samples, stats.captions, stats.emptyCaptions, stats.looked], [5, 10, 2, 5]);
  assert.deepEqual([stats.captionLength.max, stats.shortSide.max, stats.formats], [10_000, 16, { jpeg: 5 }]);
  assert.ok(stats.tooLong > 0 && stats.tooLong < 0.5);
  const output = path.join(work, 'sheet.png');
  const shown = await writeContactSheet({ location, output, samples: 3, epoch: 0, seed: 1, imageSize: 32 });
  assert.equal(shown.length, 3);
  const { data, info } = await sharp(output).raw().toBuffer({ resolveWithObject: true });
  assert.equal(info.height, 3 * 36 - 4);
  const { colours } = JSON.parse(readFileSync(path.join(golden, 'expected.json'), 'utf8'));
  const middle = (row: number) => [...data.subarray((row * 36 * info.width + 10) * info.channels).subarray(0, 3)];
  for (const [row, sample] of shown.entries()) {
    const near = middle(row).every((value, channel) => Math.abs(value - colours[sample][channel]) < 8);
    assert.ok(near, `the first view of sample ${sample} has its colour`);
  }
  await assert.rejects(
    writeContactSheet({
      location,
      output: path.join(work, 'none/x.png'),
      samples: 1,
      epoch: 0,
      seed: 0,
      imageSize: 32,
    }),
    { code: 'data', message: /none.x.png cannot be written/ },
  );
});
