// The index: what is written is read, damage is noticed, changes make it anew, and of many makers one works.
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { SlipError } from '@slip/core';
import fc from 'fast-check';
import { type IndexPlan, openCachedIndex } from './cached-index.js';
import { IndexReader } from './index-reader.js';
import { IndexWriter } from './index-writer.js';

const work = mkdtempSync(path.join(os.tmpdir(), 'slip-index-test-'));
after(() => rmSync(work, { recursive: true, force: true }));
let folders = 0;
function folder(): string {
  const made = path.join(work, String(folders++));
  mkdirSync(made);
  return made;
}

async function write(records: readonly (readonly string[])[], recordsPerBlock: number): Promise<string> {
  const file = path.join(folder(), 'test.slipindex');
  const writer = new IndexWriter(file, recordsPerBlock);
  for (const record of records) writer.add(record);
  await writer.finish({ kind: 'test', sources: [] });
  return file;
}

const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }), { minLength: 1, maxLength: 4 });

test('records of any texts are read in any order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(texts, { maxLength: 40 }), fc.integer({ min: 1, max: 17 }), async (records, perBlock) => {
      const reader = IndexReader.tryOpen(await write(records, perBlock))!;
      assert.equal(reader.count, records.length);
      for (let i = records.length - 1; i >= 0; i--) assert.deepEqual(reader.read(i), records[i]);
      for (let i = 0; i < records.length; i++) assert.deepEqual(reader.read(i), records[i]);
      assert.throws(() => reader.read(records.length), RangeError);
      reader.close();
    }),
    { numRuns: 60 },
  );
});

test('records beyond the buffer, and more blocks than a piece of the table', async () => {
  const long = 'é'.repeat(3 << 20);
  const records = Array.from({ length: 40_000 }, (_, i) => [String(i), i % 10_000 === 3 ? long : 'x']);
  const reader = IndexReader.tryOpen(await write(records, 1))!;
  for (const i of [0, 3, 4, 10_003, 16_383, 16_384, 39_999]) assert.deepEqual(reader.read(i), records[i]);
});

test('any changed or missing byte is noticed, sooner or later', async () => {
  const records = Array.from({ length: 50 }, (_, i) => [`place ${i}`, `caption ${i}`]);
  const file = await write(records, 4);
  const whole = readFileSync(file);
  const { tableOffset } = IndexReader.tryOpen(file)!.header;
  const closingCrc = tableOffset + 13 * 12 + 8;
  const readAll = () => {
    const reader = IndexReader.tryOpen(file);
    if (reader === undefined) return 'refused';
    try {
      return records.every((record, i) => assert.deepEqual(reader.read(i), record) === undefined) ? 'same' : 'other';
    } catch (error) {
      assert.ok(error instanceof SlipError && /is damaged; remove it/.test(error.message), String(error));
      return 'refused';
    } finally {
      reader.close();
    }
  };
  assert.equal(readAll(), 'same');
  for (let at = 0; at < whole.length; at += 3) {
    const changed = Buffer.from(whole);
    changed[at] ^= 0x41;
    writeFileSync(file, changed);
    const isUnused = (at >= 36 && at < 60) || (at >= closingCrc && at < closingCrc + 4);
    if (!isUnused) assert.equal(readAll(), 'refused', `byte ${at} of ${whole.length}`);
  }
  for (const cut of [0, 10, 63, 64, 500, whole.length - 1]) {
    writeFileSync(file, whole.subarray(0, cut));
    assert.equal(IndexReader.tryOpen(file), undefined);
  }
});

function planOf(source: string, built: { times: number }, more: Partial<IndexPlan> = {}): IndexPlan {
  return {
    kind: 'lines',
    subject: source,
    settings: [],
    recordsPerBlock: 16,
    async build({ writer, watch }) {
      built.times += 1;
      await watch(source);
      for (const line of readFileSync(source, 'utf8').split('\n')) writer.add([line]);
    },
    ...more,
  };
}

test('it is made once, and anew when its source, the settings or the file itself change', async () => {
  const source = path.join(folder(), 'lines');
  const built = { times: 0 };
  const read = async (more?: Partial<IndexPlan>) => {
    const reader = await openCachedIndex(planOf(source, built, more));
    const [first] = reader.read(0);
    reader.close();
    return [first, built.times];
  };
  writeFileSync(source, 'one\ntwo');
  assert.deepEqual(await read(), ['one', 1]);
  assert.deepEqual(await read(), ['one', 1]);
  // The same length and time.
  utimesSync(source, 1e9, 1e9);
  assert.deepEqual(await read(), ['one', 2]);
  writeFileSync(source, 'ONE\ntwo');
  utimesSync(source, 1e9, 1e9);
  assert.deepEqual(await read(), ['ONE', 3]);
  const index = path.join(path.dirname(source), '.slip-index');
  const [name] = readdirSync(index);
  assert.deepEqual(await read({ settings: ['other'] }), ['ONE', 4]);
  writeFileSync(path.join(index, name), 'no index');
  writeFileSync(path.join(index, `.${name}.1.tmp`), 'left over');
  await read();
  assert.ok(
    readdirSync(index).every((found) => found.endsWith('.slipindex')),
    'left-overs and locks are gone',
  );
});

test('a failing build leaves nothing and says why; what the system says becomes an error of data', async () => {
  const source = path.join(folder(), 'lines');
  writeFileSync(source, 'x');
  const indexDir = path.join(path.dirname(source), 'index');
  const fails = (error: Error) =>
    openCachedIndex(planOf(source, { times: 0 }, { indexDir, build: () => Promise.reject(error) }));
  await assert.rejects(fails(new SlipError('data', 'no good')), /no good/);
  await assert.rejects(fails(Object.assign(new Error('ENOSPC: no space'), { syscall: 'write' })), {
    code: 'data',
    message: /the index of .*lines cannot be made: ENOSPC/,
  });
  assert.deepEqual(readdirSync(indexDir), []);
  writeFileSync(path.join(path.dirname(source), 'file'), '');
  const nowhere = planOf(source, { times: 0 }, { indexDir: path.join(path.dirname(source), 'file/below') });
  await assert.rejects(openCachedIndex(nowhere), { code: 'data', message: /can be written neither to .*--index-dir/ });
});

test('where it cannot be kept beside its source it is kept in the temporary folder', async () => {
  const source = path.join(folder(), 'lines');
  writeFileSync(source, 'x');
  writeFileSync(path.join(path.dirname(source), '.slip-index'), 'in the way');
  const built = { times: 0 };
  for (let time = 0; time < 2; time++) {
    const reader = await openCachedIndex(planOf(source, built));
    assert.ok(path.basename(path.dirname(reader.file)).startsWith('slip-index-'), reader.file);
    reader.close();
    if (time === 1) rmSync(reader.file);
  }
  assert.equal(built.times, 1);
});

const maker = path.resolve(import.meta.dirname, '../testing/make-index.js');
function start(source: string, log: string, pauseMs: number): ChildProcess {
  return fork(maker, [source, log, String(pauseMs)]);
}

test('of several processes one makes it; when that is killed another one does', async () => {
  const source = path.join(folder(), 'lines');
  const log = path.join(path.dirname(source), 'log');
  writeFileSync(source, 'a\nb\nc');
  writeFileSync(log, '');
  const ended = (child: ChildProcess) => once(child, 'exit').then(([code]) => code as number | null);
  const children = [1, 2, 3].map(() => start(source, log, 300));
  assert.deepEqual(await Promise.all(children.map(ended)), [0, 0, 0]);
  assert.equal(readFileSync(log, 'utf8'), 'built\n');

  writeFileSync(source, 'd\ne\nf');
  const victim = start(source, log, 600_000);
  while (readFileSync(log, 'utf8') !== 'built\nbuilt\n') await setTimeout(20);
  const other = start(source, log, 0);
  await setTimeout(200);
  assert.equal(other.exitCode, null, 'it waits');
  victim.kill('SIGKILL');
  assert.equal(await ended(other), 0);
  assert.equal(readFileSync(log, 'utf8'), 'built\nbuilt\nbuilt\n');
  const left = readdirSync(path.join(path.dirname(source), '.slip-index'));
  assert.deepEqual(
    left.map((name) => path.extname(name)),
    ['.slipindex'],
  );
});
