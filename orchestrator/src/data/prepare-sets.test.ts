// Preparing sets to evaluate on: archives from a server of our own that breaks off, official lists of small sets, renaming, verifying.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test, { after, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { classList, locateInCatalog, openLabelled } from '@slip/data';
import { BINARY_ARCHIVES } from '@slip/data/prepare';
import sharp from 'sharp';
import { prepareBinaries } from './prepare-binaries.js';
import { OFFICIAL, put, write } from './testing/official-trees.js';
import { run, sortOfficial } from './testing/prepare-runs.js';

const golden = path.resolve(import.meta.dirname, '../../../test/golden/zeroshot/sets');
const work = mkdtempSync(path.join(os.tmpdir(), 'slip-prepare-'));
after(() => rmSync(work, { recursive: true, force: true }));

/** Serves files; the first answers end in the middle. */
async function serve(t: TestContext, files: Readonly<Record<string, Buffer>>, broken: number) {
  const ranges: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    const whole = files[path.basename(request.url ?? '')];
    ranges.push(request.headers.range);
    if (whole === undefined) return response.writeHead(404).end();
    const begin = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(begin > 0 ? 206 : 200, {
      'content-length': whole.length - begin,
      etag: '"one"',
      ...(begin > 0 ? { 'content-range': `bytes ${begin}-${whole.length - 1}/${whole.length}` } : {}),
    });
    if (broken-- > 0)
      return response.write(whole.subarray(begin, begin + (whole.length >> 1)), () =>
        setTimeout(() => response.destroy(), 500),
      );
    return response.end(whole.subarray(begin));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, ranges };
}

const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest('hex');

async function count(root: string, name: string): Promise<[number, number]> {
  const { train, validation } = await locateInCatalog({ catalog: '', root }, name);
  return [(await openLabelled(train)).length, (await openLabelled(validation)).length];
}

test('archives are downloaded, continued where a connection broke, checked and unpacked', async (t) => {
  const tar = spawnSync('tar', ['-cz', '-C', path.join(golden, 'cifar10'), 'cifar-10-batches-py']).stdout;
  const target = path.join(work, 'binaries/cifar10');
  const { base, ranges } = await serve(t, { 'cifar-10-python.tar.gz': tar }, 1);
  const archives = { ...BINARY_ARCHIVES.cifar10, files: [{ name: 'cifar-10-python.tar.gz', md5: md5(tar) }] };
  await prepareBinaries({ archives, base, target });
  assert.match(ranges[1]!, /^bytes=\d+-$/);
  assert.deepEqual(readdirSync(target), ['cifar-10-batches-py']);
  assert.deepEqual(await count(path.dirname(target), 'cifar10'), [10, 13]);
  await assert.rejects(prepareBinaries({ archives, base, target }), /cifar-10-batches-py is there already/);

  const { mnist } = BINARY_ARCHIVES;
  const files = Object.fromEntries(
    mnist.files.map(({ name }) => [
      name,
      gzipSync(readFileSync(path.join(golden, 'mnist/MNIST/raw', path.basename(name, '.gz')))),
    ]),
  );
  const second = await serve(t, files, 0);
  const own = { ...mnist, files: mnist.files.map(({ name }) => ({ name, md5: md5(files[name]) })) };
  await prepareBinaries({ archives: own, base: second.base, target: path.join(work, 'binaries/mnist') });
  assert.deepEqual(await count(path.join(work, 'binaries'), 'mnist'), [2, 13]);

  const foreign = { archives: mnist, base: second.base, target: path.join(work, 'foreign/mnist') };
  await assert.rejects(prepareBinaries(foreign), {
    code: 'data',
    message: /train-images-idx3-ubyte\.gz sent has the MD5 \w{32}, published is f68b3c2dcbeaaa9fbdd348bbdeb94873/,
  });
  assert.deepEqual(readdirSync(foreign.target), []);
  writeFileSync(path.join(foreign.target, mnist.files[0].name), 'by other means');
  await assert.rejects(prepareBinaries(foreign), /mnist\/train-images-idx3-ubyte\.gz has the MD5/);
});

test('pictures are sorted as their official archives say, and the result is what zero-shot wants', async () => {
  const root = path.join(work, 'sorted');
  for (const [name, official] of Object.entries(OFFICIAL))
    if (official.isLarge !== true) await sortOfficial(work, root, name);
  const link = path.join(root, 'hateful_memes/dev/1/c.png');
  assert.equal(
    path.resolve(path.dirname(link), readlinkSync(link)),
    path.join(work, 'official/hateful_memes/img/c.png'),
  );
  const filesOf = (folder: string) => readdirSync(path.join(root, folder)).map((name) => Number(name.split('.')[0]));
  assert.deepEqual(filesOf('gtsrb/test/00042'), [0], 'the table says the class');
  const remainders = (name: string) =>
    ['train', 'val'].flatMap((split) => filesOf(`kitti_distance/${split}/${name}`)).map((number) => number % 4);
  for (const [k, name] of ['no_vehicle', 'below_8', 'below_20', 'above_20'].entries())
    assert.deepEqual(remainders(name), Array(10).fill(k), name);
  const sad = path.join(root, 'fer2013/train/sad', readdirSync(path.join(root, 'fer2013/train/sad'))[0]!);
  const { data, info } = await sharp(sad).raw().toBuffer({ resolveWithObject: true });
  assert.deepEqual([info.width, info.height, data[0], data.at(-1)], [48, 48, 40, 40], 'sad is 4 in the table');
  const verified = await run('verify', 'hateful_memes', '--root', root);
  assert.equal(verified.code, 0, verified.text);
  assert.match(verified.text, /train: 2 of 2 pictures can be read, 2 classes/);
});

test('SUN397 and CLEVR become lists of numpy, which Python reads', async () => {
  const names = classList('sun397')!.map(({ folder }) => folder);
  const sun = path.join(work, 'official/sun');
  // Which part of a name is a sub-folder makes no difference to it.
  const paths = names.map((name) => `/${name[0]}/${name.replace('_', '/')}`);
  write(path.join(sun, 'SUN397/ClassName.txt'), paths);
  for (const part of ['Training', 'Testing'])
    write(
      path.join(sun, `${part}_01.txt`),
      paths.map((name) => `${name}/${part}.jpg`),
    );
  const clevr = path.join(work, 'official/clevr');
  for (const split of ['train', 'val']) {
    const scenes = [3, 10, 4].map((count, i) => ({
      image_filename: `${split}_${i}.png`,
      objects: Array(count).fill({}),
    }));
    write(path.join(clevr, `scenes/CLEVR_${split}_scenes.json`), [JSON.stringify({ scenes })]);
    for (let i = 0; i < 3; i++) put(clevr, 'images', split, `${split}_${i}.png`);
  }
  const root = path.join(work, 'lists');
  for (const [name, source] of [
    ['sun397', sun],
    ['clevr_counts', clevr],
  ]) {
    const { code, text } = await run('prepare', name, '--source', source, '--root', root);
    assert.equal(code, 0, text);
  }
  assert.deepEqual(await count(root, 'sun397'), [397, 397]);
  const { validation } = await locateInCatalog({ catalog: '', root }, 'clevr_counts');
  const set = await openLabelled(validation);
  assert.deepEqual(
    [0, 1, 2].map((i) => set.describe(i).label),
    [1, 0, 2],
  );
  assert.equal(set.describe(1).image.name, path.join(clevr, 'images/val/val_1.png'));
  const script =
    'import numpy, sys; a = numpy.load(sys.argv[1]); b = numpy.load(sys.argv[2]); c = numpy.load(sys.argv[3]); print(a.dtype.kind, len(a), b.dtype, b[396], list(c))';
  const file = (set: string, part: string) => path.join(root, set, `${part}.npy`);
  const files = [file('sun397', 'train_images'), file('sun397', 'train_labels'), file('clevr_counts', 'val_labels')];
  const python = spawnSync('python3', ['-c', script, ...files], { encoding: 'utf8' });
  if (python.status === 0) assert.match(python.stdout, /^U 397 int64 396 \[.*count_3.*count_10.*count_4/);
});

test('folders that sort wrongly are renamed, and what cannot be done is told', async () => {
  const root = path.join(work, 'wrong');
  for (const split of ['train', 'test']) for (let k = 0; k < 43; k++) put(root, 'gtsrb', split, String(k), '1.png');
  const before = await run('verify', 'gtsrb', '--root', root);
  assert.equal(before.code, 3);
  assert.match(before.text, /41 of 43 class folders of gtsrb sort to another place.*slip-data prepare gtsrb --rename/);
  const renamed = await run('prepare', 'gtsrb', '--rename', '--root', root);
  assert.match(renamed.text, /43 folders renamed/);
  assert.equal((await run('verify', 'gtsrb', '--root', root)).code, 0);
  writeFileSync(path.join(root, 'gtsrb/test/00007/1.png'), 'no picture');
  const damaged = await run('verify', 'gtsrb', '--root', root);
  assert.match(
    damaged.text,
    /the image \S+00007\/1.png cannot be read[\s\S]*\[data\] 1 pictures of gtsrb cannot be read/,
  );

  const source = path.join(work, 'official/broken');
  OFFICIAL.hateful_memes.make(source, []);
  const lists = path.join(source, 'dev.jsonl');
  const cases: [string[], () => void, number, RegExp][] = [
    [['prepare', 'petz'], () => undefined, 2, /petz is not a set that is known here; did you mean pets\?/],
    [['prepare', 'cars'], () => undefined, 2, /has to be made by hand: docs\/downstream-sets.md has the steps/],
    [
      ['prepare', 'gtsrb', '--source', source],
      () => write(path.join(source, 'GT-final_test.csv'), ['Filename;Class', '1;2']),
      3,
      /GT-final_test.csv has no column ClassId; it has Filename, Class/,
    ],
    [
      ['prepare', 'fer2013', '--source', source],
      () => write(path.join(source, 'fer2013.csv'), ['emotion,pixels,Usage', '7,1 2,Training']),
      3,
      /fer2013.csv: line 2 is not understood: emotion 7, 2 pixels, Usage Training; 0 to 6, 48 x 48 bytes/,
    ],
    [
      ['prepare', 'kitti_distance', '--source', source],
      () => undefined,
      3,
      /image_2.*it has to hold training\/image_2\//,
    ],
    [['prepare', 'pets'], () => undefined, 2, /--source is missing: a folder with images\/ and annotations\//],
    [
      ['prepare', 'pets', '--source', source],
      () => undefined,
      3,
      /trainval.txt.*it has to hold images\/ and annotations\//,
    ],
    [
      ['prepare', 'hateful_memes', '--source', source],
      () => write(lists, ['{"img":']),
      3,
      /dev.jsonl: line 1 is not understood/,
    ],
    [
      ['prepare', 'hateful_memes', '--source', source],
      () => write(lists, ['{"img":"img/z.png","label":1}']),
      3,
      /z.png is named by the lists of the set, but not there/,
    ],
    [['verify'], () => undefined, 2, /verify needs the name of a set to evaluate on, or --dataset/],
  ];
  for (const [flags, spoil, code, message] of cases) {
    spoil();
    const found = await run(...flags, ...(flags.length > 1 ? ['--root', path.join(work, 'none')] : []));
    assert.deepEqual([found.code, message.test(found.text)], [code, true], found.text);
  }
  assert.throws(() => readdirSync(path.join(work, 'none/hateful_memes')));
});
