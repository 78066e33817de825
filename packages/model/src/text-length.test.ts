// Texts cut to the longest of a batch: losses and gradients are those of the whole context but for rounding, whatever the families,
// precisions and ranks, in one executor for all lengths.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { createOnnxExecutor, type OnnxExecutorOptions, openGraphCache, type StepExecutor } from '@slip/engine';
import { flexiblePlan, makePlan, planAt } from '@slip/engine/trace';
import { type ModelConfig, resolveModel, stateLayout } from './architecture.js';
import { initialiseParameters } from './initialise.js';
import { localCollectives } from './testing/local-collectives.js';
import { trainStep } from './train-step.js';

const [CONTEXT, VOCABULARY] = [29, 64];
const END = VOCABULARY - 1;
/** Of float32 sums of other lengths, relative to the largest gradient of a tensor. */
const TOLERANCE = 2e-5;

const small = (name: string, others: object = {}) =>
  resolveModel(name, {
    ...{ imageSize: 32, patchSize: 16, visionWidth: 32, visionDepth: 2, visionHeads: 2 },
    ...{ textWidth: 32, textDepth: 2, textHeads: 4, contextLength: CONTEXT, vocabSize: VOCABULARY },
    ...{ embedDim: 16, sslMlpDim: 32, sslEmbDim: 16 },
    ...others,
  });

interface Ranks {
  readonly executors: readonly StepExecutor[];
  readonly grads: readonly Float32Array[];
}

async function open(
  model: ModelConfig,
  rows: readonly number[],
  options: Partial<OnnxExecutorOptions>,
): Promise<Ranks> {
  const params = initialiseParameters(model, 1);
  const { entries } = stateLayout(model);
  const collectives = localCollectives(rows.length);
  const executors: StepExecutor[] = [];
  const grads: Float32Array[] = [];
  for (const rank of rows.keys()) {
    const own = new Float32Array(params.length);
    grads.push(own);
    const inputs: Record<string, Float32Array> = {};
    const outputs: Record<string, Float32Array> = {};
    for (const { name, kind, offset, size } of entries) {
      if (kind !== 'param') continue;
      inputs[`param/${name}`] = params.subarray(offset, offset + size);
      outputs[`grad/${name}`] = own.subarray(offset, offset + size);
    }
    const step = trainStep(model, { rows, rank, gather: 'full', sslScale: 1, sslTemp: 0.1 });
    const place = { rank, worldSize: rows.length, rows, threads: 1, collectives: collectives[rank] };
    executors.push(await createOnnxExecutor(step, { ...place, anyLength: true, inputs, outputs, ...options }));
  }
  return { executors, grads };
}

/** Every rank's texts end at or before `last`. @param length of the inputs, and so what is looked at */
async function run({ executors, grads }: Ranks, rows: readonly number[], last: number, length: number) {
  for (const [rank, executor] of executors.entries()) {
    for (const view of ['image', 'aug1', 'aug2']) {
      try {
        const pixels = executor.input(view);
        for (let i = 0; i < pixels.length; i++) pixels[i] = Math.sin(0.37 * i + rank + view.length);
      } catch {
        // Not a view of this family.
      }
    }
    const tokens = executor.input('tokens');
    tokens.fill(END);
    for (let row = 0; row < rows[rank]; row++) {
      const end = row === 0 ? last : Math.max(2, last - row);
      for (let i = 0; i < length; i++)
        tokens[row * length + i] = i > end ? 0 : i === end ? END : 1 + ((7 * i + 3 * row + rank) % (END - 1));
    }
    if (length !== CONTEXT) executor.setLength!(length);
  }
  await Promise.all(executors.map((executor) => executor.run()));
  if (length !== CONTEXT) for (const executor of executors) executor.setLength!(CONTEXT);
  return { loss: executors.map((executor) => executor.output('loss')[0]), grads: grads.map((own) => own.slice()) };
}

function assertSame(model: ModelConfig, found: Float32Array, expected: Float32Array, tolerance: number): void {
  for (const { name, kind, offset, size } of stateLayout(model).entries) {
    if (kind !== 'param') continue;
    const [a, b] = [found, expected].map((all) => all.subarray(offset, offset + size));
    const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
    const error = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
    assert.ok(error <= tolerance * largest, `${name}: ${error} of ${largest}`);
  }
}

const CASES: readonly (readonly [string, ModelConfig, readonly number[], Partial<OnnxExecutorOptions>, number])[] = [
  ['CLIP', small('CLIP_VITS16'), [6], {}, TOLERANCE],
  ['CLIP with as many rows, heads and columns as a length', small('CLIP_VITS16', { textHeads: 8 }), [8], {}, TOLERANCE],
  ['SLIP on two ranks with unequal rows', small('SLIP_VITS16'), [4, 3], {}, TOLERANCE],
  ['SLIP with blocks computed again', small('SLIP_VITS16'), [4], { recomputation: 'blocks' }, TOLERANCE],
  ['CLIP in bf16', small('CLIP_VITS16'), [4], { half: 'bfloat16' }, 3e-2],
  ['CLIP with one row', small('CLIP_VITS16'), [1], {}, TOLERANCE],
];

for (const [what, model, rows, options, tolerance] of CASES) {
  test(`${what}: texts may be cut behind the last end`, async () => {
    const ranks = await open(model, rows, options);
    assert.deepEqual(ranks.executors[0].lengths, [8, 16, 24, CONTEXT]);
    for (const [last, length] of [
      [7, 8],
      [9, 16],
      [23, 24],
      [5, 16],
      [7, 8],
    ]) {
      const whole = await run(ranks, rows, last, CONTEXT);
      const cut = await run(ranks, rows, last, length);
      for (const [rank, loss] of cut.loss.entries()) {
        assert.ok(Math.abs(loss - whole.loss[rank]) <= tolerance * Math.abs(whole.loss[rank]), `loss at ${length}`);
        assertSame(model, cut.grads[rank], whole.grads[rank], tolerance);
      }
    }
    for (const executor of ranks.executors) await executor.close();
  });
}

test('what is behind a text that is not cut off is looked at again, and an executor for one length has no other', async () => {
  const model = small('CLIP_VITS16');
  const ranks = await open(model, [4], {});
  const before = await run(ranks, [4], 28, CONTEXT);
  await run(ranks, [4], 7, 8);
  const after = await run(ranks, [4], 28, CONTEXT);
  assert.deepEqual(after, before);
  for (const executor of ranks.executors) await executor.close();
  const single = await open(model, [4], { anyLength: false });
  assert.equal(single.executors[0].lengths, undefined);
  for (const executor of single.executors) await executor.close();
});

test('found in the cache, a step has the bits of one that was traced, at every length', async (t) => {
  const model = small('CLIP_VITS16');
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-lengths-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const results: unknown[] = [];
  for (const options of [{}, { graphCache: openGraphCache({ folder }) }, { graphCache: openGraphCache({ folder }) }]) {
    const ranks = await open(model, [4], options);
    results.push(await run(ranks, [4], 28, CONTEXT), await run(ranks, [4], 7, 8));
    results.push(ranks.executors[0].stats.fromCache);
    for (const executor of ranks.executors) await executor.close();
  }
  const [long, short] = results;
  assert.deepEqual(results, [...[long, short, false], ...[long, short, false], ...[long, short, true]]);
});

test('registered towers at the batch sizes of the recipes are one step for all lengths', async () => {
  const shallow = { visionDepth: 1, textDepth: 1, textActivation: 'gelu' as const };
  for (const [name, rows] of [
    ['CLIP_VITB16', [64]],
    ['SLIP_VITL16', [32, 31]],
  ] as const) {
    const step = trainStep(resolveModel(name, shallow), { rows, rank: 0, gather: 'full', sslScale: 1, sslTemp: 0.1 });
    const { allowed, at } = step.lengths!;
    const place = { rank: 0, worldSize: rows.length, rows };
    const flexible = flexiblePlan(makePlan(step, place), makePlan(at(allowed[0]), place));
    for (const length of allowed) assert.ok(planAt(flexible!, makePlan(at(length), place)).varying.flat().length > 0);
  }
});
