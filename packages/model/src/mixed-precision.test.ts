// Mixed precision, emulated on the CPU, against the same rounding by hand in PyTorch (test/golden/autocast.json), and that
// recomputation and loss scaling change no bit of it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createOnnxExecutor, type HalfType } from '@slip/engine';
import type { TraceOptions } from '@slip/engine/trace';
import { type Family, stateLayout } from './architecture.js';
import {
  bindArenas,
  feedGoldenRows,
  golden,
  goldenModel,
  goldenParameters,
  readGolden,
  relativeError,
} from './testing/golden-model.js';
import { trainStep } from './train-step.js';

interface ByHand {
  readonly losses: Readonly<Record<string, number>>;
  readonly gradients?: Readonly<Record<string, readonly number[]>>;
}

const document = readGolden('autocast.json') as {
  readonly lossScale: number;
  readonly byHand: Readonly<Record<HalfType, Readonly<Record<Family, ByHand>>>>;
  readonly torchCpuBfloat16: Readonly<Record<Family, Readonly<Record<string, number>>>>;
};

async function run(family: Family, options: TraceOptions, lossScale = document.lossScale) {
  const model = goldenModel(family);
  const place = { rows: [golden.batch], rank: 0 };
  const step = trainStep(model, { ...place, gather: 'full', sslScale: 1, sslTemp: 0.1, scaledLoss: true });
  const params = goldenParameters(model);
  const grads = new Float32Array(params.length);
  const executor = await createOnnxExecutor(step, {
    ...{ rank: 0, worldSize: 1, threads: 1, ...options },
    ...bindArenas(model, params, grads),
  });
  feedGoldenRows(step, executor, 0);
  executor.input('loss_scale')[0] = lossScale;
  await executor.run();
  const losses = Object.fromEntries(
    Object.keys(document.byHand.float16[family].losses).map((name) => [name, executor.output(name)[0]]),
  );
  await executor.close();
  return { losses, grads: grads.map((value) => value / lossScale) };
}

for (const half of ['float16', 'bfloat16'] as const) {
  for (const family of ['CLIP', 'SIMCLR', 'SLIP'] as const) {
    test(`${family} in ${half} has the losses of rounding by hand, not those of float64`, async () => {
      const { losses } = await run(family, { half });
      for (const [name, byHand] of Object.entries(document.byHand[half][family].losses)) {
        const noise = Math.abs(byHand - golden.families[family].first[name]);
        const error = Math.abs(losses[name] - byHand);
        // Sums in float32 and float64 fall on different sides of a tie now and then, oftener where halves are finer.
        const tolerance = half === 'bfloat16' ? 1e-5 * byHand : 0.3 * noise;
        assert.ok(error < tolerance, `${name}: ${losses[name]}, by hand ${byHand}, noise ${noise}`);
      }
    });
  }

  test(`gradients in ${half} are nearer to rounding by hand than that is to float64`, async () => {
    const { grads } = await run('SLIP', { half });
    const byHand = document.byHand[half].SLIP.gradients!;
    const exact = golden.families.SLIP.gradients;
    for (const [part, limit] of [
      ['visual.', half === 'float16' ? 0.6 : 0.1],
      ['transformer.', 0.6],
      ['projection', 0.3],
    ] as const) {
      const names = Object.keys(byHand).filter((name) => name.includes(part));
      const flat = (of: Readonly<Record<string, readonly number[]>>) => names.flatMap((name) => of[name]);
      const own = stateLayout(goldenModel('SLIP'))
        .entries.filter(({ name }) => names.includes(name))
        .flatMap(({ offset, size }) => Array.from(grads.subarray(offset, offset + size)));
      const ratio = relativeError(own, flat(byHand)) / relativeError(flat(exact), flat(byHand));
      assert.ok(ratio < limit, `${part}: error over noise ${ratio}`);
    }
  });

  test(`what is computed again has the same bits in ${half}`, async () => {
    const plain = await run('SLIP', { half, recomputation: 'none' });
    for (const recomputation of ['cheap', 'blocks'] as const) {
      assert.deepEqual((await run('SLIP', { half, recomputation })).grads, plain.grads, recomputation);
    }
  });
}

test("bfloat16 is as near to PyTorch's own autocast on the CPU as its digits are", async () => {
  const { losses } = await run('CLIP', { half: 'bfloat16' });
  assert.ok(relativeError([losses.loss], [document.torchCpuBfloat16.CLIP.loss]) < 2 ** -8);
});

test('a loss scale that is a power of two leaves bfloat16 as it is, and one that is too large makes float16 infinite', async () => {
  const one = await run('CLIP', { half: 'bfloat16' }, 1);
  const scaled = await run('CLIP', { half: 'bfloat16' }, 2 ** 16);
  assert.deepEqual(scaled.grads, one.grads);
  const { grads, losses } = await run('CLIP', { half: 'float16' }, 2 ** 30);
  assert.ok(grads.some((value) => !Number.isFinite(value)));
  assert.ok(Number.isFinite(losses.loss));
});
