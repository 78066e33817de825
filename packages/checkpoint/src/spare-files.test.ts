// In memory a save writes over files of the checkpoint that left: never over one that somebody else still reads.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { linkSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import {
  beginSave,
  commitSave,
  dropSpares,
  fileMetadata,
  type ManifestShard,
  openCheckpoint,
  ShardWriter,
  saveCheckpoint,
} from './index.js';
import { MappedFiles } from './mapped-files.js';
import { assertHoldsSample, sampleFiles } from './testing/sample-tensors.js';
import { folderInMemory, temporaryFolder } from './testing/temporary-folder.js';

const SHARD = 'model.safetensors';

/** Saves as a training does. @returns a function that saves a step, and gives the place of a file of it */
function saver(t: TestContext, folder: string): (step: number) => Promise<string> {
  const writer = new ShardWriter();
  t.after(() => writer.close());
  return async (step) => {
    const temporary = await beginSave(folder, step, 10_000);
    const files = Object.entries(sampleFiles(step)).map(([file, tensors]) => ({
      ...{ file, name: `${file}.safetensors`, tensors, metadata: fileMetadata(step) },
    }));
    const shards: Record<string, ManifestShard[]> = {};
    for (const { file, ...shard } of await writer.write(temporary, files)) shards[file] = [shard];
    const options = { step, state: {}, keepLast: 1, isOneOfMany: true };
    const { path: place, cleared } = await commitSave(folder, temporary, shards, options);
    await cleared;
    await assertHoldsSample(await openCheckpoint(place, { verify: true }), step);
    return path.join(place, SHARD);
  };
}

const spare = (folder: string, step: number) => path.join(folder, `step-0000000${step}.spare`);
const inode = (file: string) => statSync(file).ino;

test('the files of the checkpoint that left become those of the next', async (t) => {
  const folder = folderInMemory(t);
  if (folder === undefined) return;
  const save = saver(t, folder);
  const first = inode(await save(1));
  const second = inode(await save(2));
  assert.deepEqual(readdirSync(folder).sort(), ['latest', 'step-00000001.spare', 'step-00000002']);
  assert.equal(inode(await save(3)), first);
  // Files that the next one has not.
  writeFileSync(path.join(spare(folder, 2), 'other.safetensors'), 'x');
  const fourth = await save(4);
  assert.equal(inode(fourth), second);
  assert.deepEqual(readdirSync(path.dirname(fourth)).sort(), [
    'COMMIT',
    'manifest.json',
    SHARD,
    'optimizer.safetensors',
  ]);
  await dropSpares(folder);
  assert.deepEqual(readdirSync(folder).sort(), ['latest', 'step-00000004']);
});

test('a file that is linked elsewhere is not written over', async (t) => {
  const folder = folderInMemory(t);
  if (folder === undefined) return;
  const save = saver(t, folder);
  const file = await save(1);
  const copy = path.join(folder, 'kept by a person');
  linkSync(file, copy);
  const before = readFileSync(copy);
  await save(2);
  await save(3);
  await save(4);
  assert.deepEqual(readFileSync(copy), before);
});

const READERS = {
  'has open': 'import sys; file = open(sys.argv[1], "rb")',
  'has mapped':
    'import mmap, sys; f = open(sys.argv[1], "rb"); file = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ); f.close()',
};
for (const [what, program] of Object.entries(READERS)) {
  test(`a file that another program ${what} is not written over`, async (t) => {
    const folder = folderInMemory(t);
    if (folder === undefined) return;
    const save = saver(t, folder);
    if (spawnSync('python3', ['--version']).status !== 0) return t.skip('there is no python3');
    const file = await save(1);
    const before = readFileSync(file);
    const script = `${program}; print(flush=True); sys.stdin.readline(); sys.stdout.buffer.write(file.read())`;
    const reader = spawn('python3', ['-c', script, file], { stdio: ['pipe', 'pipe', 'inherit'] });
    const exit = once(reader, 'exit');
    await once(reader.stdout, 'readable');
    assert.equal(reader.stdout.read(1).toString(), '\n');
    await save(2);
    await save(3);
    const read: Buffer[] = [];
    reader.stdout.on('data', (part) => read.push(part));
    reader.stdin.end('\n');
    await exit;
    assert.deepEqual(Buffer.concat(read), before);
  });
}

test('a full file system fails the save, and a spare counts as room', async (t) => {
  const folder = folderInMemory(t);
  if (folder === undefined) return;
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { encoding: 'utf8' });
  if (mounted.status !== 0) return t.skip(`cannot mount a small tmpfs here: ${mounted.stderr?.trim()}`);
  const writer = new ShardWriter();
  try {
    const data = new Float32Array(70_000);
    const tensor = { name: 'w', dtype: 'F32' as const, shape: [data.length], data };
    const shard = { file: 'model', name: SHARD, tensors: [tensor], metadata: {} };
    const write = async (step: number) => {
      const temporary = await beginSave(folder, step, data.byteLength);
      const written = await writer.write(temporary, [shard]);
      const options = { step, state: {}, keepLast: 1, isOneOfMany: true };
      await (await commitSave(folder, temporary, { model: written }, options)).cleared;
    };
    for (const step of [1, 2, 3]) await write(step);
    assert.deepEqual(readdirSync(folder).sort(), ['latest', 'step-00000002.spare', 'step-00000003']);
    writeFileSync(path.join(folder, 'other'), new Uint8Array(300_000));
    await write(4);
    await assert.rejects(beginSave(folder, 5, 900_000), { code: 'ENOSPC' });
    assert.deepEqual(readdirSync(folder).sort(), ['latest', 'other', 'step-00000003.spare', 'step-00000004']);
    // Its memory goes with the next file of another size.
    tensor.shape = [90_000];
    tensor.data = new Float32Array(90_000);
    const temporary = await beginSave(folder, 5, 0);
    writeFileSync(path.join(folder, 'other'), new Uint8Array(400_000));
    await assert.rejects(writer.write(temporary, [shard]), { code: 'ENOSPC' });
  } finally {
    await writer.close();
    spawnSync('umount', [folder]);
  }
});

test('a save of its own leaves no spare, and none of others', async (t) => {
  const folder = folderInMemory(t);
  if (folder === undefined) return;
  const save = saver(t, folder);
  await save(1);
  await save(2);
  await saveCheckpoint(folder, { step: 3, files: sampleFiles(3), state: {}, keepLast: 1 });
  assert.deepEqual(readdirSync(folder).sort(), ['latest', 'step-00000003']);
});

test('files that were deleted do not keep their memory', async (t) => {
  const folder = folderInMemory(t);
  if (folder === undefined) return;
  const files = new MappedFiles();
  const place = path.join(folder, 'file');
  const mappings = () => readFileSync('/proc/self/maps', 'utf8').match(/slip-checkpoint.*/g) ?? [];
  const adopt = (bytes: number) => {
    writeFileSync(place, new Uint8Array(bytes).fill(1));
    files.adopt(openSync(place, 'r+'));
    assert.equal(mappings().length, 1);
  };
  adopt(100_000);
  rmSync(place);
  files.tidy();
  assert.deepEqual(mappings(), []);
  adopt(100_000);
  assert.ok(files.has(place, 99_999) && !files.has(place, 10_000));
  files.open(place, 99_999).fill(7);
  const found = readFileSync(place);
  assert.ok(found.length === 99_999 && found.every((byte) => byte === 7));
  files.close();
  assert.deepEqual(mappings(), []);
});

test('on a disk nothing is kept', async (t) => {
  const folder = temporaryFolder(t);
  if (process.env.TMPDIR?.startsWith('/dev/shm')) return t.skip('temporary files are in memory');
  const save = saver(t, folder);
  await save(1);
  await save(2);
  assert.deepEqual(readdirSync(folder).sort(), ['latest', 'step-00000002']);
});
