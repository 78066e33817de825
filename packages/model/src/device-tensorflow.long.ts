// The tensorflow device keeps the contract of all devices, where its addon is: SLIP_TENSORFLOW names the folder of build-tensorflow.
import test from 'node:test';
import { findTensorFlow } from '@slip/devices';
import { CPU, openDevice } from '@slip/engine';
import { deviceContract, lossesOnDevice } from './testing/device-contract.js';
import { assertEqualsPyTorch } from './testing/golden-resnet.js';

const addon = findTensorFlow(process.env.SLIP_TENSORFLOW);
const missing = 'no addon of TensorFlow: npm run build-tensorflow -- --output DIR, then SLIP_TENSORFLOW=DIR';
const device = addon === undefined ? CPU : await openDevice('tensorflow', { tensorflowFolder: addon.folder });

deviceContract({
  name: 'tensorflow',
  losses: (model, steps) => lossesOnDevice(device, model, steps),
  ...(addon === undefined ? { skipped: missing } : {}),
  tolerance: (family, step) => (family === 'CLIP' ? 1e-4 : 1e-4 * step ** 2),
});

/** Its convolutions sum in other orders. */
const RESNET_SLACK = 5;
test("tensorflow: CLIP_RN50's tower equals PyTorch's", { skip: addon === undefined ? missing : false }, () =>
  assertEqualsPyTorch((step) => device.createExecutor(step, { rank: 0, worldSize: 1, threads: 1 }), RESNET_SLACK),
);
