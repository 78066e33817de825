// What slip-data writes is read by Python: numpy, pickle, tarfile.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';

const root = path.resolve(import.meta.dirname, '../../..');
const golden = path.join(root, 'test/golden/datasets');
const inputs = path.join(golden, 'prepare');
const work = mkdtempSync(path.join(os.tmpdir(), 'slip-prepared-'));
after(() => rmSync(work, { recursive: true, force: true }));

function slipData(...flags: string[]): string {
  return execFileSync(process.execPath, [path.join(root, 'orchestrator/bin/slip-data.js'), ...flags], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

function python(what: string, file: string) {
  const script = path.join(root, 'test/golden/check-datasets.py');
  return JSON.parse(execFileSync('/usr/bin/python3', [script, what, file], { encoding: 'utf8' }));
}

test('numpy loads cc3m.npy and cc12m.npy', () => {
  const images = path.join(inputs, 'by-row');
  for (const kind of ['cc3m', 'cc12m']) {
    const file = path.join(work, `${kind}.npy`);
    slipData(`make-${kind}`, '--tsv', path.join(inputs, `${kind}.tsv`), '--images', images, '--output', file);
    const place = (name: string, row: number) =>
      kind === 'cc3m' ? { image_id: name } : { image_name: name, image_id: row };
    assert.deepEqual(python('npy', file), {
      shape: [2],
      dtype: 'object',
      items: [
        { ...place('0.jpg', 0), captions: ['caption 0 of café'] },
        { ...place('5.png', 5), captions: ['caption 5 of café'] },
      ],
    });
  }
});

test('pickle loads yfcc15m.pkl: tuples, as the original wrote them', () => {
  const flags = [
    '--ids',
    path.join(inputs, 'flickr_unique_ids.npy'),
    '--subset',
    path.join(inputs, 'yfcc100m_subset_data.tsv'),
  ];
  slipData('make-yfcc15m', ...flags, '--dataset-file', path.join(inputs, 'yfcc100m_dataset.txt'), '--output', work);
  const expected = JSON.parse(readFileSync(path.join(inputs, 'expected.json'), 'utf8'));
  const { types, items } = python('pickle', path.join(work, 'yfcc15m.pkl'));
  assert.deepEqual(items, expected.captioned);
  assert.ok(types.every((type: string) => type === 'tuple'));
  assert.deepEqual(python('pickle', path.join(work, 'yfcc100m.pkl')).items, expected.images);
});

test('tarfile reads packed shards', () => {
  const coco = path.join(golden, 'coco');
  const shards = path.join(work, 'shards');
  const flags = ['--dataset', 'coco', '--root', coco, '--metadata', path.join(coco, 'captions_train2017.json')];
  slipData('pack', ...flags, '--index-dir', work, '--output', shards);
  const members = python('tar', path.join(shards, '00000.tar'));
  assert.deepEqual(
    Object.keys(members),
    [0, 1, 2].flatMap((n) => [`00000000${n}.jpg`, `00000000${n}.${n < 2 ? 'json' : 'txt'}`]),
  );
});
