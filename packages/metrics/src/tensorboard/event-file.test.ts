// Event files against a reader written for this test from the formats' descriptions; it shares no code with the writer.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { createRunMetrics } from '../run-metrics.js';
import { sampleOptions, sampleStep, temporaryRun } from '../testing/sample-run.js';
import { crc32c } from './crc32c.js';
import { EventFile } from './event-file.js';

type Field = number | bigint | Buffer;
interface ReadEvent {
  wallTime: number;
  step: number;
  version?: string;
  /** Of a SessionLog; 1 is START. */
  sessionStatus?: number;
  scalars: Record<string, number>;
}

/** Polynomial division bit by bit, from the definition. */
function slowCrc32c(bytes: Uint8Array): bigint {
  let crc = 0xffffffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc % 2n === 1n ? (crc / 2n) ^ 0x82f63b78n : crc / 2n;
  }
  return crc ^ 0xffffffffn;
}

function masked(bytes: Uint8Array): number {
  const crc = slowCrc32c(bytes);
  const rotated = ((crc >> 15n) | (crc << 17n)) % 2n ** 32n;
  return Number((rotated + 0xa282ead8n) % 2n ** 32n);
}

function readRecords(file: string): Buffer[] {
  const bytes = readFileSync(file);
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    assert.equal(bytes.readUInt32LE(at + 8), masked(bytes.subarray(at, at + 8)), 'checksum of a length');
    const message = bytes.subarray(at + 12, at + 12 + length);
    assert.equal(bytes.readUInt32LE(at + 12 + length), masked(message), 'checksum of a record');
    records.push(message);
    at += length + 16;
  }
  return records;
}

function readFields(message: Buffer): Map<number, Field[]> {
  const fields = new Map<number, Field[]>();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (length: number): Buffer => {
    at += length;
    return message.subarray(at - length, at);
  };
  while (at < message.length) {
    const key = Number(varint());
    const wire = key & 7;
    const value =
      wire === 0
        ? varint()
        : wire === 1
          ? take(8).readDoubleLE(0)
          : wire === 5
            ? take(4).readFloatLE(0)
            : take(Number(varint()));
    fields.set(key >> 3, [...(fields.get(key >> 3) ?? []), value]);
  }
  return fields;
}

function readEvents(file: string): ReadEvent[] {
  return readRecords(file).map((record) => {
    const fields = readFields(record);
    const [summary] = (fields.get(5) ?? []) as Buffer[];
    const [session] = (fields.get(7) ?? []) as Buffer[];
    const values = summary === undefined ? [] : ((readFields(summary).get(1) ?? []) as Buffer[]).map(readFields);
    return {
      wallTime: fields.get(1)![0] as number,
      step: Number(fields.get(2)![0]),
      ...(fields.has(3) ? { version: String(fields.get(3)![0]) } : {}),
      ...(session === undefined ? {} : { sessionStatus: Number(readFields(session).get(1)![0]) }),
      scalars: Object.fromEntries(values.map((value) => [String(value.get(1)![0]), value.get(2)![0] as number])),
    };
  });
}

test('crc32c gives the values of RFC 3720 and of the definition', () => {
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  const odd = Buffer.from('an odd number of bytes, 27.');
  assert.equal(BigInt(crc32c(odd)), slowCrc32c(odd));
});

test('a file begins with its version; scalars keep step, time and value', (t) => {
  const folder = path.join(temporaryRun(t), 'tensorboard');
  const events = EventFile.create(folder, 0, () => 1_700_000_000_500);
  const farStep = 2 ** 40 + 300;
  events.scalars(7, { 'train/loss': 0.1, 'train/lr': Number.NaN });
  events.scalars(farStep, { 'a name with ümlauts': -1e30 });
  events.close();
  assert.match(path.basename(events.file), /^events\.out\.tfevents\.1700000000\./);
  const wallTime = 1_700_000_000.5;
  assert.deepEqual(readEvents(events.file), [
    { wallTime, step: 0, version: 'brain.Event:2', scalars: {} },
    { wallTime, step: 7, scalars: { 'train/loss': Math.fround(0.1), 'train/lr': Number.NaN } },
    { wallTime, step: farStep, scalars: { 'a name with ümlauts': Math.fround(-1e30) } },
  ]);
});

test('a restart, even in the same second, is a later file that withdraws later steps', (t) => {
  const folder = path.join(temporaryRun(t), 'tensorboard');
  const first = EventFile.create(folder, 0, () => 5_000);
  first.close();
  const second = EventFile.create(folder, 400, () => 5_000);
  second.close();
  assert.deepEqual(
    readdirSync(folder).sort(),
    [first.file, second.file].map((file) => path.basename(file)),
  );
  assert.deepEqual(
    readEvents(second.file).map(({ version, step, sessionStatus }) => [version, step, sessionStatus]),
    [
      ['brain.Event:2', 0, undefined],
      [undefined, 401, 1],
    ],
  );
});

test('steps, validations and epochs of a run stand under tags of their own', async (t) => {
  const runDir = temporaryRun(t);
  const metrics = await createRunMetrics(sampleOptions(runDir, { family: 'CLIP' }));
  for (let step = 1; step <= 4; step++) metrics.step(sampleStep(step, 'CLIP'), false);
  metrics.evaluation({ step: 4, epoch: 0, acc1: 12.5 });
  await metrics.epoch({ epoch: 0, test_acc1: 12.5 });
  await metrics.close();
  const folder = path.join(runDir, 'tensorboard');
  const events = readEvents(path.join(folder, readdirSync(folder)[0]));
  assert.deepEqual(
    events.map(({ step }) => step),
    [0, 1, 2, 3, 4, 4, 4],
  );
  assert.deepEqual(Object.keys(events[1].scalars).sort(), [
    'speed/communication_exposed_ms',
    'speed/communication_ms',
    'speed/data_wait_ms',
    'speed/images_per_second',
    'speed/memory_bytes',
    'speed/step_ms',
    'train/clip_acc',
    'train/clip_loss',
    'train/logit_scale',
    'train/loss',
    'train/lr',
  ]);
  assert.equal(events[2].scalars['train/loss'], 5);
  assert.deepEqual(events[5].scalars, { 'eval/acc1': 12.5 });
  assert.equal(events[6].scalars['epoch/test_acc1'], 12.5);
  assert.equal(events[6].scalars['epoch/train_loss'], Math.fround((10 + 5 + 10 / 3 + 2.5) / 4));
});
