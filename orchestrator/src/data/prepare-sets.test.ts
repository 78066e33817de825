// Preparing sets to evaluate on: archives from a server of our own that breaks off, official lists of small sets, renaming, verifying.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test, { after, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { classList, locateInCatalog, openLabelled } from '@slip/data';
import { BINARY_ARCHIVES, verifyLabelled } from '@slip/data/prepare';
import { prepareBinaries } from './prepare-binaries.js';
import { slipData } from './slip-data.js';

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

const png = path.join(golden, 'hateful_memes/dev/0/0.png');

function put(...parts: string[]): void {
  const file = path.join(...parts);
  mkdirSync(path.dirname(file), { recursive: true });
  cpSync(png, file);
}

function write(file: string, lines: readonly string[]): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `${lines.join('\n')}\n`);
}

/** Two pictures of each class, one for each split, in the form of the official archive. */
const ARCHIVES: Readonly<Record<string, (source: string, folders: readonly string[]) => void>> = {
  food101(source, folders) {
    for (const name of folders) for (const i of [1, 2]) put(source, 'images', name, `${i}.jpg`);
    write(
      path.join(source, 'meta/train.txt'),
      folders.map((name) => `${name}/1`),
    );
    write(
      path.join(source, 'meta/test.txt'),
      folders.map((name) => `${name}/2`),
    );
  },
  dtd(source, folders) {
    for (const name of folders) for (const i of [1, 2, 3]) put(source, 'images', name, `${name}_${i}.jpg`);
    for (const [i, part] of ['train1', 'val1', 'test1'].entries())
      write(
        path.join(source, `labels/${part}.txt`),
        folders.map((name) => `${name}/${name}_${i + 1}.jpg`),
      );
  },
  aircraft(source, folders) {
    const official = folders.map((name) => name.replace('F-16A-B', 'F-16A/B').replace('F-A-18', 'F/A-18'));
    for (const [i, part] of ['trainval', 'test'].entries()) {
      for (const k of folders.keys()) put(source, 'data/images', `${i}${k}.jpg`);
      write(
        path.join(source, `data/images_variant_${part}.txt`),
        official.map((name, k) => `${i}${k} ${name}`),
      );
    }
  },
  pets(source, folders) {
    for (const [i, part] of ['trainval', 'test'].entries()) {
      for (const name of folders) put(source, 'images', `${name}_${i}.jpg`);
      write(
        path.join(source, `annotations/${part}.txt`),
        folders.map((name) => `${name}_${i} 1 1 1`),
      );
    }
  },
  cub200(source, folders) {
    const files = folders.flatMap((name) => [1, 2].map((i) => `${name}/${i}.jpg`));
    for (const file of files) put(source, 'images', file);
    write(
      path.join(source, 'images.txt'),
      files.map((file, i) => `${i + 1} ${file}`),
    );
    write(
      path.join(source, 'train_test_split.txt'),
      files.map((_, i) => `${i + 1} ${i % 2}`),
    );
  },
  hateful_memes(source) {
    for (const id of ['a', 'b', 'c', 'd']) put(source, 'img', `${id}.png`);
    write(path.join(source, 'train.jsonl'), ['{"id":1,"img":"img/a.png","label":0}', '{"img":"img/b.png","label":1}']);
    write(path.join(source, 'dev.jsonl'), [
      '{"img":"img/c.png","label":1,"text":"x"}',
      '{"img":"img/d.png","label":0}',
    ]);
  },
};

async function run(...flags: string[]): Promise<{ code: number; text: string }> {
  let text = '';
  const [out, err] = [process.stdout.write, process.stderr.write];
  // What the test runner writes meanwhile has to arrive.
  const collector = (stream: NodeJS.WriteStream, write: typeof out) => (piece: string | Uint8Array) => {
    if (typeof piece === 'string') text += piece;
    return write.call(stream, piece);
  };
  process.stdout.write = collector(process.stdout, out) as typeof out;
  process.stderr.write = collector(process.stderr, err) as typeof err;
  try {
    return { code: await slipData(flags), text };
  } finally {
    process.stdout.write = out;
    process.stderr.write = err;
  }
}

test('pictures are sorted by the lists of their official archives, and the result is what zero-shot wants', async () => {
  const root = path.join(work, 'sorted');
  for (const [name, make] of Object.entries(ARCHIVES)) {
    const folders = classList(name)!.map(({ folder }) => folder);
    const source = path.join(work, 'official', name);
    make(source, folders);
    const { code, text } = await run('prepare', name, '--source', source, '--root', root);
    assert.equal(code, 0, text);
    assert.match(text, new RegExp(`check it with: slip-data verify ${name}`));
    const [train, evaluated] = await verifyLabelled({
      ...{ place: { catalog: '', root }, name, concurrency: 8 },
      progress: () => undefined,
    });
    for (const split of [train, evaluated])
      assert.deepEqual([split.seen, split.warning, split.bad], [folders.length, undefined, []], name);
    assert.deepEqual(
      [train.images, evaluated.images],
      [(name === 'dtd' ? 2 : 1) * folders.length, folders.length],
      name,
    );
  }
  const link = path.join(root, 'hateful_memes/dev/1/c.png');
  assert.equal(
    path.resolve(path.dirname(link), readlinkSync(link)),
    path.join(work, 'official/hateful_memes/img/c.png'),
  );
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
  ARCHIVES.hateful_memes(source, []);
  const lists = path.join(source, 'dev.jsonl');
  const cases: [string[], () => void, number, RegExp][] = [
    [['prepare', 'petz'], () => undefined, 2, /petz is not a set that is known here; did you mean pets\?/],
    [
      ['prepare', 'kitti_distance'],
      () => undefined,
      2,
      /has to be made by hand: docs\/downstream-sets.md has the steps/,
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
