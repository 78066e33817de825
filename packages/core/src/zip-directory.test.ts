// Zip directories beyond 4 GiB, laid out by hand in sparse files, and ones that lie.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { locateData, readZipDirectory, type ZipArchive, type ZipEntry } from './zip-directory.js';

const FULL = 0xffffffff;

function localHeader(name: string, extraBytes: number): Buffer {
  const header = Buffer.alloc(30 + name.length + extraBytes);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(name.length, 26);
  header.writeUInt16LE(extraBytes, 28);
  header.write(name, 30);
  return header;
}

/** Sizes and offset as they are, with zip64 numbers for those that are full. */
function directoryEntry(name: string, size: number, offset: number, wide: readonly number[]): Buffer {
  const extra = Buffer.alloc(wide.length > 0 ? 4 + 8 * wide.length : 0);
  if (wide.length > 0) extra.writeUInt32LE(0x0001 | ((8 * wide.length) << 16), 0);
  for (const [i, value] of wide.entries()) extra.writeBigUInt64LE(BigInt(value), 4 + 8 * i);
  const header = Buffer.alloc(46);
  header.writeUInt32LE(0x02014b50, 0);
  header.writeUInt32LE(size, 20);
  header.writeUInt32LE(size, 24);
  header.writeUInt16LE(name.length, 28);
  header.writeUInt16LE(extra.length, 30);
  header.writeUInt32LE(offset, 42);
  return Buffer.concat([header, Buffer.from(name), extra]);
}

function endRecords(count: number, length: number, start: number, recordStart: number): Buffer {
  const bytes = Buffer.alloc(56 + 20 + 22);
  bytes.writeUInt32LE(0x06064b50, 0);
  for (const field of [24, 32]) bytes.writeBigUInt64LE(BigInt(count), field);
  bytes.writeBigUInt64LE(BigInt(length), 40);
  bytes.writeBigUInt64LE(BigInt(start), 48);
  bytes.writeUInt32LE(0x07064b50, 56);
  bytes.writeBigUInt64LE(BigInt(recordStart), 64);
  bytes.writeUInt32LE(0x06054b50, 76);
  bytes.writeUInt16LE(0xffff, 86);
  bytes.writeUInt32LE(FULL, 88);
  bytes.writeUInt32LE(FULL, 92);
  return bytes;
}

const BIG = 2 ** 32 + 8;

/** One entry larger than 4 GiB, and a small one behind it. */
async function sparseArchive(
  t: TestContext,
  pieces: { directory?: Buffer; count?: number; recordStart?: number } = {},
) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-zip-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'sparse.zip');
  const handle = await open(file, 'w+');
  t.after(() => handle.close());
  const second = 50 + BIG;
  const directory =
    pieces.directory ??
    Buffer.concat([directoryEntry('a/0', FULL, 0, [BIG, BIG]), directoryEntry('a/1', 4, FULL, [second])]);
  const start = second + 50;
  await handle.write(localHeader('a/0', 17), 0, 50, 0);
  const small = localHeader('a/1', 9);
  await handle.write(Buffer.concat([small, Buffer.from('data')]), 0, small.length + 4, second);
  await handle.write(directory, 0, directory.length, start);
  const end = endRecords(pieces.count ?? 2, directory.length, start, pieces.recordStart ?? start + directory.length);
  await handle.write(end, 0, end.length, start + directory.length);
  const { size } = await handle.stat();
  const archive: ZipArchive = { file, handle, bytes: size, errorCode: 'checkpoint' };
  return { archive, second };
}

test('sizes and offsets beyond 4 GiB', async (t) => {
  const { archive, second } = await sparseArchive(t);
  const entries = await readZipDirectory(archive);
  assert.deepEqual(
    entries.map(({ name, sizeBytes, headerOffset }) => [name, sizeBytes, headerOffset]),
    [
      ['a/0', BIG, 0],
      ['a/1', 4, second],
    ],
  );
  assert.equal(await locateData(archive, entries[0]), 50);
  const begin = await locateData(archive, entries[1]);
  const { buffer } = await archive.handle.read(Buffer.alloc(4), 0, 4, begin);
  assert.equal(buffer.toString(), 'data');
});

test('directories that lie are refused', async (t) => {
  const second = 50 + BIG;
  const cases: [Parameters<typeof sparseArchive>[1], RegExp][] = [
    [{ count: 3 }, /has 2 entries, its directory says 3/],
    [{ recordStart: 12 }, /no zip64 record where it should be/],
    [{ recordStart: 2 ** 40 }, /zip64 record beyond its end/],
    [{ directory: directoryEntry('a/0', FULL, 0, []), count: 1 }, /lacks the zip64 size of a\/0/],
    [{ directory: directoryEntry('a/0', FULL, 0, [2 ** 45, 2 ** 45]), count: 1 }, /a\/0 that ends beyond the file/],
    [
      {
        directory: Buffer.concat([
          directoryEntry('a/0', FULL, 0, [BIG, BIG]),
          directoryEntry('a/1', FULL, 0, [BIG, BIG]),
        ]),
      },
      /entries that overlap/,
    ],
  ];
  for (const [pieces, message] of cases) {
    const { archive } = await sparseArchive(t, pieces);
    await assert.rejects(readZipDirectory(archive), { code: 'checkpoint', message });
  }
  const { archive } = await sparseArchive(t);
  const wrong: ZipEntry = { name: 'a/1', method: 0, crc32: 0, storedBytes: 4, sizeBytes: 4, headerOffset: second + 1 };
  await assert.rejects(locateData(archive, wrong), /no header where a\/1 should begin/);
});
