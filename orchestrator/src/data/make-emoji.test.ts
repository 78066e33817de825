// The emoji set in small: layout, texts, licences, the same bytes twice, nothing of others overwritten.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { openDataset, openLabelled } from '@slip/data';
import sharp from 'sharp';
import { HELD_OUT_STYLE, listEmoji, openStyle } from './emoji-catalog.js';
import { captionsOf, classTexts } from './emoji-texts.js';
import { makeEmoji } from './make-emoji.js';

test('base emoji only, each with a name and a subgroup', () => {
  const emoji = listEmoji();
  assert.ok(emoji.length > 1800, `${emoji.length} emoji`);
  assert.equal(new Set(emoji.map(({ hexcode }) => hexcode)).size, emoji.length);
  for (const { hexcode, label, subgroup } of emoji) {
    assert.doesNotMatch(hexcode, /1F3F[B-F]/, `${label} is a skin tone`);
    assert.ok(label.length > 0 && subgroup.length > 0);
  }
});

test('an icon that is the mirror of another is drawn mirrored', async () => {
  const style = openStyle(HELD_OUT_STYLE);
  const draw = async (label: string, mirror: boolean) => {
    const emoji = listEmoji().find((one) => one.label === label);
    assert.ok(emoji);
    const picture = await sharp(Buffer.from(style.svg(emoji) ?? ''))
      .png()
      .toBuffer();
    return sharp(picture).flop(mirror).flatten({ background: '#ffffff' }).raw().toBuffer();
  };
  const left = await draw('backhand index pointing left', false);
  const distance = (other: Buffer) => other.reduce((sum, value, i) => sum + Math.abs(value - left[i]), 0) / left.length;
  assert.ok(distance(await draw('backhand index pointing right', true)) < 2);
  assert.ok(distance(await draw('backhand index pointing right', false)) > 10);
});

test('captions are names and tags; templates never add the subgroup', () => {
  assert.deepEqual(
    captionsOf({ hexcode: '1', label: 'red apple', tags: ['fruit', 'red apple', 'food'], subgroup: 'food-fruit' }),
    [
      'red apple',
      'a picture of red apple',
      'an emoji of red apple',
      'red apple, fruit, food',
      'fruit',
      'a picture of food',
    ],
  );
  assert.ok(
    captionsOf({ hexcode: '1', label: 'x', tags: [], subgroup: 'secret' }).every(
      (caption) => !caption.includes('secret'),
    ),
  );
});

test('class texts read like words', () => {
  assert.deepEqual(classTexts('food-fruit'), ['fruit', 'apple', 'grapes']);
  assert.deepEqual(classTexts('never-heard-of'), ['never heard of']);
  for (const { subgroup } of listEmoji())
    assert.ok([classTexts(subgroup)].flat().every((text) => text.length > 2 && !text.includes('-')));
});

test('makes the layout, the same bytes every time, and leaves other folders alone', async (context) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-emoji-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const make = (name: string) =>
    makeEmoji({ output: path.join(folder, name), size: 32, limit: 12, progress: () => {} });
  const { summary, existed } = await make('a');
  assert.equal(existed, false);
  assert.equal((await make('a')).existed, true);
  await make('b');

  const metadata = 'coco/annotations/captions_train2017.json';
  const document = JSON.parse(readFileSync(path.join(folder, 'a', metadata), 'utf8'));
  assert.deepEqual(Object.keys(document), ['info', 'licenses', 'images', 'annotations']);
  const set = await openDataset({
    dataset: 'coco',
    root: path.join(folder, 'a/coco'),
    metadata: path.join(folder, 'a', metadata),
    indexDir: path.join(folder, 'index'),
  });
  assert.equal(
    set.length,
    Object.values(summary.imagesPerStyle).reduce((sum, count) => sum + count, 0),
  );
  for (let i = 0; i < set.length; i++) {
    const { image, captions } = set.describe(i);
    assert.ok(captions.length >= 3);
    const { width, height, format } = await sharp(image.name).metadata();
    assert.deepEqual([width, height, format], [32, 32, 'jpeg']);
  }
  const classes = readdirSync(path.join(folder, 'a/heldout/val')).sort();
  const place = { root: path.join(folder, 'a/classes'), indexDir: path.join(folder, 'index') };
  const linked = await openLabelled({ kind: 'image-folder', dataset: 'emoji', ...place });
  assert.ok(linked.classes.every((name) => classes.includes(name)));
  assert.ok(linked.length >= classes.length);
  for (let i = 0; i < linked.length; i++)
    assert.equal((await sharp(linked.describe(i).image.name).metadata()).width, 32);
  const labels = JSON.parse(readFileSync(path.join(folder, 'a/labels.json'), 'utf8')).emoji;
  assert.deepEqual(labels, classes.map(classTexts));
  assert.match(readFileSync(path.join(folder, 'a/LICENSES.md'), 'utf8'), /Apache 2.0.*CC BY 4.0.*CC BY-SA 4.0.*MIT/s);

  const files = (name: string) =>
    readdirSync(path.join(folder, name), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(path.join(folder, name), path.join(entry.parentPath, entry.name)))
      .sort();
  assert.deepEqual(files('b'), files('a'));
  for (const file of files('a'))
    assert.ok(readFileSync(path.join(folder, 'a', file)).equals(readFileSync(path.join(folder, 'b', file))), file);

  writeFileSync(path.join(folder, 'mine.txt'), 'mine');
  await assert.rejects(make('mine.txt'), { code: 'data', message: /is a file/ });
  await assert.rejects(make('mine.txt/below'), { code: 'data', message: /cannot be written/ });
  assert.equal(readFileSync(path.join(folder, 'mine.txt'), 'utf8'), 'mine');
  await assert.rejects(make('.'), /holds other files/);
  assert.deepEqual(readdirSync(folder).sort(), ['a', 'b', 'index', 'mine.txt']);

  writeFileSync(path.join(folder, 'b', 'made.json'), '{');
  await assert.rejects(make('b'), { code: 'data', message: /holds other files/ });
});
