// The built-in sets, labels and templates: as many and in the order that the reference says, and the original's own texts.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { byCodePoint } from '../datasets/folder-tree.js';
import { checkClasses } from './check-classes.js';
import { classList } from './class-list.js';
import { captionsOf, readPrompts } from './prompts.js';
import { DOWNSTREAM_SETS } from './sets.js';

const root = path.resolve(import.meta.dirname, '../../../..');
const shared = path.join(root, '../shared/data');
const json = (file: string) => JSON.parse(readFileSync(file, 'utf8'));
const METRICS: Readonly<Record<string, string>> = {
  mean_per_class: 'mean-per-class',
  top1_top5_mean: 'top1-top5-mean',
  roc_auc: 'roc-auc',
};
const FORMS: Readonly<Record<string, string>> = { imagefolder: 'image-folder', filelist: 'file-list' };

test('the table has the 26 sets of the reference, in its order, with its numbers', async () => {
  const { datasets } = json(path.join(root, 'test/golden/downstream.json'));
  assert.equal(DOWNSTREAM_SETS.length, 26);
  for (const [i, expected] of datasets.entries()) {
    const set = DOWNSTREAM_SETS[i];
    const { labels, templates } = await readPrompts({ labels: '', templates: '' }, set.name);
    const { name, form, train, test: evaluated, metric, classes } = set;
    assert.deepEqual(
      [name, form, metric, classes, templates.length, labels.flat().length],
      [
        expected.name,
        FORMS[expected.type] ?? expected.name,
        METRICS[expected.metric] ?? expected.metric,
        expected.num_classes,
        expected.num_templates,
        expected.num_label_texts,
      ],
    );
    assert.deepEqual([train, evaluated], [expected.train_split ?? 'train', expected.test_split ?? 'test'], name);
    assert.equal(labels.length, classes, name);
    assert.equal(labels.flatMap((texts) => captionsOf(texts, templates)).length, expected.total_prompts, name);
    assert.equal(
      labels.some((texts) => texts.length > 1),
      expected.labels_nested,
      name,
    );
  }
});

test('folders of every list sort in the order of the list, and are recognised', () => {
  for (const { name } of DOWNSTREAM_SETS) {
    const folders = classList(name)!.map(({ folder }) => folder);
    assert.deepEqual([...folders].sort(byCodePoint), folders, name);
    assert.equal(new Set(folders).size, folders.length);
    assert.equal(checkClasses(name, classList(name)!, folders, 'here'), undefined, name);
  }
});

test("labels and templates are the original's in number, order and text", async (t) => {
  if (!existsSync(shared)) return t.skip(`the original's data files are not at ${shared}`);
  const files = { labels: path.join(shared, 'labels.json'), templates: path.join(shared, 'templates.json') };
  for (const { name } of DOWNSTREAM_SETS) {
    assert.deepEqual(await readPrompts({ labels: '', templates: '' }, name), await readPrompts(files, name), name);
  }
});

/** As many folders as classes, sorted as a listing sorts them. */
function found(set: string, rename: (folder: string, i: number) => string): string[] {
  return classList(set)!
    .map(({ folder }, i) => rename(folder, i))
    .sort(byCodePoint);
}

test('folders that sort to another place are an error with the fix', () => {
  const check = (set: string, folders: string[]) => checkClasses(set, classList(set)!, folders, '/sets/x');
  const wrong: [string, string[], RegExp][] = [
    [
      'flowers',
      found('flowers', (_, i) => String(i + 1)),
      /\/sets\/x: 91 of 102 class folders of flowers sort.*10 \(rename to "010"\)/,
    ],
    ['gtsrb', found('gtsrb', (_, i) => String(i)), /of 43 class folders.*10 \(rename to "00010"\)/],
    [
      'aircraft',
      found('aircraft', (folder) => folder.replaceAll(' ', '-')),
      /3 of 100 .*has: BAE-146-200 \(rename to "BAE 146-200"\), BAE-146-300/,
    ],
    [
      'kinetics700_frames',
      found('kinetics700_frames', (folder) => folder.replace(/[()]/g, '').replaceAll(' ', '_')),
      /5 of 700 .*curling_sport \(rename to "curling \(sport\)"\)/,
    ],
    ['hateful_memes', ['hateful', 'not_hateful'], /2 of 2 .*hateful \(rename to "1"\), not_hateful \(rename to "0"\)/],
    ['fer2013', ['0', '1', '2', '3', '4', '5', '6'], /3 of 7 .*4 \(rename to "sad"\)/],
  ];
  for (const [set, folders, message] of wrong) assert.throws(() => check(set, folders), { code: 'data', message }, set);

  assert.equal(
    check(
      'flowers',
      found('flowers', (_, i) => String(i).padStart(3, '0')),
    ),
    undefined,
    'from 0',
  );
  assert.equal(
    check(
      'pets',
      found('pets', (folder) => folder.replaceAll('_', '-')),
    ),
    undefined,
  );
  assert.equal(
    check(
      'imagenet',
      found('imagenet', (folder) => folder),
    ),
    undefined,
  );
  assert.match(
    check(
      'dtd',
      found('dtd', (folder) => (folder === 'woven' ? 'wovem' : folder)),
    )!,
    /1 of 47 class folders are not called as those of dtd \(wovem\), so texts go to them by position/,
  );
  assert.throws(() => check('dtd', found('dtd', (folder) => folder).slice(1)), {
    message: /\/sets\/x has 46 classes, dtd has 47; missing: banded/,
  });
  assert.throws(() => check('eurosat', [...found('eurosat', (folder) => folder), 'extra']), {
    message: /has 11 classes, eurosat has 10; not among them: extra/,
  });
});
