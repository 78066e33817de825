// Zero-shot classification against PyTorch: class vectors and logits of a checkpoint of its own modules, on true files.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { createSoloGroup } from '@slip/comms';
import { createEvalLoader } from '@slip/data';
import { imageEncoder, textEncoder } from '../encode/encoder.js';
import { openModel } from '../encode/open-model.js';
import { classVectors } from './class-vectors.js';
import { figureOf } from './classification-metrics.js';
import { openZeroShotSet } from './open-set.js';
import { zeroShot } from './zero-shot.js';

const golden = path.resolve(import.meta.dirname, '../../../test/golden');
interface Expected {
  readonly classes: number[][];
  readonly logits: number[][];
  readonly accuracy: number;
  readonly meanPerClass: number;
  readonly top5?: number;
  readonly auc?: number;
}
const expected: Record<string, Expected> = JSON.parse(readFileSync(path.join(golden, 'zeroshot.json'), 'utf8')).model;

test("class vectors, logits and figures are PyTorch's", async (t) => {
  const indexDir = mkdtempSync(path.join(os.tmpdir(), 'slip-zeroshot-'));
  t.after(() => rmSync(indexDir, { recursive: true, force: true }));
  const { config, tensors } = await openModel(path.join(golden, 'zeroshot/clip-tiny.pt'), {
    visionHeads: 2,
    textHeads: 1,
  });
  const group = createSoloGroup();
  const options = { batchSize: 4, threads: 1, unit: true };
  const texts = await textEncoder(config, tensors, options);
  const encoder = await imageEncoder(config, tensors, options);
  const { embedDim, vision } = config;
  for (const [name, { classes, logits, ...figures }] of Object.entries(expected)) {
    const place = { catalog: '', root: path.join(golden, 'zeroshot/sets'), indexDir, labels: '', templates: '' };
    const set = await openZeroShotSet(place, name, assert.fail);
    const textModel = { contextLength: config.text!.contextLength, embedDim, truncate: 'keep-eot' as const, texts };
    const vectors = await classVectors(textModel, set.prompts, group);
    const worstClass = furthest(vectors, classes.flat());
    const found: number[] = [];
    const shared = { imageSize: vision.imageSize, batchSize: 4, rank: 0, worldSize: 1 };
    for await (const { images, items } of createEvalLoader({ dataset: set.images, ...shared })) {
      const features = await encoder.encode(images, items.length);
      for (let row = 0; row < items.length; row++) {
        for (let k = 0; k < classes.length; k++) {
          let dot = 0;
          for (let i = 0; i < embedDim; i++) dot += features[row * embedDim + i] * vectors[k * embedDim + i];
          found.push(dot);
        }
      }
    }
    const worst = furthest(found, logits.flat());
    t.diagnostic(
      `${name}: class vectors differ by ${worstClass.toExponential(1)}, logits by ${worst.toExponential(1)}`,
    );
    assert.ok(worstClass < 1e-4 && worst < 1e-4, name);
    const task = { images: set.images, classes: vectors, encoder, imageSize: vision.imageSize, logitScale: 1, group };
    const result = (await zeroShot(task))!;
    assert.equal(result.figures.acc1, figures.accuracy);
    assert.ok(Math.abs(result.figures.meanRecall - figures.meanPerClass) < 1e-9);
    if (figures.top5 !== undefined) assert.ok(Math.abs(result.figures.acc5 - figures.top5) < 1e-9);
    assert.equal(result.auc === undefined, figures.auc === undefined);
    if (figures.auc !== undefined)
      assert.ok(Math.abs(figureOf('roc-auc', result.figures, result.auc) - figures.auc) < 1e-9);
  }
  await texts.close();
  await encoder.close();
});

function furthest(found: ArrayLike<number>, wanted: readonly number[]): number {
  assert.equal(found.length, wanted.length);
  return Math.max(...wanted.map((value, i) => Math.abs(value - found[i])));
}
