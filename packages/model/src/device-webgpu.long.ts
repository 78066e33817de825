// All families and ten steps, which take longer on a software adapter: the WebGPU device keeps the contract of all devices.
import test from 'node:test';
import { useSoftwareAdapter, withoutSoftwareAdapter } from '@slip/devices/testing';
import { CPU, openDevice } from '@slip/engine';
import { deviceContract, lossesOnDevice } from './testing/device-contract.js';
import { assertEqualsPyTorch } from './testing/golden-resnet.js';

const skipped = withoutSoftwareAdapter();
useSoftwareAdapter();
const webgpu = skipped === undefined ? await openDevice('webgpu') : CPU;

deviceContract({
  name: 'webgpu',
  losses: (model, steps) => lossesOnDevice(webgpu, model, steps),
  ...(skipped === undefined ? {} : { skipped }),
  tolerance: (family, step) => (family === 'CLIP' ? 1e-4 : 1e-4 * step ** 2),
});

test("webgpu: CLIP_RN50's tower equals PyTorch's", { skip: skipped ?? false }, () =>
  assertEqualsPyTorch((step) => webgpu.createExecutor(step, { rank: 0, worldSize: 1, threads: 1 })),
);
