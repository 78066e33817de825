// The tables of zero-shot evaluation: the README's figures beside ours where it has any.
import assert from 'node:assert/strict';
import test from 'node:test';
import { markdown, textTable, type ZeroShotResults } from './zeroshot-results.js';

function resultsOf(path: string, model: string): ZeroShotResults {
  const figures = { acc1: 40, acc5: 70, meanRecall: 40, chance: 0.1, largestClass: 0.1, images: 50_000, classes: 1000 };
  const result = { key: '', metric: 'accuracy', value: 40, figures, seconds: 1 } as const;
  return { weights: { path, model, key: '' }, sets: { food101: result, imagenet: result }, missing: [] };
}

test('published figures stand beside ours: of the very weights, else of all of the same model', () => {
  const cases: [path: string, model: string, published: string][] = [
    ['slip_base_100ep', 'SLIP_VITB16', '45.0 slip_base_100ep'],
    ['/models/clip_base_cc3m_40ep.pt', 'CLIP_VITB16', '17.1 clip_base_cc3m_40ep'],
    ['runs/l16/checkpoints/best', 'CLIP_VITL16', '40.4 clip_large_25ep'],
    ['runs/s16/checkpoints/best', 'SLIP_VITS16', '38.3 slip_small_25ep, 39.3 slip_small_50ep, 39.5 slip_small_100ep'],
    ['runs/rn50/checkpoints/best', 'CLIP_RN50', '34.6 CLIP_RN50 on YFCC15M'],
    ['clip-tiny.pt', 'CLIP_TINY', '-'],
  ];
  for (const [path, model, published] of cases) {
    const rows = markdown(resultsOf(path, model)).split('\n');
    assert.deepEqual(
      rows.filter((row) => /^\| (food101|imagenet) /.test(row)),
      [
        '| food101 | 40.0 | accuracy | 50,000 | 1000 | 0.1 | - |',
        `| imagenet | 40.0 | accuracy | 50,000 | 1000 | 0.1 | ${published} |`,
      ],
    );
    assert.ok(textTable(resultsOf(path, model)).includes(`  0.1  ${published}\n`));
  }
});
