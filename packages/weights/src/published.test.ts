// The table of published models against the original's README, where that is at hand.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { PUBLISHED_MODELS, publishedScores } from './published.js';

const readme = path.resolve(import.meta.dirname, '../../../../shared/reference/seed-readme.md');

test("names, epochs and scores are those of the original's README, all of them", (t) => {
  if (!existsSync(readme)) return t.skip(`the original's README is not at ${readme}`);
  const rows = readFileSync(readme, 'utf8').matchAll(/<tr>\n((?:<td.*\n)+)<\/tr>/g);
  const published = [...rows].map(([, cells]) => {
    const texts = [...cells!.matchAll(/<td[^>]*>(.*)<\/td>/g)].map(([, text]) => text!);
    const [epochs, zeroShot, linear, finetuned] = texts.slice(-5, -1).map(Number);
    const name = /slip\/(\w+)\.pt/.exec(texts.at(-1)!)![1];
    return { name, epochs, zeroShot: Number.isNaN(zeroShot) ? undefined : zeroShot, linear, finetuned };
  });
  assert.deepEqual(
    PUBLISHED_MODELS.map(({ name, epochs, zeroShot, linear, finetuned }) => ({
      name,
      epochs,
      zeroShot,
      linear,
      finetuned,
    })),
    published,
  );
});

test('a model is compared with its own scores, or with those of all published ones like it', () => {
  assert.deepEqual(
    publishedScores('simclr_small_25ep', undefined).map(({ linear }) => linear),
    [58.1],
  );
  assert.deepEqual(
    publishedScores('runs/x', 'CLIP_VITB16').map(({ finetuned }) => finetuned),
    [80.5, 79.5, 82.1],
  );
  assert.deepEqual(publishedScores('runs/x', undefined), []);
});
