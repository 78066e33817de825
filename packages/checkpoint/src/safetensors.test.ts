// Safetensors files against bytes laid out by hand, hostile headers, and sizes beyond 32 bits.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import { type NamedTensor, readSafetensorsHeader, readSafetensorsInto, writeSafetensors } from './index.js';
import { temporaryFolder } from './testing/temporary-folder.js';

function fileOf(header: unknown, dataBytes: number, length?: bigint): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(length ?? BigInt(json.length));
  return Buffer.concat([start, json, Buffer.alloc(dataBytes)]);
}

test('a file is laid out as the format says, padded to 8, wide elements first', async (t) => {
  const file = path.join(temporaryFolder(t), 'a.safetensors');
  const tensors: NamedTensor[] = [
    { name: '2', dtype: 'F32', shape: [1, 3], data: Float32Array.of(1.5, -2, 0.25) },
    { name: 'count', dtype: 'I64', shape: [], data: BigInt64Array.of(-5n) },
  ];
  const written = await writeSafetensors(file, tensors, { note: 'x' });
  const bytes = readFileSync(file);
  assert.equal(written.sizeBytes, bytes.length);
  assert.equal(written.sha256, createHash('sha256').update(bytes).digest('hex'));
  const length = Number(bytes.readBigUInt64LE(0));
  assert.equal(length % 8, 0);
  assert.deepEqual(JSON.parse(bytes.toString('utf8', 8, 8 + length)), {
    __metadata__: { note: 'x' },
    count: { dtype: 'I64', shape: [], data_offsets: [0, 8] },
    '2': { dtype: 'F32', shape: [1, 3], data_offsets: [8, 20] },
  });
  const data = bytes.subarray(8 + length);
  assert.equal(data.readBigInt64LE(0), -5n);
  assert.deepEqual(
    [8, 12, 16].map((at) => data.readFloatLE(at)),
    [1.5, -2, 0.25],
  );
  assert.equal(data.length, 20);
});

test('any tensors come back bit for bit, views and shared memory included', async (t) => {
  const file = path.join(temporaryFolder(t), 'a.safetensors');
  const tensor = fc.record({
    name: fc.string({ minLength: 1, unit: 'binary' }).filter((name) => name !== '__metadata__'),
    bits: fc.array(fc.integer({ min: 0, max: 0xffffffff }), { maxLength: 9 }),
    shared: fc.boolean(),
  });
  const property = fc.asyncProperty(
    fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 }),
    async (drawn) => {
      const tensors = drawn.map(({ name, bits, shared }): NamedTensor => {
        const memory = shared ? new SharedArrayBuffer(4 * bits.length + 8) : new ArrayBuffer(4 * bits.length + 8);
        new Uint32Array(memory, 4, bits.length).set(bits);
        return { name, dtype: 'F32', shape: [bits.length], data: new Float32Array(memory, 4, bits.length) };
      });
      await writeSafetensors(file, tensors);
      const read = new Map<string, Float32Array>();
      await readSafetensorsInto(file, (name, _dtype, shape) => {
        read.set(name, new Float32Array(shape[0]));
        return read.get(name);
      });
      assert.equal(read.size, drawn.length);
      for (const { name, bits } of drawn) assert.deepEqual([...new Uint32Array(read.get(name)!.buffer)], bits);
    },
  );
  await fc.assert(property, { numRuns: 60, seed: 7 });
});

test('a tensor longer than a piece is written and read whole', async (t) => {
  const file = path.join(temporaryFolder(t), 'a.safetensors');
  const data = Float32Array.from({ length: (9 << 20) / 4 + 3 }, (_, i) => i);
  const { sha256 } = await writeSafetensors(file, [{ name: 'long', dtype: 'F32', shape: [data.length], data }]);
  assert.equal(sha256, createHash('sha256').update(readFileSync(file)).digest('hex'));
  const read = new Float32Array(data.length);
  await readSafetensorsInto(file, () => read);
  assert.ok(Buffer.from(read.buffer).equals(Buffer.from(data.buffer)));
});

test('tensors behind the first 4 GiB are found', async (t) => {
  const file = path.join(temporaryFolder(t), 'large.safetensors');
  const far = 5 * 2 ** 30;
  const header = {
    far: { dtype: 'F32', shape: [2], data_offsets: [far, far + 8] },
    padding: { dtype: 'F16', shape: [5, 2 ** 29], data_offsets: [0, far] },
  };
  const bytes = fileOf(header, 0);
  writeFileSync(file, bytes);
  // Sparse: takes no room on the disk.
  truncateSync(file, bytes.length + far + 8);
  const handle = await open(file, 'r+');
  await handle.write(new Uint8Array(Float32Array.of(3.25, -7).buffer), 0, 8, bytes.length + far);
  await handle.close();
  const read = new Float32Array(2);
  await readSafetensorsInto(file, (name) => (name === 'far' ? read : undefined));
  assert.deepEqual([...read], [3.25, -7]);
});

const F32_2 = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
const HOSTILE: readonly [string, Buffer, RegExp][] = [
  ['an empty file', Buffer.alloc(0), /is only 0 bytes long/],
  ['a length beyond the file', fileOf({}, 0, 1000n), /announces a header of 1000 bytes but has only 10/],
  ['a length beyond all reason', fileOf({}, 0, 2n ** 63n), /announces a header of 9223372036854775808 bytes/],
  ['no JSON', fileOf('{"a":', 0), /not JSON/],
  ['bytes that are not UTF-8', fileOf('', 0, 2n).fill(0xff, 8), /announces|not JSON/],
  ['a list', fileOf([], 0), /not a JSON object/],
  ['an unknown type', fileOf({ a: { ...F32_2, dtype: 'F33' } }, 8), /tensor a has the unknown type "F33"/],
  ['a negative size', fileOf({ a: { ...F32_2, shape: [-2] } }, 8), /tensor a has the shape \[-2\]/],
  ['a fraction', fileOf({ a: { ...F32_2, shape: [0.5, 4] } }, 8), /tensor a has the shape/],
  ['offsets in disorder', fileOf({ a: { ...F32_2, data_offsets: [8, 0] } }, 8), /tensor a has the offsets/],
  ['three offsets', fileOf({ a: { ...F32_2, data_offsets: [0, 8, 16] } }, 8), /tensor a has the offsets/],
  ['a shape that overflows', fileOf({ a: { ...F32_2, shape: [2 ** 52, 2 ** 52] } }, 8), /occupies 8 bytes/],
  ['a shape that disagrees', fileOf({ a: { ...F32_2, shape: [3] } }, 8), /tensor a is F32 \[3\] but occupies 8 bytes/],
  ['an overlap', fileOf({ a: F32_2, b: { ...F32_2, data_offsets: [4, 12] } }, 12), /tensor b overlaps/],
  ['a hole', fileOf({ a: F32_2, b: { ...F32_2, data_offsets: [12, 20] } }, 20), /4 unclaimed bytes before tensor b/],
  ['data cut off', fileOf({ a: F32_2 }, 7), /header says/],
  ['data left over', fileOf({ a: F32_2 }, 9), /header says/],
  ['metadata that is no text', fileOf({ __metadata__: { a: 1 } }, 0), /__metadata__\.a/],
];
for (const [what, bytes, message] of HOSTILE) {
  test(`${what} is refused by name`, async (t) => {
    const file = path.join(temporaryFolder(t), 'hostile.safetensors');
    writeFileSync(file, bytes);
    await assert.rejects(readSafetensorsHeader(file), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'checkpoint');
      assert.match(error.message, message);
      return error.message.includes(file);
    });
  });
}

test('a name such as __proto__ is only a name', async (t) => {
  const file = path.join(temporaryFolder(t), 'a.safetensors');
  await writeSafetensors(file, [{ name: '__proto__', dtype: 'F32', shape: [1], data: Float32Array.of(4) }]);
  const { tensors } = await readSafetensorsHeader(file);
  assert.deepEqual(
    tensors.map(({ name, dtype }) => [name, dtype]),
    [['__proto__', 'F32']],
  );
});

test('an array of another length or type is refused before it is written to', async (t) => {
  const file = path.join(temporaryFolder(t), 'a.safetensors');
  await writeSafetensors(file, [{ name: 'w', dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) }]);
  const short = new Float32Array(1);
  await assert.rejects(
    readSafetensorsInto(file, () => short),
    /w in .* is F32 \[2\], it was to be read into 1 elements of F32/,
  );
  await assert.rejects(
    readSafetensorsInto(file, () => new BigInt64Array(1)),
    /into 1 elements of I64/,
  );
  assert.equal(short[0], 0);
  await assert.rejects(
    readSafetensorsInto(path.join(file, 'none'), () => undefined),
    /cannot open/,
  );
});

test('a write that fails leaves the old file and nothing else', async (t) => {
  const folder = temporaryFolder(t);
  const file = path.join(folder, 'a.safetensors');
  await writeSafetensors(file, [{ name: 'w', dtype: 'F32', shape: [1], data: Float32Array.of(1) }]);
  const before = readFileSync(file);
  const wrong: NamedTensor = { name: 'w', dtype: 'F32', shape: [2], data: Float32Array.of(1) };
  await assert.rejects(writeSafetensors(file, [wrong]), /shape \[2\] says otherwise/);
  assert.deepEqual(readFileSync(file), before);
  assert.deepEqual(readdirSync(folder), ['a.safetensors']);
});
