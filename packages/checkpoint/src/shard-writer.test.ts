// Files are what the tensors were when the write began, whenever their owner asks for the memory back.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { HeldTensors } from './held-tensors.js';
import type { NamedTensor } from './named-tensor.js';
import { readSafetensorsInto } from './safetensors-read.js';
import { ShardWriter } from './shard-writer.js';

const PIECE = 4 << 20;

/** Of several pieces, and different in each. */
const bytes = (length: number, start: number) => Uint8Array.from({ length }, (_, i) => start + (i >> 18));

test('pieces come from the owner until it asks, and from a copy afterwards', async () => {
  const [first, second] = [bytes(3 * PIECE + 5, 1), bytes(PIECE, 100)];
  const expected = [Buffer.from(first), Buffer.from(second)];
  let copied = 0;
  const held = new HeldTensors([first, second], (size) => {
    copied += size;
    return new ArrayBuffer(size);
  });
  const reader = held.pieces(0);
  const read = [Buffer.from((await reader.next()).value!)];
  const lent = (await reader.next()).value as Uint8Array;
  assert.equal(lent.buffer, first.buffer, 'not a copy');
  const events: string[] = [];
  const released = held.release().then(() => {
    events.push('released');
    first.fill(0);
    second.fill(0);
  });
  await new Promise((resolve) => setImmediate(resolve));
  events.push('read');
  read.push(Buffer.from(lent));
  for await (const piece of reader) read.push(Buffer.from(piece));
  await released;
  assert.deepEqual(events, ['read', 'released'], 'a piece that is being read is waited for');
  assert.equal(copied, PIECE + 5 + PIECE, 'only what was left');
  const later: Buffer[] = [];
  for await (const piece of held.pieces(1)) later.push(Buffer.from(piece));
  assert.deepEqual([Buffer.concat(read), Buffer.concat(later)], expected);
});

test('a reader that fails does not keep the owner waiting; no room for the copy fails the reader', async () => {
  const held = new HeldTensors([bytes(2 * PIECE, 1)], () => {
    throw new RangeError('no room');
  });
  const reader = held.pieces(0);
  await reader.next();
  const released = held.release();
  await assert.rejects(async () => reader.next(), /no room/);
  await released;
});

test('a thread writes what was there at the beginning: the owner changes it as soon as it may', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-shard-'));
  const writer = new ShardWriter();
  try {
    const data = Array.from({ length: 6 }, (_, i) => new Float32Array(3 << 20).fill(i + 1));
    const small = Float32Array.of(0.5);
    const tensors = [small, ...data].map(
      (values, i): NamedTensor => ({ name: `t${i}`, dtype: 'F32', shape: [values.length], data: values }),
    );
    // Asked at once, and after the end; a late answer must not count for the save after it.
    for (const [round, wait] of [0, 1, 0].entries()) {
      const writing = writer.write(folder, [{ file: 'model', name: `${round}.safetensors`, tensors, metadata: {} }]);
      small[0] += 1;
      if (wait === 1) await writing;
      await writer.release();
      for (const values of data) values[values.length - 1] += 1;
      await writing;
    }
    for (const round of [0, 1, 2]) {
      const read = new Map(tensors.map(({ name, data: { length } }) => [name, new Float32Array(length)]));
      await readSafetensorsInto(path.join(folder, `${round}.safetensors`), (name) => read.get(name));
      assert.equal(read.get('t0')![0], round + 0.5, 'small ones are copied at once');
      for (const i of data.keys()) assert.equal(read.get(`t${i + 1}`)!.at(-1), i + 1 + round);
    }
  } finally {
    await writer.close();
    rmSync(folder, { recursive: true });
  }
});
