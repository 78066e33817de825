// The CPU device keeps the contract of all devices, and keeps it in emulated halves with the tolerance of their digits.
import { createOnnxExecutor, type ExecutorOptions, type HalfType } from '@slip/engine';
import type { ModelConfig } from './architecture.js';
import { deviceContract, type HostSteps, lossesOfSteps } from './testing/device-contract.js';

function losses(model: ModelConfig, options: HostSteps, precision: Pick<ExecutorOptions, 'half'> = {}) {
  return lossesOfSteps(
    model,
    (step, bindings) => createOnnxExecutor(step, { rank: 0, worldSize: 1, threads: 1, ...precision, ...bindings }),
    options,
  );
}

deviceContract({
  name: 'cpu',
  losses: (model, steps) => losses(model, { steps }),
  // Eight rows and a temperature of 0.1 make the SSL losses steep.
  tolerance: (family, step) => (family === 'CLIP' ? 1e-5 : 1e-5 * step ** 2),
});

// So steep that after ten steps two ways of rounding to halves are a third apart: with another temperature they are not.
const SSL_TEMP = 1;
/** Where these gradients are in the range of float16. */
const LOSS_SCALE = 8;
const TOLERANCES: readonly (readonly [half: HalfType, tolerance: number])[] = [
  ['float16', 0.03],
  ['bfloat16', 0.06],
];
for (const [half, tolerance] of TOLERANCES) {
  deviceContract({
    name: `cpu in ${half}`,
    sslTemp: SSL_TEMP,
    losses: (model, steps) => losses(model, { steps, sslTemp: SSL_TEMP, lossScale: LOSS_SCALE }, { half }),
    tolerance: (family) => (family === 'CLIP' ? tolerance / 2 : tolerance),
  });
}
