// Each of the nine models at full size does two training steps.
import assert from 'node:assert/strict';
import os from 'node:os';
import test from 'node:test';
import { RandomStream } from '@slip/core';
import { createOnnxExecutor } from '@slip/engine';
import { MODEL_NAMES, resolveModel, stateLayout } from './architecture.js';
import { initialiseParameters } from './initialise.js';
import { adamW } from './optimizer/adamw.js';
import { bindArenas } from './testing/golden-model.js';
import { trainStep } from './train-step.js';

/** Enough rows for batch norm to leave the first loss near chance; two where memory is short. */
const rowsOf = (name: string): number => (name.includes('VITL') ? 2 : 8);

for (const name of MODEL_NAMES) {
  test(`${name}: two steps, first losses near ln N and ln(2N-1)`, async (context) => {
    const model = resolveModel(name);
    const rows = rowsOf(name);
    const params = initialiseParameters(model, 0);
    const arenas = {
      params,
      grads: new Float32Array(params.length),
      expAvg: new Float32Array(params.length),
      expAvgSq: new Float32Array(params.length),
    };
    const step = trainStep(model, {
      rows: [rows],
      rank: 0,
      gather: 'full',
      sslScale: 1,
      sslTemp: 0.1,
    });
    const threads = os.availableParallelism();
    const executor = await createOnnxExecutor(step, {
      rank: 0,
      worldSize: 1,
      threads,
      ...bindArenas(model, params, arenas.grads),
    });
    for (const { name: view, dtype } of step.inputs) {
      if (view.startsWith('param/')) continue;
      const random = new RandomStream(0, view);
      const data = executor.input(view);
      for (let i = 0; i < data.length; i++) data[i] = dtype === 'int32' ? 1 + random.integer(49000) : random.normal();
    }
    const losses: string[] = [];
    for (let k = 1; k <= 2; k++) {
      await executor.run();
      const outputs = ['clip_loss', 'ssl_loss'].filter((loss) => !missing(model.family, loss));
      for (const loss of outputs) {
        const value = executor.output(loss)[0];
        losses.push(`step ${k} ${loss} ${value.toFixed(4)}`);
        assert.ok(Number.isFinite(value), `${loss} of step ${k}`);
        // Nearly equal rows: the chance loss, give or take what random similarities make of it.
        const chance = loss === 'clip_loss' ? Math.log(rows) : Math.log(2 * rows - 1);
        if (k === 1) assert.ok(Math.abs(value - chance) < 1, `${loss} ${value}, expected near ${chance}`);
      }
      adamW(arenas, stateLayout(model).entries, {
        lr: 1e-5,
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-8,
        weightDecay: 0.1,
        step: k,
        gradScale: 1,
      });
    }
    context.diagnostic(losses.join(', '));
    await executor.close();
  });
}

function missing(family: string, loss: string): boolean {
  return (family === 'CLIP' && loss === 'ssl_loss') || (family === 'SIMCLR' && loss === 'clip_loss');
}
