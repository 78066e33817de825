// The CPU device keeps the contract of all devices.
import { createOnnxExecutor } from '@slip/engine';
import { deviceContract, lossesOfSteps } from './testing/device-contract.js';

deviceContract({
  name: 'cpu',
  losses: (model, steps) =>
    lossesOfSteps(
      model,
      (step, bindings) => createOnnxExecutor(step, { rank: 0, worldSize: 1, threads: 1, ...bindings }),
      steps,
    ),
  // Eight rows and a temperature of 0.1 make the SSL losses steep.
  tolerance: (family, step) => (family === 'CLIP' ? 1e-5 : 1e-5 * step ** 2),
});
