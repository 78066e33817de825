// Loaders give the same bytes whatever the threads and ranks, from any position, and say which file is bad.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import sharp from 'sharp';
import { type DatasetLocation, openDataset } from '../datasets/captioned-dataset.js';
import { openLabelled } from '../datasets/labelled-dataset.js';
import { decodeImage } from '../images/decode-image.js';
import { slipOrder } from '../sampler/sample-order.js';
import { BatchMaker, shapeOf } from './batch-maker.js';
import { arraysIn, createSlot } from './batch-slot.js';
import { createEvalLoader } from './eval-loader.js';
import { threadPool } from './loader-pool.js';
import { createTrainLoader, type TrainBatch, type TrainLoaderOptions } from './train-loader.js';

const COUNT = 13;
let folder: string;
let options: Omit<TrainLoaderOptions, 'rank' | 'rows' | 'workers' | 'dataset'> & { dataset: DatasetLocation };

before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'slip-loader-'));
  mkdirSync(path.join(folder, 'train2017'));
  const annotations: unknown[] = [];
  for (let id = 1; id <= COUNT; id++) {
    const pixels = Buffer.from(Uint8Array.from({ length: 24 * 20 * 3 }, (_, i) => (i * id * 7) % 251));
    const image = sharp(pixels, { raw: { width: 24, height: 20, channels: 3 } });
    await (id % 2 === 0 ? image.grayscale() : image)
      .jpeg()
      .toFile(path.join(folder, `train2017/${String(id).padStart(12, '0')}.jpg`));
    annotations.push(
      { id: 2 * id, image_id: id, caption: `picture ${id}` },
      { id: 2 * id + 1, image_id: id, caption: `number ${id}` },
    );
  }
  writeFileSync(path.join(folder, 'captions.json'), JSON.stringify({ annotations }));
  options = {
    dataset: { dataset: 'coco', root: folder, metadata: path.join(folder, 'captions.json') },
    views: ['image', 'aug1', 'aug2', 'tokens'],
    imageSize: 8,
    contextLength: 8,
    seed: 3,
    sampler: 'slip',
    truncate: 'keep-eot',
    transforms: 'fast',
    badSamples: 'fail',
    prefetchBytes: 1e8,
  };
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Bytes of some micro-batches over all ranks, in row order. */
async function read(
  worldSize: number,
  workers: number,
  positions: [number, number][],
  changes: Partial<TrainLoaderOptions> = {},
) {
  const batches = [];
  const loaders = await Promise.all(
    Array.from({ length: worldSize }, (_, rank) =>
      createTrainLoader({
        ...{ ...options, ...changes, rank, workers },
        rows: new Array<number>(worldSize).fill(4 / worldSize),
      }),
    ),
  );
  for (const [epoch, batch] of positions) {
    const parts: TrainBatch[] = [];
    for (const loader of loaders) {
      loader.seek(epoch, batch);
      const part = await loader.next();
      assert.equal(part.index, batch);
      parts.push(part);
    }
    batches.push({
      samples: parts.flatMap(({ samples }) => [...samples]),
      views: (['image', 'aug1', 'aug2', 'tokens'] as const).map((view) => parts.flatMap((part) => [...part[view]!])),
    });
  }
  await Promise.all(loaders.map((loader) => loader.close()));
  return batches;
}

const POSITIONS: [number, number][] = [
  [0, 0],
  [0, 1],
  [0, 2],
  [1, 0],
  [5, 2],
];

for (const transforms of ['fast', 'exact'] as const) {
  test(`0, 1 and 4 threads and 1 and 2 ranks give the same rows (${transforms})`, async () => {
    const expected = await read(1, 0, POSITIONS, { transforms });
    assert.deepEqual(await read(1, 1, POSITIONS, { transforms }), expected);
    assert.deepEqual(await read(1, 4, POSITIONS, { transforms }), expected);
    assert.deepEqual(await read(2, 1, POSITIONS, { transforms, prefetchBytes: 0 }), expected);
    assert.notDeepEqual(expected[0].views[1], expected[0].views[2], 'the two augmented views differ');
  });
}

test('a loader goes on into the next epoch, and from a position as if it had come there', async () => {
  const expected = await read(1, 0, POSITIONS);
  const loader = await createTrainLoader({ ...options, rank: 0, workers: 1, rows: [4] });
  assert.equal(loader.batchesPerEpoch, 3);
  for (let i = 0; i < 4; i++) {
    const batch = await loader.next();
    assert.deepEqual([batch.epoch, batch.index], [Math.floor(i / 3), i % 3]);
    assert.deepEqual([...batch.samples], expected[i].samples);
    assert.deepEqual([...batch.aug1!], expected[i].views[1]);
  }
  await loader.close();
});

test('an unreadable image is named, or replaced by the next sample and counted', async (context) => {
  const bad = path.join(folder, 'train2017/000000000004.jpg');
  const whole = readFileSync(bad);
  context.after(() => writeFileSync(bad, whole));
  writeFileSync(bad, 'no picture');
  for (const workers of [0, 1]) {
    const failing = await createTrainLoader({ ...options, rank: 0, workers, rows: [13] });
    await assert.rejects(
      failing.next(),
      /000000000004.jpg cannot be read: .*; repair it, or pass --bad-samples replace/,
    );
    writeFileSync(bad, whole);
    const repaired = await failing.next();
    assert.deepEqual([repaired.epoch, repaired.index], [0, 0], 'what failed is next again');
    writeFileSync(bad, 'no picture');
    await failing.close();
    const replacing = await createTrainLoader({
      ...options,
      badSamples: 'replace',
      rank: 0,
      workers,
      rows: [13],
    });
    await replacing.next();
    assert.equal(replacing.replacedSamples, 1);
    assert.match(replacing.replacedBecause.join(), /^the image .*000000000004.jpg cannot be read: [^,]*$/);
    await replacing.close();
  }
});

test('a closed loader rejects what is awaited and what is asked for later', async () => {
  for (const workers of [0, 1]) {
    const loader = await createTrainLoader({ ...options, rank: 0, workers, rows: [4] });
    const awaited = assert.rejects(loader.next(), /closed while a batch was awaited/);
    await loader.close();
    await awaited;
    await assert.rejects(loader.next(), /closed loader/);
  }
});

test('a thread that cannot open the set says so, and a closed pool makes nothing', async () => {
  const nowhere = { ...options.dataset, root: path.join(folder, 'nowhere') };
  const making = { ...options, cacheBytes: 0, maxRows: 1 };
  const slot = { id: 0, memory: createSlot(shapeOf(making)) };
  const pool = threadPool(nowhere, making, 1);
  await assert.rejects(pool.make(0, Uint32Array.of(0), slot), /there is no folder .*nowhere/);
  await pool.close();
  await assert.rejects(pool.make(0, Uint32Array.of(0), slot), /closed/);
});

test('the cache of decoded pictures saves reading and changes no byte', async () => {
  const dataset = await openDataset(options.dataset);
  let read = 0;
  const describe = (index: number) => {
    const sample = dataset.describe(index);
    const bytes = () => {
      read += 1;
      return sample.image.bytes();
    };
    return { ...sample, image: { ...sample.image, bytes } };
  };
  const samples = Uint32Array.from({ length: COUNT }, (_, i) => i);
  const withCache = async (cacheBytes: number, imageSize: number) => {
    read = 0;
    const making = { ...options, views: ['aug1'], imageSize, cacheBytes, maxRows: COUNT } as const;
    const memory = createSlot(shapeOf(making));
    const maker = new BatchMaker({ ...dataset, describe }, making);
    await maker.make(0, samples, memory);
    await maker.make(1, samples, memory);
    return { batch: arraysIn(memory, shapeOf(making), COUNT).aug1!.slice(), read };
  };
  const [whole, part, none] = [await withCache(1e6, 16), await withCache(8 * 24 * 20 * 3, 16), await withCache(0, 16)];
  assert.deepEqual([whole.read, part.read, none.read], [COUNT, 2 * COUNT - 8, 2 * COUNT]);
  assert.deepEqual(part.batch, whole.batch);
  assert.deepEqual(none.batch, whole.batch);
});

test('large pictures are shrunk while they are unpacked, in fast only, and not kept: another epoch may want them whole', async () => {
  const pixels = Buffer.from(Uint8Array.from({ length: 600 * 500 * 3 }, (_, i) => 128 + 100 * Math.sin(i / 700)));
  const bytes = await sharp(pixels, { raw: { width: 600, height: 500, channels: 3 } })
    .jpeg()
    .toBuffer();
  let read = 0;
  const image = {
    name: 'large',
    bytes: async () => {
      read += 1;
      return bytes;
    },
  };
  const dataset = { name: 'one', length: 1, describe: () => ({ image, captions: ['large'] }), close: () => {} };
  const make = async (transforms: 'fast' | 'exact', cacheBytes: number) => {
    read = 0;
    const making = { ...options, transforms, views: ['image'], imageSize: 32, cacheBytes, maxRows: 1 } as const;
    const memory = createSlot(shapeOf(making));
    const maker = new BatchMaker(dataset, making);
    for (const epoch of [0, 1]) await maker.make(epoch, Uint32Array.of(0), memory);
    return { read, view: arraysIn(memory, shapeOf(making), 1).image!.slice() };
  };
  const [fast, without, exact] = [await make('fast', 1e7), await make('fast', 0), await make('exact', 1e7)];
  assert.deepEqual([fast.read, without.read, exact.read], [2, 2, 1]);
  assert.deepEqual(fast.view, without.view);
  assert.notDeepEqual(fast.view, exact.view);
  for (let i = 0; i < fast.view.length; i++) assert.ok(Math.abs(fast.view[i] - exact.view[i]) < 0.2);
});

test('a seek to where the loader is keeps its prefetch, any other drops it', async (context) => {
  // Pictures that could not be read are not cached, so a failure tells when a batch was made.
  const inSecondBatch = slipOrder(options.seed, 0, COUNT)[4];
  const file = (await openDataset(options.dataset)).describe(inSecondBatch).image.name;
  const whole = readFileSync(file);
  context.after(() => writeFileSync(file, whole));
  for (const [where, kept] of [
    [[0, 1], true],
    [[2, 0], false],
  ] as const) {
    writeFileSync(file, 'no picture');
    const loader = await createTrainLoader({ ...options, rank: 0, workers: 0, rows: [4] });
    await loader.next();
    await setTimeout(300);
    writeFileSync(file, whole);
    loader.seek(where[0], where[1]);
    loader.seek(0, 1);
    if (kept) await assert.rejects(loader.next(), /cannot be read/);
    else assert.equal((await loader.next()).index, 1);
    await loader.close();
  }
});

test('pictures are decoded as they are stored: no colour profile, no rotation, no blending with alpha', async () => {
  const raw = { width: 3, height: 2, channels: 3 as const };
  const pixels = Buffer.from(Uint8Array.from({ length: 18 }, (_, i) => (i * 37) % 256));
  const turned = path.join(folder, 'turned.png');
  await sharp(pixels, { raw }).withMetadata({ orientation: 6 }).png().toFile(turned);
  const { data, ...size } = await decodeImage(turned);
  assert.deepEqual([[...data], size], [[...pixels], { width: 3, height: 2, channels: 3 }]);

  const wide = path.join(folder, 'wide.png');
  await sharp(pixels, { raw }).withIccProfile('p3').png().toFile(wide);
  const stored = await sharp(wide, { ignoreIcc: true }).raw().toBuffer();
  assert.notDeepEqual([...stored], [...pixels], 'the profile has an effect');
  assert.deepEqual([...(await decodeImage(wide)).data], [...stored]);

  const clear = path.join(folder, 'clear.png');
  const background = { r: 10, g: 200, b: 30, alpha: 0.25 };
  await sharp({ create: { width: 1, height: 1, channels: 4, background } })
    .png()
    .toFile(clear);
  assert.deepEqual([...(await decodeImage(clear)).data], [10, 200, 30]);
});

test('a JPEG that ends early is read as far as it goes, one without its header is not', async () => {
  const raw = { width: 64, height: 64, channels: 3 as const };
  const noise = Buffer.from(Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i * 31) % 253));
  const jpeg = await sharp(noise, { raw }).jpeg().toBuffer();
  const cut = path.join(folder, 'cut.jpg');
  writeFileSync(cut, jpeg);
  const { data: whole } = await decodeImage(cut);
  writeFileSync(cut, jpeg.subarray(0, jpeg.length >> 1));
  const { data: half } = await decodeImage(cut);
  assert.equal(half.length, whole.length);
  assert.deepEqual([...half.subarray(0, 8 * 64 * 3)], [...whole.subarray(0, 8 * 64 * 3)]);
  assert.deepEqual([...half.subarray(-3)], [128, 128, 128]);
  writeFileSync(cut, jpeg.subarray(0, 100));
  await assert.rejects(decodeImage(cut), /cut.jpg cannot be read/);
});

const openFolder = (root: string) => openLabelled({ kind: 'image-folder', dataset: 'test', root });

test('linked class folders and images count, loops of links end', async () => {
  const linked = path.join(folder, 'linked');
  const elsewhere = path.join(folder, 'elsewhere');
  mkdirSync(path.join(linked, 'b'), { recursive: true });
  mkdirSync(path.join(elsewhere, 'named.jpg'), { recursive: true });
  writeFileSync(path.join(elsewhere, 'x.jpeg'), '');
  writeFileSync(path.join(elsewhere, 'named.jpg/y.PPM'), '');
  symlinkSync(elsewhere, path.join(linked, 'a'));
  symlinkSync(elsewhere, path.join(elsewhere, 'loop'));
  symlinkSync(path.join(elsewhere, 'x.jpeg'), path.join(linked, 'b/z.jpg'));
  const { classes, length, describe } = await openFolder(linked);
  assert.deepEqual(classes, ['a', 'b']);
  assert.deepEqual(
    Array.from({ length }, (_, i) => describe(i)).map(({ image, label }) => [path.relative(linked, image.name), label]),
    [
      ['a/named.jpg/y.PPM', 0],
      ['a/x.jpeg', 0],
      ['b/z.jpg', 1],
    ],
  );
  await assert.rejects(openFolder(path.join(folder, 'absent')), /absent cannot be read.*one sub-folder per class/);
});

test('a set that cannot be read says why', async () => {
  const coco = { ...options.dataset };
  const wrong = path.join(folder, 'wrong.json');
  const cases: [unknown, RegExp][] = [
    ['{', /wrong.json ends in the middle, at byte 1/],
    [{}, /wrong.json has no annotations/],
    [{ annotations: [{ image_id: 'x' }] }, /wrong.json: annotation 0 needs a number "image_id" and a text "caption"/],
  ];
  for (const [content, message] of cases) {
    writeFileSync(wrong, typeof content === 'string' ? content : JSON.stringify(content));
    await assert.rejects(openDataset({ ...coco, metadata: wrong }), message);
  }
  await assert.rejects(openDataset({ ...coco, root: '/nowhere' }), /there is no folder \/nowhere\/train2017/);
  await assert.rejects(openDataset({ ...coco, dataset: 'cocoa' }), /cocoa is not known; there are yfcc15m, cc3m/);
  await assert.rejects(createTrainLoader({ ...options, rank: 0, workers: 0, rows: [7, 7] }), /has 13 samples, too few/);
});

test('evaluation meets every image once on 1, 2 and 3 ranks', async () => {
  const classes = path.join(folder, 'classes');
  for (const [i, name] of ['b', 'a', 'B'].entries()) {
    mkdirSync(path.join(classes, name, 'deep'), { recursive: true });
    await sharp({ create: { width: 9, height: 12, channels: 3, background: '#123456' } })
      .png()
      .toFile(path.join(classes, name, `deep/${i}.PNG`));
    await sharp({ create: { width: 9, height: 12, channels: 4, background: '#12345680' } })
      .webp()
      .toFile(path.join(classes, name, 'x.webp'));
    writeFileSync(path.join(classes, name, 'notes.txt'), 'not an image');
  }
  const images = await openFolder(classes);
  assert.deepEqual(images.classes, ['B', 'a', 'b']);
  assert.equal(images.length, 6);
  for (const worldSize of [1, 2, 3]) {
    const seen: string[] = [];
    for (let rank = 0; rank < worldSize; rank++) {
      for await (const batch of createEvalLoader({
        dataset: images,
        imageSize: 8,
        batchSize: 4,
        rank,
        worldSize,
      })) {
        assert.equal(batch.images.length, batch.items.length * 3 * 64);
        seen.push(...batch.items.map(({ file }) => file));
      }
    }
    assert.deepEqual(
      seen,
      Array.from({ length: images.length }, (_, i) => images.describe(i).image.name),
    );
  }
  await assert.rejects(openFolder(path.join(folder, 'train2017')), /0 class folders and no images/);
});
