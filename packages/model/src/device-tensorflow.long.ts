// The tensorflow device keeps the contract of all devices, where its addon is: SLIP_TENSORFLOW names the folder of build-tensorflow.
import { findTensorFlow } from '@slip/devices';
import { CPU, openDevice } from '@slip/engine';
import { deviceContract, lossesOnDevice } from './testing/device-contract.js';

const addon = findTensorFlow(process.env.SLIP_TENSORFLOW);
const missing = 'no addon of TensorFlow: npm run build-tensorflow -- --output DIR, then SLIP_TENSORFLOW=DIR';
const device = addon === undefined ? CPU : await openDevice('tensorflow', { tensorflowFolder: addon.folder });

deviceContract({
  name: 'tensorflow',
  losses: (model, steps) => lossesOnDevice(device, model, steps),
  ...(addon === undefined ? { skipped: missing } : {}),
  tolerance: (family, step) => (family === 'CLIP' ? 1e-4 : 1e-4 * step ** 2),
});
