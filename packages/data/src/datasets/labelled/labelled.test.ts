// Labelled sets in every form, from small files in the true formats: torchvision's binaries as torchvision reads them, lists of numpy,
// and what is said of files that are missing or damaged.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { locateInCatalog, locateLabelled } from '../../downstream/catalog.js';
import { decodeImage } from '../../images/decode-image.js';
import { openLabelled } from '../labelled-dataset.js';

const golden = path.resolve(import.meta.dirname, '../../../../../test/golden');
const { loaded } = JSON.parse(readFileSync(path.join(golden, 'zeroshot.json'), 'utf8')) as {
  loaded: Record<string, Record<'train' | 'test', { labels: number[]; sha256: string[] }>>;
};
const work = mkdtempSync(path.join(os.tmpdir(), 'slip-labelled-'));
after(() => rmSync(work, { recursive: true, force: true }));
const root = path.join(work, 'sets');
cpSync(path.join(golden, 'zeroshot/sets'), root, { recursive: true });
const place = { catalog: '', root };

test('CIFAR, STL-10 and MNIST give the pictures and labels that torchvision gives', async () => {
  for (const [name, splits] of Object.entries(loaded)) {
    const { train, validation } = await locateInCatalog(place, name);
    for (const [location, expected] of [
      [train, splits.train],
      [validation, splits.test],
    ] as const) {
      const set = await openLabelled(location);
      const samples = Array.from({ length: set.length }, (_, i) => set.describe(i));
      assert.deepEqual(
        samples.map(({ label }) => label),
        expected.labels,
        name,
      );
      const digests = samples.map(async ({ image }) => {
        const { data } = await decodeImage(image);
        return createHash('sha256').update(data).digest('hex');
      });
      assert.deepEqual(await Promise.all(digests), expected.sha256, name);
      set.close();
    }
  }
  const { classes } = await openLabelled((await locateInCatalog(place, 'cifar10')).validation);
  assert.deepEqual(classes.slice(0, 3), ['airplane', 'automobile', 'bird']);
});

test('lists of files: labels as texts in the order of the classes, or as numbers; paths below the lists', async () => {
  const clevr = await openLabelled((await locateInCatalog(place, 'clevr_counts')).validation);
  assert.deepEqual(clevr.classes.slice(0, 2), ['count_10', 'count_3']);
  const labels = (set: typeof clevr) => Array.from({ length: set.length }, (_, i) => set.describe(i).label);
  assert.deepEqual(labels(clevr), [1, 0, 7, 2, 1]);
  assert.equal((await decodeImage(clevr.describe(4).image)).width, 18);
  const sun = await openLabelled((await locateInCatalog(place, 'sun397')).train);
  assert.deepEqual(labels(sun), [396, 0, 5, 7, 5]);
  assert.equal(sun.describe(0).image.name, path.join(root, 'sun397/images/0.png'));
});

test('listings are kept and made anew when a folder changes', async () => {
  const { validation } = await locateInCatalog(place, 'hateful_memes');
  assert.equal((await openLabelled(validation)).length, 12);
  const index = path.join(root, 'hateful_memes/.slip-index');
  assert.equal(readdirSync(index).length, 1);
  cpSync(path.join(validation.root, '0/0.png'), path.join(validation.root, '1/new.png'));
  assert.equal((await openLabelled(validation)).length, 13);
  assert.equal(readdirSync(index).length, 1);
});

test("the original's catalogue is read as it is, and sets may be given by folder", async () => {
  const catalog = path.join(work, 'dataset_catalog.json');
  writeFileSync(
    catalog,
    JSON.stringify({
      mnist: { path: './sets/mnist', type: 'special' },
      clevr_counts: { path: path.join(root, 'clevr_counts'), type: 'filelist', train: 'train', test: 'val' },
      own: { path: 'sets/hateful_memes', type: 'imagefolder', train: 'dev', test: 'dev' },
      odd: { path: 'x', type: 'special' },
    }),
  );
  const locate = (dataset: string) => locateLabelled({ dataset, dataPath: '', catalog });
  assert.equal((await openLabelled((await locate('mnist')).train)).length, 2);
  assert.equal((await openLabelled((await locate('clevr_counts')).validation)).length, 5);
  assert.deepEqual((await openLabelled((await locate('own')).train)).classes, ['0', '1']);
  await assert.rejects(locate('odd'), {
    message: /odd in .* has type "special"; .* special for cifar10, cifar100, mnist/,
  });
  await assert.rejects(locate('food101'), { message: /has no set food101; it has mnist, clevr_counts, own, odd/ });
});

test('what is missing or damaged is told in one line', async () => {
  const cases: [string, (folder: string) => void, RegExp][] = [
    [
      'cifar10',
      (f) => rmSync(path.join(f, 'cifar-10-batches-py/test_batch')),
      /cifar10: .*test_batch cannot be read: ENOENT.*slip-data prepare cifar10/,
    ],
    ['cifar10', (f) => truncateSync(path.join(f, 'cifar-10-batches-py/test_batch'), 20_000), /test_batch/],
    [
      'cifar100',
      (f) => cpSync(path.join(root, 'cifar10/cifar-10-batches-py/test_batch'), path.join(f, 'cifar-100-python/test')),
      /has no "fine_labels"/,
    ],
    [
      'stl10',
      (f) => truncateSync(path.join(f, 'stl10_binary/test_X.bin'), 30_000),
      /test_X.bin has 30000 bytes; 2 pictures make 55296/,
    ],
    [
      'stl10',
      (f) => writeFileSync(path.join(f, 'stl10_binary/test_y.bin'), Uint8Array.of(11, 1)),
      /has a label for class 10 with picture 0; there are 10/,
    ],
    ['mnist', (f) => writeFileSync(path.join(f, 'MNIST/raw/t10k-labels-idx1-ubyte'), 'x'), /is no IDX file of labels/],
    [
      'mnist',
      (f) =>
        cpSync(path.join(f, 'MNIST/raw/train-images-idx3-ubyte'), path.join(f, 'MNIST/raw/t10k-images-idx3-ubyte')),
      /is no IDX file of 13 pictures/,
    ],
    [
      'sun397',
      (f) => rmSync(path.join(f, 'test_labels.npy')),
      /sun397: .*test_labels.npy cannot be read.*are wanted in/,
    ],
    [
      'sun397',
      (f) => cpSync(path.join(root, 'clevr_counts/val_labels.npy'), path.join(f, 'test_labels.npy')),
      /has the label "count_3" as item 0; there are 397 classes/,
    ],
    [
      'clevr_counts',
      (f) => writeFileSync(path.join(f, 'val_images.npy'), 'no numpy'),
      /val_images.npy is no numpy file/,
    ],
    [
      'hateful_memes',
      (f) => rmSync(path.join(f, 'dev'), { recursive: true }),
      /hateful_memes: .*dev cannot be read: ENOENT.*one sub-folder per class/,
    ],
  ];
  for (const [k, [name, damage, message]] of cases.entries()) {
    const folder = path.join(work, `damaged-${k}`, name);
    mkdirSync(path.dirname(folder));
    cpSync(path.join(golden, 'zeroshot/sets', name), folder, { recursive: true });
    damage(folder);
    const { validation } = await locateInCatalog({ catalog: '', root: path.dirname(folder) }, name);
    await assert.rejects(openLabelled(validation), { code: 'data', message }, `${name} ${message}`);
  }
});
