// Saving and finding checkpoints in one process: exactness, every kind of damage, retention, pointers.
import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { type Logger, silentLogger } from '@slip/core';
import {
  findLatestCheckpoint,
  type JsonObject,
  markBest,
  markLatest,
  openCheckpoint,
  type SaveOptions,
  saveCheckpoint,
} from './index.js';
import { encodeCommit } from './manifest.js';
import { assertHoldsSample, sampleFiles } from './testing/sample-tensors.js';
import { temporaryFolder } from './testing/temporary-folder.js';

function save(folder: string, step: number, more: Partial<SaveOptions> = {}) {
  return saveCheckpoint(folder, { step, files: sampleFiles(step), state: { step }, keepLast: 9, ...more });
}

function recordingLog(): Logger & { warnings: string[] } {
  const warnings: string[] = [];
  return { ...silentLogger, warnings, warn: (message) => warnings.push(message) };
}

test('what was saved comes back bit for bit, facts included', async (t) => {
  const folder = path.join(temporaryFolder(t), 'run', 'checkpoints');
  assert.equal(await findLatestCheckpoint(folder, { log: silentLogger }), undefined);
  const state: JsonObject = {
    epoch: 3,
    bestAcc1: 0.1 + 0.2,
    rng: [1, 2 ** 53 - 1],
    text: 'ü\n',
    nested: { none: null, yes: true },
  };
  const saved = await save(folder, 123, { state });
  assert.equal(saved.path, path.join(folder, 'step-00000123'));
  const sizes = readdirSync(saved.path).map((name) => lstatSync(path.join(saved.path, name)).size);
  assert.equal(
    saved.bytes,
    sizes.reduce((a, b) => a + b),
  );
  const found = await findLatestCheckpoint(folder, { log: silentLogger });
  assert.ok(found);
  assert.deepEqual(
    [found.path, found.step, found.state, found.files],
    [saved.path, 123, state, ['model', 'optimizer']],
  );
  await assertHoldsSample(found, 123);
  assert.throws(() => found.tensorNames('scaler'), /has no file scaler; it has model, optimizer/);
  assert.deepEqual(readdirSync(folder).sort(), ['latest', 'step-00000123']);
  assert.equal(readlinkSync(path.join(folder, 'latest')), 'step-00000123');
  await assertHoldsSample(await openCheckpoint(path.join(folder, 'latest'), { verify: true }), 123);
});

test('facts that JSON would change in silence are refused', async (t) => {
  const folder = temporaryFolder(t);
  for (const value of [Number.NaN, Number.NEGATIVE_INFINITY, -0]) {
    await assert.rejects(
      save(folder, 1, { state: { a: [{ b: value }] } }),
      /state\.a\.0\.b is .*, which JSON cannot hold/,
    );
  }
  assert.deepEqual(readdirSync(folder), []);
});

const DAMAGES: readonly [string, RegExp, (folder: string) => void][] = [
  [
    'a flipped bit in the model',
    /model\.safetensors has changed .*SHA-256/,
    (folder) => flipBit(path.join(folder, 'model.safetensors')),
  ],
  [
    'a flipped bit in the optimizer',
    /optimizer\.safetensors has changed/,
    (folder) => flipBit(path.join(folder, 'optimizer.safetensors')),
  ],
  [
    'a truncated file',
    /model\.safetensors has 10 bytes instead of \d+/,
    (folder) => truncateSync(path.join(folder, 'model.safetensors'), 10),
  ],
  [
    'a missing file',
    /optimizer\.safetensors is missing/,
    (folder) => rmSync(path.join(folder, 'optimizer.safetensors')),
  ],
  [
    'a folder in place of a file',
    /model\.safetensors has \d+ bytes|cannot be read/,
    (folder) => {
      rmSync(path.join(folder, 'model.safetensors'));
      mkdirSync(path.join(folder, 'model.safetensors'));
    },
  ],
  ['a missing COMMIT', /COMMIT is missing/, (folder) => rmSync(path.join(folder, 'COMMIT'))],
  ['a missing manifest', /manifest\.json is missing/, (folder) => rmSync(path.join(folder, 'manifest.json'))],
  [
    'a truncated manifest',
    /manifest\.json and COMMIT do not belong together/,
    (folder) => truncateSync(path.join(folder, 'manifest.json'), 100),
  ],
  [
    'a changed manifest',
    /do not belong together/,
    (folder) => {
      const file = path.join(folder, 'manifest.json');
      writeFileSync(file, readFileSync(file, 'utf8').replace('"step": 200', '"step": 201'));
    },
  ],
  [
    'a manifest that points outside',
    /is not a checkpoint manifest/,
    (folder) => {
      const file = path.join(folder, 'manifest.json');
      const text = readFileSync(file, 'utf8').replace('"model.safetensors"', '"../model.safetensors"');
      writeFileSync(file, text);
      writeFileSync(path.join(folder, 'COMMIT'), encodeCommit(text));
    },
  ],
  [
    'an empty folder',
    /COMMIT is missing/,
    (folder) => {
      rmSync(folder, { recursive: true });
      mkdirSync(folder);
    },
  ],
];

function flipBit(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length - 2] ^= 0x10;
  writeFileSync(file, bytes);
}

for (const [what, reason, damage] of DAMAGES) {
  test(`${what} is named once, and the previous checkpoint is used`, async (t) => {
    const folder = temporaryFolder(t);
    await save(folder, 100);
    const { path: newest } = await save(folder, 200);
    damage(newest);
    const log = recordingLog();
    const found = await findLatestCheckpoint(folder, { log });
    assert.equal(found?.step, 100);
    await assertHoldsSample(found!, 100);
    assert.equal(log.warnings.length, 1);
    assert.match(log.warnings[0], reason);
    assert.ok(log.warnings[0].includes(newest));
    await assert.rejects(openCheckpoint(newest, { verify: true }), reason);
  });
}

test('a run whose checkpoints are all damaged does not start again by itself', async (t) => {
  const folder = temporaryFolder(t);
  const { path: only } = await save(folder, 5);
  rmSync(path.join(only, 'COMMIT'));
  await assert.rejects(
    findLatestCheckpoint(folder, { log: silentLogger }),
    /none of the 1 checkpoints .* COMMIT is missing.*move that folder away/,
  );
});

test('a newer format is an error that says what to do, not a damage', async (t) => {
  const folder = temporaryFolder(t);
  await save(folder, 1);
  const { path: newer } = await save(folder, 2);
  const manifest = readFileSync(path.join(newer, 'manifest.json'), 'utf8').replace(
    '"formatVersion": 1',
    '"formatVersion": 7',
  );
  writeFileSync(path.join(newer, 'manifest.json'), manifest);
  writeFileSync(path.join(newer, 'COMMIT'), 'written by rules of its own');
  await assert.rejects(
    findLatestCheckpoint(folder, { log: silentLogger }),
    /format 7, this program reads formats up to 1; continue with the newer program/,
  );
});

test('a path that is no checkpoint is an error that shows one', async (t) => {
  const folder = temporaryFolder(t);
  await assert.rejects(
    openCheckpoint(path.join(folder, 'none'), { verify: false }),
    /is not a checkpoint folder \(such as/,
  );
  await assert.rejects(openCheckpoint(folder, { verify: false }), /cannot be used: COMMIT is missing/);
});

test('latest is put right where a save was cut off before it could be', async (t) => {
  const folder = temporaryFolder(t);
  await save(folder, 1);
  await save(folder, 2);
  await markLatest(folder, 1);
  assert.equal(readlinkSync(path.join(folder, 'latest')), 'step-00000001');
  await markLatest(folder, 2);
  assert.equal(readlinkSync(path.join(folder, 'latest')), 'step-00000002');
});

test('where links are impossible, latest may be a file', async (t) => {
  const folder = temporaryFolder(t);
  await save(folder, 4);
  rmSync(path.join(folder, 'latest'));
  writeFileSync(path.join(folder, 'latest'), 'step-00000004\n');
  assert.equal((await openCheckpoint(path.join(folder, 'latest'), { verify: true })).step, 4);
});

test('saving the same step again replaces it', async (t) => {
  const folder = temporaryFolder(t);
  await save(folder, 7);
  await save(folder, 7, { files: sampleFiles(70), state: { again: true } });
  const found = await findLatestCheckpoint(folder, { log: silentLogger });
  assert.deepEqual(found?.state, { again: true });
  await assertHoldsSample(found!, 70);
  assert.deepEqual(readdirSync(folder).sort(), ['latest', 'step-00000007']);
});

test('a damaged checkpoint of the same step does not stand in the way', async (t) => {
  const folder = temporaryFolder(t);
  const { path: place } = await save(folder, 7);
  rmSync(path.join(place, 'COMMIT'));
  await save(folder, 7, { files: sampleFiles(70) });
  await assertHoldsSample(await openCheckpoint(place, { verify: true }), 70);
});

test('the newest ones, the best and those asked for outlive retention', async (t) => {
  const folder = temporaryFolder(t);
  const keep = (step: number) => step === 10;
  for (let step = 10; step <= 60; step += 10) {
    await save(folder, step, { keepLast: 2, keep });
    if (step === 20) await markBest(folder, 20);
  }
  assert.deepEqual(stepsIn(folder), [10, 20, 50, 60]);
  assert.equal(readlinkSync(path.join(folder, 'best')), 'step-00000020');
  await markBest(folder, 60);
  await save(folder, 70, { keepLast: 1 });
  assert.deepEqual(stepsIn(folder), [60, 70]);
  await assert.rejects(markBest(folder, 65), /no usable checkpoint of step 65/);
});

test('damaged checkpoints do not count as kept ones', async (t) => {
  const folder = temporaryFolder(t);
  await save(folder, 1);
  const { path: second } = await save(folder, 2);
  rmSync(path.join(second, 'COMMIT'));
  await save(folder, 3, { keepLast: 2 });
  assert.deepEqual(stepsIn(folder), [1, 2, 3]);
  await save(folder, 4, { keepLast: 2 });
  assert.deepEqual(stepsIn(folder), [3, 4]);
});

test('what dead processes left is cleared, what others may still write is not', async (t) => {
  const folder = temporaryFolder(t);
  const host = os.hostname().replace(/[^A-Za-z0-9_-]/g, '_');
  const dead = `step-00000001.tmp-999999999-${host}`;
  const alive = `step-00000001.tmp-${process.ppid}-${host}`;
  const elsewhere = 'step-00000001.tmp-1-another-node';
  const removed = 'step-00000001.removed';
  for (const name of [dead, alive, elsewhere, removed]) mkdirSync(path.join(folder, name));
  writeFileSync(path.join(folder, 'notes.txt'), 'mine');
  await save(folder, 2);
  assert.deepEqual(readdirSync(folder).sort(), ['latest', 'notes.txt', alive, elsewhere, 'step-00000002'].sort());
});

test('a checkpoint moved aside is used, and put back, when its successor never came', async (t) => {
  const folder = temporaryFolder(t);
  const { path: place } = await save(folder, 3);
  cpSync(place, `${place}.replaced`, { recursive: true });
  rmSync(place, { recursive: true });
  const found = await findLatestCheckpoint(folder, { log: silentLogger });
  assert.equal(found?.path, `${place}.replaced`);
  await save(folder, 4);
  assert.ok(existsSync(place) && !existsSync(`${place}.replaced`));
});

function stepsIn(folder: string): number[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith('step-'))
    .map((name) => Number(name.slice(5)))
    .sort((a, b) => a - b);
}
