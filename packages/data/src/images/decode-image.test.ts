// Pictures of every kind against the bytes that Pillow makes of them; damaged and hostile ones.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { RandomStream, SlipError } from '@slip/core';
import sharp from 'sharp';
import { decodeImage } from './decode-image.js';
import { decodeJpeg, jpegsDecoded } from './jpeg-decoder.js';

const golden = new URL('../../../../test/golden/pictures/', import.meta.url);
const bytesOf = (name: string) => readFileSync(new URL(name, golden));
const expected = JSON.parse(bytesOf('expected.json').toString()) as Record<
  string,
  { width: number; height: number; rgb: string }
>;
const decodeBytes = (bytes: Uint8Array) => decodeImage({ name: 'picture', bytes: async () => bytes });

test('every kind of file gives the bytes that Pillow gives', async () => {
  const before = jpegsDecoded();
  for (const [name, { width, height, rgb }] of Object.entries(expected)) {
    if (name === 'grey16.png') continue;
    const image = await decodeImage(new URL(name, golden).pathname);
    assert.deepEqual([image.width, image.height], [width, height], name);
    assert.ok(Buffer.from(rgb, 'base64').equals(image.data), name);
  }
  const whole = Object.keys(expected).filter((name) => name.endsWith('.jpg') && name !== 'cut.jpg');
  assert.equal(jpegsDecoded() - before, whole.length, 'only the JPEG that is cut off goes to sharp');
});

test('of 16 bits the upper 8 count; Pillow makes all but the darkest grey white', async () => {
  const { data, width } = await decodeImage(new URL('grey16.png', golden).pathname);
  for (const [x, y] of [
    [0, 0],
    [7, 3],
    [40, 26],
  ]) {
    assert.equal(data[3 * (y * width + x)], (5 * x + y) % 256);
  }
});

test('a shrunk JPEG has its sides divided and rounded up, and looks alike', () => {
  const jpeg = bytesOf('full-chroma.jpg');
  const whole = decodeJpeg(jpeg, () => 1)!.data.slice();
  for (const shrink of [2, 4, 8] as const) {
    const small = decodeJpeg(jpeg, (width, height) => {
      assert.deepEqual([width, height], [41, 27]);
      return shrink;
    })!;
    assert.deepEqual(
      [small.width, small.height, small.shrink],
      [Math.ceil(41 / shrink), Math.ceil(27 / shrink), shrink],
    );
    const mean = (data: Uint8Array) => data.reduce((sum, value) => sum + value, 0) / data.length;
    assert.ok(Math.abs(mean(small.data) - mean(whole)) < 6);
  }
});

test('pictures of too many pixels are refused before they are unpacked', async () => {
  const jpeg = Buffer.from(bytesOf('baseline.jpg'));
  const size = jpeg.indexOf(Buffer.from([0xff, 0xc0])) + 5;
  jpeg.writeUInt16BE(65_000, size);
  jpeg.writeUInt16BE(65_000, size + 2);
  await assert.rejects(decodeBytes(jpeg), /it has 65000x65000 pixels; at most 200,000,000 are unpacked/);
  const png = Buffer.from(bytesOf('rgb.png'));
  png.writeUInt32BE(60_000, 16);
  png.writeUInt32BE(60_000, 20);
  await assert.rejects(decodeBytes(png), /picture cannot be read/);
  assert.ok(process.resourceUsage().maxRSS < 2 << 20, 'KiB');
});

test('damaged JPEGs give what is left of them or an error that says so, and harm no later one', async () => {
  const stream = new RandomStream(1, 'jpeg');
  for (const name of ['baseline.jpg', 'progressive.jpg', 'inks.jpg']) {
    // Behind the frame's size: a wrong size is another test, and takes long.
    const first =
      bytesOf(name).findIndex((byte, i, all) => byte === 0xff && (all[i + 1] === 0xc0 || all[i + 1] === 0xc2)) + 9;
    for (let i = 0; i < 20; i++) {
      const bytes = Buffer.from(bytesOf(name));
      for (let edits = 1 + stream.integer(4); edits > 0; edits--) {
        bytes[first + stream.integer(bytes.length - first)] = stream.integer(256);
      }
      try {
        const { width, height, data } = await decodeBytes(bytes.subarray(0, first + stream.integer(bytes.length)));
        assert.equal(data.length, 3 * width * height);
      } catch (error) {
        assert.ok(error instanceof SlipError && error.code === 'data', `${name} ${i}: ${error}`);
      }
    }
    const { rgb } = expected[name];
    assert.ok(Buffer.from(rgb, 'base64').equals((await decodeBytes(bytesOf(name))).data), name);
  }
});

test('an empty file and one that is no picture are named', async () => {
  await assert.rejects(decodeBytes(new Uint8Array()), /picture cannot be read: it is empty/);
  await assert.rejects(decodeBytes(Buffer.from('no picture')), /picture cannot be read/);
  const { data } = await decodeBytes(
    await sharp({ create: { width: 1, height: 1, channels: 3, background: '#010203' } })
      .png()
      .toBuffer(),
  );
  assert.deepEqual([...data], [1, 2, 3]);
});
