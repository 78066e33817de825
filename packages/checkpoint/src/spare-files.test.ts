// In memory a save writes over files of the checkpoint that left: never over one that somebody else still reads.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, linkSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { beginSave, dropSpares, openCheckpoint, type SaveOptions, saveCheckpoint } from './index.js';
import { assertHoldsSample, sampleFiles } from './testing/sample-tensors.js';
import { folderInMemory, temporaryFolder } from './testing/temporary-folder.js';

const SHARD = 'model.safetensors';

async function save(folder: string, step: number, more: Partial<SaveOptions> = {}): Promise<string> {
  const options = { step, files: sampleFiles(step), state: {}, keepLast: 1, isOneOfMany: true, ...more };
  const { path: place } = await saveCheckpoint(folder, options);
  await assertHoldsSample(await openCheckpoint(place, { verify: true }), step);
  return path.join(place, SHARD);
}

const spare = (folder: string, step: number) => path.join(folder, `step-0000000${step}.spare`);
const inode = (file: string) => statSync(file).ino;

test('the files of the checkpoint that left become those of the next', async (t) => {
  const folder = folderInMemory(t);
  if (folder === undefined) return;
  const first = inode(await save(folder, 1));
  const second = inode(await save(folder, 2));
  assert.deepEqual(readdirSync(folder).sort(), ['latest', 'step-00000001.spare', 'step-00000002']);
  assert.equal(inode(await save(folder, 3)), first);
  // A shorter file over a longer one, and files that the next one has not.
  writeFileSync(path.join(spare(folder, 2), 'other.safetensors'), 'x');
  writeFileSync(path.join(spare(folder, 2), SHARD), 'x'.repeat(10_000));
  const fourth = await save(folder, 4);
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
  const file = await save(folder, 1);
  const copy = path.join(folder, 'kept by a person');
  linkSync(file, copy);
  const before = readFileSync(copy);
  await save(folder, 2);
  await save(folder, 3);
  await save(folder, 4);
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
    if (spawnSync('python3', ['--version']).status !== 0) return t.skip('there is no python3');
    const file = await save(folder, 1);
    const before = readFileSync(file);
    const script = `${program}; print(flush=True); sys.stdin.readline(); sys.stdout.buffer.write(file.read())`;
    const reader = spawn('python3', ['-c', script, file], { stdio: ['pipe', 'pipe', 'inherit'] });
    const exit = once(reader, 'exit');
    await once(reader.stdout, 'readable');
    assert.equal(reader.stdout.read(1).toString(), '\n');
    await save(folder, 2);
    await save(folder, 3);
    const read: Buffer[] = [];
    reader.stdout.on('data', (part) => read.push(part));
    reader.stdin.end('\n');
    await exit;
    assert.deepEqual(Buffer.concat(read), before);
  });
}

test('room that the next save will find is not asked for twice', async (t) => {
  const folder = folderInMemory(t);
  if (folder === undefined) return;
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder], { encoding: 'utf8' });
  if (mounted.status !== 0) return t.skip(`cannot mount a small tmpfs here: ${mounted.stderr?.trim()}`);
  try {
    const data = new Float32Array(200_000);
    const large = { files: { model: [{ name: 'w', dtype: 'F32' as const, shape: [data.length], data }] }, state: {} };
    for (const step of [1, 2, 3]) await saveCheckpoint(folder, { step, ...large, keepLast: 1, isOneOfMany: true });
    assert.ok(existsSync(spare(folder, 2)));
    await assert.rejects(beginSave(folder, 4, 3_000_000), { code: 'ENOSPC' });
    assert.deepEqual(readdirSync(folder).sort(), ['latest', 'step-00000003']);
  } finally {
    spawnSync('umount', [folder]);
  }
});

test('on a disk nothing is kept', async (t) => {
  const folder = temporaryFolder(t);
  if (process.env.TMPDIR?.startsWith('/dev/shm')) return t.skip('temporary files are in memory');
  await save(folder, 1);
  await save(folder, 2);
  assert.deepEqual(readdirSync(folder).sort(), ['latest', 'step-00000002']);
});
