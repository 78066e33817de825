// Activation checkpointing changes what is kept in memory, not one bit of what is computed: on one rank, and on ranks that talk.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createOnnxExecutor, type Recomputation } from '@slip/engine';
import { traceStep } from '@slip/engine/trace';
import type { Family } from './architecture.js';
import { bindArenas, feedGoldenRows, golden, goldenModel, goldenParameters } from './testing/golden-model.js';
import { localCollectives } from './testing/local-collectives.js';
import { type TrainStepOptions, trainStep } from './train-step.js';

const options = (rows: readonly number[], rank: number): TrainStepOptions => ({
  ...{ rows, rank },
  gather: 'full',
  sslScale: 1,
  sslTemp: 0.1,
});

async function gradients(family: Family, rows: readonly number[], recomputation: Recomputation) {
  const model = goldenModel(family);
  const collectives = localCollectives(rows.length);
  const executors = [];
  const grads: Float32Array[] = [];
  for (const [rank, count] of rows.entries()) {
    const step = trainStep(model, options(rows, rank));
    const params = goldenParameters(model);
    grads.push(new Float32Array(params.length));
    const place = { rank, worldSize: rows.length, rows, threads: 1, collectives: collectives[rank] };
    const bindings = bindArenas(model, params, grads[rank]);
    const executor = await createOnnxExecutor(step, { ...place, recomputation, ...bindings });
    feedGoldenRows(step, executor, rank * count);
    executors.push(executor);
  }
  await Promise.all(executors.map((executor) => executor.run()));
  const losses = executors.map((executor) => executor.output('loss')[0]);
  const crossingBytes = executors[0].stats.crossingBytes;
  for (const executor of executors) await executor.close();
  return { grads, losses, crossingBytes };
}

for (const family of ['CLIP', 'SLIP'] as const) {
  for (const rows of [[golden.batch], [4, 4]]) {
    test(`${family} on ${rows.length} rank(s): gradients have the same bits whatever is computed again`, async () => {
      const plain = await gradients(family, rows, 'none');
      for (const what of ['cheap', 'blocks'] as const) {
        const again = await gradients(family, rows, what);
        assert.deepEqual(again.losses, plain.losses);
        for (const [rank, own] of plain.grads.entries()) {
          assert.ok(Buffer.from(own.buffer).equals(Buffer.from(again.grads[rank].buffer)), `${what}, rank ${rank}`);
        }
        // Between segments, what is computed again does not live on.
        if (rows.length > 1) assert.ok(again.crossingBytes < plain.crossingBytes, what);
      }
    });
  }
}

test('blocks are computed again after the gradient of their result, and nothing else is', () => {
  const step = trainStep(goldenModel('CLIP'), options([golden.batch], 0));
  const kernels = (what: Recomputation) => {
    const { nodes } = traceStep(step, undefined, { recomputation: what }).graph;
    const repeated = nodes.filter(({ after }) => after !== undefined).map(({ kernel }) => kernel.name);
    return {
      repeated,
      all: nodes.length,
      boundaries: nodes.filter(({ kernel }) => kernel.name === 'SlipBoundary').length,
    };
  };
  assert.deepEqual(kernels('none').repeated, []);
  assert.equal(kernels('none').boundaries, 0);
  const { repeated, all } = kernels('blocks');
  assert.equal(all, kernels('none').all + repeated.length);
  // Two blocks in each tower, each with one attention; the losses and projections are not in a block.
  assert.equal(repeated.filter((name) => name === 'SlipAttention').length, 4);
  assert.ok(!repeated.includes('SlipCrossEntropy'));
  assert.ok(kernels('cheap').repeated.every((name) => name !== 'SlipAttention' && name !== 'SlipLinear'));
});
