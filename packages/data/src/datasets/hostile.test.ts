// Sets made to harm, and real ones changed at random: each ends soon, in samples or in an error that names the file.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { fuzzSets } from '../testing/fuzz-sets.js';
import { type DatasetLocation, openDataset } from './captioned-dataset.js';

const work = mkdtempSync(path.join(os.tmpdir(), 'slip-hostile-'));
after(() => rmSync(work, { recursive: true, force: true }));
mkdirSync(path.join(work, 'images'));
mkdirSync(path.join(work, 'train2017'));

let files = 0;
function file(content: string | Uint8Array): string {
  const name = path.join(work, `file-${files++}`);
  writeFileSync(name, typeof content === 'string' ? Buffer.from(content, 'latin1') : content);
  return name;
}

async function refuses(dataset: string, metadata: string, message: RegExp, more: Partial<DatasetLocation> = {}) {
  await assert.rejects(openDataset({ dataset, root: work, metadata, ...more }), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'data', String(error.stack));
    assert.match(error.message, message);
    return true;
  });
}

function npy(header: string, body = ''): string {
  const padded = header.padEnd(117);
  return `\x93NUMPY\x01\0${String.fromCharCode(padded.length + 1)}\0${padded}\n${body}`;
}

const OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }";

test('pickles: laughs by the billion, huge lengths, code, other kinds', async () => {
  let laughs = '](X\x03\0\0\0lolq\0';
  for (let i = 0; i < 30; i++) laughs += `(${`h${String.fromCharCode(i)}`.repeat(10)}tq${String.fromCharCode(i + 1)}`;
  await refuses('yfcc15m', file(`${laughs}e.`), /record 0 needs \(index.*found "lol"/);
  await refuses('yfcc15m', file(`${laughs.replace('](', '](K\x01(')}te.`), /record 1 needs|record 0 needs/);
  const nested = laughs.slice(2).replace('X\x03', '(X\x03');
  await refuses('yfcc15m', file(`](${nested}te.`), /record 0 needs .*found \["lol", \["lol"/);
  await refuses('cc3m', file(npy(OBJECTS, `](${nested}te.`)), /record 0 needs|not of a list/);
  await refuses('yfcc15m', file('](X\xff\xff\xff\xff'), /needs 4294967295 more bytes/);
  await refuses('yfcc15m', file('](cos\nsystem\n(S"rm -rf /"\ntRe.'), /wants os\.system/);
  await refuses('yfcc15m', file('}.'), /is a pickle, but not of a list of records/);
  await refuses('yfcc15m', file('].'), /has no samples/);
  await refuses('yfcc15m', file('](J\xff\xff\xff\xffX\x01\0\0\0aX\x01\0\0\0b\x87e.'), /index below 100000000/);
  await refuses('yfcc15m', file(''), /needs 1 more bytes/);
});

test('numpy headers: not objects, too long, without end, evaluated by nobody', async () => {
  await refuses('cc3m', file('no numpy at all'), /is no numpy file/);
  await refuses('cc3m', file(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }")), /array of <f8/);
  await refuses('cc3m', file('\x93NUMPY\x03\0\xff\xff\xff\xff'), /header of 4294967295 bytes/);
  await refuses('cc3m', file('\x93NUMPY\x01\0\xff\xff'), /ends within its header/);
  await refuses('cc3m', file('\x93NUMPY\x07\0\x04\0{}  '), /version 7/);
  await refuses('cc3m', file(npy('__import__("os").system("x")')), /not understood/);
  await refuses('cc3m', file(npy(OBJECTS, 'N.')), /not of a list/);
  const lying =
    'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tU\x01btR(K\x01(J\xff\xff\xff\x7ftcnumpy\ndtype\n(U\x02O8tR\x89]tb.';
  await refuses('cc3m', file(npy(OBJECTS, lying)), /2147483647 objects that holds 0/);
});

test('paths that lead out of the root', async () => {
  await refuses('csv', file('filepath,title\n../../etc/passwd,x\n'), /not below --root/);
  await refuses('csv', file('filepath,title\na/../../b.jpg,x\n'), /not below --root/);
  await refuses('csv', file('filepath,title\na\0b.jpg,x\n'), /not below --root/);
  await refuses('redcaps', file('[{"image_id":"../x","subreddit":"a","caption":"c"}]'), /annotation 0 needs/);
  await refuses('redcaps', file('[{"image_id":"x","subreddit":"..","caption":"c"}]'), /annotation 0 needs/);
});

test('JSON: not closed, closed twice, too deep, too long, of another kind', async () => {
  await refuses('redcaps', file(''), /is empty/);
  await refuses('redcaps', file('"text"'), /is no JSON list or object/);
  await refuses('redcaps', file('[{"image_id": "a"'), /ends in the middle/);
  await refuses('redcaps', file('{"annotations": [}'), /ends in the middle|at byte/);
  await refuses('redcaps', file('[]]'), /goes on after its end/);
  await refuses('redcaps', file('[]'), /has no samples/);
  await refuses('redcaps', file('{"annotation": [1]}'), /has no annotations/);
  await refuses('redcaps', file('['.repeat(1000)), /nested deeper than 64/);
  await refuses('redcaps', file(`[{"image_id": "${'x'.repeat(17 << 20)}`), /element of more than 16777216 bytes/);
  await refuses('coco', file(`{"${'x'.repeat(17 << 20)}": 1, "annotations": [{}]}`), /annotation 0 needs/);
});

test('tables: a quote that is never closed, rows of other lengths, no text', async () => {
  await refuses('csv', file(`a.jpg,"open\n${'line\n'.repeat(300_000)}`), /is a quote open/);
  await refuses('csv', file('a.jpg,"open\n'), /a quote is opened here and never closed/);
  await refuses('csv', file('a.jpg,one\nb.jpg\n'), /:2: 1 column/);
  await refuses('csv', file(''), /has no samples/);
  await refuses('csv', file('title\nno paths\n'), /known to hold paths/);
  await refuses('tsv', file(Buffer.alloc(3 << 20, 'x')), /is it no text/);
});

test('tar: lengths beyond the file, endless names', async () => {
  const shards = path.join(work, 'shards');
  mkdirSync(shards);
  const header = (name: string, size: string, type = '0') => {
    const bytes = Buffer.alloc(512);
    bytes.write(name, 0);
    bytes.write(size, 124, 'latin1');
    bytes.write(type, 156);
    bytes.fill(' ', 148, 156);
    bytes.write(
      `${bytes
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    );
    return bytes;
  };
  const shard = (...pieces: Buffer[]) => writeFileSync(path.join(shards, 'a.tar'), Buffer.concat(pieces));
  const refused = (message: RegExp) => refuses('webdataset', '', message, { root: shards });
  shard(header('a.jpg', '77777777777'));
  await refused(/member that ends beyond the file, at byte 0/);
  shard(header('a.jpg', '\x80\0\0\0\0\x7f\xff\xff\xff\xff\xff\xff'));
  await refused(/no tar header|ends beyond the file/);
  shard(header('x', '00004000000', 'L'), Buffer.alloc(1 << 20, 'n'));
  await refused(/has no samples/);
  shard(header('x', '00010000000', 'L'), Buffer.alloc(2 << 20, 'n'));
  await refused(/name or text of 2097152 bytes/);
  shard(header('x', '00000000010', 'x'), Buffer.alloc(512, '9'));
  await refused(/no tar header/);
  shard(Buffer.alloc(1000, 1));
  await refused(/no tar header/);
});

test('zip: a picture that would unpack to more than it says', async () => {
  const folder = path.join(work, 'images/00');
  mkdirSync(folder);
  const bomb = deflateRawSync(Buffer.alloc(64 << 20));
  const name = Buffer.from('001.jpg');
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(name.length, 26);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt16LE(8, 10);
  entry.writeUInt32LE(bomb.length, 20);
  entry.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  const write = (sizeBytes: number) => {
    entry.writeUInt32LE(sizeBytes, 24);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(1, 10);
    end.writeUInt32LE(46 + name.length, 12);
    end.writeUInt32LE(30 + name.length + bomb.length, 16);
    writeFileSync(path.join(folder, '000.zip'), Buffer.concat([local, name, bomb, entry, name, end]));
  };
  const metadata = file('](K\x01X\x01\0\0\0aX\x01\0\0\0b\x87e.');
  const { image } = (await openDataset({ dataset: 'yfcc15m', root: work, metadata })).describe(0);
  write(1000);
  await assert.rejects(image.bytes(), /001.jpg cannot be read: it cannot be unpacked/);
  write(0xfffffffe);
  await assert.rejects(image.bytes(), /it has 4294967294 bytes; at most/);
});

test('real files changed at random end in samples or in an error that names them', async () => {
  const { cases, refused, peakMemory } = await fuzzSets(1, 12);
  assert.ok(refused > cases / 10, `${refused} of ${cases} were refused`);
  assert.ok(peakMemory < 1024, `${peakMemory} MiB`);
});
