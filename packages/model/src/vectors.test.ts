// The golden vectors of losses (one and two ranks, both gathers), schedule, AdamW and batch norm.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createOnnxExecutor, type StepDefinition, valueAndGradients } from '@slip/engine';
import type { TensorEntry } from './architecture.js';
import { clipLoss, type Gather } from './losses/clip-loss.js';
import { simclrLoss } from './losses/simclr-loss.js';
import { adamW } from './optimizer/adamw.js';
import { clampLogitScale } from './optimizer/logit-scale.js';
import { lrSchedule } from './optimizer/lr-schedule.js';
import { readGolden } from './testing/golden-model.js';
import { localCollectives } from './testing/local-collectives.js';

interface LossVector {
  loss_per_rank: number[];
  acc_per_rank: number[];
  grad_image_after_ddp_mean?: number[][];
  grad_text_after_ddp_mean?: number[][];
  grad_aug1?: number[][];
  grad_aug2?: number[][];
  dloss_dscale_exp?: number;
}
interface Vectors {
  losses: Record<string, LossVector> & { logit_scale: number };
  schedule: {
    base: number;
    final: number;
    epochs: number;
    iters_per_epoch: number;
    warmup_epochs: number;
    start: number;
    values: number[];
  };
  adamw: {
    p0: number[];
    grads: number[][];
    lr: number;
    betas: number[];
    eps: number;
    wd: number;
    p_after_each_step: number[][];
  };
}
const vectors = readGolden('vectors.json') as Vectors;
const [ROWS, COLUMNS] = [4, 5];

/** The vectors' own formula for embeddings. */
function embeddings(k: number): number[] {
  return Array.from({ length: ROWS * COLUMNS }, (_, n) => {
    const [i, j] = [Math.floor(n / COLUMNS), n % COLUMNS];
    return Math.sin(1.3 * k + 0.7 * i + 0.31 * j * (i + 1)) + 0.1 * k;
  });
}

/** Runs a loss of two embeddings and a scale on `worldSize` ranks; gradients are the mean over ranks of global rows. */
async function runLoss(worldSize: number, keys: [number, number], loss: 'simclr' | Gather) {
  const batchSize = ROWS / worldSize;
  const collectives = localCollectives(worldSize);
  const results = await Promise.all(
    collectives.map(async (own, rank) => {
      const executor = await createOnnxExecutor(lossStep(loss, new Array<number>(worldSize).fill(batchSize), rank), {
        rank,
        worldSize,
        threads: 1,
        collectives: own,
      });
      keys.forEach((key, n) => {
        executor
          .input(n === 0 ? 'a' : 'b')
          .set(embeddings(key).slice(rank * batchSize * COLUMNS, (rank + 1) * batchSize * COLUMNS));
      });
      executor.input('scale')[0] = vectors.losses.logit_scale;
      return executor;
    }),
  );
  await Promise.all(results.map((executor) => executor.run()));
  const rows = (name: string) =>
    results.flatMap((executor) => [...executor.output(name)].map((value) => value / worldSize));
  return {
    losses: results.map((executor) => executor.output('loss')[0]),
    accuracies: results.map((executor) => executor.output('accuracy')[0]),
    gradA: rows('gradA'),
    gradB: rows('gradB'),
    gradScale: rows('gradScale').reduce((sum, value) => sum + value, 0),
  };
}

function lossStep(kind: 'simclr' | Gather, rows: readonly number[], rank: number): StepDefinition {
  const shape = [rows[rank], COLUMNS];
  return {
    name: 'loss',
    inputs: [
      { name: 'a', shape, dtype: 'float32' },
      { name: 'b', shape, dtype: 'float32' },
      { name: 'scale', shape: [], dtype: 'float32' },
    ],
    fn({ a, b, scale }) {
      const placement = { rank, rows };
      const { results, gradients } = valueAndGradients({ a, b, scale }, (v) => {
        const { loss, accuracy } =
          kind === 'simclr' ? simclrLoss(v.a, v.b, placement, 0.1) : clipLoss(v.a, v.b, v.scale, placement, kind);
        // The SimCLR loss has no scale: a term of zero lets both kinds share this step.
        return { loss: kind === 'simclr' ? loss.add(v.scale.mul(0)) : loss, accuracy };
      });
      return { ...results, gradA: gradients.a, gradB: gradients.b, gradScale: gradients.scale };
    },
  };
}

function assertNear(found: readonly number[], expected: readonly number[], tolerance: number, what: string): void {
  assert.equal(found.length, expected.length, what);
  found.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]) < tolerance, `${what}[${i}]: ${value}, expected ${expected[i]}`);
  });
}

for (const worldSize of [1, 2]) {
  for (const gather of ['full', 'query-only'] as const) {
    test(`CLIP loss on ${worldSize} rank(s), gather ${gather}`, async () => {
      // One rank gathers nothing, so its gradient is complete in both variants (reference 3.1).
      const expected = vectors.losses[worldSize === 1 ? 'clip_R1_full' : `clip_R2_${gather.replace('-', '_')}`];
      const found = await runLoss(worldSize, [1, 2], gather);
      assertNear(found.losses, expected.loss_per_rank, 2e-5, 'loss');
      assert.deepEqual(found.accuracies, expected.acc_per_rank);
      assertNear(found.gradA, expected.grad_image_after_ddp_mean!.flat(), 2e-5, 'image gradient');
      assertNear(found.gradB, expected.grad_text_after_ddp_mean!.flat(), 2e-5, 'text gradient');
      assertNear([found.gradScale], [expected.dloss_dscale_exp!], 1e-5, 'scale gradient');
    });
  }
  test(`SimCLR loss on ${worldSize} rank(s)`, async () => {
    const expected = vectors.losses[`simclr_R${worldSize}`];
    const found = await runLoss(worldSize, [3, 4], 'simclr');
    assertNear(found.losses, expected.loss_per_rank, 2e-5, 'loss');
    assert.deepEqual(found.accuracies, expected.acc_per_rank);
    assertNear(found.gradA, expected.grad_aug1!.flat(), 2e-5, 'first view');
    assertNear(found.gradB, expected.grad_aug2!.flat(), 2e-5, 'second view');
  });
}

test('learning rate schedule', () => {
  const { base, final, epochs, iters_per_epoch, warmup_epochs, start, values } = vectors.schedule;
  const schedule = lrSchedule({
    lr: base,
    lrStart: start,
    lrEnd: final,
    epochs,
    warmupEpochs: warmup_epochs,
    stepsPerEpoch: iters_per_epoch,
  });
  assertNear(
    values.map((_, step) => schedule(step)),
    values,
    1e-15,
    'lr',
  );
});

test('a warm-up of one step starts at lrStart; warmupSteps overrides warmupEpochs', () => {
  const options = { lr: 1, lrStart: 0.25, lrEnd: 0, epochs: 1, warmupEpochs: 1, stepsPerEpoch: 10 };
  assert.equal(lrSchedule({ ...options, warmupSteps: 1 })(0), 0.25);
  assert.deepEqual([0, 1, 2, 3].map(lrSchedule({ ...options, warmupSteps: 4 })), [0.25, 0.5, 0.75, 1]);
  assert.equal(lrSchedule({ ...options, warmupSteps: 4 })(4), 1);
});

test('AdamW, as a whole and shard by shard', () => {
  const { p0, grads, lr, betas, eps, wd, p_after_each_step } = vectors.adamw;
  const entry = { name: 'w', shape: [3], kind: 'param', dtype: 'float32', decay: true, size: 3, offset: 0 };
  const entries = [entry as unknown as TensorEntry];
  const make = () => ({
    params: Float32Array.from(p0),
    grads: new Float32Array(3),
    expAvg: new Float32Array(3),
    expAvgSq: new Float32Array(3),
  });
  const whole = make();
  const sharded = make();
  grads.forEach((grad, i) => {
    const hyper = { lr, beta1: betas[0], beta2: betas[1], eps, weightDecay: wd, step: i + 1, gradScale: 0.5 };
    // Gradients come as sums; the scale makes them means.
    for (const arenas of [whole, sharded]) arenas.grads.set(grad.map((value) => value * 2));
    adamW(whole, entries, hyper);
    adamW(sharded, entries, hyper, { start: 0, end: 2 });
    adamW(sharded, entries, hyper, { start: 2, end: 3 });
    assertNear([...whole.params], p_after_each_step[i], 1e-6, `parameters after step ${i + 1}`);
  });
  assert.deepEqual(sharded, whole);
});

test('the logit scale stays in [0, ln 100]', () => {
  for (const [before, after] of [
    [-1, 0],
    [2, 2],
    [9, Math.fround(4.6052)],
  ]) {
    const parameter = Float32Array.of(before);
    clampLogitScale(parameter);
    assert.equal(parameter[0], after);
  }
});
